// The filters of Jinja that run through a list or dict.
#include <algorithm>
#include <array>

#include "chat/jinja_evaluator.h"

namespace otr::chat {
namespace {

using Bound = std::vector<std::optional<Value>>;
using Body = Result<Value> (*)(Evaluator&, const Value&, const Arguments&);

std::unexpected<Error> error(std::string message) {
  return fail(ErrorKind::kBadInput, std::move(message));
}

Result<Value> first(Evaluator& e, const Value& value, const Arguments& given) {
  OTR_TRY(given.bind("first", {}));
  OTR_TRY_ASSIGN(const auto items, e.iterate(value));
  if (items->items.empty()) return Value{Undefined{"the first item of nothing"}};
  return items->items.front();
}

bool reversible(const Value& value) {
  const List* list = value.list();
  return list == nullptr ? value.text() != nullptr || value.map() != nullptr
                         : list->kind != ListKind::kIterator;
}

Result<Value> last(Evaluator& e, const Value& value, const Arguments& given) {
  OTR_TRY(given.bind("last", {}));
  if (!reversible(value)) return error("the last item of " + type_name(value) + " is unknown");
  OTR_TRY_ASSIGN(const auto items, e.iterate(value));
  if (items->items.empty()) return Value{Undefined{"the last item of nothing"}};
  return items->items.back();
}

Result<Value> to_list(Evaluator& e, const Value& value, const Arguments& given) {
  OTR_TRY(given.bind("list", {}));
  OTR_TRY_ASSIGN(const auto items, e.iterate(value));
  return e.list(items->items);
}

Result<Value> reverse(Evaluator& e, const Value& value, const Arguments& given) {
  OTR_TRY(given.bind("reverse", {}));
  OTR_TRY_ASSIGN(const auto items, e.iterate(value));
  std::vector<Value> reversed(items->items.rbegin(), items->items.rend());
  if (value.text() == nullptr) return e.list(std::move(reversed), ListKind::kIterator);
  MarkedText text;
  for (const Value& one : reversed) text.append(*one.text());
  return e.text(std::move(text));
}

Result<Value> items_of(Evaluator& e, const Value& value, const Arguments& given) {
  OTR_TRY(given.bind("items", {}));
  std::vector<Value> pairs;
  if (value.map() == nullptr && !value.undefined()) {
    return error("items needs a dict, not " + type_name(value));
  }
  for (const auto& [key, item] : value.undefined() ? Map().items : value.map()->items) {
    OTR_TRY_ASSIGN(Value pair, e.list({key, item}, ListKind::kTuple));
    pairs.push_back(std::move(pair));
  }
  return e.list(std::move(pairs), ListKind::kIterator);
}

// A member of a member, as the argument `attribute` of filters names it: "a.b", "0" or 0.
Result<Value> member_of(Evaluator& e, Value value, const Value& path,
                        const std::optional<Value>& otherwise = std::nullopt) {
  if (path.integer()) return e.item(value, path);
  if (path.text() == nullptr) return error("the name of an attribute must be a text");
  for (MarkedText& part : split(*path.text(), ".", -1, false)) {
    const bool digits =
        !part.bytes.empty() && part.bytes.find_first_not_of("0123456789") == std::string::npos;
    if (digits && part.size() > 9) return error("an index of more than 9 digits");
    OTR_TRY(e.charge(1 + part.size() / 32));
    const Value key =
        digits ? Value{std::int64_t{std::stoi(part.bytes)}} : make_text(std::move(part));
    OTR_TRY_ASSIGN(value, e.item(value, key));
    if (value.undefined() && otherwise) value = *otherwise;
  }
  return value;
}

// What a value is sorted by: its member, and without regard to case where that is not asked for.
Result<Value> sort_key(Evaluator& e, const Value& value, const std::optional<Value>& path,
                       bool case_sensitive) {
  Value key = value;
  if (path && !path->none()) {
    if (path->text() != nullptr && path->text()->bytes.contains(',')) {
      return error("sorting by several attributes is not supported");
    }
    OTR_TRY_ASSIGN(key, member_of(e, value, *path));
  }
  if (case_sensitive || key.text() == nullptr) return key;
  OTR_TRY_ASSIGN(MarkedText lower, to_case(*key.text(), Case::kLower));
  return e.text(std::move(lower));
}

// A stable merge sort, whose comparisons may fail.
Status sort_by_keys(Evaluator& e, std::vector<std::pair<Value, Value>>& keyed, bool descending) {
  std::vector<std::pair<Value, Value>> merged;
  for (std::size_t width = 1; width < keyed.size(); width *= 2) {
    merged.clear();
    for (std::size_t low = 0; low < keyed.size(); low += 2 * width) {
      const std::size_t middle = std::min(low + width, keyed.size());
      const std::size_t high = std::min(low + 2 * width, keyed.size());
      std::size_t left = low;
      std::size_t right = middle;
      while (left < middle || right < high) {
        bool take_right = left == middle;
        if (left < middle && right < high) {
          OTR_TRY(e.charge(1));
          OTR_TRY_ASSIGN(const int order, e.compare(keyed[right].first, keyed[left].first));
          take_right = descending ? order > 0 : order < 0;
        }
        merged.push_back(std::move(keyed[take_right ? right++ : left++]));
      }
    }
    std::swap(keyed, merged);
  }
  return {};
}

Result<Value> sort(Evaluator& e, const Value& value, const Arguments& given) {
  OTR_TRY_ASSIGN(const Bound bound, given.bind("sort", {"reverse", "case_sensitive", "attribute"}));
  OTR_TRY_ASSIGN(const auto items, e.iterate(value));
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : items->items) {
    OTR_TRY_ASSIGN(Value key, sort_key(e, item, bound[2], bound[1] && truth(*bound[1])));
    keyed.emplace_back(std::move(key), item);
  }
  OTR_TRY(sort_by_keys(e, keyed, bound[0] && truth(*bound[0])));
  std::vector<Value> sorted;
  for (auto& [key, item] : keyed) sorted.push_back(std::move(item));
  return e.list(std::move(sorted));
}

Result<Value> dictsort(Evaluator& e, const Value& value, const Arguments& given) {
  OTR_TRY_ASSIGN(const Bound bound, given.bind("dictsort", {"case_sensitive", "by", "reverse"}));
  if (value.map() == nullptr) return error("dictsort needs a dict, not " + type_name(value));
  bool by_value = false;
  if (bound[1]) {
    const std::string by = bound[1]->text() == nullptr ? "" : bound[1]->text()->bytes;
    if (by != "key" && by != "value") return error("dictsort sorts by 'key' or 'value'");
    by_value = by == "value";
  }
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [key, item] : value.map()->items) {
    OTR_TRY_ASSIGN(Value pair, e.list({key, item}, ListKind::kTuple));
    OTR_TRY_ASSIGN(Value sorted_by,
                   sort_key(e, by_value ? item : key, std::nullopt, bound[0] && truth(*bound[0])));
    keyed.emplace_back(std::move(sorted_by), std::move(pair));
  }
  OTR_TRY(sort_by_keys(e, keyed, bound[2] && truth(*bound[2])));
  std::vector<Value> sorted;
  for (auto& [key, pair] : keyed) sorted.push_back(std::move(pair));
  return e.list(std::move(sorted));
}

Result<Value> unique(Evaluator& e, const Value& value, const Arguments& given) {
  OTR_TRY_ASSIGN(const Bound bound, given.bind("unique", {"case_sensitive", "attribute"}));
  OTR_TRY_ASSIGN(const auto items, e.iterate(value));
  std::vector<Value> seen;
  std::vector<Value> kept;
  for (const Value& item : items->items) {
    OTR_TRY_ASSIGN(Value key, sort_key(e, item, bound[1], bound[0] && truth(*bound[0])));
    if (!hashable(key)) return error("unique cannot be taken of " + type_name(key));
    bool known = false;
    for (std::size_t i = 0; i < seen.size() && !known; ++i) {
      OTR_TRY(e.charge(1));
      OTR_TRY_ASSIGN(known, e.equal(seen[i], key));
    }
    if (known) continue;
    seen.push_back(std::move(key));
    kept.push_back(item);
  }
  return e.list(std::move(kept), ListKind::kIterator);
}

Result<Value> join(Evaluator& e, const Value& value, const Arguments& given) {
  OTR_TRY_ASSIGN(const Bound bound, given.bind("join", {"d", "attribute"}));
  MarkedText between;
  if (bound[0]) {
    OTR_TRY_ASSIGN(between, e.to_text(*bound[0]));
  }
  OTR_TRY_ASSIGN(const auto items, e.iterate(value));
  MarkedText result;
  for (std::size_t i = 0; i < items->items.size(); ++i) {
    Value item = items->items[i];
    if (bound[1] && !bound[1]->none()) {
      OTR_TRY_ASSIGN(item, member_of(e, item, *bound[1]));
    }
    OTR_TRY_ASSIGN(const MarkedText one, e.to_text(item));
    OTR_TRY(e.charge_bytes(one.size() + between.size()));
    if (i > 0) result.append(between);
    result.append(one);
  }
  return e.text(std::move(result));
}

// The arguments after the first `count`, for the filter or test that these name.
Arguments rest_of(const Arguments& given, std::size_t count) {
  Arguments rest{.named = given.named};
  rest.positional.assign(given.positional.begin() + static_cast<std::ptrdiff_t>(count),
                         given.positional.end());
  return rest;
}

Result<Value> map_filter(Evaluator& e, const Value& value, const Arguments& given) {
  OTR_TRY_ASSIGN(const auto items, e.iterate(value));
  std::vector<Value> mapped;
  if (given.positional.empty()) {
    OTR_TRY_ASSIGN(const Bound bound, given.bind("map", {"attribute", "default"}));
    if (!bound[0]) return error("map needs an attribute or the name of a filter");
    for (const Value& item : items->items) {
      OTR_TRY_ASSIGN(Value one, member_of(e, item, *bound[0], bound[1]));
      mapped.push_back(std::move(one));
    }
    return e.list(std::move(mapped), ListKind::kIterator);
  }
  const MarkedText* name = given.positional[0].text();
  if (name == nullptr) return error("map needs the name of a filter");
  const Arguments rest = rest_of(given, 1);
  for (const Value& item : items->items) {
    OTR_TRY(e.charge(1));
    OTR_TRY_ASSIGN(Value one, e.filter(name->bytes, item, rest));
    mapped.push_back(std::move(one));
  }
  return e.list(std::move(mapped), ListKind::kIterator);
}

// select, reject, selectattr and rejectattr.
template <bool of_attribute, bool keep>
Result<Value> choose(Evaluator& e, const Value& value, const Arguments& given) {
  OTR_TRY_ASSIGN(const auto items, e.iterate(value));
  constexpr std::size_t kBefore = of_attribute ? 1 : 0;
  if (given.positional.size() < kBefore) return error("selectattr needs the name of an attribute");
  const bool has_test = given.positional.size() > kBefore;
  const MarkedText* name = has_test ? given.positional[kBefore].text() : nullptr;
  if (has_test && name == nullptr) return error("select needs the name of a test");
  const Arguments rest = rest_of(given, has_test ? kBefore + 1 : kBefore);
  std::vector<Value> chosen;
  for (const Value& item : items->items) {
    OTR_TRY(e.charge(1));
    Value tested = item;
    if (of_attribute) {
      OTR_TRY_ASSIGN(tested, member_of(e, item, given.positional[0]));
    }
    bool holds = truth(tested);
    if (has_test) {
      OTR_TRY_ASSIGN(holds, e.test(name->bytes, tested, rest));
    }
    if (holds == keep) chosen.push_back(item);
  }
  return e.list(std::move(chosen), ListKind::kIterator);
}

constexpr std::array<std::string_view, 14> kNames = {
    "first",  "last", "list", "reverse", "items",  "sort",       "dictsort",
    "unique", "join", "map",  "select",  "reject", "selectattr", "rejectattr"};
constexpr std::array<Body, kNames.size()> kBodies = {first,
                                                     last,
                                                     to_list,
                                                     reverse,
                                                     items_of,
                                                     sort,
                                                     dictsort,
                                                     unique,
                                                     join,
                                                     map_filter,
                                                     choose<false, true>,
                                                     choose<false, false>,
                                                     choose<true, true>,
                                                     choose<true, false>};

}  // namespace

std::span<const std::string_view> sequence_filter_names() { return kNames; }

Result<std::optional<Value>> Evaluator::sequence_filter(std::string_view name, const Value& value,
                                                        const Arguments& arguments) {
  const auto* found = std::ranges::find(kNames, name);
  if (found == kNames.end()) return std::optional<Value>();
  const auto index = static_cast<std::size_t>(found - kNames.begin());
  OTR_TRY_ASSIGN(Value made, kBodies[index](*this, value, arguments));
  return std::optional<Value>(std::move(made));
}

}  // namespace otr::chat
