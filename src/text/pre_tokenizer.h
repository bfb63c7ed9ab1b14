// Cuts a text into the words within which byte-pair encoding merges.
//
// A tokeniser's regular expression is part of what its ids mean, and the engines that run such
// expressions differ in corners. So only expressions from a table of known ones are run, each seen
// to mean the same here (PCRE2) as where it was made (Oniguruma); all of them take linear time.
#ifndef OTR_TEXT_PRE_TOKENIZER_H_
#define OTR_TEXT_PRE_TOKENIZER_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/json.h"

namespace otr::text {

// The known expressions, as tokenizer.json files write them. GPT-2's cuts for SmolLM, StarCoder and
// others too, after Digits.
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// Qwen 2, 2.5 and 3.
inline constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kQwen35Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|)"
    R"( ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// Mistral's "tekken".
inline constexpr std::string_view kTekkenPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
    R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// The four that llama.cpp runs one after the other where a GGUF file names no rule, or "default".
// What lies between their matches is a word too.
inline constexpr std::string_view kDefaultPatterns[] = {
    R"([\p{P}\$\+<=>\^~\|]+)",
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S))",
    R"(\p{N}+)",
    R"([0-9][0-9][0-9])",
};

// One known regular expression, compiled.
class WordPattern {
 public:
  // `pattern` as a tokenizer.json writes it. An error if it is not in the table.
  [[nodiscard]] static Result<WordPattern> find(std::string_view pattern);

  // Appends the words of `text`, which must be UTF-8: the matches, and what lies between them.
  [[nodiscard]] Status split(std::string_view text, std::vector<std::string_view>& words) const;

 private:
  struct Free {
    void operator()(void* code) const;
  };

  std::unique_ptr<void, Free> code_;  // pcre2_code
  bool has_gaps_ = false;             // whether some code points lie in no match
};

class PreTokenizer {
 public:
  // `value` is the "pre_tokenizer" of a tokenizer.json: null, Metaspace, or ByteLevel after any
  // Split by a known pattern and Digits.
  [[nodiscard]] static Result<PreTokenizer> parse(const Json& value);

  // Whether the words are then taken byte by byte (ByteLevel) rather than by code points.
  [[nodiscard]] bool byte_level() const { return byte_level_; }

  // Cuts `text` (not empty, UTF-8) into words, which view into it. Metaspace changes it first.
  // `at_start`: whether the text is the start of what the caller of the tokeniser gave.
  [[nodiscard]] Result<std::vector<std::string_view>> split(std::string& text, bool at_start) const;

 private:
  enum class MarkPrefix { kNever, kFirst, kAlways };

  [[nodiscard]] Status add(const Json& value);
  [[nodiscard]] Status add_metaspace(const Json& value);
  [[nodiscard]] Status add_pattern(std::string_view pattern);

  std::vector<WordPattern> patterns_;
  bool byte_level_ = false;
  bool metaspace_ = false;
  MarkPrefix mark_prefix_ = MarkPrefix::kNever;
  bool cut_at_marks_ = false;
};

}  // namespace otr::text

#endif  // OTR_TEXT_PRE_TOKENIZER_H_
