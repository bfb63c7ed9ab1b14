// The tests of Jinja: what stands after `is`.
#include <algorithm>
#include <array>

#include "chat/jinja_evaluator.h"

namespace otr::chat {
namespace {

std::unexpected<Error> error(std::string message) {
  return fail(ErrorKind::kBadInput, std::move(message));
}

struct Comparison {
  std::string_view name;
  std::string_view operation;
};
constexpr std::array<Comparison, 13> kComparisons = {{{"eq", "=="},
                                                      {"equalto", "=="},
                                                      {"ne", "!="},
                                                      {"lt", "<"},
                                                      {"lessthan", "<"},
                                                      {"le", "<="},
                                                      {"gt", ">"},
                                                      {"greaterthan", ">"},
                                                      {"ge", ">="},
                                                      {"in", "in"},
                                                      {"divisibleby", "%"},
                                                      {"even", "even"},
                                                      {"odd", "odd"}}};
constexpr std::array<std::string_view, 16> kKinds = {
    "defined", "undefined", "none",    "boolean",  "true",     "false",    "integer", "float",
    "number",  "string",    "mapping", "iterable", "sequence", "callable", "lower",   "upper"};

bool is_callable(const Value& value) {
  return value.get<Function>() != nullptr || value.get<Macro>() != nullptr ||
         value.get<std::shared_ptr<const Method>>() != nullptr;
}

bool is_iterable(const Value& value) {
  return value.undefined() || value.text() != nullptr || value.list() != nullptr ||
         value.map() != nullptr || value.get<std::shared_ptr<const Loop>>() != nullptr;
}

// Python asks for a length and for items by index; Jinja's undefined value has both.
bool is_sequence(const Value& value) {
  const List* list = value.list();
  if (list != nullptr) return list->kind != ListKind::kView && list->kind != ListKind::kIterator;
  return value.undefined() || value.text() != nullptr || value.map() != nullptr;
}

bool is_kind(std::string_view name, const Value& value) {
  const bool* flag = value.get<bool>();
  if (name == "defined") return !value.undefined();
  if (name == "undefined") return value.undefined();
  if (name == "none") return value.none();
  if (name == "boolean") return flag != nullptr;
  if (name == "true") return flag != nullptr && *flag;
  if (name == "false") return flag != nullptr && !*flag;
  if (name == "integer") return value.get<std::int64_t>() != nullptr;
  if (name == "float") return false;  // there are none
  if (name == "number") return value.integer().has_value();
  if (name == "string") return value.text() != nullptr;
  if (name == "mapping") return value.map() != nullptr;
  if (name == "iterable") return is_iterable(value);
  if (name == "sequence") return is_sequence(value);
  return is_callable(value);
}

// str.islower and str.isupper: there is a letter with a case, and none of the other case.
Result<bool> is_case(const Value& value, Case wanted) {
  OTR_TRY_ASSIGN(const MarkedText text, to_text(value));
  OTR_TRY_ASSIGN(const MarkedText same, to_case(text, wanted));
  OTR_TRY_ASSIGN(const MarkedText other,
                 to_case(text, wanted == Case::kUpper ? Case::kLower : Case::kUpper));
  return same.bytes == text.bytes && other.bytes != text.bytes;
}

}  // namespace

bool known_test(std::string_view name) {
  return among(kKinds, name) || among(kComparisons, name, &Comparison::name);
}

Result<bool> Evaluator::test(std::string_view name, const Value& value,
                             const Arguments& arguments) {
  const std::size_t wanted = among(kKinds, name) || name == "even" || name == "odd" ? 0 : 1;
  if (!known_test(name)) return error("the test " + quoted(name) + " is not supported");
  if (arguments.positional.size() != wanted || !arguments.named.empty()) {
    return error("the test " + quoted(name) + " takes " + std::to_string(wanted) + " arguments");
  }
  if (name == "lower" || name == "upper") {
    OTR_TRY(charge(weight_of(value) / 16));
    return is_case(value, name == "lower" ? Case::kLower : Case::kUpper);
  }
  if (among(kKinds, name)) return is_kind(name, value);
  if (wanted == 1 && name != "divisibleby") {
    const auto* found = std::ranges::find(kComparisons, name, &Comparison::name);
    return compares(std::string(found->operation), value, arguments.positional[0]);
  }
  const Value by = wanted == 1 ? arguments.positional[0] : Value{std::int64_t{2}};
  OTR_TRY_ASSIGN(const Value rest, arithmetic("%", value, by));
  if (!rest.integer()) return error("the test " + quoted(name) + " needs integers");
  return (*rest.integer() == 0) != (name == "odd");
}

}  // namespace otr::chat
