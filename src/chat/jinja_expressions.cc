#include <algorithm>
#include <array>

#include "chat/jinja_parser.h"

namespace otr::chat {
namespace {

std::string described(const Token& token) {
  switch (token.kind) {
    case TokenKind::kText:
      return "text";
    case TokenKind::kOutputBegin:
      return "'{{'";
    case TokenKind::kOutputEnd:
      return "'}}'";
    case TokenKind::kTagBegin:
      return "'{%'";
    case TokenKind::kTagEnd:
      return "'%}'";
    case TokenKind::kEnd:
      return "the end of the template";
    case TokenKind::kName:
    case TokenKind::kString:
    case TokenKind::kInteger:
    case TokenKind::kOperator:
      return quoted(token.text);
  }
  return {};
}

bool is_constant(std::string_view name) {
  return name == "true" || name == "True" || name == "false" || name == "False" || name == "none" ||
         name == "None";
}

}  // namespace

bool ExpressionParser::skip_operator(std::string_view text) {
  const bool found = at_operator(text);
  if (found) skip();
  return found;
}

bool ExpressionParser::skip_name(std::string_view text) {
  const bool found = at_name(text);
  if (found) skip();
  return found;
}

Status ExpressionParser::expect_operator(std::string_view text) {
  if (skip_operator(text)) return {};
  return unexpected_token("'" + std::string(text) + "'");
}

Result<std::string> ExpressionParser::expect_name(std::string_view what) {
  if (current().kind != TokenKind::kName) return unexpected_token(what);
  std::string name = current().text;
  skip();
  return name;
}

std::unexpected<Error> ExpressionParser::unexpected_token(std::string_view wanted) const {
  return fault_here("expected " + std::string(wanted) + ", found " + described(current()));
}

ExpressionPtr ExpressionParser::make(Kind kind, std::uint32_t at) const {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->at = at;
  return node;
}

Result<ExpressionPtr> ExpressionParser::finished(ExpressionPtr node) const {
  const auto include = [&](const ExpressionPtr& part) {
    if (part) node->depth = std::max(node->depth, part->depth + 1);
  };
  for (const ExpressionPtr& part : node->parts) include(part);
  for (const auto& [name, part] : node->named) include(part);
  if (node->depth > kMaxSyntaxDepth) {
    return fault(result_.source, node->at,
                 "expressions nest more than 100 deep, which is not supported");
  }
  return node;
}

Result<ExpressionPtr> ExpressionParser::expression(bool with_choice) {
  if (++nesting_ > kMaxSyntaxDepth) {
    return fault_here("expressions nest more than 100 deep, which is not supported");
  }
  auto node = with_choice ? choice() : disjunction();
  --nesting_;
  return node;
}

Result<ExpressionPtr> ExpressionParser::choice() {
  OTR_TRY_ASSIGN(ExpressionPtr node, disjunction());
  while (at_name("if")) {
    auto chosen = make(Kind::kChoice, current().at);
    skip();
    OTR_TRY_ASSIGN(ExpressionPtr condition, disjunction());
    ExpressionPtr otherwise;
    if (skip_name("else")) {
      OTR_TRY_ASSIGN(otherwise, expression());
    }
    chosen->parts.push_back(std::move(condition));
    chosen->parts.push_back(std::move(node));
    chosen->parts.push_back(std::move(otherwise));
    OTR_TRY_ASSIGN(node, finished(std::move(chosen)));
  }
  return node;
}

// Operands with any of the operators between them, the first two taken together first.
Result<ExpressionPtr> ExpressionParser::left_to_right(
    Step operand, Kind kind, std::initializer_list<std::string_view> operators) {
  OTR_TRY_ASSIGN(ExpressionPtr left, (this->*operand)());
  while (true) {
    const Token& token = current();
    const bool fits = token.kind == TokenKind::kOperator || token.kind == TokenKind::kName;
    if (!fits || !among(operators, std::string_view(token.text))) return left;
    auto node = make(kind, token.at);
    node->name = token.text;
    if (node->name == "/")
      note(token.at,
           "the operator '/' gives a fraction, which is not "
           "supported; '//' is");
    if (node->name == "**") note(token.at, "the operator '**' is not supported");
    skip();
    OTR_TRY_ASSIGN(ExpressionPtr right, (this->*operand)());
    node->parts.push_back(std::move(left));
    node->parts.push_back(std::move(right));
    OTR_TRY_ASSIGN(left, finished(std::move(node)));
  }
}

Result<ExpressionPtr> ExpressionParser::disjunction() {
  return left_to_right(&ExpressionParser::conjunction, Kind::kBinary, {"or"});
}

Result<ExpressionPtr> ExpressionParser::conjunction() {
  return left_to_right(&ExpressionParser::negation, Kind::kBinary, {"and"});
}

Result<ExpressionPtr> ExpressionParser::negation() {
  if (!at_name("not")) return comparison();
  auto node = make(Kind::kNot, current().at);
  skip();
  if (++nesting_ > kMaxSyntaxDepth) {
    return fault_here("expressions nest more than 100 deep, which is not supported");
  }
  OTR_TRY_ASSIGN(ExpressionPtr value, negation());
  --nesting_;
  node->parts.push_back(std::move(value));
  return finished(std::move(node));
}

Result<ExpressionPtr> ExpressionParser::comparison() {
  constexpr std::array<std::string_view, 6> kOperators = {"==", "!=", "<", "<=", ">", ">="};
  OTR_TRY_ASSIGN(ExpressionPtr first, sum());
  auto node = make(Kind::kCompare, current().at);
  node->parts.push_back(std::move(first));
  while (true) {
    const Token& token = current();
    const bool not_in = at_name("not") && tokens_[next_ + 1].kind == TokenKind::kName &&
                        tokens_[next_ + 1].text == "in";
    if (not_in) skip();
    if (!not_in && !at_name("in") &&
        !(token.kind == TokenKind::kOperator && among(kOperators, token.text))) {
      break;
    }
    node->operators.push_back(not_in ? "not in" : token.text);
    skip();
    OTR_TRY_ASSIGN(ExpressionPtr right, sum());
    node->parts.push_back(std::move(right));
  }
  if (node->operators.empty()) return std::move(node->parts[0]);
  return finished(std::move(node));
}

Result<ExpressionPtr> ExpressionParser::sum() {
  return left_to_right(&ExpressionParser::concatenation, Kind::kBinary, {"+", "-"});
}

Result<ExpressionPtr> ExpressionParser::concatenation() {
  OTR_TRY_ASSIGN(ExpressionPtr first, product());
  if (!at_operator("~")) return first;
  auto node = make(Kind::kConcat, current().at);
  node->parts.push_back(std::move(first));
  while (skip_operator("~")) {
    OTR_TRY_ASSIGN(ExpressionPtr right, product());
    node->parts.push_back(std::move(right));
  }
  return finished(std::move(node));
}

Result<ExpressionPtr> ExpressionParser::product() {
  return left_to_right(&ExpressionParser::signed_value, Kind::kBinary, {"*", "/", "//", "%", "**"});
}

Result<ExpressionPtr> ExpressionParser::signed_value(bool with_filters) {
  ExpressionPtr node;
  if (at_operator("-") || at_operator("+")) {
    node = make(at_operator("-") ? Kind::kNegative : Kind::kPositive, current().at);
    skip();
    if (++nesting_ > kMaxSyntaxDepth) {
      return fault_here("expressions nest more than 100 deep, which is not supported");
    }
    OTR_TRY_ASSIGN(ExpressionPtr value, signed_value(false));
    --nesting_;
    node->parts.push_back(std::move(value));
    OTR_TRY_ASSIGN(node, finished(std::move(node)));
  } else {
    OTR_TRY_ASSIGN(node, primary());
  }
  OTR_TRY_ASSIGN(node, postfix(std::move(node)));
  return with_filters ? filter_expression(std::move(node)) : std::move(node);
}

Result<ExpressionPtr> ExpressionParser::primary() {
  const Token& token = current();
  auto literal = make(Kind::kLiteral, token.at);
  switch (token.kind) {
    case TokenKind::kName:
      return name_or_constant();
    case TokenKind::kInteger:
      literal->literal = {token.integer};
      skip();
      return literal;
    case TokenKind::kString: {
      std::string text;
      for (; current().kind == TokenKind::kString; skip()) text += current().text;
      literal->literal = make_text(text);
      return literal;
    }
    default:
      break;
  }
  if (skip_operator("(")) return tuple_until(")");
  if (at_operator("[")) return list();
  if (at_operator("{")) return map();
  return unexpected_token("an expression");
}

Result<ExpressionPtr> ExpressionParser::name_or_constant() {
  const Token& token = current();
  auto node = make(is_constant(token.text) ? Kind::kLiteral : Kind::kName, token.at);
  const char first = token.text[0];
  if (node->kind == Kind::kName) {
    node->name = token.text;
  } else if (first == 'n' || first == 'N') {
    node->literal = {None{}};
  } else {
    node->literal = {first == 't' || first == 'T'};
  }
  skip();
  return node;
}

Result<ExpressionPtr> ExpressionParser::list() {
  auto node = make(Kind::kList, current().at);
  skip();
  while (!at_operator("]")) {
    if (!node->parts.empty()) OTR_TRY(expect_operator(","));
    if (at_operator("]")) break;
    OTR_TRY_ASSIGN(ExpressionPtr item, expression());
    node->parts.push_back(std::move(item));
  }
  skip();
  return finished(std::move(node));
}

Result<ExpressionPtr> ExpressionParser::map() {
  auto node = make(Kind::kMap, current().at);
  skip();
  while (!at_operator("}")) {
    if (!node->parts.empty()) OTR_TRY(expect_operator(","));
    if (at_operator("}")) break;
    OTR_TRY_ASSIGN(ExpressionPtr key, expression());
    OTR_TRY(expect_operator(":"));
    OTR_TRY_ASSIGN(ExpressionPtr value, expression());
    node->parts.push_back(std::move(key));
    node->parts.push_back(std::move(value));
  }
  skip();
  return finished(std::move(node));
}

// After an opening bracket: one expression in brackets, or a tuple.
Result<ExpressionPtr> ExpressionParser::tuple_until(std::string_view close) {
  auto node = make(Kind::kTuple, current().at);
  bool comma = false;
  while (!at_operator(close)) {
    if (!node->parts.empty() && !comma) return unexpected_token("',' or ')'");
    OTR_TRY_ASSIGN(ExpressionPtr item, expression());
    node->parts.push_back(std::move(item));
    comma = skip_operator(",");
  }
  skip();
  if (node->parts.size() == 1 && !comma) return std::move(node->parts[0]);
  return finished(std::move(node));
}

Result<ExpressionPtr> ExpressionParser::tuple(bool with_choice) {
  auto node = make(Kind::kTuple, current().at);
  OTR_TRY_ASSIGN(ExpressionPtr first, expression(with_choice));
  if (!at_operator(",")) return first;
  node->parts.push_back(std::move(first));
  while (skip_operator(",")) {
    if (current().kind == TokenKind::kTagEnd || current().kind == TokenKind::kOutputEnd) break;
    OTR_TRY_ASSIGN(ExpressionPtr item, expression(with_choice));
    node->parts.push_back(std::move(item));
  }
  return finished(std::move(node));
}

Result<ExpressionPtr> ExpressionParser::postfix(ExpressionPtr node) {
  while (true) {
    if (skip_operator(".")) {
      OTR_TRY_ASSIGN(node, after_dot(std::move(node)));
    } else if (at_operator("[")) {
      OTR_TRY_ASSIGN(node, subscript(std::move(node)));
    } else if (at_operator("(")) {
      OTR_TRY_ASSIGN(node, call(std::move(node)));
    } else {
      return node;
    }
  }
}

Result<ExpressionPtr> ExpressionParser::after_dot(ExpressionPtr object) {
  const bool index = current().kind == TokenKind::kInteger;
  auto node = make(index ? Kind::kItem : Kind::kAttribute, current().at);
  node->parts.push_back(std::move(object));
  if (index) {
    OTR_TRY_ASSIGN(ExpressionPtr key, primary());
    node->parts.push_back(std::move(key));
  } else {
    OTR_TRY_ASSIGN(node->name, expect_name("a name after '.'"));
  }
  return finished(std::move(node));
}

Result<ExpressionPtr> ExpressionParser::subscript(ExpressionPtr object) {
  auto node = make(Kind::kItem, current().at);
  skip();
  node->parts.push_back(std::move(object));
  ExpressionPtr first;
  if (!at_operator(":")) {
    OTR_TRY_ASSIGN(first, expression());
  }
  node->parts.push_back(std::move(first));
  while (node->parts.size() < 4 && skip_operator(":")) {
    node->kind = Kind::kSlice;
    ExpressionPtr part;
    if (!at_operator(":") && !at_operator("]")) {
      OTR_TRY_ASSIGN(part, expression());
    }
    node->parts.push_back(std::move(part));
  }
  if (at_operator(",")) return fault_here("an index of several parts is not supported");
  OTR_TRY(expect_operator("]"));
  if (node->kind == Kind::kSlice) node->parts.resize(4);
  return finished(std::move(node));
}

Result<ExpressionPtr> ExpressionParser::call(ExpressionPtr function) {
  auto node = make(Kind::kCall, current().at);
  if (function->kind == Kind::kAttribute && !known_method(function->name)) {
    note(function->at, "the method " + quoted(function->name) + " is not supported");
  }
  node->parts.push_back(std::move(function));
  OTR_TRY(arguments(*node));
  return finished(std::move(node));
}

// ( value, ..., name=value, ... )
Status ExpressionParser::arguments(Expression& to) {
  OTR_TRY(expect_operator("("));
  for (bool first = true; !at_operator(")"); first = false) {
    if (!first) OTR_TRY(expect_operator(","));
    if (at_operator(")")) break;
    if (at_operator("*") || at_operator("**")) {
      return fault_here("arguments from a list or dict (* and **) are not supported");
    }
    const Token& after = tokens_[std::min(next_ + 1, tokens_.size() - 1)];
    if (current().kind == TokenKind::kName && after.kind == TokenKind::kOperator &&
        after.text == "=") {
      const std::string name = current().text;
      if (among(to.named, name, &std::pair<std::string, ExpressionPtr>::first)) {
        return fault_here("the argument " + quoted(name) + " is given twice");
      }
      skip();
      skip();
      OTR_TRY_ASSIGN(ExpressionPtr value, expression());
      to.named.emplace_back(name, std::move(value));
    } else {
      if (!to.named.empty()) return fault_here("an argument without a name after one with a name");
      OTR_TRY_ASSIGN(ExpressionPtr value, expression());
      to.parts.push_back(std::move(value));
    }
  }
  skip();
  return {};
}

Result<ExpressionPtr> ExpressionParser::filters(ExpressionPtr value) {
  while (skip_operator("|")) {
    auto node = make(Kind::kFilter, current().at);
    OTR_TRY_ASSIGN(node->name, expect_name("the name of a filter"));
    while (skip_operator(".")) {
      OTR_TRY_ASSIGN(const std::string part, expect_name("the name of a filter"));
      node->name += "." + part;
    }
    if (!known_filter(node->name)) {
      note(node->at, "the filter " + quoted(node->name) + " is not supported");
    }
    node->parts.push_back(std::move(value));
    if (at_operator("(")) OTR_TRY(arguments(*node));
    OTR_TRY_ASSIGN(value, finished(std::move(node)));
  }
  return value;
}

Result<ExpressionPtr> ExpressionParser::filter_expression(ExpressionPtr node) {
  while (true) {
    if (at_operator("|")) {
      OTR_TRY_ASSIGN(node, filters(std::move(node)));
    } else if (skip_name("is")) {
      OTR_TRY_ASSIGN(node, test(std::move(node)));
    } else if (at_operator("(")) {
      OTR_TRY_ASSIGN(node, call(std::move(node)));
    } else {
      return node;
    }
  }
}

// value is [not] name [argument, which may stand without brackets]
Result<ExpressionPtr> ExpressionParser::test(ExpressionPtr value) {
  auto node = make(Kind::kTest, current().at);
  node->negated = skip_name("not");
  node->at = current().at;
  OTR_TRY_ASSIGN(node->name, expect_name("the name of a test"));
  if (!known_test(node->name)) {
    note(node->at, "the test " + quoted(node->name) + " is not supported");
  }
  node->parts.push_back(std::move(value));
  const TokenKind kind = current().kind;
  const bool starts_value = kind == TokenKind::kName || kind == TokenKind::kString ||
                            kind == TokenKind::kInteger || at_operator("[") || at_operator("{");
  if (at_operator("(")) {
    OTR_TRY(arguments(*node));
  } else if (starts_value && !at_name("else") && !at_name("or") && !at_name("and")) {
    if (at_name("is")) return fault_here("tests cannot be chained with 'is'");
    OTR_TRY_ASSIGN(ExpressionPtr argument, primary());
    OTR_TRY_ASSIGN(argument, postfix(std::move(argument)));
    node->parts.push_back(std::move(argument));
  }
  return finished(std::move(node));
}

Result<ExpressionPtr> ExpressionParser::target(bool with_namespace) {
  auto node = make(Kind::kTuple, current().at);
  bool comma = false;
  do {
    OTR_TRY_ASSIGN(ExpressionPtr item, target_item(with_namespace));
    node->parts.push_back(std::move(item));
    if (!skip_operator(",")) break;
    comma = true;
  } while (current().kind == TokenKind::kName && !at_name("in"));
  if (!comma) return std::move(node->parts[0]);
  return finished(std::move(node));
}

Result<ExpressionPtr> ExpressionParser::target_item(bool with_namespace) {
  if (at_operator("(")) return fault_here("brackets in what is assigned to are not supported");
  auto node = make(Kind::kName, current().at);
  OTR_TRY_ASSIGN(node->name, expect_name("a name to assign to"));
  if (is_constant(node->name) || node->name == "loop") {
    return fault(result_.source, node->at, "cannot assign to " + quoted(node->name));
  }
  if (!with_namespace || !skip_operator(".")) return node;
  auto attribute = make(Kind::kAttribute, node->at);
  attribute->parts.push_back(std::move(node));
  OTR_TRY_ASSIGN(attribute->name, expect_name("a name after '.'"));
  return finished(std::move(attribute));
}

}  // namespace otr::chat
