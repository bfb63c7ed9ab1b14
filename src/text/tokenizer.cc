#include "text/tokenizer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "text/base64.h"
#include "text/encoder.h"
#include "text/huggingface.h"
#include "text/json.h"
#include "text/sentencepiece_encoder.h"
#include "text/sentencepiece_model.h"
#include "text/utf8.h"

namespace otr::text {
namespace {

constexpr std::size_t kMaxEosIds = 16;

Result<std::unique_ptr<const Encoder>> parse_encoder(const Json& document,
                                                     std::vector<TokenText>& tokens) {
  if (document.contains("document")) {
    OTR_TRY_ASSIGN(auto encoder, HuggingFaceEncoder::parse(member(document, "document"), tokens));
    return std::make_unique<const HuggingFaceEncoder>(std::move(encoder));
  }
  const Json& base64 = member(document, "model_base64");
  const auto file =
      base64.is_string() ? from_base64(base64.get_ref<const std::string&>()) : std::nullopt;
  if (!file) return fail(ErrorKind::kBadInput, "tokenizer: model_base64 must be canonical base64");
  OTR_TRY_ASSIGN(const SentencePieceModel model, parse_sentencepiece(*file));
  OTR_TRY_ASSIGN(auto encoder, SentencePieceEncoder::load(model, tokens));
  return std::make_unique<const SentencePieceEncoder>(std::move(encoder));
}

Result<std::uint32_t> parse_id(const Json& value, std::size_t vocabulary_size,
                               std::string_view what) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() >= vocabulary_size) {
    return fail(ErrorKind::kBadInput, "tokenizer: " + std::string(what) +
                                          " must be an id below the vocabulary size " +
                                          std::to_string(vocabulary_size));
  }
  return value.get<std::uint32_t>();
}

}  // namespace

struct Tokenizer::Parts {
  std::unique_ptr<const Encoder> encoder;
  std::vector<TokenText> tokens;
  std::optional<std::uint32_t> bos;
  std::vector<std::uint32_t> eos;
  bool add_bos = false;

  Status parse_special_ids(const Json& document) {
    if (!member(document, "bos_id").is_null()) {
      OTR_TRY_ASSIGN(bos, parse_id(member(document, "bos_id"), tokens.size(), "bos_id"));
    }
    const Json& list = member(document, "eos_ids");
    if (!list.is_array() || list.size() > kMaxEosIds) {
      return fail(ErrorKind::kBadInput, "tokenizer: eos_ids must be a list of at most 16 ids");
    }
    for (const Json& value : list) {
      OTR_TRY_ASSIGN(const std::uint32_t id, parse_id(value, tokens.size(), "each of eos_ids"));
      if (!eos.empty() && id <= eos.back()) {
        return fail(ErrorKind::kBadInput, "tokenizer: eos_ids must ascend");
      }
      eos.push_back(id);
    }
    const Json& flag = member(document, "add_bos");
    if (!flag.is_boolean() || (flag == true && !bos)) {
      return fail(ErrorKind::kBadInput,
                  "tokenizer: add_bos must be true or false, and false where bos_id is null");
    }
    add_bos = flag == true;
    return {};
  }
};

Tokenizer::Tokenizer(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::parse(std::string_view source) {
  OTR_TRY_ASSIGN(const Json document, parse_canonical_json(source, "tokenizer", kTokenizerBounds));
  if (document.is_object() && document.empty()) {
    return fail(ErrorKind::kBadInput,
                "this model has no tokeniser (models of random weights have none), so it cannot "
                "read a text");
  }
  if (document.is_object() && member(document, "kind") == "hf-tokenizer-json") {
    OTR_TRY(
        check_members(document, "tokenizer", {"add_bos", "bos_id", "document", "eos_ids", "kind"}));
  } else if (document.is_object() && member(document, "kind") == "sentencepiece") {
    OTR_TRY(check_members(document, "tokenizer",
                          {"add_bos", "bos_id", "eos_ids", "kind", "model_base64"}));
  } else {
    return fail(ErrorKind::kBadInput, "tokenizer: kind must be hf-tokenizer-json or sentencepiece");
  }
  if (document.size() != 5) {
    return fail(ErrorKind::kBadInput, "tokenizer: one of the five members is missing");
  }
  auto parts = std::make_unique<Parts>();
  OTR_TRY_ASSIGN(parts->encoder, parse_encoder(document, parts->tokens));
  OTR_TRY(parts->parse_special_ids(document));
  return Tokenizer(std::move(parts));
}

Result<std::vector<std::uint32_t>> Tokenizer::encode(std::string_view text,
                                                     EncodeOptions options) const {
  if (text.size() > kMaxTextBytes) {
    return fail(ErrorKind::kBadInput, "the text has " + std::to_string(text.size()) +
                                          " bytes; at most 16 MiB can be encoded at once");
  }
  if (const auto offset = utf8_error(text)) {
    return fail(ErrorKind::kBadInput, "the text is not UTF-8 at byte " + std::to_string(*offset));
  }
  OTR_CHECK(options.typed.empty() || options.typed.size() == text.size());
  std::vector<std::uint32_t> ids;
  if (options.add_special && parts_->add_bos) ids.push_back(*parts_->bos);
  OTR_TRY(parts_->encoder->append(text, options.parse_special, options.typed, ids));
  return ids;
}

std::uint32_t Tokenizer::vocabulary_size() const {
  return static_cast<std::uint32_t>(parts_->tokens.size());
}

std::string_view Tokenizer::token_bytes(std::uint32_t id) const {
  if (id >= parts_->tokens.size()) return {};
  return parts_->tokens[id].bytes;
}

bool Tokenizer::is_control(std::uint32_t id) const {
  return id >= parts_->tokens.size() || parts_->tokens[id].control;
}

std::string Tokenizer::decode(std::span<const std::uint32_t> ids) const {
  std::string text;
  for (const std::uint32_t id : ids) text += token_bytes(id);
  return text;
}

std::optional<std::uint32_t> Tokenizer::find(std::string_view token) const {
  return parts_->encoder->find(token);
}

std::optional<std::string> Tokenizer::name(std::uint32_t id) const {
  return parts_->encoder->name(id);
}

bool Tokenizer::add_bos() const { return parts_->add_bos; }
std::optional<std::uint32_t> Tokenizer::bos() const { return parts_->bos; }
const std::vector<std::uint32_t>& Tokenizer::eos() const { return parts_->eos; }

}  // namespace otr::text
