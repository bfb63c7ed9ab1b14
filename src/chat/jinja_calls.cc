// Functions and macros.
#include <algorithm>

#include "chat/jinja_evaluator.h"

namespace otr::chat {
namespace {

std::unexpected<Error> error(std::string message, ErrorKind kind = ErrorKind::kBadInput) {
  return fail(kind, std::move(message));
}

}  // namespace

Result<std::int64_t> integer_or(const std::optional<Value>& value, std::int64_t otherwise,
                                std::string_view what) {
  if (!value) return otherwise;
  if (const auto number = value->integer()) return *number;
  return error(std::string(what) + " must be an integer, not " + type_name(*value));
}

Result<std::vector<std::optional<Value>>> Arguments::bind(
    std::string_view function, std::initializer_list<std::string_view> names) const {
  std::vector<std::optional<Value>> bound(names.size());
  if (positional.size() > names.size()) {
    return error(std::string(function) + " takes at most " + std::to_string(names.size()) +
                 " arguments");
  }
  std::ranges::copy(positional, bound.begin());
  for (const auto& [name, value] : named) {
    const auto* found = std::ranges::find(names, name);
    if (found == names.end()) {
      return error(std::string(function) + " has no argument " + quoted(name));
    }
    auto& place = bound[static_cast<std::size_t>(found - names.begin())];
    if (place) return error("the argument " + quoted(name) + " is given twice");
    place = value;
  }
  return bound;
}

Result<Arguments> Evaluator::arguments(const Expression& node) {
  Arguments result;
  for (std::size_t i = 1; i < node.parts.size(); ++i) {
    OTR_TRY_ASSIGN(Value value, evaluate(*node.parts[i]));
    result.positional.push_back(std::move(value));
  }
  for (const auto& [name, part] : node.named) {
    OTR_TRY_ASSIGN(Value value, evaluate(*part));
    result.named.emplace_back(name, std::move(value));
  }
  return result;
}

Result<Value> Evaluator::call(const Expression& node) {
  OTR_TRY_ASSIGN(const Value function, evaluate(*node.parts[0]));
  OTR_TRY_ASSIGN(const Arguments given, arguments(node));
  if (const auto* builtin = function.get<Function>()) return call_function(*builtin, given);
  if (const auto* macro = function.get<Macro>()) return call_macro(*macro->definition, given);
  if (const auto* method = function.get<std::shared_ptr<const Method>>()) {
    return call_method(*this, **method, given);
  }
  const auto* undefined = function.get<Undefined>();
  if (undefined == nullptr) return error("cannot call " + type_name(function));
  if (undefined->what == "'strftime_now'") {
    return error(
        "the function 'strftime_now' is not supported: an answer must not depend on the "
        "clock");
  }
  return error("the function or method " + undefined->what + " is not supported");
}

Result<Value> Evaluator::call_function(const Function& function, const Arguments& given) {
  switch (function.builtin) {
    case Builtin::kRange:
      return make_range(given);
    case Builtin::kNamespace:
      return make_namespace(given);
    case Builtin::kDict:
      return make_dict(given);
    case Builtin::kUnsupported:
      return error("the function " + quoted(function.name) + " is not supported");
    case Builtin::kRaiseException: {
      OTR_TRY_ASSIGN(const auto bound, given.bind("raise_exception", {"message"}));
      if (!bound[0]) return error("raise_exception needs a message");
      OTR_TRY_ASSIGN(const MarkedText message, to_text(*bound[0]));
      return error("it refuses this conversation: " + quoted(message.bytes, 300),
                   ErrorKind::kUsage);
    }
  }
  return error("this function is not supported");
}

Result<Value> Evaluator::make_range(const Arguments& given) {
  OTR_TRY_ASSIGN(const auto bound, given.bind("range", {"start", "stop", "step"}));
  if (!bound[0] || !given.named.empty()) return error("range takes 1 to 3 integers");
  OTR_TRY_ASSIGN(const std::int64_t first, integer_or(bound[0], 0, "the argument of range"));
  OTR_TRY_ASSIGN(const std::int64_t second, integer_or(bound[1], first, "the argument of range"));
  OTR_TRY_ASSIGN(const std::int64_t step, integer_or(bound[2], 1, "the argument of range"));
  const std::int64_t start = bound[1] ? first : 0;
  if (step == 0) return error("the step of range must not be 0");
  std::vector<Value> items;
  for (std::int64_t i = start; step > 0 ? i < second : i > second;) {
    if (items.size() >= bounds_.max_range) {
      return error("a range of more than " + std::to_string(bounds_.max_range) +
                   " numbers is not supported");
    }
    items.push_back({i});
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return list(std::move(items), ListKind::kRange);
}

Result<Value> Evaluator::make_dict(const Arguments& given) {
  Map result;
  if (given.positional.size() > 1) return error("dict takes at most 1 argument without a name");
  if (!given.positional.empty()) {
    const Map* from = given.positional[0].map();
    if (from == nullptr) {
      return error("dict of " + type_name(given.positional[0]) + " is not supported");
    }
    result.items = from->items;
  }
  for (const auto& [name, value] : given.named) {
    OTR_TRY(charge(result.items.size()));
    result.set(make_text(name), value);
  }
  return map(std::move(result));
}

Result<Value> Evaluator::make_namespace(const Arguments& given) {
  OTR_TRY_ASSIGN(const Value members, make_dict(given));
  OTR_TRY(charge_bytes(256));
  Namespace& made = namespaces_.emplace_back();
  for (const auto& [key, value] : members.map()->items) {
    const MarkedText* name = key.text();
    if (name == nullptr) return error("the members of a namespace must have names");
    made.members[name->bytes] = value;
  }
  return Value{&made};
}

Result<Value> Evaluator::call_macro(const Statement& macro, const Arguments& given) {
  const auto& parameters = macro.parameters;
  if (given.positional.size() > parameters.size()) {
    return error("the macro " + quoted(macro.name) + " takes at most " +
                 std::to_string(parameters.size()) + " arguments");
  }
  Scope scope{.parent = &root_};
  for (std::size_t i = 0; i < given.positional.size(); ++i) {
    scope.names[parameters[i].first] = given.positional[i];
  }
  for (const auto& [name, value] : given.named) {
    const bool known = among(parameters, name, &std::pair<std::string, ExpressionPtr>::first);
    if (!known || scope.names.contains(name)) {
      return error("the macro " + quoted(macro.name) + " has no argument " + quoted(name) +
                   ", or it is given twice");
    }
    scope.names[name] = value;
  }
  for (const auto& [name, otherwise] : parameters) {
    if (scope.names.contains(name)) continue;
    Value value{Undefined{"the parameter " + quoted(name)}};
    if (otherwise) {
      Scope* const outer = std::exchange(scope_, &scope);
      OTR_TRY_ASSIGN(value, evaluate(*otherwise));
      scope_ = outer;
    }
    scope.names[name] = value;
  }
  OTR_TRY_ASSIGN(MarkedText written, captured(macro.body, scope));
  return text(std::move(written));
}

Result<Value> Evaluator::apply_filters(const Expression& node, const Value& value) {
  Value input = value;
  if (node.parts[0]) {
    OTR_TRY_ASSIGN(input, apply_filters(*node.parts[0], value));
  }
  OTR_TRY_ASSIGN(const Arguments given, arguments(node));
  return filter(node.name, input, given);
}

}  // namespace otr::chat
