#include "convert/source.h"

#include "convert/gguf_checkpoint.h"
#include "convert/gguf_tokenizer.h"
#include "convert/huggingface_checkpoint.h"
#include "convert/huggingface_config.h"
#include "convert/source_kind.h"

namespace otr::convert {
namespace {

namespace fs = std::filesystem;

Result<Source> open_huggingface(const fs::path& folder) {
  OTR_TRY_ASSIGN(HuggingFaceConfig read, read_huggingface_config(folder / "config.json"));
  OTR_TRY_ASSIGN(HuggingFaceCheckpoint checkpoint, HuggingFaceCheckpoint::open(folder));
  OTR_TRY(check_names(checkpoint, read.config));
  return Source{.format = "Hugging Face directory",
                .config = std::move(read.config),
                .checkpoint = std::make_unique<HuggingFaceCheckpoint>(std::move(checkpoint)),
                .warnings = std::move(read.warnings)};
}

Result<Source> open_gguf_source(const fs::path& path) {
  OTR_TRY_ASSIGN(GgufParts parts, open_gguf_parts(path));
  OTR_TRY_ASSIGN(GgufConfig read, read_gguf_config(parts));
  std::string format = "GGUF version " + std::to_string(parts.first().header.version);
  if (parts.files.size() > 1) format += ", " + std::to_string(parts.files.size()) + " parts";
  OTR_TRY_ASSIGN(GgufCheckpoint checkpoint, GgufCheckpoint::make(std::move(parts), read));
  return Source{.format = std::move(format),
                .config = std::move(read.config),
                .checkpoint = std::make_unique<GgufCheckpoint>(std::move(checkpoint)),
                .warnings = std::move(read.warnings)};
}

Result<TokenizerFiles> open_gguf_tokenizer(const fs::path& path,
                                           std::optional<std::uint32_t> vocabulary) {
  OTR_TRY_ASSIGN(const GgufFile file, open_gguf(path));
  OTR_TRY_ASSIGN(const text::GgufTokenizer metadata, read_gguf_tokenizer(file));
  OTR_TRY_ASSIGN(std::string document, text::document_from_gguf(metadata));
  OTR_TRY_ASSIGN(std::string chat_template, read_gguf_chat_template(file));
  return from_document(std::move(document), std::move(chat_template), vocabulary);
}

}  // namespace

Result<Source> open_source(const fs::path& path) {
  OTR_TRY_ASSIGN(const SourceKind kind, source_kind(path));
  return kind == SourceKind::kGguf ? open_gguf_source(path) : open_huggingface(path);
}

Result<TokenizerFiles> open_tokenizer(const fs::path& path,
                                      std::optional<std::uint32_t> vocabulary) {
  OTR_TRY_ASSIGN(const SourceKind kind, source_kind(path));
  return kind == SourceKind::kGguf ? open_gguf_tokenizer(path, vocabulary)
                                   : read_tokenizer_files(path, vocabulary);
}

}  // namespace otr::convert
