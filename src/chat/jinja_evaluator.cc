#include "chat/jinja_evaluator.h"

#include <algorithm>
#include <utility>

namespace otr::chat {
namespace {

std::unexpected<Error> error(std::string message) {
  return fail(ErrorKind::kBadInput, std::move(message));
}

}  // namespace

Evaluator::Evaluator(const Template& source, Globals globals, const Bounds& bounds)
    : template_(source), globals_(std::move(globals)), bounds_(bounds) {
  globals_.emplace("range", Value{Function{Builtin::kRange, "range"}});
  globals_.emplace("namespace", Value{Function{Builtin::kNamespace, "namespace"}});
  globals_.emplace("dict", Value{Function{Builtin::kDict, "dict"}});
  globals_.emplace("raise_exception", Value{Function{Builtin::kRaiseException, "raise_exception"}});
  for (const char* name : {"cycler", "joiner", "lipsum"}) {
    globals_.emplace(name, Value{Function{Builtin::kUnsupported, name}});
  }
}

Result<MarkedText> Evaluator::run() {
  OTR_TRY(run(template_.body));
  return std::move(output_);
}

Status Evaluator::charge(std::uint64_t steps) {
  steps_ += steps;
  if (steps_ <= bounds_.max_steps) return {};
  return error("it takes more than " + std::to_string(bounds_.max_steps) +
               " steps, which is not supported");
}

Status Evaluator::charge_bytes(std::uint64_t bytes) {
  bytes_made_ += bytes;
  if (bytes_made_ > bounds_.max_bytes_made) {
    return error("its values take more than " + std::to_string(bounds_.max_bytes_made) +
                 " bytes, which is not supported");
  }
  return charge(bytes / 32);
}

Status Evaluator::charge_search(std::size_t text_bytes, std::size_t wanted_bytes) {
  return charge(text_bytes / 32 + text_bytes * std::min<std::size_t>(wanted_bytes, 1 << 20) / 4096);
}

Result<Value> Evaluator::text(MarkedText text) {
  if (text.size() > bounds_.max_text_bytes) {
    return error("it makes a text of more than " + std::to_string(bounds_.max_text_bytes) +
                 " bytes, which is not supported");
  }
  OTR_TRY(charge_bytes(96 + 2 * text.size()));
  return make_text(std::move(text));
}

Result<Value> Evaluator::list(std::vector<Value> items, ListKind kind) {
  OTR_TRY(charge_bytes(96 + 48 * items.size()));
  return make_list(std::move(items), kind);
}

Result<Value> Evaluator::texts(std::vector<MarkedText> parts) {
  std::vector<Value> items;
  items.reserve(parts.size());
  for (MarkedText& part : parts) {
    OTR_TRY_ASSIGN(Value item, text(std::move(part)));
    items.push_back(std::move(item));
  }
  return list(std::move(items));
}

Result<Value> Evaluator::map(Map map) {
  OTR_TRY(charge_bytes(96 + 96 * map.items.size()));
  return make_map(std::move(map));
}

Result<MarkedText> Evaluator::to_text(const Value& value) {
  OTR_TRY(charge(weight_of(value) / 32));
  return chat::to_text(value);
}

std::unexpected<Error> Evaluator::located(Error found, std::uint32_t at) {
  if (std::exchange(located_, true)) return std::unexpected(std::move(found));
  auto placed = fault(template_.source, at, found.message);
  placed.error().kind = found.kind;
  return placed;
}

Status Evaluator::emit(const MarkedText& text) {
  if (output_.size() + text.size() > bounds_.max_text_bytes) {
    return error("it writes more than " + std::to_string(bounds_.max_text_bytes) +
                 " bytes, which is not supported");
  }
  OTR_TRY(charge_bytes(2 * text.size()));
  output_.append(text);
  return {};
}

Result<Evaluator::Flow> Evaluator::run(const std::vector<Statement>& body) {
  const Nested nested(*this);
  for (const Statement& statement : body) {
    Status allowed = charge(1);
    if (depth_ > bounds_.max_depth) allowed = error("it nests too deep: macros call each other");
    if (!allowed) return located(std::move(allowed).error(), statement.at);
    auto flow = run(statement);
    if (!flow) return located(std::move(flow).error(), statement.at);
    if (*flow != Flow::kNext) return *flow;
  }
  return Flow::kNext;
}

Result<Evaluator::Flow> Evaluator::run(const Statement& statement) {
  switch (statement.kind) {
    case Statement::Kind::kText:
      OTR_TRY(emit(statement.text));
      return Flow::kNext;
    case Statement::Kind::kOutput: {
      OTR_TRY_ASSIGN(const Value value, evaluate(*statement.value));
      OTR_TRY_ASSIGN(const MarkedText printed, to_text(value));
      OTR_TRY(emit(printed));
      return Flow::kNext;
    }
    case Statement::Kind::kIf:
      return run_if(statement);
    case Statement::Kind::kFor:
      return run_for(statement);
    case Statement::Kind::kSet: {
      OTR_TRY_ASSIGN(const Value value, evaluate(*statement.value));
      OTR_TRY(assign(*statement.target, value));
      return Flow::kNext;
    }
    case Statement::Kind::kSetBlock:
      OTR_TRY(run_set_block(statement));
      return Flow::kNext;
    case Statement::Kind::kMacro:
      scope_->names[statement.name] = {Macro{&statement}};
      return Flow::kNext;
    case Statement::Kind::kBlock:
      OTR_TRY(run_block(statement));
      return Flow::kNext;
    case Statement::Kind::kBreak:
      return Flow::kBreak;
    case Statement::Kind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

Result<Evaluator::Flow> Evaluator::run_if(const Statement& statement) {
  for (const Statement::Branch& branch : statement.branches) {
    OTR_TRY(charge(1));
    if (branch.condition) {
      OTR_TRY_ASSIGN(const Value condition, evaluate(*branch.condition));
      if (!truth(condition)) continue;
    }
    return run(branch.body);
  }
  return Flow::kNext;
}

// The items, without those that the `if` of the loop leaves out.
Result<std::vector<Value>> Evaluator::loop_items(const Statement& statement) {
  OTR_TRY_ASSIGN(const Value value, evaluate(*statement.value));
  OTR_TRY_ASSIGN(const auto all, iterate(value));
  if (!statement.condition) return all->items;
  std::vector<Value> kept;
  for (const Value& item : all->items) {
    Scope scope{.parent = scope_};
    Scope* outer = std::exchange(scope_, &scope);
    OTR_TRY(assign(*statement.target, item));
    OTR_TRY_ASSIGN(const Value condition, evaluate(*statement.condition));
    scope_ = outer;
    if (truth(condition)) kept.push_back(item);
  }
  return kept;
}

Result<Evaluator::Flow> Evaluator::run_for(const Statement& statement) {
  OTR_TRY_ASSIGN(std::vector<Value> found, loop_items(statement));
  OTR_TRY_ASSIGN(const Value held, list(std::move(found)));
  const auto items = *held.get<std::shared_ptr<const List>>();
  Scope* const outer = scope_;
  if (items->items.empty()) {
    Scope scope{.parent = outer};
    scope_ = &scope;
    auto flow = run(statement.otherwise);
    scope_ = outer;
    return flow;
  }
  for (std::size_t i = 0; i < items->items.size(); ++i) {
    OTR_TRY(charge(1));
    Scope scope{.parent = outer};
    scope.names["loop"] = {std::make_shared<const Loop>(Loop{items, i})};
    scope_ = &scope;
    OTR_TRY(assign(*statement.target, items->items[i]));
    OTR_TRY_ASSIGN(const Flow flow, run(statement.body));
    scope_ = outer;
    if (flow == Flow::kBreak) break;
  }
  return Flow::kNext;
}

// What a body writes, in a scope of its own.
Result<MarkedText> Evaluator::captured(const std::vector<Statement>& body, Scope& scope) {
  MarkedText outer_output = std::exchange(output_, {});
  Scope* const outer = std::exchange(scope_, &scope);
  OTR_TRY(run(body));
  scope_ = outer;
  return std::exchange(output_, std::move(outer_output));
}

Status Evaluator::run_set_block(const Statement& statement) {
  Scope scope{.parent = scope_};
  OTR_TRY_ASSIGN(MarkedText written, captured(statement.body, scope));
  OTR_TRY_ASSIGN(Value value, text(std::move(written)));
  if (statement.value) {
    OTR_TRY_ASSIGN(value, apply_filters(*statement.value, value));
  }
  return assign(*statement.target, value);
}

Status Evaluator::run_block(const Statement& statement) {
  Scope scope{.parent = scope_};
  OTR_TRY_ASSIGN(const MarkedText written, captured(statement.body, scope));
  return emit(written);
}

Status Evaluator::assign(const Expression& target, const Value& value) {
  if (target.kind == Expression::Kind::kName) {
    scope_->names[target.name] = value;
    return {};
  }
  if (target.kind == Expression::Kind::kTuple) {
    OTR_TRY_ASSIGN(const auto items, iterate(value));
    if (items->items.size() != target.parts.size()) {
      return located({ErrorKind::kBadInput, "expected " + std::to_string(target.parts.size()) +
                                                " values to assign, found " +
                                                std::to_string(items->items.size())},
                     target.at);
    }
    for (std::size_t i = 0; i < items->items.size(); ++i) {
      OTR_TRY(assign(*target.parts[i], items->items[i]));
    }
    return {};
  }
  OTR_TRY_ASSIGN(const Value object, evaluate(*target.parts[0]));
  Namespace* const* space = object.get<Namespace*>();
  if (space == nullptr) {
    return located({ErrorKind::kBadInput, "cannot assign to " + quoted(target.name) + " of " +
                                              type_name(object) + ": only of a namespace"},
                   target.at);
  }
  (*space)->members[target.name] = value;
  return {};
}

Result<std::shared_ptr<const List>> Evaluator::iterate(const Value& value) {
  if (const auto* found = value.get<std::shared_ptr<const List>>()) {
    OTR_TRY(charge((*found)->items.size()));
    const bool again =
        (*found)->kind == ListKind::kIterator && std::exchange((*found)->consumed, true);
    return again ? std::make_shared<const List>() : *found;
  }
  std::vector<Value> items;
  if (const MarkedText* found = value.text()) {
    OTR_TRY(charge_bytes(200 * found->size()));  // each character becomes a value
    for (MarkedText& one : characters(*found)) items.push_back(make_text(std::move(one)));
  } else if (const Map* found_map = value.map()) {
    for (const auto& [key, unused] : found_map->items) items.push_back(key);
  } else if (!value.undefined()) {
    return error("cannot run through " + type_name(value));
  }
  OTR_TRY_ASSIGN(const Value made, list(std::move(items)));
  return *made.get<std::shared_ptr<const List>>();
}

}  // namespace otr::chat
