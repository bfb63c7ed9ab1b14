#include "text/document.h"

#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "text/base64.h"
#include "text/encoder.h"
#include "text/huggingface.h"
#include "text/json.h"
#include "text/normalizer.h"
#include "text/sentencepiece_encoder.h"
#include "text/sentencepiece_model.h"
#include "text/tokenizer.h"

namespace otr::text {
namespace {

constexpr std::string_view kTokenizerConfig = "tokenizer_config.json";
constexpr std::string_view kGenerationConfig = "generation_config.json";

struct Configs {
  Json tokenizer = Json::object();
  Json generation = Json::object();
  Json model = Json::object();
};

Result<Json> parse_config(std::string_view source, std::string_view what) {
  if (source.empty()) return Json::object();
  OTR_TRY_ASSIGN(Json value, parse_json(source, what));
  if (!value.is_object()) {
    return fail(ErrorKind::kBadInput, std::string(what) + " must be an object");
  }
  return value;
}

Result<Configs> parse_configs(const HuggingFaceFiles& files) {
  Configs configs;
  OTR_TRY_ASSIGN(configs.tokenizer, parse_config(files.tokenizer_config_json, kTokenizerConfig));
  OTR_TRY_ASSIGN(configs.generation, parse_config(files.generation_config_json, kGenerationConfig));
  OTR_TRY_ASSIGN(configs.model, parse_config(files.config_json, "config.json"));
  return configs;
}

// A token named in tokenizer_config.json, by its text or by an object with the text in "content".
Result<std::optional<std::uint32_t>> named_token(const Configs& configs, std::string_view key,
                                                 const Encoder& encoder) {
  const Json* name = &member(configs.tokenizer, key);
  if (name->is_null()) return std::nullopt;
  if (name->is_object()) name = &member(*name, "content");
  const auto id =
      name->is_string() ? encoder.find(name->get_ref<const std::string&>()) : std::nullopt;
  if (!id) {
    return fail(ErrorKind::kBadInput, std::string(kTokenizerConfig) + ": " + std::string(key) +
                                          " names no token of this tokeniser");
  }
  return id;
}

Result<std::uint32_t> to_id(const Json& value, std::string_view key) {
  if (value.is_number_unsigned() && value.get<std::uint64_t>() < kMaxVocabulary) {
    return value.get<std::uint32_t>();
  }
  return fail(ErrorKind::kBadInput, std::string(key) + " of " + std::string(kGenerationConfig) +
                                        " or config.json must be an id");
}

// The member of generation_config.json, or else that of config.json.
const Json& model_id(const Configs& configs, std::string_view key) {
  const Json& value = member(configs.generation, key);
  return value.is_null() ? member(configs.model, key) : value;
}

Result<SpecialIds> special_ids(const Configs& configs, const Encoder& encoder) {
  SpecialIds ids;
  if (configs.tokenizer.contains("bos_token")) {
    OTR_TRY_ASSIGN(ids.bos, named_token(configs, "bos_token", encoder));
  } else if (const Json& value = model_id(configs, "bos_token_id"); !value.is_null()) {
    OTR_TRY_ASSIGN(ids.bos, to_id(value, "bos_token_id"));
  }
  OTR_TRY_ASSIGN(const auto named_eos, named_token(configs, "eos_token", encoder));
  if (named_eos) ids.eos.insert(*named_eos);
  const Json& eos = model_id(configs, "eos_token_id");
  const Json eos_list = eos.is_array() ? eos : eos.is_null() ? Json::array() : Json::array({eos});
  for (const Json& value : eos_list) {
    OTR_TRY_ASSIGN(const std::uint32_t id, to_id(value, "eos_token_id"));
    ids.eos.insert(id);
  }
  return ids;
}

// The id of the special token that the post-processor puts in front of a text, if it does.
Result<std::optional<std::uint32_t>> template_prefix(const Json& processor,
                                                     const Encoder& encoder) {
  if (processor.is_null()) return std::nullopt;
  const Json type = processor.is_object() ? member(processor, "type") : Json();
  if (type == "ByteLevel") return std::nullopt;
  const auto unsupported = [] {
    return fail(ErrorKind::kBadInput,
                "tokenizer.json: post_processor is not supported: only ByteLevel, and "
                "TemplateProcessing that puts at most one special token before the text");
  };
  if (type == "Sequence") {
    const Json& parts = member(processor, "processors");
    std::optional<std::uint32_t> prefix;
    if (!parts.is_array()) return unsupported();
    for (const Json& part : parts) {
      if (part.is_object() && member(part, "type") == "Sequence") return unsupported();
      OTR_TRY_ASSIGN(const auto id, template_prefix(part, encoder));
      if (id && prefix) return unsupported();
      if (id) prefix = id;
    }
    return prefix;
  }
  const Json& single = type == "TemplateProcessing" ? member(processor, "single") : Json();
  if (!single.is_array() || single.empty() || single.size() > 2 || !single.back().is_object() ||
      !single.back().contains("Sequence")) {
    return unsupported();
  }
  if (single.size() == 1) return std::nullopt;
  const Json& token = single[0].is_object() ? member(single[0], "SpecialToken") : Json();
  const Json& name = token.is_object() ? member(token, "id") : Json();
  const auto id =
      name.is_string() ? encoder.find(name.get_ref<const std::string&>()) : std::nullopt;
  if (!id) return unsupported();
  return id;
}

Result<std::string> from_tokenizer_json(const HuggingFaceFiles& files, const Configs& configs) {
  OTR_TRY_ASSIGN(Json source, parse_json(files.tokenizer_json, "tokenizer.json"));
  std::vector<TokenText> tokens;
  OTR_TRY_ASSIGN(const auto encoder, HuggingFaceEncoder::parse(source, tokens));
  OTR_TRY_ASSIGN(SpecialIds ids, special_ids(configs, encoder));
  OTR_TRY_ASSIGN(const auto prefix, template_prefix(member(source, "post_processor"), encoder));
  OTR_TRY_ASSIGN(ids.add_bos, bool_member(configs.tokenizer, "add_bos_token", prefix.has_value(),
                                          kTokenizerConfig));
  if (ids.add_bos && !ids.bos) ids.bos = prefix;
  if (ids.add_bos && prefix && prefix != ids.bos) {
    return fail(ErrorKind::kBadInput,
                "tokenizer.json: post_processor puts another token in front than the bos_token");
  }
  return finish_document({{"kind", "hf-tokenizer-json"}, {"document", std::move(source)}}, ids);
}

SpecialIds sentencepiece_ids(const SentencePieceModel& model) {
  SpecialIds ids;
  for (std::size_t i = 0; i < model.pieces.size(); ++i) {
    const Piece& piece = model.pieces[i];
    if (piece.type != PieceType::kControl) continue;
    if (piece.text == model.bos_piece) ids.bos = static_cast<std::uint32_t>(i);
    if (piece.text == model.eos_piece) ids.eos.insert(static_cast<std::uint32_t>(i));
  }
  ids.add_bos = ids.bos.has_value();
  return ids;
}

// Tokens that other files put beside those of a SentencePiece model. How they cut a text depends on
// the release of the reader, so that only those which the model has itself are accepted.
Status check_added_tokens(const HuggingFaceFiles& files, const Configs& configs,
                          const SentencePieceModel& model) {
  const auto check = [&](std::string_view file, const std::string& content,
                         const std::string& id) -> Status {
    std::size_t index = 0;
    const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), index);
    if (error == std::errc() && end == id.data() + id.size() && index < model.pieces.size() &&
        model.pieces[index].text == content) {
      return {};
    }
    return fail(ErrorKind::kBadInput,
                std::string(file) + ": the added token '" + content.substr(0, 80) + "' (id " +
                    id.substr(0, 20) +
                    ") is not in tokenizer.model, which alone is read; make a tokenizer.json "
                    "(AutoTokenizer.from_pretrained(...).save_pretrained(...)), or import a GGUF");
  };
  OTR_TRY_ASSIGN(const Json listed, parse_config(files.added_tokens_json, "added_tokens.json"));
  for (const auto& [content, id] : listed.items()) {
    OTR_TRY(check("added_tokens.json", content, id.dump()));
  }
  const Json& decoder = member(configs.tokenizer, "added_tokens_decoder");
  if (!decoder.is_object()) return {};
  for (const auto& [id, token] : decoder.items()) {
    const Json& content = token.is_object() ? member(token, "content") : token;
    OTR_TRY(check(kTokenizerConfig, content.is_string() ? content.get<std::string>() : "?", id));
  }
  return {};
}

Status refuse_add_eos(const Configs& configs) {
  OTR_TRY_ASSIGN(const bool add_eos,
                 bool_member(configs.tokenizer, "add_eos_token", false, kTokenizerConfig));
  if (!add_eos) return {};
  return fail(ErrorKind::kBadInput, "tokenizer_config.json: add_eos_token is not supported");
}

}  // namespace

Result<std::string> finish_document(Json members, const SpecialIds& ids) {
  members["add_bos"] = ids.add_bos;
  members["bos_id"] = ids.bos ? Json(*ids.bos) : Json();
  members["eos_ids"] = ids.eos;
  OTR_TRY_ASSIGN(std::string source, dump_canonical_json(members, "tokenizer"));
  OTR_TRY(Tokenizer::parse(source));
  return source;
}

Json sentencepiece_members(std::string_view file) {
  return {{"kind", "sentencepiece"}, {"model_base64", to_base64(file)}};
}

Result<std::string> document_from_huggingface(const HuggingFaceFiles& files) {
  OTR_TRY_ASSIGN(const Configs configs, parse_configs(files));
  OTR_TRY(refuse_add_eos(configs));
  if (!files.tokenizer_json.empty()) return from_tokenizer_json(files, configs);
  if (files.tokenizer_model.empty()) {
    return fail(ErrorKind::kBadInput, "the model has neither tokenizer.json nor tokenizer.model");
  }
  OTR_TRY_ASSIGN(const SentencePieceModel model, parse_sentencepiece(files.tokenizer_model));
  OTR_TRY(check_added_tokens(files, configs, model));
  std::vector<TokenText> tokens;
  OTR_TRY_ASSIGN(const auto encoder, SentencePieceEncoder::load(model, tokens));
  OTR_TRY_ASSIGN(SpecialIds ids, special_ids(configs, encoder));
  const SpecialIds own = sentencepiece_ids(model);
  if (!ids.bos && !configs.tokenizer.contains("bos_token")) ids.bos = own.bos;
  if (ids.eos.empty()) ids.eos = own.eos;
  OTR_TRY_ASSIGN(ids.add_bos, bool_member(configs.tokenizer, "add_bos_token", ids.bos.has_value(),
                                          kTokenizerConfig));
  return finish_document(sentencepiece_members(files.tokenizer_model), ids);
}

Result<std::string> document_from_sentencepiece(ByteView model) {
  OTR_TRY_ASSIGN(const SentencePieceModel parsed, parse_sentencepiece(as_text(model)));
  return finish_document(sentencepiece_members(as_text(model)), sentencepiece_ids(parsed));
}

Result<std::string> document_from_llama2c(ByteView tokenizer, std::size_t vocabulary_size) {
  const auto bad = [](std::string message) {
    return fail(ErrorKind::kBadInput, "llama2.c tokenizer: " + std::move(message));
  };
  constexpr std::size_t kFixedIds = 259;
  if (vocabulary_size < kFixedIds || vocabulary_size > kMaxVocabulary || tokenizer.size() < 4) {
    return bad("the vocabulary must have 259 to 262144 tokens");
  }
  SentencePieceModel model;
  model.model = PieceModel::kBpe;
  model.byte_fallback = true;
  model.remove_extra_whitespaces = false;
  ByteView rest = tokenizer.subspan(4);
  for (std::size_t id = 0; id < vocabulary_size; ++id) {
    const std::string name = "token " + std::to_string(id);
    if (rest.size() < 8) return bad(name + " is cut off");
    Piece piece;
    piece.score_bits = load_le<std::uint32_t>(rest.data());
    const auto size = load_le<std::uint32_t>(rest.data() + 4);
    rest = rest.subspan(8);
    if (size > rest.size()) return bad(name + " is cut off");
    piece.text = as_text(rest.first(size));
    rest = rest.subspan(size);
    if (id == 0) piece = {"<unk>", 0, PieceType::kUnknown};
    if (id == 1) piece = {"<s>", 0, PieceType::kControl};
    if (id == 2) piece = {"</s>", 0, PieceType::kControl};
    if (id >= 3 && id < kFixedIds) piece.type = PieceType::kByte;
    replace_all(piece.text, " ", kSpaceMark);
    model.pieces.push_back(std::move(piece));
  }
  if (!rest.empty()) return bad("bytes follow the last token");
  const std::string file = serialize(model);
  return document_from_sentencepiece(as_bytes(file));
}

}  // namespace otr::text
