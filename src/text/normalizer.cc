#include "text/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "base/check.h"
#include "text/utf8.h"

namespace otr::text {
namespace {

constexpr std::size_t kMaxSteps = 8;

// Appends the canonical decomposition of one code point, not yet in canonical order.
void append_decomposed(std::vector<utf8proc_int32_t>& to, char32_t code_point) {
  std::array<utf8proc_int32_t, 32> parts;  // no code point decomposes into more than 4
  const auto count =
      utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code_point), parts.data(), parts.size(),
                              UTF8PROC_DECOMPOSE, nullptr);
  OTR_CHECK(count >= 0 && static_cast<std::size_t>(count) <= parts.size());
  to.insert(to.end(), parts.begin(), parts.begin() + count);
}

utf8proc_propval_t combining_class(utf8proc_int32_t code_point) {
  return utf8proc_get_property(code_point)->combining_class;
}

// utf8proc's own string functions order combining marks by a quadratic sort, which a line of a
// million marks would turn into a standstill. So the order is made here; it is stable.
void order_marks(std::vector<utf8proc_int32_t>& text) {
  const auto starter = [](utf8proc_int32_t c) { return combining_class(c) == 0; };
  std::vector<std::tuple<utf8proc_propval_t, std::size_t, utf8proc_int32_t>> marks;
  for (auto at = text.begin(); at != text.end();) {
    const auto first = std::find_if_not(at, text.end(), starter);
    at = std::find_if(first, text.end(), starter);
    marks.clear();
    for (auto mark = first; mark != at; ++mark) {
      marks.emplace_back(combining_class(*mark), marks.size(), *mark);
    }
    std::ranges::sort(marks);
    std::ranges::transform(marks, first, [](const auto& mark) { return std::get<2>(mark); });
  }
}

std::string to_nfc(std::string_view text) {
  const auto ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::ranges::all_of(text, ascii)) return std::string(text);
  std::vector<utf8proc_int32_t> code_points;
  code_points.reserve(text.size());
  for (std::string_view rest = text; !rest.empty();) {
    const CodePoint next = first_code_point(rest);
    append_decomposed(code_points, next.value);
    rest.remove_prefix(next.size_bytes);
  }
  order_marks(code_points);
  const auto count = utf8proc_normalize_utf32(
      code_points.data(), static_cast<utf8proc_ssize_t>(code_points.size()),
      static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  OTR_CHECK(count >= 0 && static_cast<std::size_t>(count) <= code_points.size());
  code_points.resize(static_cast<std::size_t>(count));
  std::string composed;
  for (const utf8proc_int32_t c : code_points) append_utf8(composed, static_cast<char32_t>(c));
  return composed;
}

}  // namespace

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  std::string replaced;
  std::size_t start = 0;
  for (std::size_t at; (at = text.find(from, start)) != text.npos; start = at + from.size()) {
    replaced.append(text, start, at - start).append(to);
  }
  if (start == 0) return;
  text = replaced.append(text, start);
}

Result<Normalizer> Normalizer::parse(const Json& value) {
  Normalizer normalizer;
  if (value.is_null()) return normalizer;
  OTR_TRY(
      check_members(value, "normalizer", {"type", "normalizers", "prepend", "pattern", "content"}));
  if (member(value, "type") != "Sequence") {
    OTR_TRY(normalizer.add(value));
    return normalizer;
  }
  const Json& parts = member(value, "normalizers");
  if (!parts.is_array() || parts.size() > kMaxSteps) {
    return fail(ErrorKind::kBadInput, "normalizer.normalizers must be a list of at most 8");
  }
  for (const Json& part : parts) OTR_TRY(normalizer.add(part));
  return normalizer;
}

Status Normalizer::add(const Json& value) {
  const Json nfc = {{"type", "NFC"}};
  const Json prepend = {{"type", "Prepend"}, {"prepend", kSpaceMark}};
  const Json replace = {
      {"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpaceMark}};
  if (value == nfc) {
    steps_.push_back(Step::kNfc);
  } else if (value == prepend) {
    steps_.push_back(Step::kPrependMark);
  } else if (value == replace) {
    steps_.push_back(Step::kReplaceSpaces);
  } else {
    return fail(ErrorKind::kBadInput,
                "normalizer " + value.dump().substr(0, 200) +
                    " is not supported: only NFC, Prepend and Replace with the space mark U+2581");
  }
  return {};
}

std::string Normalizer::apply(std::string_view text) const {
  std::string normal(text);
  for (const Step step : steps_) {
    if (step == Step::kNfc) normal = to_nfc(normal);
    if (step == Step::kPrependMark && !normal.empty()) normal.insert(0, kSpaceMark);
    if (step == Step::kReplaceSpaces) replace_all(normal, " ", kSpaceMark);
  }
  return normal;
}

}  // namespace otr::text
