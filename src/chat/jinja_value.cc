#include "chat/jinja_value.h"

#include <algorithm>

namespace otr::chat {
namespace {

std::unexpected<Error> type_error(std::string message) {
  return fail(ErrorKind::kBadInput, std::move(message));
}

bool equal_lists(const List& a, const List& b) {
  if (a.kind != b.kind) return false;
  if (a.kind == ListKind::kView || a.kind == ListKind::kIterator) return &a == &b;
  return std::ranges::equal(a.items, b.items, equal);
}

bool equal_maps(const Map& a, const Map& b) {
  return a.items.size() == b.items.size() && std::ranges::all_of(a.items, [&](const auto& item) {
           const Value* other = b.find(item.first);
           return other != nullptr && equal(item.second, *other);
         });
}

// Unlike to_text, texts are quoted.
Result<MarkedText> repr_of(const Value& value) {
  if (const MarkedText* text = value.text()) return repr(*text);
  if (value.undefined()) return MarkedText::written("Undefined");
  return to_text(value);
}

Result<MarkedText> repr_of_list(const List& list) {
  if (list.kind != ListKind::kList && list.kind != ListKind::kTuple) {
    return type_error("printing a range, a view of a dict or the result of a filter such as map " +
                      std::string("is not supported; '|list' makes a list of it"));
  }
  const bool tuple = list.kind == ListKind::kTuple;
  MarkedText result = MarkedText::written(tuple ? "(" : "[");
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) result.append(", ", '\0');
    OTR_TRY_ASSIGN(const MarkedText item, repr_of(list.items[i]));
    result.append(item);
  }
  if (tuple && list.items.size() == 1) result.append(",", '\0');
  result.append(tuple ? ")" : "]", '\0');
  return result;
}

Result<MarkedText> repr_of_map(const Map& map) {
  MarkedText result = MarkedText::written("{");
  for (const auto& [key, value] : map.items) {
    if (result.size() > 1) result.append(", ", '\0');
    OTR_TRY_ASSIGN(const MarkedText key_text, repr_of(key));
    OTR_TRY_ASSIGN(const MarkedText value_text, repr_of(value));
    result.append(key_text);
    result.append(": ", '\0');
    result.append(value_text);
  }
  result.append("}", '\0');
  return result;
}

void new_line(MarkedText& to, const JsonStyle& style, std::size_t level) {
  if (!style.indent) return;
  to.append("\n", '\0');
  for (std::size_t i = 0; i < level; ++i) to.append(*style.indent, '\0');
}

Result<MarkedText> json_of(const Value& value, const JsonStyle& style, std::size_t level);

Result<MarkedText> json_of_list(const List& list, const JsonStyle& style, std::size_t level) {
  if (list.items.empty()) return MarkedText::written("[]");
  MarkedText result = MarkedText::written("[");
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) result.append(style.item_separator, '\0');
    new_line(result, style, level + 1);
    OTR_TRY_ASSIGN(const MarkedText item, json_of(list.items[i], style, level + 1));
    result.append(item);
  }
  new_line(result, style, level);
  result.append("]", '\0');
  return result;
}

Result<MarkedText> json_key(const Value& key, const JsonStyle& style) {
  if (key.text() != nullptr) return json_of(key, style, 0);
  OTR_TRY_ASSIGN(const MarkedText text, json_of(key, style, 0));  // 1 becomes "1"
  return json_string(text, style.ensure_ascii);
}

Result<MarkedText> json_of_map(const Map& map, const JsonStyle& style, std::size_t level) {
  if (map.items.empty()) return MarkedText::written("{}");
  auto items = map.items;
  if (style.sort_keys) {
    for (const auto& [key, value] : items) {
      if (auto order = compare(key, items[0].first); !order) {
        return std::unexpected(std::move(order).error());
      }
    }
    std::ranges::sort(items, [](const auto& a, const auto& b) {
      const auto order = compare(a.first, b.first);
      return order && *order < 0;
    });
  }
  MarkedText result = MarkedText::written("{");
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) result.append(style.item_separator, '\0');
    new_line(result, style, level + 1);
    OTR_TRY_ASSIGN(const MarkedText key, json_key(items[i].first, style));
    OTR_TRY_ASSIGN(const MarkedText item, json_of(items[i].second, style, level + 1));
    result.append(key);
    result.append(style.key_separator, '\0');
    result.append(item);
  }
  new_line(result, style, level);
  result.append("}", '\0');
  return result;
}

Result<MarkedText> json_of(const Value& value, const JsonStyle& style, std::size_t level) {
  if (value.none()) return MarkedText::written("null");
  if (const bool* flag = value.get<bool>()) return MarkedText::written(*flag ? "true" : "false");
  if (const MarkedText* text = value.text()) return json_string(*text, style.ensure_ascii);
  if (value.integer()) return to_text(value);
  if (const Map* map = value.map()) return json_of_map(*map, style, level);
  const List* list = value.list();
  if (list != nullptr && (list->kind == ListKind::kList || list->kind == ListKind::kTuple)) {
    return json_of_list(*list, style, level);
  }
  return type_error("tojson cannot write " + type_name(value));
}

}  // namespace

std::optional<std::int64_t> Value::integer() const {
  if (const auto* number = get<std::int64_t>()) return *number;
  if (const bool* flag = get<bool>()) return *flag;
  return std::nullopt;
}

const Value* Map::find(const Value& key) const {
  const auto found =
      std::ranges::find_if(items, [&](const auto& i) { return equal(i.first, key); });
  return found == items.end() ? nullptr : &found->second;
}

const Value* Map::find(std::string_view key) const {
  const auto found = std::ranges::find_if(items, [&](const auto& item) {
    const MarkedText* text = item.first.text();
    return text != nullptr && text->bytes == key;
  });
  return found == items.end() ? nullptr : &found->second;
}

void Map::set(Value key, Value value) {
  const auto found =
      std::ranges::find_if(items, [&](const auto& i) { return equal(i.first, key); });
  if (found != items.end()) {
    found->second = std::move(value);
  } else {
    items.emplace_back(std::move(key), std::move(value));
  }
}

Value make_text(MarkedText text) { return {std::make_shared<const MarkedText>(std::move(text))}; }
Value make_text(std::string_view written) { return make_text(MarkedText::written(written)); }

namespace {

std::uint32_t depth_of(const Value& value) {
  if (const List* list = value.list()) return list->depth;
  if (const Map* map = value.map()) return map->depth;
  if (const auto* loop = value.get<std::shared_ptr<const Loop>>()) return (*loop)->items->depth + 1;
  if (const auto* method = value.get<std::shared_ptr<const Method>>()) {
    return depth_of((*method)->self) + 1;
  }
  return 0;
}

// Adds a child to a list or map.
template <class Parent>
void include(Parent& parent, const Value& child) {
  parent.depth = std::max(parent.depth, depth_of(child) + 1);
  parent.weight += weight_of(child);  // each at most kMaxValueWeight, so it cannot overflow
}

template <class Parent>
Result<Value> finished(std::shared_ptr<Parent> parent) {
  if (parent->depth > kMaxValueDepth) {
    return type_error("values nest more than " + std::to_string(kMaxValueDepth) +
                      " deep, which is not supported");
  }
  if (parent->weight > kMaxValueWeight) {
    return type_error("a value takes more than 128 MiB, which is not supported");
  }
  return Value{std::shared_ptr<const Parent>(std::move(parent))};
}

}  // namespace

std::uint64_t weight_of(const Value& value) {
  if (const MarkedText* text = value.text()) return 48 + text->size();
  if (const List* list = value.list()) return 48 + list->weight;
  if (const Map* map = value.map()) return 48 + map->weight;
  if (const auto* loop = value.get<std::shared_ptr<const Loop>>()) {
    return 48 + (*loop)->items->weight;
  }
  if (const auto* method = value.get<std::shared_ptr<const Method>>()) {
    return 48 + weight_of((*method)->self);
  }
  return 48;
}

Result<Value> make_list(std::vector<Value> items, ListKind kind) {
  auto list = std::make_shared<List>(List{.items = std::move(items), .kind = kind});
  for (const Value& item : list->items) include(*list, item);
  return finished(std::move(list));
}

Result<Value> make_map(Map map) {
  if (map.items.size() > kMaxMapItems) {
    return type_error("a dict of more than " + std::to_string(kMaxMapItems) +
                      " members is not supported");
  }
  auto made = std::make_shared<Map>(std::move(map));
  for (const auto& [key, value] : made->items) {
    include(*made, key);
    include(*made, value);
  }
  return finished(std::move(made));
}

std::string type_name(const Value& value) {
  if (const List* list = value.list()) {
    switch (list->kind) {
      case ListKind::kList:
        return "list";
      case ListKind::kTuple:
        return "tuple";
      case ListKind::kRange:
        return "range";
      case ListKind::kView:
        return "a view of a dict";
      case ListKind::kIterator:
        return "the result of a filter (an iterator)";
    }
  }
  if (const auto* undefined = value.get<Undefined>()) {
    return undefined->what + (undefined->what.empty() ? "undefined" : ", which is undefined");
  }
  if (value.none()) return "None";
  if (value.get<bool>() != nullptr) return "bool";
  if (value.get<std::int64_t>() != nullptr) return "int";
  if (value.text() != nullptr) return "str";
  if (value.map() != nullptr) return "dict";
  if (value.get<Namespace*>() != nullptr) return "namespace";
  if (value.get<std::shared_ptr<const Loop>>() != nullptr) return "loop";
  return "function";
}

bool truth(const Value& value) {
  if (value.undefined() || value.none()) return false;
  if (const auto number = value.integer()) return *number != 0;
  if (const MarkedText* text = value.text()) return text->size() > 0;
  if (const List* list = value.list()) {
    return list->kind == ListKind::kIterator || !list->items.empty();
  }
  if (const Map* map = value.map()) return !map->items.empty();
  return true;
}

bool equal(const Value& a, const Value& b) {
  const auto number = a.integer();
  if (number) return number == b.integer();
  if (a.undefined()) return b.undefined();
  if (a.none()) return b.none();
  if (const MarkedText* text = a.text()) {
    return b.text() != nullptr && text->bytes == b.text()->bytes;
  }
  if (const List* list = a.list()) return b.list() != nullptr && equal_lists(*list, *b.list());
  if (const Map* map = a.map()) return b.map() != nullptr && equal_maps(*map, *b.map());
  if (const auto* macro = a.get<Macro>()) {
    return b.get<Macro>() != nullptr && macro->definition == b.get<Macro>()->definition;
  }
  if (const auto* space = a.get<Namespace*>()) {
    return b.get<Namespace*>() != nullptr && *space == *b.get<Namespace*>();
  }
  return false;
}

Result<int> compare(const Value& a, const Value& b) {
  const auto sign = [](auto order) { return order < 0 ? -1 : order > 0 ? 1 : 0; };
  if (a.integer() && b.integer()) return sign(*a.integer() <=> *b.integer());
  if (a.text() != nullptr && b.text() != nullptr) {
    return sign(a.text()->bytes.compare(b.text()->bytes));  // as code points sort
  }
  const List* x = a.list();
  const List* y = b.list();
  if (x != nullptr && y != nullptr && x->kind == y->kind &&
      (x->kind == ListKind::kList || x->kind == ListKind::kTuple)) {
    for (std::size_t i = 0; i < std::min(x->items.size(), y->items.size()); ++i) {
      if (!equal(x->items[i], y->items[i])) return compare(x->items[i], y->items[i]);
    }
    return sign(x->items.size() <=> y->items.size());
  }
  return type_error("cannot order " + type_name(a) + " and " + type_name(b));
}

bool hashable(const Value& value) {
  if (value.map() != nullptr) return false;
  const List* list = value.list();
  if (list == nullptr) return true;
  if (list->kind == ListKind::kTuple) return std::ranges::all_of(list->items, hashable);
  return list->kind == ListKind::kRange;
}

Result<MarkedText> to_text(const Value& value) {
  if (const MarkedText* text = value.text()) return *text;
  if (value.undefined()) return MarkedText();
  if (value.none()) return MarkedText::written("None");
  if (const bool* flag = value.get<bool>()) return MarkedText::written(*flag ? "True" : "False");
  if (const auto number = value.integer()) return MarkedText::written(std::to_string(*number));
  if (const List* list = value.list()) return repr_of_list(*list);
  if (const Map* map = value.map()) return repr_of_map(*map);
  return type_error("printing a " + type_name(value) + " is not supported");
}

Result<MarkedText> to_json(const Value& value, const JsonStyle& style) {
  return json_of(value, style, 0);
}

}  // namespace otr::chat
