#include "text/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <span>
#include <utility>

#include "base/check.h"
#include "text/normalizer.h"

namespace otr::text {
namespace {

constexpr std::string_view kOneDigit = R"(\p{N}|\P{N}+)";
constexpr std::string_view kDigitRun = R"(\p{N}+|\P{N}+)";

constexpr std::string_view kKnownPatterns[] = {
    kGpt2Pattern,  kOneDigit,      kDigitRun,      kLlama3Pattern,
    kQwen2Pattern, kQwen35Pattern, kTekkenPattern,
};

// Backtracking over a run of white space counts one step per character.
constexpr std::uint32_t kMatchLimit = std::uint32_t{1} << 27;
constexpr std::uint32_t kHeapLimitKib = 64 << 10;

bool is_among(std::span<const std::string_view> patterns, std::string_view pattern) {
  return std::ranges::find(patterns, pattern) != patterns.end();
}

// PCRE2 counts U+180E as white space, Unicode and Oniguruma no longer do. So the class is written
// out as Unicode defines White_Space.
std::string with_unicode_spaces(std::string_view pattern) {
  constexpr std::string_view kSpaces = R"(\p{Z}\t-\r\x{85})";
  std::string rewritten;
  bool in_class = false;
  for (std::size_t at = 0; at < pattern.size(); ++at) {
    const std::string_view escape = pattern.substr(at, 2);
    if (pattern[at] == '[') in_class = true;
    if (pattern[at] == ']') in_class = false;
    if (escape == "\\s" && in_class) {
      rewritten += kSpaces;
    } else if (escape == "\\s") {
      rewritten.append("[").append(kSpaces).append("]");
    } else if (escape == "\\S") {
      rewritten.append("[^").append(kSpaces).append("]");
    } else {
      rewritten += pattern[at];
      continue;
    }
    ++at;
  }
  return rewritten;
}

}  // namespace

void WordPattern::Free::operator()(void* code) const {
  pcre2_code_free(static_cast<pcre2_code*>(code));
}

Result<WordPattern> WordPattern::find(std::string_view pattern) {
  WordPattern compiled;
  compiled.has_gaps_ = is_among(kDefaultPatterns, pattern);
  if (!compiled.has_gaps_ && !is_among(kKnownPatterns, pattern)) {
    return fail(ErrorKind::kBadInput, "pre_tokenizer pattern " +
                                          std::string(pattern.substr(0, 400)) +
                                          " is not among the known ones (GPT-2, Llama 3, Qwen 2, "
                                          "Mistral): this tokeniser is not supported");
  }
  const std::string source = with_unicode_spaces(pattern);
  int error = 0;
  PCRE2_SIZE error_at = 0;
  compiled.code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source.data()), source.size(),
                                     PCRE2_UTF | PCRE2_UCP, &error, &error_at, nullptr));
  OTR_CHECK(compiled.code_ != nullptr);
  return compiled;
}

Status WordPattern::split(std::string_view text, std::vector<std::string_view>& words) const {
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> context(
      pcre2_match_context_create(nullptr), pcre2_match_context_free);
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_match_data_create(1, nullptr), pcre2_match_data_free);
  OTR_CHECK(context != nullptr && data != nullptr);
  pcre2_set_match_limit(context.get(), kMatchLimit);
  pcre2_set_heap_limit(context.get(), kHeapLimitKib);
  // The text is known to be UTF-8; to check it again at every word would be quadratic.
  const std::uint32_t options =
      PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY | (has_gaps_ ? 0 : PCRE2_ANCHORED);
  for (std::size_t at = 0; at < text.size();) {
    const int matched = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                    at, options, data.get(), context.get());
    if (matched == PCRE2_ERROR_NOMATCH && has_gaps_) {
      words.push_back(text.substr(at));
      return {};
    }
    if (matched < 0) {
      return fail(ErrorKind::kBadInput, "cannot cut the text into words from byte " +
                                            std::to_string(at) + " on (PCRE2 error " +
                                            std::to_string(matched) + "): use a shorter text");
    }
    const PCRE2_SIZE* match = pcre2_get_ovector_pointer(data.get());
    const std::size_t start = match[0];
    const std::size_t end = match[1];
    if (at < start) words.push_back(text.substr(at, start - at));
    words.push_back(text.substr(start, end - start));
    at = end;
  }
  return {};
}

Result<PreTokenizer> PreTokenizer::parse(const Json& value) {
  PreTokenizer result;
  if (value.is_null()) return result;
  if (!value.is_object() || member(value, "type") != "Sequence") {
    OTR_TRY(result.add(value));
  } else {
    OTR_TRY(check_members(value, "pre_tokenizer", {"type", "pretokenizers"}));
    const Json& parts = member(value, "pretokenizers");
    if (!parts.is_array() || parts.empty() || parts.size() > 8) {
      return fail(ErrorKind::kBadInput,
                  "pre_tokenizer.pretokenizers must be a list of 1 to 8 pre-tokenizers");
    }
    for (const Json& part : parts) OTR_TRY(result.add(part));
  }
  if (!result.byte_level_ && !result.metaspace_) {
    return fail(ErrorKind::kBadInput,
                "pre_tokenizer must end with ByteLevel or be Metaspace or null: others are not "
                "supported");
  }
  return result;
}

Status PreTokenizer::add_pattern(std::string_view pattern) {
  OTR_TRY_ASSIGN(WordPattern known, WordPattern::find(pattern));
  patterns_.push_back(std::move(known));
  return {};
}

Status PreTokenizer::add(const Json& value) {
  if (byte_level_ || metaspace_) {
    return fail(ErrorKind::kBadInput,
                "pre_tokenizer has a part after ByteLevel or Metaspace, which is not supported");
  }
  const Json type = value.is_object() ? member(value, "type") : Json();
  if (type == "Metaspace" && patterns_.empty()) return add_metaspace(value);
  if (type == "Digits") {
    OTR_TRY(check_members(value, "Digits", {"type", "individual_digits"}));
    OTR_TRY_ASSIGN(const bool individual, bool_member(value, "individual_digits", false, "Digits"));
    return add_pattern(individual ? kOneDigit : kDigitRun);
  }
  if (type == "ByteLevel") {
    OTR_TRY(check_members(value, "ByteLevel",
                          {"type", "add_prefix_space", "trim_offsets", "use_regex"}));
    OTR_TRY_ASSIGN(const bool prefix, bool_member(value, "add_prefix_space", true, "ByteLevel"));
    OTR_TRY_ASSIGN(const bool use_regex, bool_member(value, "use_regex", true, "ByteLevel"));
    if (prefix) {
      return fail(ErrorKind::kBadInput,
                  "pre_tokenizer ByteLevel with add_prefix_space is not supported");
    }
    byte_level_ = true;
    return use_regex ? add_pattern(kGpt2Pattern) : Status();
  }
  if (type == "Split") {
    OTR_TRY(check_members(value, "Split", {"type", "pattern", "behavior", "invert"}));
    const Json& pattern = member(value, "pattern");
    OTR_TRY(check_members(pattern, "Split.pattern", {"Regex"}));
    OTR_TRY_ASSIGN(const std::string regex, string_member(pattern, "Regex", "Split.pattern"));
    OTR_TRY_ASSIGN(const bool invert, bool_member(value, "invert", false, "Split"));
    // Where a pattern matches every character both forms mean: the matches are the words.
    const bool has_gaps = is_among(kDefaultPatterns, regex);
    if (member(value, "behavior") == (invert ? "Removed" : "Isolated") && !(invert && has_gaps)) {
      return add_pattern(regex);
    }
  }
  return fail(ErrorKind::kBadInput,
              "pre_tokenizer " + value.dump().substr(0, 400) + " is not supported here");
}

Status PreTokenizer::add_metaspace(const Json& value) {
  OTR_TRY(check_members(
      value, "Metaspace",
      {"type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep"}));
  if (member(value, "replacement") != kSpaceMark) {
    return fail(ErrorKind::kBadInput, "pre_tokenizer Metaspace.replacement must be U+2581");
  }
  metaspace_ = true;
  OTR_TRY_ASSIGN(const bool prefix, bool_member(value, "add_prefix_space", true, "Metaspace"));
  OTR_TRY_ASSIGN(cut_at_marks_, bool_member(value, "split", true, "Metaspace"));
  OTR_TRY_ASSIGN(std::string scheme, string_member(value, "prepend_scheme", "Metaspace"));
  // Older files have add_prefix_space instead; files with both must agree.
  if (scheme.empty()) scheme = prefix ? "always" : "never";
  if (scheme == "always" || scheme == "first") {
    mark_prefix_ = scheme == "first" ? MarkPrefix::kFirst : MarkPrefix::kAlways;
  } else if (scheme != "never") {
    return fail(ErrorKind::kBadInput,
                "pre_tokenizer Metaspace.prepend_scheme must be always, first or never");
  }
  if (member(value, "add_prefix_space") == (scheme == "never")) {
    return fail(ErrorKind::kBadInput,
                "pre_tokenizer Metaspace: add_prefix_space contradicts prepend_scheme");
  }
  return {};
}

Result<std::vector<std::string_view>> PreTokenizer::split(std::string& text, bool at_start) const {
  if (metaspace_) {
    replace_all(text, " ", kSpaceMark);
    const bool prefix =
        mark_prefix_ == MarkPrefix::kAlways || (mark_prefix_ == MarkPrefix::kFirst && at_start);
    if (prefix && !text.starts_with(kSpaceMark)) text.insert(0, kSpaceMark);
  }
  std::vector<std::string_view> words;
  if (cut_at_marks_) {
    std::string_view rest = text;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(kSpaceMark, 1), rest.size());
      words.push_back(rest.substr(0, end));
      rest.remove_prefix(end);
    }
    return words;
  }
  words.push_back(text);
  for (const WordPattern& pattern : patterns_) {
    std::vector<std::string_view> parts;
    for (const std::string_view word : words) OTR_TRY(pattern.split(word, parts));
    words = std::move(parts);
  }
  return words;
}

}  // namespace otr::text
