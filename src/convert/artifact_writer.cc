#include "convert/artifact_writer.h"

#include <algorithm>
#include <exception>

namespace otr::convert {
namespace {

constexpr int kLikelyExponent = 10;  // two digits

Result<std::uint64_t> likely_front_bytes(model::Config config, const ArtifactTexts& texts) {
  for (const std::string& name : model::exponent_names(config)) {
    config.exponents[name] = kLikelyExponent;
  }
  OTR_TRY_ASSIGN(const Bytes front, model::encode_front(config, texts.tokenizer,
                                                        texts.chat_template, texts.token_bytes));
  return front.size();
}

}  // namespace

Result<std::uint64_t> artifact_size(const model::Config& config, const ArtifactTexts& texts) {
  OTR_TRY_ASSIGN(const std::uint64_t front, likely_front_bytes(config, texts));
  const auto layout = model::tensor_layout(config, texts.token_bytes);
  return front - layout.front().size_bytes + layout.back().offset + layout.back().size_bytes;
}

Result<ArtifactWriter> ArtifactWriter::create(const std::filesystem::path& out,
                                              const model::Config& config,
                                              const ArtifactTexts& texts) {
  OTR_TRY_ASSIGN(const std::uint64_t front, likely_front_bytes(config, texts));
  OTR_TRY_ASSIGN(env::PendingFile file, env::PendingFile::create(out));
  return ArtifactWriter(std::move(file), config, texts, front);
}

Status ArtifactWriter::append(ByteView bytes) {
  return file_.write_at(std::max(file_.size_bytes(), front_bytes_), bytes);
}

Result<Hash> ArtifactWriter::finish(const model::CheckProgress& progress) {
  OTR_TRY_ASSIGN(
      const Bytes front,
      model::encode_front(*config_, texts_->tokenizer, texts_->chat_template, texts_->token_bytes));
  OTR_TRY(file_.shift(front_bytes_, front.size()));
  front_bytes_ = front.size();
  OTR_TRY(file_.write_at(0, front));
  OTR_TRY_ASSIGN(const ByteView file, file_.view());
  return model::check_artifact(file, progress);
}

Result<model::Artifact> ArtifactWriter::read_back() {
  OTR_TRY_ASSIGN(const ByteView file, file_.view());
  Bytes copy;
  try {
    copy.assign(file.begin(), file.end());
  } catch (const std::exception&) {
    return fail(ErrorKind::kIo, "there is no memory for the artifact of " +
                                    std::to_string(file.size()) + " bytes.");
  }
  return model::parse_artifact(std::move(copy));
}

}  // namespace otr::convert
