// Expressions: names, items, slices, operators and calls.
#include <algorithm>
#include <array>

#include "chat/jinja_evaluator.h"

namespace otr::chat {
namespace {

std::unexpected<Error> error(std::string message) {
  return fail(ErrorKind::kBadInput, std::move(message));
}

// The items from start to stop by step, as Python's slices take them.
Result<std::vector<std::size_t>> slice_indices(std::int64_t size, const Value& start,
                                               const Value& stop, const Value& step) {
  const auto bound = [&](const Value& value, std::int64_t otherwise, std::int64_t low,
                         std::int64_t high) {
    if (value.none()) return otherwise;
    const std::int64_t given = *value.integer();
    if (given < 0) return given < low - size ? low : std::max(low, given + size);
    return std::min(high, given);
  };
  for (const Value* value : {&start, &stop, &step}) {
    if (!value->none() && !value->integer()) {
      return error("the parts of a slice must be integers, not " + type_name(*value));
    }
  }
  const std::int64_t by = step.none() ? 1 : *step.integer();
  if (by == 0) return error("the step of a slice must not be 0");
  const std::int64_t low = by < 0 ? -1 : 0;
  const std::int64_t high = by < 0 ? size - 1 : size;
  const std::int64_t first = bound(start, by < 0 ? high : low, low, high);
  const std::int64_t last = bound(stop, by < 0 ? low : high, low, high);
  std::vector<std::size_t> indices;
  const std::int64_t stride = std::clamp(by, -size - 1, size + 1);
  for (std::int64_t i = first; by < 0 ? i > last : i < last; i += stride) {
    indices.push_back(static_cast<std::size_t>(i));
  }
  return indices;
}

Value loop_attribute(const Loop& loop, std::string_view name) {
  const auto& items = loop.items->items;
  const auto index = static_cast<std::int64_t>(loop.index0);
  const auto size = static_cast<std::int64_t>(items.size());
  if (name == "index") return {index + 1};
  if (name == "index0") return {index};
  if (name == "first") return {index == 0};
  if (name == "last") return {index + 1 == size};
  if (name == "length") return {size};
  if (name == "revindex") return {size - index};
  if (name == "revindex0") return {size - index - 1};
  if (name == "depth") return {std::int64_t{1}};
  if (name == "depth0") return {std::int64_t{0}};
  if (name == "previtem" && index > 0) return items[loop.index0 - 1];
  if (name == "nextitem" && index + 1 < size) return items[loop.index0 + 1];
  return {Undefined{"'loop." + std::string(name) + "'"}};
}

}  // namespace

Result<Value> Evaluator::evaluate(const Expression& node) {
  const Nested nested(*this);
  Status allowed = charge(1);
  if (depth_ > bounds_.max_depth) allowed = error("it nests too deep: macros call each other");
  if (!allowed) return located(std::move(allowed).error(), node.at);
  auto value = evaluate_node(node);
  if (!value) return located(std::move(value).error(), node.at);
  return value;
}

Result<Value> Evaluator::evaluate_node(const Expression& node) {
  using Kind = Expression::Kind;
  switch (node.kind) {
    case Kind::kLiteral:
      return node.literal;
    case Kind::kName:
      return name(node);
    case Kind::kList:
    case Kind::kTuple:
      return sequence(node);
    case Kind::kMap:
      return dictionary(node);
    case Kind::kSlice:
      return slice(node);
    case Kind::kCall:
      return call(node);
    case Kind::kBinary:
      return binary(node);
    case Kind::kConcat:
      return concat(node);
    case Kind::kCompare:
      return comparison(node);
    default:
      break;
  }
  if (node.kind == Kind::kChoice) {
    OTR_TRY_ASSIGN(const Value condition, evaluate(*node.parts[0]));
    if (truth(condition)) return evaluate(*node.parts[1]);
    if (node.parts[2]) return evaluate(*node.parts[2]);
    return Value{Undefined{"the value of an 'if' without 'else'"}};
  }
  OTR_TRY_ASSIGN(const Value first, evaluate(*node.parts[0]));
  switch (node.kind) {
    case Kind::kAttribute:
      return attribute(first, node.name);
    case Kind::kItem: {
      OTR_TRY_ASSIGN(const Value key, evaluate(*node.parts[1]));
      return item(first, key);
    }
    case Kind::kFilter: {
      OTR_TRY_ASSIGN(const Arguments given, arguments(node));
      return filter(node.name, first, given);
    }
    case Kind::kTest: {
      OTR_TRY_ASSIGN(const Arguments given, arguments(node));
      OTR_TRY_ASSIGN(const bool holds, test(node.name, first, given));
      return Value{holds != node.negated};
    }
    case Kind::kNot:
      return Value{!truth(first)};
    case Kind::kNegative:
      return arithmetic("-", {std::int64_t{0}}, first);
    default:
      return arithmetic("+", {std::int64_t{0}}, first);
  }
}

Result<Value> Evaluator::name(const Expression& node) {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    if (const auto found = scope->names.find(node.name); found != scope->names.end()) {
      return found->second;
    }
  }
  if (const auto found = globals_.find(node.name); found != globals_.end()) return found->second;
  return Value{Undefined{quoted(node.name)}};
}

Result<Value> Evaluator::sequence(const Expression& node) {
  std::vector<Value> items;
  for (const ExpressionPtr& part : node.parts) {
    OTR_TRY_ASSIGN(Value value, evaluate(*part));
    items.push_back(std::move(value));
  }
  const bool is_list = node.kind == Expression::Kind::kList;
  return list(std::move(items), is_list ? ListKind::kList : ListKind::kTuple);
}

Result<Value> Evaluator::dictionary(const Expression& node) {
  Map result;
  for (std::size_t i = 0; i < node.parts.size(); i += 2) {
    OTR_TRY_ASSIGN(Value key, evaluate(*node.parts[i]));
    OTR_TRY_ASSIGN(Value value, evaluate(*node.parts[i + 1]));
    if (!hashable(key)) return error("the key of a dict cannot be " + type_name(key));
    OTR_TRY(charge(result.items.size() + weight_of(key) / 32));
    result.set(std::move(key), std::move(value));
  }
  return map(std::move(result));
}

Result<Value> Evaluator::attribute(const Value& object, std::string_view name) {
  if (const auto* undefined = object.get<Undefined>()) {
    return error(undefined->what + " is undefined, so it has no " + quoted(name));
  }
  if (auto method = find_method(object, name)) return *std::move(method);
  if (const Map* found = object.map()) {
    OTR_TRY(charge(found->items.size()));
    if (const Value* value = found->find(name)) return *value;
  }
  if (Namespace* const* space = object.get<Namespace*>()) {
    const auto found = (*space)->members.find(name);
    if (found != (*space)->members.end()) return found->second;
  }
  if (const auto* loop = object.get<std::shared_ptr<const Loop>>()) {
    return loop_attribute(**loop, name);
  }
  return Value{Undefined{quoted(name)}};
}

Result<Value> Evaluator::item(const Value& object, const Value& key) {
  if (const auto* undefined = object.get<Undefined>()) {
    return error(undefined->what + " is undefined, so it has no items");
  }
  if (const Map* found = object.map(); found != nullptr && hashable(key)) {
    OTR_TRY(charge(found->items.size() + weight_of(key) / 32));
    if (const Value* value = found->find(key)) return *value;
  }
  if (const MarkedText* name = key.text()) return attribute(object, name->bytes);
  const auto position = key.integer();
  const Value missing{Undefined{"an item that does not exist"}};
  if (!position) return missing;
  const auto in = [&](std::size_t size) -> std::optional<std::size_t> {
    const auto count = static_cast<std::int64_t>(size);
    const std::int64_t index = *position < 0 ? *position + count : *position;
    if (index < 0 || index >= count) return std::nullopt;
    return static_cast<std::size_t>(index);
  };
  if (const List* found = object.list()) {
    if (found->kind == ListKind::kView || found->kind == ListKind::kIterator) return missing;
    const auto index = in(found->items.size());
    return index ? found->items[*index] : missing;
  }
  if (const MarkedText* found = object.text()) {
    OTR_TRY(charge_bytes(32 * found->size()));
    auto all = characters(*found);
    const auto index = in(all.size());
    return index ? text(std::move(all[*index])) : missing;
  }
  return missing;
}

Result<Value> Evaluator::slice(const Expression& node) {
  OTR_TRY_ASSIGN(const Value object, evaluate(*node.parts[0]));
  std::array<Value, 3> bounds = {Value{None{}}, Value{None{}}, Value{None{}}};
  for (std::size_t i = 0; i < 3; ++i) {
    if (!node.parts[i + 1]) continue;
    OTR_TRY_ASSIGN(bounds[i], evaluate(*node.parts[i + 1]));
  }
  if (const List* found = object.list();
      found != nullptr && found->kind != ListKind::kView && found->kind != ListKind::kIterator) {
    OTR_TRY_ASSIGN(const auto indices, slice_indices(static_cast<std::int64_t>(found->items.size()),
                                                     bounds[0], bounds[1], bounds[2]));
    std::vector<Value> items;
    for (const std::size_t index : indices) items.push_back(found->items[index]);
    return list(std::move(items), found->kind);
  }
  const MarkedText* found = object.text();
  if (found == nullptr) return error("cannot take a slice of " + type_name(object));
  OTR_TRY(charge_bytes(32 * found->size()));
  const auto all = characters(*found);
  OTR_TRY_ASSIGN(const auto indices, slice_indices(static_cast<std::int64_t>(all.size()), bounds[0],
                                                   bounds[1], bounds[2]));
  MarkedText result;
  for (const std::size_t index : indices) result.append(all[index]);
  return text(std::move(result));
}

Result<Value> Evaluator::binary(const Expression& node) {
  OTR_TRY_ASSIGN(Value left, evaluate(*node.parts[0]));
  if (node.name == "and" || node.name == "or") {
    if (truth(left) == (node.name == "or")) return left;
    return evaluate(*node.parts[1]);
  }
  OTR_TRY_ASSIGN(const Value right, evaluate(*node.parts[1]));
  return arithmetic(node.name, left, right);
}

Result<Value> Evaluator::repeat(const Value& value, std::int64_t count) {
  const auto times = static_cast<std::uint64_t>(std::max<std::int64_t>(count, 0));
  if (const MarkedText* found = value.text()) {
    if (found->size() > 0 && times > bounds_.max_text_bytes / found->size()) {
      return error("it repeats a text too often");
    }
    MarkedText result;
    for (std::uint64_t i = 0; found->size() > 0 && i < times; ++i) result.append(*found);
    return text(std::move(result));
  }
  const List& found = *value.list();
  if (!found.items.empty() && times > bounds_.max_range / found.items.size()) {
    return error("it repeats a list too often");
  }
  std::vector<Value> items;
  for (std::uint64_t i = 0; !found.items.empty() && i < times; ++i) {
    items.insert(items.end(), found.items.begin(), found.items.end());
  }
  return list(std::move(items), found.kind);
}

Result<Value> Evaluator::arithmetic(const std::string& op, const Value& a, const Value& b) {
  for (const Value* value : {&a, &b}) {
    if (const auto* undefined = value->get<Undefined>()) {
      return error(undefined->what + " is undefined, and cannot be used with '" + op + "'");
    }
  }
  const auto x = a.integer();
  const auto y = b.integer();
  if (x && y) {
    std::int64_t result = 0;
    if (op == "//" || op == "%") {
      if (*y == 0) return error("division by zero");
      if (*y == -1) {  // the one case in which the quotient can overflow
        if (op == "%") return Value{std::int64_t{0}};
        return arithmetic("-", {std::int64_t{0}}, a);
      }
      const bool below = *x % *y != 0 && (*x < 0) != (*y < 0);  // Python rounds down
      return Value{op == "%" ? *x % *y + (below ? *y : 0) : *x / *y - (below ? 1 : 0)};
    }
    const bool overflow = op == "+"   ? __builtin_add_overflow(*x, *y, &result)
                          : op == "-" ? __builtin_sub_overflow(*x, *y, &result)
                          : op == "*" ? __builtin_mul_overflow(*x, *y, &result)
                                      : true;
    if (op == "/" || op == "**") return error("the operator '" + op + "' is not supported");
    if (overflow) return error("a number leaves the range of 64 bits, which is not supported");
    return Value{result};
  }
  const auto repeatable = [](const Value& value) {
    return value.text() != nullptr ||
           (value.list() != nullptr &&
            (value.list()->kind == ListKind::kList || value.list()->kind == ListKind::kTuple));
  };
  if (op == "*" && x && repeatable(b)) return repeat(b, *x);
  if (op == "*" && y && repeatable(a)) return repeat(a, *y);
  if (op == "+" && a.text() != nullptr && b.text() != nullptr) {
    MarkedText result = *a.text();
    result.append(*b.text());
    return text(std::move(result));
  }
  if (op == "+" && repeatable(a) && repeatable(b) && a.list() != nullptr && b.list() != nullptr &&
      a.list()->kind == b.list()->kind) {
    std::vector<Value> items = a.list()->items;
    items.insert(items.end(), b.list()->items.begin(), b.list()->items.end());
    return list(std::move(items), a.list()->kind);
  }
  if (op == "%" && a.text() != nullptr) return error("formatting with '%' is not supported");
  return error("cannot use '" + op + "' with " + type_name(a) + " and " + type_name(b));
}

Result<Value> Evaluator::concat(const Expression& node) {
  MarkedText result;
  for (const ExpressionPtr& part : node.parts) {
    OTR_TRY_ASSIGN(const Value value, evaluate(*part));
    OTR_TRY_ASSIGN(const MarkedText printed, to_text(value));
    result.append(printed);
    if (result.size() > bounds_.max_text_bytes) break;  // refused below
  }
  return text(std::move(result));
}

Result<Value> Evaluator::comparison(const Expression& node) {
  OTR_TRY_ASSIGN(Value left, evaluate(*node.parts[0]));
  for (std::size_t i = 0; i < node.operators.size(); ++i) {
    OTR_TRY_ASSIGN(Value right, evaluate(*node.parts[i + 1]));
    OTR_TRY_ASSIGN(const bool holds, compares(node.operators[i], left, right));
    if (!holds) return Value{false};
    left = std::move(right);
  }
  return Value{true};
}

Result<bool> Evaluator::compares(const std::string& op, const Value& a, const Value& b) {
  if (op == "in") return contains(b, a);
  if (op == "not in") {
    OTR_TRY_ASSIGN(const bool found, contains(b, a));
    return !found;
  }
  if (op == "==" || op == "!=") {
    OTR_TRY_ASSIGN(const bool same, equal(a, b));
    return same == (op == "==");
  }
  OTR_TRY_ASSIGN(const int order, compare(a, b));
  if (op == "<") return order < 0;
  if (op == "<=") return order <= 0;
  return op == ">" ? order > 0 : order >= 0;
}

Result<bool> Evaluator::equal(const Value& a, const Value& b) {
  OTR_TRY(charge(std::min(weight_of(a), weight_of(b)) / 32));
  return chat::equal(a, b);
}

Result<int> Evaluator::compare(const Value& a, const Value& b) {
  OTR_TRY(charge(std::min(weight_of(a), weight_of(b)) / 32));
  return chat::compare(a, b);
}

Result<bool> Evaluator::contains(const Value& container, const Value& value) {
  if (const MarkedText* found = container.text()) {
    if (value.text() == nullptr) {
      return error("'in' needs a text to look for in a text, not " + type_name(value));
    }
    OTR_TRY(charge_search(found->size(), value.text()->size()));
    return found->bytes.contains(value.text()->bytes);
  }
  if (const Map* found = container.map()) {
    if (!hashable(value)) return error("the key of a dict cannot be " + type_name(value));
    OTR_TRY(charge(found->items.size() + weight_of(value) / 32));
    return found->find(value) != nullptr;
  }
  if (container.list() == nullptr && !container.undefined()) {
    return error("cannot look for a value in " + type_name(container));
  }
  OTR_TRY_ASSIGN(const auto items, iterate(container));
  for (const Value& one : items->items) {
    OTR_TRY_ASSIGN(const bool same, equal(one, value));
    if (same) return true;
  }
  return false;
}

}  // namespace otr::chat
