#include "base/canonical_json.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace otr {
namespace {

std::unexpected<Error> refuse(std::string_view what, const std::string& why, std::string code) {
  return fail(ErrorKind::kBadInput, std::string(what) + " " + why, std::move(code));
}

constexpr bool is_one_of(char c, std::string_view set) {
  return set.find(c) != std::string_view::npos;
}

// Reads canonical JSON from front to back and names the first byte that departs from it. The
// library's own parser cannot serve: it accepts other spellings, and takes a zero byte for the end.
class Reader {
 public:
  Reader(std::string_view text, std::string_view what, std::size_t max_values)
      : text_(text), what_(what), values_left_(max_values) {}

  Result<Json> document() {
    if (text_.starts_with("\xEF\xBB\xBF")) return other("has a byte order mark");
    OTR_TRY_ASSIGN(Json value, this->value(kMaxJsonDepth));
    if (at_ != text_.size()) return malformed("goes on behind its value");
    return value;
  }

 private:
  // The next byte, or a zero byte at the end, which no rule accepts.
  char next() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool next_is(char c) const { return at_ < text_.size() && text_[at_] == c; }

  std::unexpected<Error> error(std::string_view why, std::string code) const {
    return refuse(what_, std::string(why) + " at byte " + std::to_string(at_) + ".",
                  std::move(code));
  }
  std::unexpected<Error> malformed(std::string_view why) const { return error(why, "MALFORMED"); }
  std::unexpected<Error> other(std::string_view why) const { return error(why, "NOT_CANONICAL"); }

  Status take(char c) {
    if (!next_is(c)) return malformed(std::string("is not well-formed JSON: no '") + c + "'");
    ++at_;
    return {};
  }

  Status no_space() const {
    if (at_ < text_.size() && is_one_of(next(), " \t\r\n")) return other("has white space");
    return {};
  }

  // A value with at most `depth` levels of nesting, and nothing around it.
  Result<Json> value(std::size_t depth) {
    OTR_TRY(no_space());
    if (values_left_-- == 0) return error("holds too many values", "LIMIT_EXCEEDED");
    const bool nests = next_is('{') || next_is('[');
    if (nests && depth == 0) return other("nests deeper than 64");
    Result<Json> read = next_is('{')                        ? object(depth - 1)
                        : next_is('[')                      ? array(depth - 1)
                        : next_is('"')                      ? quoted()
                        : is_one_of(next(), "+-0123456789") ? number()
                                                            : word();
    OTR_TRY(read);
    OTR_TRY(no_space());
    return read;
  }

  Result<Json> word() {
    for (const auto& [name, value] : {std::pair("null", Json()), std::pair("true", Json(true)),
                                      std::pair("false", Json(false))}) {
      if (!text_.substr(at_).starts_with(name)) continue;
      at_ += std::string_view(name).size();
      return value;
    }
    return malformed("is not well-formed JSON: no value");
  }

  Result<Json> number() {
    std::size_t end = at_;
    while (end < text_.size() && is_one_of(text_[end], "+-.eE0123456789")) ++end;
    const char* first = text_.data() + at_;
    const char* last = text_.data() + end;
    const std::string_view digits = text_.substr(at_, end - at_).substr(*first == '-' ? 1 : 0);
    const bool leading_zero = digits.starts_with('0') && end - at_ > 1;
    std::int64_t negative = 0;
    std::uint64_t positive = 0;
    const auto [stop, problem] = *first == '-' ? std::from_chars(first, last, negative)
                                               : std::from_chars(first, last, positive);
    if (stop != last || problem != std::errc() || leading_zero) {
      return other("has a number that is not a 64-bit integer in its shortest form");
    }
    at_ = end;
    return *first == '-' ? Json(negative) : Json(positive);
  }

  Result<Json> array(std::size_t depth) {
    ++at_;
    OTR_TRY(no_space());
    Json items = Json::array();
    while (!next_is(']')) {
      if (!items.empty()) OTR_TRY(take(','));
      OTR_TRY_ASSIGN(Json item, value(depth));
      items.push_back(std::move(item));
    }
    ++at_;
    return items;
  }

  Result<Json> object(std::size_t depth) {
    ++at_;
    OTR_TRY(no_space());
    Json members = Json::object();
    std::string last;
    while (!next_is('}')) {
      if (!members.empty()) OTR_TRY(take(','));
      OTR_TRY(no_space());
      OTR_TRY_ASSIGN(std::string name, string());
      OTR_TRY(no_space());
      OTR_TRY(take(':'));
      if (!members.empty() && name <= last) return other("has members unsorted or repeated");
      OTR_TRY_ASSIGN(Json member, value(depth));
      last = name;
      auto& map = members.get_ref<Json::object_t&>();
      map.emplace_hint(map.end(), std::move(name), std::move(member));
    }
    ++at_;
    return members;
  }

  Result<Json> quoted() {
    OTR_TRY_ASSIGN(std::string text, string());
    return Json(std::move(text));
  }

  Result<std::string> string() {
    OTR_TRY(take('"'));
    std::string unquoted;
    while (!next_is('"')) {
      if (at_ == text_.size()) return malformed("is not well-formed JSON: a string does not end");
      if (static_cast<std::uint8_t>(next()) < 0x20) return malformed("has a control character");
      OTR_TRY(next_is('\\') ? escape(unquoted) : character(unquoted));
    }
    ++at_;
    return unquoted;
  }

  // One code point as it stands (Unicode 15, table 3-7: the second byte alone decides over-long
  // forms, surrogates and the upper end).
  Status character(std::string& to) {
    const auto byte = [&](std::size_t i) {
      return at_ + i < text_.size() ? static_cast<std::uint8_t>(text_[at_ + i]) : std::uint8_t{0};
    };
    const std::uint8_t lead = byte(0);
    const std::size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    bool valid = lead < 0x80 || (lead >= 0xC2 && lead <= 0xF4);
    if (lead == 0xE0) valid = byte(1) >= 0xA0;
    if (lead == 0xED) valid = byte(1) < 0xA0;
    if (lead == 0xF0) valid = byte(1) >= 0x90;
    if (lead == 0xF4) valid = byte(1) < 0x90;
    for (std::size_t i = 1; i < size; ++i) valid = valid && (byte(i) & 0xC0) == 0x80;
    if (!valid) return malformed("is not UTF-8");
    to += text_.substr(at_, size);
    at_ += size;
    return {};
  }

  // The escapes that ENC-4 has; every other that JSON knows is another spelling.
  Status escape(std::string& to) {
    static constexpr std::string_view kLetters = "\"\\bfnrt";
    static constexpr std::string_view kMeanings = "\"\\\b\f\n\r\t";
    const char kind = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    const std::size_t letter = kLetters.find(kind);
    if (letter != std::string_view::npos) {
      to += kMeanings[letter];
      at_ += 2;
      return {};
    }
    if (kind == '/') return other("escapes what need not be");
    if (kind != 'u') return malformed("has an unknown escape");
    const std::string_view digits = text_.substr(std::min(at_ + 2, text_.size()), 4);
    unsigned value = 0;
    const auto [stop, problem] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != 4 || problem != std::errc() || stop != digits.data() + 4) {
      return malformed("has an escape without four digits");
    }
    const bool lower = std::ranges::none_of(digits, [](char c) { return c >= 'A' && c <= 'F'; });
    const auto character = static_cast<char>(value);
    if (value >= 0x20 || !lower || is_one_of(character, kMeanings)) {
      return other("escapes what need not be, or not in the shortest form");
    }
    to += character;
    at_ += 6;
    return {};
  }

  std::string_view text_;
  std::string_view what_;
  std::size_t values_left_;
  std::size_t at_ = 0;
};

// Whether all numbers are integers and nothing nests deeper than `depth` more levels. The depth is
// checked on the way down, so that the recursion is bounded for values built in memory too.
bool is_representable(const Json& value, std::size_t depth) {
  if (value.is_number()) return value.is_number_integer();
  if (!value.is_structured()) return true;
  return depth > 0 && std::ranges::all_of(value, [depth](const Json& inner) {
           return is_representable(inner, depth - 1);
         });
}

}  // namespace

Result<std::string> dump_canonical_json(const Json& value, std::string_view what) {
  if (!is_representable(value, kMaxJsonDepth)) {
    return refuse(what, "holds a number that is not a 64-bit integer, or nests deeper than 64.",
                  "NOT_CANONICAL");
  }
  try {
    return value.dump();  // the library sorts members and escapes exactly as ENC-4 says
  } catch (const Json::exception&) {
    return refuse(what, "holds a string that is not UTF-8.", "NOT_CANONICAL");
  }
}

Result<Json> parse_canonical_json(std::string_view source, std::string_view what,
                                  const JsonBounds& bounds) {
  if (source.size() > bounds.max_bytes) {
    return refuse(what, "is longer than " + std::to_string(bounds.max_bytes) + " bytes.",
                  "LIMIT_EXCEEDED");
  }
  return Reader(source, what, bounds.max_values).document();
}

}  // namespace otr
