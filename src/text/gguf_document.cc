#include "text/gguf_document.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "text/document.h"
#include "text/encoder.h"
#include "text/json.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
#include "text/sentencepiece_model.h"
#include "text/utf8.h"

namespace otr::text {
namespace {

constexpr std::size_t kMaxMerges = std::size_t{1} << 21;
constexpr std::size_t kMaxTextBytes = kTokenizerBounds.max_bytes / 2;
constexpr std::size_t kMaxAddedTokenBytes = 1024;
constexpr std::size_t kMaxEndIds = 16;

// How a text becomes words before byte-pair encoding.
enum class Cut { kGpt2, kDigitsThenGpt2, kLlama3, kQwen2, kQwen35, kTekken, kDefault };

struct Rule {
  std::string_view name;  // a value of tokenizer.ggml.pre
  Cut cut;
  bool whole_words = false;  // a word of the vocabulary is one token, whatever the merges
  bool add_bos = false;      // where the file does not say
};

// Each as the tokenizer.json of the models that this name stands for. "default" is what llama.cpp
// does with files that are older than the key.
constexpr Rule kRules[] = {
    {"default", Cut::kDefault},
    {"deepseek-r1-qwen", Cut::kQwen2},
    {"gpt-2", Cut::kGpt2},
    {"llama-bpe", Cut::kLlama3, true, true},
    {"llama-v3", Cut::kLlama3, true, true},
    {"llama3", Cut::kLlama3, true, true},
    {"phi-2", Cut::kGpt2},
    {"qwen2", Cut::kQwen2},
    {"qwen35", Cut::kQwen35},
    {"refact", Cut::kDigitsThenGpt2},
    {"smollm", Cut::kDigitsThenGpt2},
    {"starcoder", Cut::kDigitsThenGpt2},
    {"tekken", Cut::kTekken, true, true},
};

// llama.cpp ends an answer at tokens of these names, besides those that the file names by id: a
// turn's end, a document's end, and what only stands between documents in training.
constexpr std::string_view kEndNames[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "<|end_of_text|>",
    "</s>",
    "<|fim_pad|>",
    "<fim-pad>",
    "<fim_pad>",
    "<PAD>",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<REPO>",
    "<reponame>",
    "<|file_sep|>",
    "<end_of_utterance>",
    "<\xEF\xBD\x9C"
    "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
};

std::unexpected<Error> bad(std::string_view key, std::string message) {
  return fail(ErrorKind::kBadInput,
              "GGUF metadata: tokenizer.ggml." + std::string(key) + std::move(message));
}

std::string at(std::size_t index) { return "[" + std::to_string(index) + "]"; }

// Names a string of a stranger in an error.
std::string in_quotes(std::string_view text) {
  return "'" + utf8_lossy(text.substr(0, 80)) + (text.size() > 80 ? "...'" : "'");
}

// The metadata once its lists were seen to fit each other; ids and strings are as in the file.
class Vocabulary {
 public:
  static Result<Vocabulary> parse(const GgufTokenizer& metadata) {
    Vocabulary vocabulary(metadata);
    OTR_TRY(vocabulary.check_sizes());
    OTR_TRY(vocabulary.check_tokens());
    OTR_TRY(vocabulary.check_ids());
    return vocabulary;
  }

  [[nodiscard]] const std::vector<std::string>& tokens() const { return metadata_->tokens; }

  [[nodiscard]] std::optional<std::uint32_t> find(std::string_view token) const {
    const auto found = ids_.find(token);
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }

  std::vector<PieceType> types;  // index: id
  std::vector<bool> merged;      // index: id; whether a merge takes it or gives it

  // Every merge as its two tokens, which are in the vocabulary as their concatenation is.
  Result<Json> merges() {
    const auto& list = metadata_->merges;
    Json pairs = Json::array();
    for (std::size_t rank = 0; rank < list.size(); ++rank) {
      const std::string_view both = list[rank];
      // A token may be a space, but no token of a byte-level vocabulary holds one.
      const std::size_t space = both.empty() ? both.npos : both.find(' ', 1);
      if (space == both.npos || space + 1 == both.size()) {
        return bad("merges", at(rank) + " is " + in_quotes(both) +
                                 ", which is not two tokens with a space between");
      }
      const std::string left(both.substr(0, space));
      const std::string right(both.substr(space + 1));
      for (const std::string& token : {left, right, left + right}) {
        const auto id = find(token);
        if (!id) {
          return bad("merges", at(rank) + " is " + in_quotes(both) + ", but " + in_quotes(token) +
                                   " is not in tokenizer.ggml.tokens");
        }
        merged[*id] = true;
      }
      pairs.push_back({left, right});
    }
    return pairs;
  }

  // BOS, and the ids that end an answer; tokens with the names of such become control tokens, as
  // in llama.cpp, which corrects some files so.
  Result<SpecialIds> special_ids(std::optional<std::uint32_t> default_bos,
                                 std::optional<std::uint32_t> default_eos, bool default_add_bos) {
    SpecialIds ids;
    ids.bos = metadata_->bos_id ? metadata_->bos_id : default_bos;
    ids.eos.insert(metadata_->eog_ids.begin(), metadata_->eog_ids.end());
    for (const auto& id : {metadata_->eos_id ? metadata_->eos_id : default_eos, metadata_->eot_id,
                           metadata_->eom_id}) {
      if (id) ids.eos.insert(*id);
    }
    for (const std::string_view name : kEndNames) {
      const auto id = find(name);
      // What text can be merged into is text, whatever its name.
      if (!id || merged[*id] || types[*id] == PieceType::kByte) continue;
      ids.eos.insert(*id);
      if (types[*id] != PieceType::kUnknown) types[*id] = PieceType::kControl;
    }
    if (ids.eos.size() > kMaxEndIds) {
      return bad("eos_token_ids", " and others name " + std::to_string(ids.eos.size()) +
                                      " tokens that end an answer; at most 16 are supported");
    }
    ids.add_bos = metadata_->add_bos.value_or(default_add_bos && ids.bos);
    if (ids.add_bos && !ids.bos) {
      return bad("add_bos_token", " is true, but tokenizer.ggml.bos_token_id is missing");
    }
    if (metadata_->add_eos.value_or(false)) {
      return bad("add_eos_token",
                 " is true, which is not supported: a prompt would end the answer it asks for");
    }
    return ids;
  }

 private:
  explicit Vocabulary(const GgufTokenizer& metadata) : metadata_(&metadata) {}

  Status check_sizes() {
    const std::size_t count = tokens().size();
    if (count == 0) return bad("tokens", " is missing or empty");
    if (count > kMaxVocabulary) {
      return bad("tokens",
                 " has " + std::to_string(count) + " tokens; at most 262144 are supported");
    }
    if (metadata_->merges.size() > kMaxMerges) {
      return bad("merges", " has " + std::to_string(metadata_->merges.size()) +
                               " merges; at most 2097152 are supported");
    }
    const auto expect = [count](std::string_view key, std::size_t size) -> Status {
      if (size == 0 || size == count) return {};
      return bad(key, " has " + std::to_string(size) + " values, but tokenizer.ggml.tokens " +
                          std::to_string(count));
    };
    OTR_TRY(expect("token_type", metadata_->types.size()));
    OTR_TRY(expect("scores", metadata_->score_bits.size()));
    std::size_t bytes = 0;
    for (const auto* list : {&metadata_->tokens, &metadata_->merges}) {
      for (const std::string& text : *list) bytes += text.size();
    }
    if (bytes > kMaxTextBytes) {
      return bad("tokens", " and merges have " + std::to_string(bytes) +
                               " bytes; at most 32 MiB are supported");
    }
    return {};
  }

  Status check_tokens() {
    types.assign(tokens().size(), PieceType::kNormal);
    merged.assign(tokens().size(), false);
    for (std::size_t id = 0; id < tokens().size(); ++id) {
      const std::string& token = tokens()[id];
      if (const auto offset = utf8_error(token)) {
        return bad("tokens", at(id) + " is not UTF-8 at its byte " + std::to_string(*offset));
      }
      if (!metadata_->types.empty()) {
        const std::int32_t type = metadata_->types[id];
        if (type < 1 || type > 6) {
          return bad("token_type", at(id) + " is " + std::to_string(type) + "; 1 to 6 are known");
        }
        types[id] = static_cast<PieceType>(type);
      }
      // Fillers, which make a vocabulary as long as its embedding. llama.cpp invents a name.
      if (token.empty()) types[id] = PieceType::kUnused;
      if (token.empty()) continue;
      const auto [other, is_new] = ids_.emplace(token, static_cast<std::uint32_t>(id));
      if (!is_new) {
        return bad("tokens", at(id) + " is " + in_quotes(token) + ", as " + at(other->second) +
                                 " is already: a text could mean either");
      }
    }
    return {};
  }

  Status check_ids() const {
    const auto check = [&](std::string_view key, std::optional<std::uint32_t> id) -> Status {
      if (!id || *id < tokens().size()) return {};
      return bad(key, " is " + std::to_string(*id) + ", but there are only " +
                          std::to_string(tokens().size()) + " tokens");
    };
    OTR_TRY(check("bos_token_id", metadata_->bos_id));
    OTR_TRY(check("eos_token_id", metadata_->eos_id));
    OTR_TRY(check("unknown_token_id", metadata_->unknown_id));
    OTR_TRY(check("eot_token_id", metadata_->eot_id));
    OTR_TRY(check("eom_token_id", metadata_->eom_id));
    OTR_TRY(check("padding_token_id", metadata_->padding_id));
    for (const std::uint32_t id : metadata_->eog_ids) OTR_TRY(check("eos_token_ids", id));
    return {};
  }

  const GgufTokenizer* metadata_;
  std::map<std::string_view, std::uint32_t> ids_;
};

// What the document's own reader refuses has a reason in the metadata, in other words.
Result<std::string> finish(Json members, const SpecialIds& ids) {
  auto document = finish_document(std::move(members), ids);
  if (document) return document;
  return fail(ErrorKind::kBadInput,
              "GGUF metadata: the tokeniser of tokenizer.ggml.* does not "
              "hold together: " +
                  document.error().message);
}

// SentencePiece ----------------------------------------------------------------------------------

// The library wants exactly one unknown piece. Further ones mean the same as control pieces: they
// never come from a text.
Status settle_unknown(const GgufTokenizer& metadata, Vocabulary& vocabulary) {
  auto& types = vocabulary.types;
  auto unknown = metadata.unknown_id;
  if (!unknown) {
    const auto found = std::ranges::find(types, PieceType::kUnknown);
    if (found == types.end()) {
      return bad("token_type", metadata.types.empty()
                                   ? " is missing: a 'llama' vocabulary cannot be read without it"
                                   : " has no unknown token (2), nor is there unknown_token_id");
    }
    unknown = static_cast<std::uint32_t>(found - types.begin());
  }
  std::ranges::replace(types, PieceType::kUnknown, PieceType::kControl);
  types[*unknown] = PieceType::kUnknown;
  return {};
}

Result<std::string> from_sentencepiece(const GgufTokenizer& metadata, Vocabulary& vocabulary) {
  if (metadata.has_charsmap) {
    return bad("precompiled_charsmap",
               " is not empty: normalization by a character map is not supported");
  }
  if (metadata.score_bits.empty()) {
    return bad("scores", " is missing: a 'llama' vocabulary is merged in the order of its scores");
  }
  OTR_TRY(settle_unknown(metadata, vocabulary));
  // The ids that llama.cpp takes where the file names none.
  const auto control = [&](std::uint32_t id) -> std::optional<std::uint32_t> {
    if (id >= vocabulary.types.size() || vocabulary.types[id] != PieceType::kControl) return {};
    return id;
  };
  OTR_TRY_ASSIGN(const SpecialIds ids, vocabulary.special_ids(control(1), control(2), true));
  SentencePieceModel model;
  model.model = PieceModel::kBpe;
  model.add_dummy_prefix = metadata.add_space_prefix.value_or(true);
  model.remove_extra_whitespaces = metadata.remove_extra_whitespaces.value_or(false);
  for (std::size_t id = 0; id < vocabulary.tokens().size(); ++id) {
    Piece piece{vocabulary.tokens()[id], metadata.score_bits[id], vocabulary.types[id]};
    if (piece.text.empty()) piece.text = "[EMPTY_" + std::to_string(id) + "]";
    if (piece.text.size() > kMaxPieceBytes || piece.text.contains('\0')) {
      return bad("tokens", at(id) + " must have 1 to 1024 bytes and no NUL");
    }
    if (!is_supported_score(piece.score_bits)) {
      return bad("scores", at(id) + " is not a number of magnitude below 2^40");
    }
    // Files hold user-defined pieces as the text has them, others as SentencePiece writes them.
    if (piece.type == PieceType::kUserDefined) replace_all(piece.text, " ", kSpaceMark);
    model.byte_fallback |= piece.type == PieceType::kByte;
    model.pieces.push_back(std::move(piece));
  }
  return finish(sentencepiece_members(serialize(model)), ids);
}

// Byte-level BPE ---------------------------------------------------------------------------------

Json split(std::string_view pattern) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", pattern}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

Json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", use_regex}};
}

Json sequence(Json parts) { return {{"type", "Sequence"}, {"pretokenizers", std::move(parts)}}; }

Json pre_tokenizer(Cut cut) {
  switch (cut) {
    case Cut::kGpt2:
      return byte_level(true);
    case Cut::kDigitsThenGpt2:
      return sequence({{{"type", "Digits"}, {"individual_digits", true}}, byte_level(true)});
    case Cut::kLlama3:
      return sequence({split(kLlama3Pattern), byte_level(false)});
    case Cut::kQwen2:
      return sequence({split(kQwen2Pattern), byte_level(false)});
    case Cut::kQwen35:
      return sequence({split(kQwen35Pattern), byte_level(false)});
    case Cut::kTekken:
      return sequence({split(kTekkenPattern), byte_level(false)});
    case Cut::kDefault:
      break;
  }
  Json parts = Json::array();
  for (const std::string_view pattern : kDefaultPatterns) parts.push_back(split(pattern));
  parts.push_back(byte_level(false));
  return sequence(std::move(parts));
}

Result<Rule> find_rule(std::string_view pre) {
  const std::string_view name = pre.empty() ? std::string_view("default") : pre;
  const auto found = std::ranges::find(kRules, name, &Rule::name);
  if (found != std::end(kRules)) return *found;
  std::string known;
  for (const Rule& rule : kRules) known.append(known.empty() ? "" : ", ").append(rule.name);
  return bad("pre", " is " + in_quotes(pre) +
                        ", a way to cut text into words that is not supported; known are " + known);
}

// The vocabulary and the added tokens of a tokenizer.json. Tokens that no merge reaches and that
// stand for themselves (control, user-defined) are in the second only, unused ones in neither.
Result<std::pair<Json, Json>> tokens_json(const Vocabulary& vocabulary) {
  Json words = Json::object();
  Json added = Json::array();
  for (std::size_t id = 0; id < vocabulary.tokens().size(); ++id) {
    const std::string& token = vocabulary.tokens()[id];
    const PieceType type = vocabulary.types[id];
    const bool special = type == PieceType::kControl || type == PieceType::kUnknown;
    const bool stands_alone = special || type == PieceType::kUserDefined;
    if (stands_alone) {
      if (token.size() > kMaxAddedTokenBytes) {
        return bad("tokens", at(id) + " has " + std::to_string(token.size()) +
                                 " bytes; a control or user-defined token has at most 1024");
      }
      added.push_back(
          {{"id", id}, {"content", token}, {"special", special}, {"normalized", false}});
    }
    const bool plain = type == PieceType::kNormal || type == PieceType::kByte;
    if (plain || vocabulary.merged[id]) words[token] = id;
  }
  return std::pair(std::move(words), std::move(added));
}

Result<std::string> from_byte_level(const GgufTokenizer& metadata, Vocabulary& vocabulary) {
  OTR_TRY_ASSIGN(const Rule rule, find_rule(metadata.pre));
  if (metadata.merges.empty()) {
    return bad("merges", " is missing: a 'gpt2' vocabulary cannot be read without it");
  }
  if (metadata.add_space_prefix.value_or(false)) {
    return bad("add_space_prefix", " is true, which is not supported with model 'gpt2'");
  }
  OTR_TRY_ASSIGN(Json merges, vocabulary.merges());
  OTR_TRY_ASSIGN(const SpecialIds ids,
                 vocabulary.special_ids(std::nullopt, std::nullopt, rule.add_bos));
  OTR_TRY_ASSIGN(auto tokens, tokens_json(vocabulary));
  const bool is_qwen = rule.cut == Cut::kQwen2 || rule.cut == Cut::kQwen35;
  Json document = {{"added_tokens", std::move(tokens.second)},
                   {"normalizer", is_qwen ? Json{{"type", "NFC"}} : Json()},
                   {"pre_tokenizer", pre_tokenizer(rule.cut)},
                   {"decoder", {{"type", "ByteLevel"}}},
                   {"model",
                    {{"type", "BPE"},
                     {"ignore_merges", rule.whole_words},
                     {"vocab", std::move(tokens.first)},
                     {"merges", std::move(merges)}}}};
  return finish({{"kind", "hf-tokenizer-json"}, {"document", std::move(document)}}, ids);
}

}  // namespace

Result<std::string> document_from_gguf(const GgufTokenizer& metadata) {
  const bool sentencepiece = metadata.model == "llama";
  if (!sentencepiece && metadata.model != "gpt2") {
    return bad("model", metadata.model.empty()
                            ? " is missing: the file has no tokeniser"
                            : " is " + in_quotes(metadata.model) +
                                  ", which is not supported; supported are 'llama' (SentencePiece "
                                  "BPE) and 'gpt2' (byte-level BPE)");
  }
  OTR_TRY_ASSIGN(Vocabulary vocabulary, Vocabulary::parse(metadata));
  return sentencepiece ? from_sentencepiece(metadata, vocabulary)
                       : from_byte_level(metadata, vocabulary);
}

}  // namespace otr::text
