#include "text/huggingface.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "text/utf8.h"

namespace otr::text {
namespace {

constexpr std::size_t kMaxAddedTokens = 65536;
constexpr std::size_t kMaxAddedTokenBytes = 1024;

// ByteLevel writes each byte as a printable character: itself where Latin-1 can print it, else
// the next of U+0100, U+0101 and so on.
bool printable(std::uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
}

struct ByteAlphabet {
  std::array<char32_t, 256> character_of;
  std::map<char32_t, std::uint8_t> byte_of;

  ByteAlphabet() {
    char32_t next = 0x100;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      character_of[byte] = printable(byte) ? byte : next++;
      byte_of[character_of[byte]] = static_cast<std::uint8_t>(byte);
    }
  }
};

const ByteAlphabet& byte_alphabet() {
  static const ByteAlphabet kAlphabet;
  return kAlphabet;
}

// The bytes that a token of the byte alphabet stands for; none if it has other characters.
std::optional<std::string> from_byte_alphabet(std::string_view token) {
  std::string bytes;
  while (!token.empty()) {
    const CodePoint next = first_code_point(token);
    const auto found = byte_alphabet().byte_of.find(next.value);
    if (found == byte_alphabet().byte_of.end()) return std::nullopt;
    bytes += static_cast<char>(found->second);
    token.remove_prefix(next.size_bytes);
  }
  return bytes;
}

std::string fallback_token(std::uint8_t byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return {'<', '0', 'x', kDigits[byte >> 4], kDigits[byte & 15], '>'};
}

std::optional<std::uint8_t> fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x")) return std::nullopt;
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    const auto value = static_cast<std::uint8_t>(byte);
    if (fallback_token(value) == token) return value;
  }
  return std::nullopt;
}

std::unexpected<Error> unsupported(std::string message) {
  return fail(ErrorKind::kBadInput, "tokenizer.json: " + std::move(message));
}

// Names a token in an error; tokens are UTF-8, but may be long.
std::string in_quotes(std::string_view token) {
  return "'" + utf8_lossy(token.substr(0, 80)) + (token.size() > 80 ? "...'" : "'");
}

Result<std::uint32_t> parse_id(const Json& value, std::string_view what) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() >= kMaxVocabulary) {
    return unsupported("the id of " + in_quotes(what) + " must be an integer from 0 to 262143");
  }
  return value.get<std::uint32_t>();
}

}  // namespace

Result<HuggingFaceEncoder> HuggingFaceEncoder::parse(const Json& document,
                                                     std::vector<TokenText>& tokens) {
  OTR_TRY(check_members(document, "tokenizer.json",
                        {"version", "truncation", "padding", "added_tokens", "normalizer",
                         "pre_tokenizer", "post_processor", "decoder", "model"}));
  // "truncation" and "padding" say how batches were cut for training: whoever loads a model to run
  // it (transformers) turns both off, and texts are encoded whole here.
  HuggingFaceEncoder encoder;
  OTR_TRY_ASSIGN(encoder.normalizer_, Normalizer::parse(member(document, "normalizer")));
  OTR_TRY_ASSIGN(encoder.pre_tokenizer_, PreTokenizer::parse(member(document, "pre_tokenizer")));
  OTR_TRY(encoder.parse_model(member(document, "model")));
  OTR_TRY(encoder.check_decoder(member(document, "decoder")));
  encoder.fill_tokens(tokens);
  OTR_TRY(encoder.parse_added_tokens(member(document, "added_tokens"), tokens));
  OTR_TRY(encoder.check_no_control_by_merging(tokens));
  encoder.fill_words(tokens);
  encoder.bpe_ = Bpe(static_cast<std::uint32_t>(tokens.size()), std::exchange(encoder.merges_, {}));
  return encoder;
}

Status HuggingFaceEncoder::parse_model(const Json& model) {
  constexpr std::string_view kWhat = "tokenizer.json: model";
  OTR_TRY(check_members(
      model, kWhat,
      {"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix",
       "fuse_unk", "byte_fallback", "ignore_merges", "vocab", "merges"}));
  if (member(model, "type") != "BPE") {
    return unsupported("model.type must be BPE; for a Unigram model give the SentencePiece file");
  }
  if (!member(model, "dropout").is_null()) return unsupported("model.dropout must be null");
  for (const auto* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    OTR_TRY_ASSIGN(const std::string affix, string_member(model, key, kWhat));
    if (!affix.empty()) return unsupported("model." + std::string(key) + " is not supported");
  }
  OTR_TRY_ASSIGN(fuse_unknown_, bool_member(model, "fuse_unk", false, kWhat));
  OTR_TRY_ASSIGN(byte_fallback_, bool_member(model, "byte_fallback", false, kWhat));
  OTR_TRY_ASSIGN(ignore_merges_, bool_member(model, "ignore_merges", false, kWhat));
  if (byte_fallback_ && pre_tokenizer_.byte_level()) {
    return unsupported("model.byte_fallback together with ByteLevel is not supported");
  }
  OTR_TRY(parse_vocabulary(member(model, "vocab")));
  OTR_TRY_ASSIGN(const std::string unknown, string_member(model, "unk_token", kWhat));
  if (!unknown.empty()) {
    const auto found = vocabulary_.find(unknown);
    if (found == vocabulary_.end()) {
      return unsupported("model.unk_token " + in_quotes(unknown) + " is not in model.vocab");
    }
    unknown_ = found->second;
  }
  return parse_merges(member(model, "merges"));
}

Status HuggingFaceEncoder::parse_vocabulary(const Json& vocabulary) {
  if (!vocabulary.is_object() || vocabulary.empty()) {
    return unsupported("model.vocab must be an object with at least one token");
  }
  std::vector<bool> taken(kMaxVocabulary);
  for (const auto& [token, value] : vocabulary.items()) {
    OTR_TRY_ASSIGN(const std::uint32_t id, parse_id(value, token));
    if (taken[id]) return unsupported("two tokens of model.vocab have id " + std::to_string(id));
    taken[id] = true;
    vocabulary_.emplace(token, id);
  }
  for (std::uint32_t i = 0; i < 256; ++i) {
    const auto byte = static_cast<std::uint8_t>(i);
    std::string symbol = fallback_token(byte);
    if (pre_tokenizer_.byte_level()) {
      symbol.clear();
      append_utf8(symbol, byte_alphabet().character_of[byte]);
    }
    const auto found = vocabulary_.find(symbol);
    if (found != vocabulary_.end()) byte_symbols_[byte] = found->second;
    if (found == vocabulary_.end() && byte_fallback_) {
      return unsupported("model.byte_fallback needs the token " + symbol + " in model.vocab");
    }
  }
  return {};
}

Status HuggingFaceEncoder::parse_merges(const Json& merges) {
  if (!merges.is_array()) return unsupported("model.merges must be a list");
  for (const Json& merge : merges) {
    std::string left;
    std::string right;
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      left = merge[0].get<std::string>();
      right = merge[1].get<std::string>();
    } else if (merge.is_string()) {
      const auto& both = merge.get_ref<const std::string&>();
      const std::size_t space = both.find(' ');
      left = both.substr(0, space);
      if (space != both.npos) right = both.substr(space + 1);
    }
    const auto rank = "model.merges[" + std::to_string(merges_.size()) + "]";
    if (left.empty() || right.empty() || (merge.is_string() && right.contains(' '))) {
      return unsupported(rank + " must be two tokens, as a list or with one space between");
    }
    const auto left_id = vocabulary_.find(left);
    const auto right_id = vocabulary_.find(right);
    const auto result = vocabulary_.find(left + right);
    if (left_id == vocabulary_.end() || right_id == vocabulary_.end() ||
        result == vocabulary_.end()) {
      return unsupported(rank + " merges " + in_quotes(left) + " and " + in_quotes(right) +
                         ", but they or their result are not in model.vocab");
    }
    merges_.push_back({left_id->second, right_id->second, result->second});
  }
  return {};
}

// The decoder is not run: it must be the one whose meaning is that of bytes_of.
Status HuggingFaceEncoder::check_decoder(const Json& decoder) const {
  const Json type = decoder.is_object() ? member(decoder, "type") : Json();
  if (pre_tokenizer_.byte_level()) {
    if (type == "ByteLevel") return {};
    return unsupported("decoder must be ByteLevel, as the pre_tokenizer is");
  }
  if (type == "Metaspace" && !byte_fallback_) return {};
  const Json replace = {
      {"type", "Replace"}, {"pattern", {{"String", kSpaceMark}}}, {"content", " "}};
  const Json fallback = {{"type", "ByteFallback"}};
  const Json fuse = {{"type", "Fuse"}};
  const Json strip = {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}};
  if (type == "Sequence") {
    const Json& parts = member(decoder, "decoders");
    if (parts == Json::array({replace, fallback, fuse}) ||
        parts == Json::array({replace, fallback, fuse, strip})) {
      return {};
    }
  }
  return unsupported("decoder " + decoder.dump().substr(0, 400) +
                     " is not supported: it must be Replace, ByteFallback, Fuse and perhaps Strip");
}

std::string HuggingFaceEncoder::bytes_of(const std::string& token) const {
  // As in the original, a token with foreign characters stands for itself.
  if (pre_tokenizer_.byte_level()) return from_byte_alphabet(token).value_or(token);
  if (byte_fallback_) {
    if (const auto byte = fallback_byte(token)) return std::string(1, static_cast<char>(*byte));
  }
  std::string bytes = token;
  replace_all(bytes, kSpaceMark, " ");
  return bytes;
}

void HuggingFaceEncoder::fill_tokens(std::vector<TokenText>& tokens) const {
  for (const auto& [token, id] : vocabulary_) {
    if (id >= tokens.size()) tokens.resize(id + 1);
    tokens[id] = {bytes_of(token), false};
  }
}

Status HuggingFaceEncoder::check_added_token(const Json& token, const std::string& content,
                                             std::uint32_t id) const {
  for (const auto* key : {"single_word", "lstrip", "rstrip"}) {
    OTR_TRY_ASSIGN(const bool set, bool_member(token, key, false, "added_tokens"));
    if (set) {
      return unsupported("added token " + in_quotes(content) + " has " + key +
                         ", which is not supported");
    }
  }
  if (content.empty() || content.size() > kMaxAddedTokenBytes) {
    return unsupported("added token " + std::to_string(id) + " must have 1 to 1024 bytes");
  }
  if (added_.contains(content))
    return unsupported("added token " + in_quotes(content) + " is twice");
  const auto known = vocabulary_.find(content);
  if (known != vocabulary_.end() && known->second != id) {
    return unsupported("added token " + in_quotes(content) + " has another id in model.vocab");
  }
  return {};
}

Status HuggingFaceEncoder::parse_added_tokens(const Json& list, std::vector<TokenText>& tokens) {
  if (list.is_null()) return {};
  if (!list.is_array() || list.size() > kMaxAddedTokens) {
    return unsupported("added_tokens must be a list of at most 65536");
  }
  // Special tokens first: they win where two normalise to the same text.
  std::array<std::vector<AddedToken>, 2> raw;
  std::array<std::vector<AddedToken>, 2> normalized;
  std::vector<bool> taken(kMaxVocabulary);
  for (const bool want_special : {true, false}) {
    for (const Json& token : list) {
      OTR_TRY(check_members(
          token, "tokenizer.json: added_tokens",
          {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"}));
      OTR_TRY_ASSIGN(const bool special, bool_member(token, "special", false, "added_tokens"));
      if (special != want_special) continue;
      OTR_TRY_ASSIGN(const std::string content, string_member(token, "content", "added_tokens"));
      OTR_TRY_ASSIGN(const std::uint32_t id, parse_id(member(token, "id"), content));
      OTR_TRY(check_added_token(token, content, id));
      if (id >= tokens.size()) tokens.resize(id + 1);
      // Free until now, or the token of the vocabulary that is written the same.
      if (taken[id] || (!vocabulary_.contains(content) && !tokens[id].control)) {
        return unsupported("added token " + in_quotes(content) + " takes an id already in use");
      }
      taken[id] = true;
      tokens[id] = special ? TokenText{} : TokenText{content, false};
      added_.emplace(content, id);
      OTR_TRY_ASSIGN(const bool normal, bool_member(token, "normalized", !special, "added_tokens"));
      const AddedToken found{normal ? normalizer_.apply(content) : content, id, special};
      auto& lists = normal ? normalized : raw;
      lists[1].push_back(found);
      if (!special) lists[0].push_back(found);
    }
  }
  for (const std::size_t i : {0, 1}) {
    raw_added_[i] = AddedTokens(std::move(raw[i]));
    normalized_added_[i] = AddedTokens(std::move(normalized[i]));
  }
  return {};
}

// A text in which special tokens are not recognised must not be able to spell one: that is how a
// user would forge the frame of a conversation. Only the unknown token may stand for text.
Status HuggingFaceEncoder::check_no_control_by_merging(const std::vector<TokenText>& tokens) const {
  const auto forbidden = [&](std::uint32_t id) { return tokens[id].control && id != unknown_; };
  for (const Merge& merge : merges_) {
    if (forbidden(merge.result)) {
      return unsupported("a merge gives the special token " + std::to_string(merge.result));
    }
  }
  for (const auto& [token, id] : vocabulary_) {
    const bool symbol = first_code_point(token.empty() ? "?" : token).size_bytes == token.size() ||
                        (byte_fallback_ && fallback_byte(token));
    if (symbol && forbidden(id)) {
      return unsupported("the special token " + in_quotes(token) + " can be spelt by plain text");
    }
  }
  return {};
}

void HuggingFaceEncoder::fill_words(const std::vector<TokenText>& tokens) {
  if (!ignore_merges_) return;
  for (const auto& [token, id] : vocabulary_) {
    if (tokens[id].control) continue;
    const auto word = pre_tokenizer_.byte_level() ? from_byte_alphabet(token) : token;
    if (word) words_.emplace(*word, id);
  }
}

std::optional<std::uint32_t> HuggingFaceEncoder::find(std::string_view token) const {
  if (const auto found = added_.find(token); found != added_.end()) return found->second;
  if (const auto found = vocabulary_.find(token); found != vocabulary_.end()) return found->second;
  return std::nullopt;
}

std::optional<std::string> HuggingFaceEncoder::name(std::uint32_t id) const {
  for (const auto* tokens : {&added_, &vocabulary_}) {
    for (const auto& [token, other] : *tokens) {
      if (other == id) return token;
    }
  }
  return std::nullopt;
}

Status HuggingFaceEncoder::append(std::string_view text, bool parse_special, std::string_view typed,
                                  std::vector<std::uint32_t>& ids) const {
  for (const Segment& raw : raw_added_[parse_special].split(text, typed)) {
    if (raw.id) {
      ids.push_back(*raw.id);
      continue;
    }
    const std::string normal = normalizer_.apply(raw.text);
    std::string normal_typed;
    if (!typed.empty() && normalized_added_[parse_special].has_control()) {
      const auto offset = static_cast<std::size_t>(raw.text.data() - text.data());
      normal_typed = typed_of_normal(raw.text, typed.substr(offset, raw.text.size()), normal);
    }
    for (const Segment& segment : normalized_added_[parse_special].split(normal, normal_typed)) {
      if (segment.id) {
        ids.push_back(*segment.id);
        continue;
      }
      const bool at_start = raw.text.data() == text.data() && segment.text.data() == normal.data();
      std::string part(segment.text);
      OTR_TRY_ASSIGN(const auto words, pre_tokenizer_.split(part, at_start));
      for (const std::string_view word : words) OTR_TRY(append_word(word, ids));
    }
  }
  return {};
}

// Which bytes of the normalised text come from typed ones. Each run of equal marks is normalised by
// itself; where the runs do not add up to the whole (an accent that was typed after a letter that
// was not), the rest counts as typed: that way no token can be forged.
std::string HuggingFaceEncoder::typed_of_normal(std::string_view text, std::string_view typed,
                                                std::string_view normal) const {
  const std::string probe = normalizer_.apply("x");
  const std::size_t prefix_bytes = probe.empty() ? 0 : probe.size() - 1;  // what is put in front
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(typed.find_first_not_of(typed[at], at), text.size());
    std::string run = normalizer_.apply(text.substr(at, end - at));
    if (at > 0) run.erase(0, prefix_bytes);
    if (!normal.substr(result.size()).starts_with(run)) break;
    result.append(run.size(), typed[at]);
    at = end;
  }
  result.resize(normal.size(), '\1');
  return result;
}

Status HuggingFaceEncoder::append_word(std::string_view word,
                                       std::vector<std::uint32_t>& ids) const {
  if (const auto found = words_.find(word); found != words_.end()) {
    ids.push_back(found->second);
    return {};
  }
  std::vector<std::uint32_t> symbols;
  symbols.reserve(word.size());
  if (pre_tokenizer_.byte_level()) {
    OTR_TRY(append_byte_symbols(word, symbols));
  } else {
    OTR_TRY(append_symbols(word, symbols));
  }
  bpe_.append(symbols, ids);
  return {};
}

Status HuggingFaceEncoder::append_byte_symbols(std::string_view word,
                                               std::vector<std::uint32_t>& symbols) const {
  for (const char c : word) {
    const auto symbol = byte_symbols_[static_cast<std::uint8_t>(c)];
    if (!symbol) {
      return fail(ErrorKind::kBadInput, "this tokeniser has no token for the byte " +
                                            fallback_token(static_cast<std::uint8_t>(c)) +
                                            " of the text");
    }
    symbols.push_back(*symbol);
  }
  return {};
}

Status HuggingFaceEncoder::append_symbols(std::string_view word,
                                          std::vector<std::uint32_t>& symbols) const {
  bool after_unknown = false;
  while (!word.empty()) {
    const std::string_view character = word.substr(0, first_code_point(word).size_bytes);
    word.remove_prefix(character.size());
    if (const auto found = vocabulary_.find(character); found != vocabulary_.end()) {
      symbols.push_back(found->second);
      after_unknown = false;
    } else if (byte_fallback_) {
      for (const char c : character) {
        symbols.push_back(*byte_symbols_[static_cast<std::uint8_t>(c)]);
      }
    } else if (unknown_) {
      if (!after_unknown || !fuse_unknown_) symbols.push_back(*unknown_);
      after_unknown = true;
    } else {
      return fail(ErrorKind::kBadInput, "this tokeniser has no token for the character '" +
                                            std::string(character) + "' and no unknown token");
    }
  }
  return {};
}

}  // namespace otr::text
