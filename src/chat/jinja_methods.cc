// The methods of Python's str, list and dict that chat templates call.
#include <algorithm>
#include <array>

#include "chat/jinja_evaluator.h"

namespace otr::chat {
namespace {

using Bound = std::vector<std::optional<Value>>;

// What is run here, and what Python has besides: a method taken from these is no undefined value.
constexpr std::array<std::string_view, 20> kOfText = {
    "strip",    "lstrip", "rstrip", "split",      "rsplit",       "splitlines",  "startswith",
    "endswith", "upper",  "lower",  "capitalize", "title",        "replace",     "join",
    "find",     "rfind",  "count",  "index",      "removeprefix", "removesuffix"};
constexpr std::array<std::string_view, 27> kOthersOfText = {
    "casefold",    "center",  "encode",     "expandtabs", "format",       "format_map", "isalnum",
    "isalpha",     "isascii", "isdecimal",  "isdigit",    "isidentifier", "islower",    "isnumeric",
    "isprintable", "isspace", "istitle",    "isupper",    "ljust",        "maketrans",  "partition",
    "rindex",      "rjust",   "rpartition", "swapcase",   "translate",    "zfill"};
constexpr std::array<std::string_view, 2> kOfList = {"index", "count"};
constexpr std::array<std::string_view, 9> kOthersOfList = {
    "append", "clear", "copy", "extend", "insert", "pop", "remove", "reverse", "sort"};
constexpr std::array<std::string_view, 4> kOfMap = {"get", "items", "keys", "values"};
constexpr std::array<std::string_view, 7> kOthersOfMap = {
    "clear", "copy", "fromkeys", "pop", "popitem", "setdefault", "update"};
constexpr std::array<std::string_view, 1> kOfLoop = {"cycle"};
constexpr std::array<std::string_view, 1> kOthersOfLoop = {"changed"};

std::unexpected<Error> error(std::string message) {
  return fail(ErrorKind::kBadInput, std::move(message));
}

Result<const MarkedText*> text_of(const std::optional<Value>& value, std::string_view what) {
  if (value && value->text() != nullptr) return value->text();
  return error(std::string(what) + " must be a text" +
               (value ? ", not " + type_name(*value) : std::string()));
}

// A text argument that may be left out or none.
Result<std::optional<std::string_view>> chars_of(const std::optional<Value>& value,
                                                 std::string_view what) {
  if (!value || value->none()) return std::optional<std::string_view>();
  OTR_TRY_ASSIGN(const MarkedText* text, text_of(value, what));
  return std::optional<std::string_view>(text->bytes);
}

Result<Value> split_method(Evaluator& e, const MarkedText& self, const Arguments& given,
                           bool from_right) {
  OTR_TRY_ASSIGN(const Bound bound, given.bind("split", {"sep", "maxsplit"}));
  OTR_TRY_ASSIGN(const auto separator, chars_of(bound[0], "the separator of split"));
  OTR_TRY_ASSIGN(const std::int64_t max, integer_or(bound[1], -1, "maxsplit"));
  if (separator && separator->empty()) return error("the separator of split is empty");
  OTR_TRY(e.charge_search(self.size(), separator ? separator->size() : 0));
  OTR_TRY(e.charge_bytes(64 * self.size()));  // it may fall into many parts
  return e.texts(split(self, separator, max, from_right));
}

// startswith and endswith, of one text or of each in a tuple.
Result<Value> affix_method(const MarkedText& self, const Arguments& given, bool at_start) {
  OTR_TRY_ASSIGN(const Bound bound, given.bind("startswith", {"prefix"}));
  const auto fits = [&](const MarkedText& affix) {
    return at_start ? self.bytes.starts_with(affix.bytes) : self.bytes.ends_with(affix.bytes);
  };
  const List* several = bound[0] ? bound[0]->list() : nullptr;
  if (several == nullptr || several->kind != ListKind::kTuple) {
    OTR_TRY_ASSIGN(const MarkedText* affix, text_of(bound[0], "the argument of startswith"));
    return Value{fits(*affix)};
  }
  for (const Value& one : several->items) {
    OTR_TRY_ASSIGN(const MarkedText* affix, text_of(one, "each argument of startswith"));
    if (fits(*affix)) return Value{true};
  }
  return Value{false};
}

Result<Value> join_method(Evaluator& e, const MarkedText& self, const Arguments& given) {
  OTR_TRY_ASSIGN(const Bound bound, given.bind("join", {"iterable"}));
  if (!bound[0]) return error("join needs a list");
  OTR_TRY_ASSIGN(const auto items, e.iterate(*bound[0]));
  MarkedText result;
  for (std::size_t i = 0; i < items->items.size(); ++i) {
    OTR_TRY_ASSIGN(const MarkedText* one, text_of(items->items[i], "each part of join"));
    if (i > 0) result.append(self);
    result.append(*one);
    OTR_TRY(e.charge_bytes(one->size() + self.size()));
  }
  return e.text(std::move(result));
}

// find, rfind, index and count, in characters.
Result<Value> search_method(Evaluator& e, const MarkedText& self, const std::string& name,
                            const Arguments& given) {
  OTR_TRY_ASSIGN(const Bound bound, given.bind(name, {"sub"}));
  OTR_TRY_ASSIGN(const MarkedText* sub, text_of(bound[0], "what is looked for"));
  OTR_TRY(e.charge_search(self.size(), sub->size()));
  if (name == "count") {
    if (sub->size() == 0) {
      return Value{static_cast<std::int64_t>(count_characters(self.bytes) + 1)};
    }
    std::int64_t count = 0;
    for (std::size_t at = 0; (at = self.bytes.find(sub->bytes, at)) != std::string::npos; ++count) {
      at += sub->size();
    }
    return Value{count};
  }
  const std::size_t at =
      name == "rfind" ? self.bytes.rfind(sub->bytes) : self.bytes.find(sub->bytes);
  if (at != std::string::npos) {
    const std::string_view before = std::string_view(self.bytes).substr(0, at);
    return Value{static_cast<std::int64_t>(count_characters(before))};
  }
  if (name == "index") return error("index does not find the text");
  return Value{std::int64_t{-1}};
}

Result<Value> replace_method(Evaluator& e, const MarkedText& self, const Arguments& given) {
  OTR_TRY_ASSIGN(const Bound bound, given.bind("replace", {"old", "new", "count"}));
  OTR_TRY_ASSIGN(const MarkedText* from, text_of(bound[0], "the first argument of replace"));
  OTR_TRY_ASSIGN(const MarkedText* to, text_of(bound[1], "the second argument of replace"));
  OTR_TRY_ASSIGN(const std::int64_t max, integer_or(bound[2], -1, "count"));
  OTR_TRY(e.charge_search(self.size(), from->size()));
  return e.text(replace(self, from->bytes, *to, max, e.bounds().max_text_bytes));
}

Result<Value> remove_affix(Evaluator& e, const MarkedText& self, const Arguments& given,
                           bool at_start) {
  OTR_TRY_ASSIGN(const Bound bound, given.bind("removeprefix", {"affix"}));
  OTR_TRY_ASSIGN(const MarkedText* affix, text_of(bound[0], "what is removed"));
  if (at_start && self.bytes.starts_with(affix->bytes)) return e.text(self.substr(affix->size()));
  if (!at_start && self.bytes.ends_with(affix->bytes)) {
    return e.text(self.substr(0, self.size() - affix->size()));
  }
  return e.text(self);
}

Result<Value> case_method(Evaluator& e, const MarkedText& self, const std::string& name,
                          const Arguments& given) {
  OTR_TRY(given.bind(name, {}));
  const Case to = name == "upper"   ? Case::kUpper
                  : name == "lower" ? Case::kLower
                  : name == "title" ? Case::kTitle
                                    : Case::kCapitalize;
  OTR_TRY_ASSIGN(MarkedText changed, to_case(self, to));
  return e.text(std::move(changed));
}

Result<Value> call_text(Evaluator& e, const MarkedText& self, const std::string& name,
                        const Arguments& given) {
  OTR_TRY(e.charge(1 + self.size() / 32));
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    OTR_TRY_ASSIGN(const Bound bound, given.bind(name, {"chars"}));
    OTR_TRY_ASSIGN(const auto chars, chars_of(bound[0], "the argument of " + name));
    OTR_TRY(e.charge_search(self.size(), chars ? chars->size() : 0));
    const Side side = name == "strip" ? Side::kBoth : name == "lstrip" ? Side::kLeft : Side::kRight;
    return e.text(strip(self, side, chars));
  }
  if (name == "split" || name == "rsplit") return split_method(e, self, given, name == "rsplit");
  if (name == "splitlines") {
    OTR_TRY(given.bind(name, {}));
    OTR_TRY(e.charge_bytes(64 * self.size()));
    return e.texts(split_lines(self));
  }
  if (name == "startswith" || name == "endswith") {
    return affix_method(self, given, name == "startswith");
  }
  if (name == "join") return join_method(e, self, given);
  if (name == "replace") return replace_method(e, self, given);
  if (name == "removeprefix" || name == "removesuffix") {
    return remove_affix(e, self, given, name == "removeprefix");
  }
  if (name == "find" || name == "rfind" || name == "index" || name == "count") {
    return search_method(e, self, name, given);
  }
  return case_method(e, self, name, given);
}

Result<Value> call_list(Evaluator& e, const List& self, const std::string& name,
                        const Arguments& given) {
  OTR_TRY_ASSIGN(const Bound bound, given.bind(name, {"value"}));
  if (!bound[0]) return error(name + " needs a value to look for");
  std::int64_t count = 0;
  for (std::size_t i = 0; i < self.items.size(); ++i) {
    OTR_TRY_ASSIGN(const bool same, e.equal(self.items[i], *bound[0]));
    if (same && name == "index") return Value{static_cast<std::int64_t>(i)};
    count += same;
  }
  if (name == "index") return error("index does not find the value in the list");
  return Value{count};
}

Result<Value> call_map(Evaluator& e, const Map& self, const std::string& name,
                       const Arguments& given) {
  OTR_TRY(e.charge(self.items.size()));
  if (name == "get") {
    OTR_TRY_ASSIGN(const Bound bound, given.bind(name, {"key", "default"}));
    if (!bound[0]) return error("get needs a key");
    if (!hashable(*bound[0])) return error("the key of a dict cannot be " + type_name(*bound[0]));
    OTR_TRY(e.charge(weight_of(*bound[0]) / 32));
    if (const Value* found = self.find(*bound[0])) return *found;
    return bound[1].value_or(Value{None{}});
  }
  OTR_TRY(given.bind(name, {}));
  std::vector<Value> items;
  for (const auto& [key, value] : self.items) {
    if (name == "items") {
      OTR_TRY_ASSIGN(Value pair, e.list({key, value}, ListKind::kTuple));
      items.push_back(std::move(pair));
    } else {
      items.push_back(name == "keys" ? key : value);
    }
  }
  return e.list(std::move(items), ListKind::kView);
}

}  // namespace

bool known_method(std::string_view name) {
  return among(kOfText, name) || among(kOfList, name) || among(kOfMap, name) ||
         among(kOfLoop, name);
}

std::optional<Value> find_method(const Value& object, std::string_view name) {
  const auto in = [name](const auto& names) { return among(names, name); };
  const List* list = object.list();
  const bool found =
      (object.text() != nullptr && (in(kOfText) || in(kOthersOfText))) ||
      (list != nullptr && list->kind == ListKind::kList && (in(kOfList) || in(kOthersOfList))) ||
      (list != nullptr && (list->kind == ListKind::kTuple || list->kind == ListKind::kRange) &&
       in(kOfList)) ||
      (object.map() != nullptr && (in(kOfMap) || in(kOthersOfMap))) ||
      (object.get<std::shared_ptr<const Loop>>() != nullptr && (in(kOfLoop) || in(kOthersOfLoop)));
  if (!found) return std::nullopt;
  return Value{std::make_shared<const Method>(Method{object, std::string(name)})};
}

Result<Value> call_method(Evaluator& e, const Method& method, const Arguments& given) {
  const std::string& name = method.name;
  const auto in = [&](const auto& names) { return among(names, name); };
  if (const MarkedText* self = method.self.text(); self != nullptr && in(kOfText)) {
    return call_text(e, *self, name, given);
  }
  if (const List* self = method.self.list(); self != nullptr && in(kOfList)) {
    return call_list(e, *self, name, given);
  }
  if (const Map* self = method.self.map(); self != nullptr && in(kOfMap)) {
    return call_map(e, *self, name, given);
  }
  const auto* loop = method.self.get<std::shared_ptr<const Loop>>();
  if (loop != nullptr && in(kOfLoop)) {
    if (given.positional.empty()) return error("loop.cycle needs values");
    return given.positional[(*loop)->index0 % given.positional.size()];
  }
  return error("the method " + quoted(name) + " of " + type_name(method.self) +
               " is not supported");
}

}  // namespace otr::chat
