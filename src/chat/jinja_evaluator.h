// Runs a template: a walk over its tree, within bounds that a stranger's template cannot leave.
//
// Filters, tests, methods and functions are in files of their own; they fail with a message, and
// the evaluation adds the place in the template.
#ifndef OTR_CHAT_JINJA_EVALUATOR_H_
#define OTR_CHAT_JINJA_EVALUATOR_H_

#include <deque>
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "chat/jinja_syntax.h"

namespace otr::chat {

// What one evaluation may use. Templates of known models need a few thousand steps.
struct Bounds {
  std::uint64_t max_steps = 4'000'000;                      // nodes, and blocks of 32 bytes
  std::uint64_t max_bytes_made = std::uint64_t{128} << 20;  // all values and outputs together
  std::uint64_t max_text_bytes = std::uint64_t{16} << 20;   // one text
  std::uint64_t max_range = 100'000;                        // as in Jinja's sandbox
  std::uint32_t max_depth = 250;                            // of nodes within nodes and macros
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  // The values of the parameters with these names, in their order.
  [[nodiscard]] Result<std::vector<std::optional<Value>>> bind(
      std::string_view function, std::initializer_list<std::string_view> names) const;
};

using Globals = std::map<std::string, Value, std::less<>>;

class Evaluator {
 public:
  Evaluator(const Template& source, Globals globals, const Bounds& bounds);

  [[nodiscard]] Result<MarkedText> run();

  // For filters, tests, methods and functions.
  [[nodiscard]] Status charge(std::uint64_t steps);
  [[nodiscard]] Status charge_bytes(std::uint64_t bytes);
  // Before one text is searched for in another, which may take the product of their sizes.
  [[nodiscard]] Status charge_search(std::size_t text_bytes, std::size_t wanted_bytes);
  [[nodiscard]] Result<Value> text(MarkedText text);
  [[nodiscard]] Result<Value> list(std::vector<Value> items, ListKind kind = ListKind::kList);
  [[nodiscard]] Result<Value> texts(std::vector<MarkedText> parts);
  [[nodiscard]] Result<Value> map(Map map);
  [[nodiscard]] Result<MarkedText> to_text(const Value& value);
  // What a `for` runs through. An iterator is empty the second time.
  [[nodiscard]] Result<std::shared_ptr<const List>> iterate(const Value& value);
  [[nodiscard]] Result<Value> attribute(const Value& object, std::string_view name);
  [[nodiscard]] Result<Value> item(const Value& object, const Value& key);
  [[nodiscard]] Result<bool> contains(const Value& container, const Value& value);
  [[nodiscard]] Result<bool> equal(const Value& a, const Value& b);
  [[nodiscard]] Result<int> compare(const Value& a, const Value& b);
  [[nodiscard]] Result<Value> filter(std::string_view name, const Value& value,
                                     const Arguments& arguments);
  [[nodiscard]] Result<bool> test(std::string_view name, const Value& value,
                                  const Arguments& arguments);
  // jinja_sequence_filters.cc. Nothing if it has no filter of this name.
  [[nodiscard]] Result<std::optional<Value>> sequence_filter(std::string_view name,
                                                             const Value& value,
                                                             const Arguments& arguments);
  [[nodiscard]] const Bounds& bounds() const { return bounds_; }

 private:
  struct Scope {
    std::map<std::string, Value, std::less<>> names;
    Scope* parent = nullptr;
  };
  enum class Flow { kNext, kBreak, kContinue };
  // Counts how deep the walk is, and undoes itself.
  class Nested {
   public:
    explicit Nested(Evaluator& evaluator) : depth_(evaluator.depth_) { ++depth_; }
    ~Nested() { --depth_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;

   private:
    std::uint32_t& depth_;
  };

  Result<Flow> run(const std::vector<Statement>& body);
  Result<Flow> run(const Statement& statement);
  Result<Flow> run_if(const Statement& statement);
  Result<Flow> run_for(const Statement& statement);
  Result<std::vector<Value>> loop_items(const Statement& statement);
  Status run_set_block(const Statement& statement);
  Status run_block(const Statement& statement);
  Result<MarkedText> captured(const std::vector<Statement>& body, Scope& scope);
  Status emit(const MarkedText& text);
  Status assign(const Expression& target, const Value& value);

  [[nodiscard]] Result<Value> evaluate(const Expression& node);
  Result<Value> evaluate_node(const Expression& node);
  Result<Value> name(const Expression& node);
  Result<Value> sequence(const Expression& node);
  Result<Value> dictionary(const Expression& node);
  Result<Value> slice(const Expression& node);
  Result<Value> binary(const Expression& node);
  Result<Value> arithmetic(const std::string& op, const Value& a, const Value& b);
  Result<Value> concat(const Expression& node);
  Result<Value> comparison(const Expression& node);
  Result<bool> compares(const std::string& op, const Value& a, const Value& b);
  Result<Value> call(const Expression& node);
  Result<Arguments> arguments(const Expression& node);
  Result<Value> apply_filters(const Expression& node, const Value& value);
  Result<Value> call_function(const Function& function, const Arguments& arguments);
  Result<Value> call_macro(const Statement& macro, const Arguments& arguments);
  Result<Value> make_range(const Arguments& arguments);
  Result<Value> make_namespace(const Arguments& arguments);
  Result<Value> make_dict(const Arguments& arguments);
  Result<Value> repeat(const Value& value, std::int64_t count);
  std::unexpected<Error> located(Error error, std::uint32_t at);

  const Template& template_;
  Globals globals_;
  Bounds bounds_;
  Scope root_;
  Scope* scope_ = &root_;
  MarkedText output_;
  std::deque<Namespace> namespaces_;
  std::uint64_t steps_ = 0;
  std::uint64_t bytes_made_ = 0;
  std::uint32_t depth_ = 0;
  bool located_ = false;  // the error on its way out names its place
};

// jinja_methods.cc. The method of a text, list or dict of Python; nothing where it has none.
[[nodiscard]] std::optional<Value> find_method(const Value& object, std::string_view name);
[[nodiscard]] Result<Value> call_method(Evaluator& evaluator, const Method& method,
                                        const Arguments& arguments);

// The filters of jinja_sequence_filters.cc.
[[nodiscard]] std::span<const std::string_view> sequence_filter_names();

// An integer argument, or the default where it is not given.
[[nodiscard]] Result<std::int64_t> integer_or(const std::optional<Value>& value,
                                              std::int64_t otherwise, std::string_view what);

}  // namespace otr::chat

#endif  // OTR_CHAT_JINJA_EVALUATOR_H_
