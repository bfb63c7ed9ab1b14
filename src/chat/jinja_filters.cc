// The filters of Jinja that take one value, and tojson as the transformers library has it.
#include <algorithm>
#include <array>
#include <charconv>

#include "chat/jinja_evaluator.h"

namespace otr::chat {
namespace {

using Bound = std::vector<std::optional<Value>>;
using Body = Result<Value> (*)(Evaluator&, const Value&, const Arguments&);

std::unexpected<Error> error(std::string message) {
  return fail(ErrorKind::kBadInput, std::move(message));
}

Result<bool> flag_or(const std::optional<Value>& value, bool otherwise) {
  return value ? truth(*value) : otherwise;
}

Result<Value> trim(Evaluator& e, const Value& value, const Arguments& given) {
  OTR_TRY_ASSIGN(const Bound bound, given.bind("trim", {"chars"}));
  OTR_TRY_ASSIGN(const MarkedText text, e.to_text(value));
  std::optional<std::string_view> chars;
  if (bound[0] && !bound[0]->none()) {
    if (bound[0]->text() == nullptr) return error("the argument of trim must be a text");
    chars = bound[0]->text()->bytes;
  }
  OTR_TRY(e.charge_search(text.size(), chars ? chars->size() : 0));
  return e.text(strip(text, Side::kBoth, chars));
}

Result<Value> length(Evaluator& e, const Value& value, const Arguments& given) {
  OTR_TRY(given.bind("length", {}));
  std::size_t size = 0;
  if (const MarkedText* text = value.text()) {
    OTR_TRY(e.charge(text->size() / 32));
    size = count_characters(text->bytes);
  } else if (const List* list = value.list();
             list != nullptr && list->kind != ListKind::kIterator) {
    size = list->items.size();
  } else if (const Map* map = value.map()) {
    size = map->items.size();
  } else if (const auto* loop = value.get<std::shared_ptr<const Loop>>()) {
    size = (*loop)->items->items.size();
  } else if (!value.undefined()) {
    return error(type_name(value) + " has no length");
  }
  return Value{static_cast<std::int64_t>(size)};
}

template <Case to>
Result<Value> change_case(Evaluator& e, const Value& value, const Arguments& given) {
  OTR_TRY(given.bind("a filter of upper and lower case", {}));
  OTR_TRY_ASSIGN(const MarkedText text, e.to_text(value));
  OTR_TRY_ASSIGN(MarkedText changed, to_case(text, to));
  return e.text(std::move(changed));
}

Result<Value> default_value(Evaluator& e, const Value& value, const Arguments& given) {
  OTR_TRY_ASSIGN(const Bound bound, given.bind("default", {"default_value", "boolean"}));
  const bool boolean = bound[1] && truth(*bound[1]);
  if (!value.undefined() && (!boolean || truth(value))) return value;
  return bound[0] ? *bound[0] : e.text({});
}

Result<std::optional<std::string>> json_indent(Evaluator& e, const std::optional<Value>& value) {
  if (!value || value->none()) return std::optional<std::string>();
  if (value->text() != nullptr) return std::optional(value->text()->bytes);
  OTR_TRY_ASSIGN(const std::int64_t width, integer_or(value, 0, "the indent of tojson"));
  OTR_TRY(e.charge(1));
  if (width > 1024) return error("an indent of more than 1024 is not supported");
  return std::optional(
      std::string(static_cast<std::size_t>(std::max<std::int64_t>(width, 0)), ' '));
}

// json.dumps, with ensure_ascii off unless asked for.
Result<Value> tojson(Evaluator& e, const Value& value, const Arguments& given) {
  OTR_TRY_ASSIGN(const Bound bound,
                 given.bind("tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}));
  JsonStyle style;
  OTR_TRY_ASSIGN(style.ensure_ascii, flag_or(bound[0], false));
  OTR_TRY_ASSIGN(style.indent, json_indent(e, bound[1]));
  OTR_TRY_ASSIGN(style.sort_keys, flag_or(bound[3], false));
  if (style.indent) style.item_separator = ",";  // the line break follows
  if (bound[2] && !bound[2]->none()) {
    const List* pair = bound[2]->list();
    if (pair == nullptr || pair->items.size() != 2 || pair->items[0].text() == nullptr ||
        pair->items[1].text() == nullptr) {
      return error("the separators of tojson must be two texts");
    }
    style.item_separator = pair->items[0].text()->bytes;
    style.key_separator = pair->items[1].text()->bytes;
  }
  const std::uint64_t longest = style.item_separator.size() + style.key_separator.size() +
                                (style.indent ? style.indent->size() * kMaxValueDepth : 0);
  OTR_TRY(e.charge_bytes(weight_of(value) * (2 + longest / 16)));
  OTR_TRY_ASSIGN(MarkedText json, to_json(value, style));
  return e.text(std::move(json));
}

Result<Value> to_string(Evaluator& e, const Value& value, const Arguments& given) {
  OTR_TRY(given.bind("string", {}));
  OTR_TRY_ASSIGN(MarkedText text, e.to_text(value));
  return e.text(std::move(text));
}

// The integer that a text writes, as Python's int reads it.
Result<std::optional<std::int64_t>> integer_in(const MarkedText& text) {
  std::string digits = strip(text, Side::kBoth, std::nullopt).bytes;
  std::erase(digits, '_');
  const std::size_t sign = digits.starts_with('-') || digits.starts_with('+') ? 1 : 0;
  const bool plain =
      digits.size() > sign && digits.find_first_not_of("0123456789", sign) == digits.npos;
  if (!plain) {
    if (digits.find_first_of("0123456789") == digits.npos) return std::optional<std::int64_t>();
    return error("the number " + quoted(text.bytes) + " is not supported: only integers are");
  }
  std::int64_t value = 0;
  const char* begin = digits.data() + (digits[0] == '+' ? 1 : 0);
  if (std::from_chars(begin, digits.data() + digits.size(), value).ec != std::errc()) {
    return error("the number " + quoted(text.bytes) + " leaves the range of 64 bits");
  }
  return std::optional(value);
}

Result<Value> to_integer(Evaluator& e, const Value& value, const Arguments& given) {
  OTR_TRY_ASSIGN(const Bound bound, given.bind("int", {"default"}));
  const Value otherwise = bound[0].value_or(Value{std::int64_t{0}});
  if (const auto number = value.integer()) return Value{*number};
  if (value.undefined()) return error(type_name(value) + ", is no number");
  const MarkedText* text = value.text();
  if (text == nullptr) return otherwise;
  OTR_TRY(e.charge(text->size() / 32));
  OTR_TRY_ASSIGN(const auto number, integer_in(*text));
  return number ? Value{*number} : otherwise;
}

Result<Value> absolute(Evaluator&, const Value& value, const Arguments& given) {
  OTR_TRY(given.bind("abs", {}));
  const auto number = value.integer();
  if (!number || *number == INT64_MIN) return error("abs cannot be taken of " + type_name(value));
  return Value{*number < 0 ? -*number : *number};
}

Result<Value> replace_filter(Evaluator& e, const Value& value, const Arguments& given) {
  OTR_TRY_ASSIGN(const Bound bound, given.bind("replace", {"old", "new", "count"}));
  if (!bound[0] || !bound[1]) return error("replace needs two texts");
  OTR_TRY_ASSIGN(const MarkedText text, e.to_text(value));
  OTR_TRY_ASSIGN(const MarkedText from, e.to_text(*bound[0]));
  OTR_TRY_ASSIGN(const MarkedText to, e.to_text(*bound[1]));
  std::int64_t max = -1;
  if (bound[2] && !bound[2]->none()) {
    OTR_TRY_ASSIGN(max, integer_or(bound[2], -1, "count"));
  }
  OTR_TRY(e.charge_search(text.size(), from.size()));
  return e.text(replace(text, from.bytes, to, max, e.bounds().max_text_bytes));
}

Result<Value> indent(Evaluator& e, const Value& value, const Arguments& given) {
  OTR_TRY_ASSIGN(const Bound bound, given.bind("indent", {"width", "first", "blank"}));
  OTR_TRY_ASSIGN(MarkedText text, e.to_text(value));
  MarkedText margin;
  if (bound[0] && bound[0]->text() != nullptr) {
    margin = *bound[0]->text();
  } else {
    OTR_TRY_ASSIGN(const std::int64_t width, integer_or(bound[0], 4, "the width of indent"));
    if (width > 1024) return error("an indent of more than 1024 is not supported");
    margin = MarkedText::written(
        std::string(static_cast<std::size_t>(std::max<std::int64_t>(width, 0)), ' '));
  }
  OTR_TRY_ASSIGN(const bool first, flag_or(bound[1], false));
  OTR_TRY_ASSIGN(const bool blank, flag_or(bound[2], false));
  text.append("\n", '\0');  // so that an empty last line is seen
  const auto lines = split_lines(text);
  OTR_TRY(e.charge_bytes(lines.size() * (margin.size() + 64)));
  MarkedText result;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) result.append("\n", '\0');
    if (i == 0 ? first : blank || lines[i].size() > 0) result.append(margin);
    result.append(lines[i]);
  }
  return e.text(std::move(result));
}

constexpr std::array<std::pair<std::string_view, Body>, 15> kFilters = {{
    {"trim", trim},
    {"length", length},
    {"count", length},
    {"upper", change_case<Case::kUpper>},
    {"lower", change_case<Case::kLower>},
    {"capitalize", change_case<Case::kCapitalize>},
    {"title", change_case<Case::kTitleFilter>},
    {"default", default_value},
    {"d", default_value},
    {"tojson", tojson},
    {"string", to_string},
    {"int", to_integer},
    {"abs", absolute},
    {"replace", replace_filter},
    {"indent", indent},
}};

}  // namespace

bool known_filter(std::string_view name) {
  return among(kFilters, name, &std::pair<std::string_view, Body>::first) ||
         among(sequence_filter_names(), name);
}

Result<Value> Evaluator::filter(std::string_view name, const Value& value,
                                const Arguments& arguments) {
  const auto* found = std::ranges::find(kFilters, name, &std::pair<std::string_view, Body>::first);
  if (found != kFilters.end()) {
    return found->second(*this, value, arguments);
  }
  OTR_TRY_ASSIGN(std::optional<Value> made, sequence_filter(name, value, arguments));
  if (made) return *std::move(made);
  if (name == "safe") return error("the filter 'safe' is supported only at the end of an output");
  return error("the filter " + quoted(name) + " is not supported");
}

}  // namespace otr::chat
