// The values of a template: those of Python that a chat template meets, without floats.
//
// Everything but a namespace is immutable, as in the sandbox in which Jinja runs chat templates.
// Values nest at most kMaxValueDepth deep, so that following them never exhausts the stack, and
// weigh at most kMaxValueWeight, counting what is shared as often as it is met, so that printing
// and comparing them ends.
#ifndef OTR_CHAT_JINJA_VALUE_H_
#define OTR_CHAT_JINJA_VALUE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "chat/jinja_text.h"

namespace otr::chat {

inline constexpr std::uint32_t kMaxValueDepth = 64;
inline constexpr std::uint64_t kMaxValueWeight = std::uint64_t{1} << 27;
inline constexpr std::size_t kMaxMapItems = 256;  // they are searched one by one

struct Value;
struct List;
struct Map;
struct Namespace;
struct Loop;
struct Method;
struct Statement;  // jinja_syntax.h

struct Undefined {
  std::string what;  // how the template names it, for errors
};
struct None {};
struct Macro {
  const Statement* definition;
};
enum class Builtin { kRange, kNamespace, kDict, kRaiseException, kUnsupported };
struct Function {
  Builtin builtin;
  const char* name;
};
using Text = std::shared_ptr<const MarkedText>;

struct Value {
  std::variant<Undefined, None, bool, std::int64_t, Text, std::shared_ptr<const List>,
               std::shared_ptr<const Map>, Namespace*, std::shared_ptr<const Loop>, Macro, Function,
               std::shared_ptr<const Method>>
      is = Undefined{};

  template <class T>
  [[nodiscard]] const T* get() const {
    return std::get_if<T>(&is);
  }
  [[nodiscard]] bool undefined() const { return get<Undefined>() != nullptr; }
  [[nodiscard]] bool none() const { return get<None>() != nullptr; }
  [[nodiscard]] const MarkedText* text() const {
    const Text* found = get<Text>();
    return found == nullptr ? nullptr : found->get();
  }
  [[nodiscard]] const List* list() const {
    const auto* found = get<std::shared_ptr<const List>>();
    return found == nullptr ? nullptr : found->get();
  }
  [[nodiscard]] const Map* map() const {
    const auto* found = get<std::shared_ptr<const Map>>();
    return found == nullptr ? nullptr : found->get();
  }
  // Python's bool is an int.
  [[nodiscard]] std::optional<std::int64_t> integer() const;
};

// What Python tells apart: lists, tuples, ranges, the views of a dict, and iterators, which can be
// run through once and have no length.
enum class ListKind { kList, kTuple, kRange, kView, kIterator };

struct List {
  std::vector<Value> items;
  ListKind kind = ListKind::kList;
  std::uint32_t depth = 1;
  std::uint64_t weight = 0;
  mutable bool consumed = false;  // of an iterator
};

struct Map {
  std::vector<std::pair<Value, Value>> items;  // in the order of insertion; no key twice
  std::uint32_t depth = 1;
  std::uint64_t weight = 0;

  [[nodiscard]] const Value* find(const Value& key) const;
  [[nodiscard]] const Value* find(std::string_view key) const;
  void set(Value key, Value value);
};

// Owned by the evaluation: a namespace may hold itself.
struct Namespace {
  std::map<std::string, Value, std::less<>> members;
};

// The variable `loop` during one turn.
struct Loop {
  std::shared_ptr<const List> items;
  std::size_t index0;
};

// A method with the value it was taken from.
struct Method {
  Value self;
  std::string name;
};

[[nodiscard]] Value make_text(MarkedText text);
[[nodiscard]] Value make_text(std::string_view written);
// Errors where the value nests too deep or weighs too much.
[[nodiscard]] Result<Value> make_list(std::vector<Value> items, ListKind kind = ListKind::kList);
[[nodiscard]] Result<Value> make_map(Map map);
// About the bytes that a value would need if nothing in it were shared.
[[nodiscard]] std::uint64_t weight_of(const Value& value);

// The name of the type, as Python's errors have it.
[[nodiscard]] std::string type_name(const Value& value);

[[nodiscard]] bool truth(const Value& value);
[[nodiscard]] bool equal(const Value& a, const Value& b);  // marks do not count
// Negative, 0 or positive; an error where Python cannot order the two.
[[nodiscard]] Result<int> compare(const Value& a, const Value& b);
[[nodiscard]] bool hashable(const Value& value);

// What Python's str gives: the text itself, 'None', 'True', '[1, 2]' and so on. Undefined is empty.
[[nodiscard]] Result<MarkedText> to_text(const Value& value);

struct JsonStyle {
  std::optional<std::string> indent;  // one level; without, all on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool ensure_ascii = false;
  bool sort_keys = false;
};
// As json.dumps writes it. An error for what JSON cannot say.
[[nodiscard]] Result<MarkedText> to_json(const Value& value, const JsonStyle& style);

}  // namespace otr::chat

#endif  // OTR_CHAT_JINJA_VALUE_H_
