// Cuts a template into tokens, with the white space control of Jinja: `-` strips on its side, `+`
// keeps, a line break after a block or comment goes (trim_blocks), and so do spaces and tabs
// between the start of a line and a block or comment (lstrip_blocks).
#include <algorithm>
#include <array>
#include <charconv>

#include "chat/jinja_syntax.h"
#include "text/utf8.h"

namespace otr::chat {
namespace {

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  Result<std::vector<Token>> run() {
    while (at_ < source_.size()) {
      OTR_TRY(text());
      if (at_ >= source_.size()) break;
      const char kind = source_[at_ + 1];
      if (kind == '#') {
        OTR_TRY(comment());
      } else if (kind == '%' && raw_begin_size() > 0) {
        OTR_TRY(raw());
      } else {
        OTR_TRY(tag(kind == '%'));
      }
    }
    OTR_TRY(push(TokenKind::kEnd, at_));
    return std::move(tokens_);
  }

 private:
  Status push(TokenKind kind, std::size_t at, std::string text = {}, std::int64_t integer = 0) {
    if (tokens_.size() >= kMaxTokens) {
      return fault(source_, at, "the template is too large: it has more than 131072 tokens");
    }
    tokens_.push_back({kind, static_cast<std::uint32_t>(at), std::move(text), integer});
    return {};
  }

  [[nodiscard]] char peek(std::size_t offset = 0) const {
    return at_ + offset < source_.size() ? source_[at_ + offset] : '\0';
  }

  [[nodiscard]] std::size_t space_end(std::size_t at) const {
    while (at < source_.size()) {
      const text::CodePoint c = text::first_code_point(source_.substr(at));
      if (!is_space(c.value)) break;
      at += c.size_bytes;
    }
    return at;
  }

  [[nodiscard]] std::size_t next_tag(std::size_t at) const {
    for (; at + 1 < source_.size(); ++at) {
      const char next = source_[at + 1];
      if (source_[at] == '{' && (next == '{' || next == '%' || next == '#')) return at;
    }
    return source_.size();
  }

  // The part of source_[at_, end) that stays before a tag with this sign after it.
  [[nodiscard]] std::string_view kept_before(std::size_t end, char sign, bool output) const {
    const std::string_view text = source_.substr(at_, end - at_);
    if (sign == '-') {
      const MarkedText stripped = strip(MarkedText::written(text), Side::kRight, std::nullopt);
      return text.substr(0, stripped.size());
    }
    if (sign == '+' || output) return text;
    const std::size_t line = text.rfind('\n') + 1;  // 0 where there is none
    if ((line > 0 || line_starting_) && line < text.size() && space_end(at_ + line) >= end) {
      return text.substr(0, line);
    }
    return text;
  }

  Status text() {
    const std::size_t end = next_tag(at_);
    std::string_view kept = source_.substr(at_, end - at_);
    if (end < source_.size()) {
      const char sign = end + 2 < source_.size() ? source_[end + 2] : '\0';
      kept = kept_before(end, sign, source_[end + 1] == '{');
    }
    if (!kept.empty()) OTR_TRY(push(TokenKind::kText, at_, std::string(kept)));
    at_ = end;
    return {};
  }

  // After a comment or block: `-` strips, without a sign one line feed goes.
  void after_block(char sign) {
    if (sign == '-') at_ = space_end(at_);
    if (sign == '\0' && peek() == '\n') ++at_;
    line_starting_ = source_[at_ - 1] == '\n';
  }

  Status comment() {
    const std::size_t begin = at_ + 2 + (peek(2) == '-' || peek(2) == '+');
    const std::size_t end = source_.find("#}", begin);
    if (end == source_.npos) return fault(source_, at_, "a comment {# is not closed by #}");
    const char last = end > begin ? source_[end - 1] : '\0';
    at_ = end + 2;
    after_block(last == '-' || last == '+' ? last : '\0');
    return {};
  }

  // The size of {% raw %} at at_, or 0.
  [[nodiscard]] std::size_t raw_begin_size() const {
    std::size_t at = at_ + 2;
    if (at < source_.size() && (source_[at] == '-' || source_[at] == '+')) ++at;
    at = space_end(at);
    if (!source_.substr(at).starts_with("raw")) return 0;
    at = space_end(at + 3);
    if (source_.substr(at).starts_with("-%}")) return space_end(at + 3) - at_;
    return source_.substr(at).starts_with("%}") ? at + 2 - at_ : 0;
  }

  Status raw() {
    const std::size_t begin = at_;
    at_ += raw_begin_size();
    line_starting_ = source_[at_ - 1] == '\n';
    for (std::size_t end = source_.find("{%", at_); end != source_.npos;
         end = source_.find("{%", end + 2)) {
      const char sign = end + 2 < source_.size() ? source_[end + 2] : '\0';
      const bool has_sign = sign == '-' || sign == '+';
      std::size_t after = space_end(end + 2 + has_sign);
      if (!source_.substr(after).starts_with("endraw")) continue;
      after = space_end(after + 6);
      const char last = after < source_.size() ? source_[after] : '\0';
      const bool last_sign = last == '-' || last == '+';
      if (!source_.substr(std::min(after + last_sign, source_.size())).starts_with("%}")) continue;
      const std::string_view kept = kept_before(end, sign, false);
      if (!kept.empty()) OTR_TRY(push(TokenKind::kText, at_, std::string(kept)));
      at_ = after + last_sign + 2;
      after_block(last_sign ? last : '\0');
      return {};
    }
    return fault(source_, begin, "{% raw %} is not closed by {% endraw %}");
  }

  Status tag(bool block) {
    const std::size_t begin = at_;
    OTR_TRY(push(block ? TokenKind::kTagBegin : TokenKind::kOutputBegin, at_));
    at_ += 2;
    if (peek() == '-' || peek() == '+') ++at_;
    brackets_.clear();
    while (true) {
      at_ = space_end(at_);
      if (at_ >= source_.size()) {
        return fault(
            source_, begin,
            std::string("a tag ") + (block ? "{% is not closed by %}" : "{{ is not closed by }}"));
      }
      if (brackets_.empty() && ends_tag(block)) return {};
      OTR_TRY(token());
    }
  }

  bool ends_tag(bool block) {
    const std::string_view rest = source_.substr(at_);
    const std::string_view close = block ? "%}" : "}}";
    const bool sign = rest[0] == '-' || (block && rest[0] == '+');
    if (!rest.substr(sign).starts_with(close)) return false;
    // Where the tokens are full, the next push tells.
    tokens_.push_back({block ? TokenKind::kTagEnd : TokenKind::kOutputEnd,
                       static_cast<std::uint32_t>(at_),
                       {},
                       0});
    const char mark = sign ? rest[0] : '\0';
    at_ += 2 + sign;
    if (block) {
      after_block(mark);
    } else {
      if (sign) at_ = space_end(at_);
      line_starting_ = source_[at_ - 1] == '\n';
    }
    return true;
  }

  Status token() {
    const char c = peek();
    if (is_name_start(c)) return name();
    if (is_digit(c)) return number();
    if (c == '\'' || c == '"') return string();
    return operation();
  }

  Status name() {
    const std::size_t begin = at_;
    while (is_name_start(peek()) || is_digit(peek())) ++at_;
    return push(TokenKind::kName, begin, std::string(source_.substr(begin, at_ - begin)));
  }

  Status number() {
    const std::size_t begin = at_;
    int base = 10;
    if (peek() == '0') {
      const char kind = static_cast<char>(peek(1) | 0x20);
      base = kind == 'b' ? 2 : kind == 'o' ? 8 : kind == 'x' ? 16 : 10;
      if (base != 10) at_ += 2;
    }
    std::string digits;
    while (is_digit(peek()) || peek() == '_' || is_name_start(peek())) {
      if (peek() != '_') digits += peek();
      ++at_;
    }
    if (base == 10 && (peek() == '.' && is_digit(peek(1)))) {
      return fault(source_, begin, "a number with a fraction is not supported");
    }
    if (base == 10 && digits.find_first_of("eE") != digits.npos) {
      return fault(source_, begin, "a number with an exponent is not supported");
    }
    std::int64_t value = 0;
    const char* end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, value, base);
    const bool zeros = digits.find_first_not_of('0') == digits.npos;
    if (error == std::errc::result_out_of_range) {
      return fault(source_, begin, "a number of 2^63 or more is not supported");
    }
    if (error != std::errc() || stop != end || (base == 10 && digits[0] == '0' && !zeros)) {
      return fault(source_, begin, "this is no number");
    }
    return push(TokenKind::kInteger, begin, std::move(digits), value);
  }

  Status string() {
    const std::size_t begin = at_;
    const char quote = source_[at_++];
    std::string value;
    while (peek() != quote || at_ >= source_.size()) {
      if (at_ >= source_.size()) return fault(source_, begin, "a text in quotes is not closed");
      if (peek() == '\\') {
        OTR_TRY(escape(value));
      } else {
        value += source_[at_++];
      }
    }
    ++at_;
    return push(TokenKind::kString, begin, std::move(value));
  }

  // One escape of a text, as Python reads it.
  Status escape(std::string& to) {
    constexpr std::string_view kLetters = "abfnrtv\\'\"";
    constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
    const std::size_t begin = at_++;
    if (at_ >= source_.size()) return {};  // the caller names the missing quote
    const char c = source_[at_++];
    if (const std::size_t known = kLetters.find(c); known != kLetters.npos) {
      to += kMeanings[known];
      return {};
    }
    if (c == '\n') return {};  // the text goes on in the next line
    if (c == 'N') return fault(source_, begin, "the escape \\N is not supported");
    if (c >= '0' && c <= '7') {
      --at_;
      return numbered(to, begin, 8, 1, 3);
    }
    if (c == 'x') return numbered(to, begin, 16, 2, 2);
    if (c == 'u') return numbered(to, begin, 16, 4, 4);
    if (c == 'U') return numbered(to, begin, 16, 8, 8);
    to += '\\';  // not an escape: both stay
    --at_;
    return {};
  }

  Status numbered(std::string& to, std::size_t begin, int base, std::size_t at_least,
                  std::size_t at_most) {
    std::size_t size = 0;
    const auto is_of_base = [base](char c) {
      return base == 8 ? c >= '0' && c <= '7'
                       : is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    };
    while (size < at_most && is_of_base(peek(size))) ++size;
    std::uint32_t value = 0;
    std::from_chars(source_.data() + at_, source_.data() + at_ + size, value, base);
    if (size < at_least || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
      return fault(source_, begin, "an escape in a text is no character");
    }
    text::append_utf8(to, value);
    at_ += size;
    return {};
  }

  Status operation() {
    constexpr std::array<std::string_view, 6> kTwo = {"==", "!=", "<=", ">=", "//", "**"};
    constexpr std::string_view kOne = "+-*/%~<>=.,:|()[]{};";
    const std::size_t begin = at_;
    const std::string_view rest = source_.substr(at_);
    const auto* two = std::ranges::find_if(kTwo, [&](auto o) { return rest.starts_with(o); });
    if (two == kTwo.end() && kOne.find(rest[0]) == kOne.npos) {
      const std::size_t size = text::first_code_point(rest).size_bytes;
      return fault(source_, at_, "unexpected character " + quoted(rest.substr(0, size)));
    }
    at_ += two == kTwo.end() ? 1 : 2;
    const char c = rest[0];
    if (c == '(' || c == '[' || c == '{') brackets_ += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (brackets_.empty() || brackets_.back() != c) {
        return fault(source_, begin, std::string("unexpected ") + c);
      }
      brackets_.pop_back();
    }
    return push(TokenKind::kOperator, begin, std::string(source_.substr(begin, at_ - begin)));
  }

  std::string_view source_;
  std::size_t at_ = 0;
  std::vector<Token> tokens_;
  std::string brackets_;       // the closing ones that are due
  bool line_starting_ = true;  // the last tag ended at the end of a line
};

}  // namespace

std::string normal_source(std::string_view source) {
  std::string normal;
  normal.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\n' && i > 0 && source[i - 1] == '\r') continue;
    normal += source[i] == '\r' ? '\n' : source[i];
  }
  if (normal.ends_with('\n')) normal.pop_back();
  return normal;
}

std::unexpected<Error> fault(std::string_view source, std::size_t at, std::string_view message) {
  const std::string_view before = source.substr(0, std::min(at, source.size()));
  const auto line = std::ranges::count(before, '\n') + 1;
  const std::size_t column = before.size() - (before.rfind('\n') + 1) + 1;
  return fail(ErrorKind::kBadInput, "the model's chat template, line " + std::to_string(line) +
                                        " column " + std::to_string(column) + ": " +
                                        std::string(message));
}

Result<std::vector<Token>> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace otr::chat
