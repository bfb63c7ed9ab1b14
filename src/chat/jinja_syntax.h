// The grammar of a chat template: tokens, and the tree that the parser makes of them.
//
// The language is that of Python's jinja2 as the transformers library sets it up: trim_blocks and
// lstrip_blocks on, `break` and `continue`, and {% generation %} blocks, which change nothing.
#ifndef OTR_CHAT_JINJA_SYNTAX_H_
#define OTR_CHAT_JINJA_SYNTAX_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "chat/jinja_value.h"

namespace otr::chat {

inline constexpr std::size_t kMaxSourceBytes = std::size_t{1} << 20;
inline constexpr std::size_t kMaxTokens = std::size_t{1} << 17;
inline constexpr std::uint32_t kMaxSyntaxDepth = 100;

enum class TokenKind {
  kText,         // between the tags
  kOutputBegin,  // {{
  kOutputEnd,    // }}
  kTagBegin,     // {%
  kTagEnd,       // %}
  kName,
  kString,
  kInteger,
  kOperator,
  kEnd
};

struct Token {
  TokenKind kind;
  std::uint32_t at;      // offset in the source
  std::string text;      // decoded, of a string
  std::int64_t integer;  // of an integer
};

// The source with Jinja's changes: each line break is one line feed, and one at the end is dropped.
[[nodiscard]] std::string normal_source(std::string_view source);

// `source` must be normal and UTF-8. The last token is kEnd.
[[nodiscard]] Result<std::vector<Token>> tokenize(std::string_view source);

// An error at a place of the source, by line and column (in bytes, from 1).
[[nodiscard]] std::unexpected<Error> fault(std::string_view source, std::size_t at,
                                           std::string_view message);

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct Expression {
  enum class Kind {
    kLiteral,
    kName,
    kList,
    kTuple,
    kMap,        // parts: key, value, key, value
    kAttribute,  // parts: object
    kItem,       // parts: object, key
    kSlice,      // parts: object, start, stop, step, each of these possibly null
    kCall,       // parts: function, arguments
    kFilter,     // parts: value (null in a block set), arguments
    kTest,       // parts: value, arguments
    kNot,
    kNegative,
    kPositive,
    kBinary,   // name: the operator, "and" and "or" among them
    kConcat,   // any number of parts
    kCompare,  // parts and one operator between each two of them
    kChoice    // parts: condition, then, else (possibly null)
  };

  Kind kind;
  std::uint32_t at = 0;
  std::uint32_t depth = 1;
  std::string name;
  Value literal;
  std::vector<ExpressionPtr> parts;
  std::vector<std::pair<std::string, ExpressionPtr>> named;  // arguments by keyword
  std::vector<std::string> operators;
  bool negated = false;  // of a test
};

struct Statement {
  enum class Kind {
    kText,
    kOutput,
    kIf,  // branches
    kFor,
    kSet,
    kSetBlock,
    kMacro,
    kBlock,  // {% generation %}
    kBreak,
    kContinue
  };
  // A condition (null for else) and what follows.
  struct Branch {
    ExpressionPtr condition;
    std::vector<Statement> body;
  };

  Kind kind;
  std::uint32_t at = 0;
  MarkedText text;
  std::string name;         // of a macro
  ExpressionPtr target;     // of for and set: names, attributes of names, tuples of them
  ExpressionPtr value;      // printed, assigned, run through; of a block set, the filters
  ExpressionPtr condition;  // the `if` of a for
  std::vector<Branch> branches;
  std::vector<Statement> body;
  std::vector<Statement> otherwise;                               // the else of a for
  std::vector<std::pair<std::string, ExpressionPtr>> parameters;  // with defaults, possibly null
};

struct Template {
  std::string source;  // normal
  std::vector<Statement> body;
  // What no evaluation can support, though a prompt that does not come there can be made.
  std::vector<std::pair<std::uint32_t, std::string>> unsupported;
};

// Refuses what is no template, and each construct of Jinja that is not supported, by its name.
[[nodiscard]] Result<Template> parse_template(std::string_view source);

// Whether there is a filter, a test, or a method of this name.
[[nodiscard]] bool known_filter(std::string_view name);
[[nodiscard]] bool known_test(std::string_view name);
[[nodiscard]] bool known_method(std::string_view name);

}  // namespace otr::chat

#endif  // OTR_CHAT_JINJA_SYNTAX_H_
