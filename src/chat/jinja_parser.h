// Reads expressions from tokens, by the precedences of Jinja. jinja_parser.cc reads the statements.
#ifndef OTR_CHAT_JINJA_PARSER_H_
#define OTR_CHAT_JINJA_PARSER_H_

#include <initializer_list>
#include <string_view>

#include "chat/jinja_syntax.h"

namespace otr::chat {

class ExpressionParser {
 public:
  // Both must outlive the parser; the tokens end with kEnd. What is not supported, but harms only
  // prompts that come there, is added to `unsupported` of the result.
  ExpressionParser(Template& result, const std::vector<Token>& tokens)
      : result_(result), tokens_(tokens) {}

  Result<ExpressionPtr> expression(bool with_choice = true);
  // One expression, or a tuple of several with commas between and no brackets around.
  Result<ExpressionPtr> tuple(bool with_choice = true);
  // What can be assigned to.
  Result<ExpressionPtr> target(bool with_namespace);
  // The filters after `value`, which is null in a block set.
  Result<ExpressionPtr> filters(ExpressionPtr value);

  [[nodiscard]] const Token& current() const { return tokens_[next_]; }
  void skip() { next_ += next_ + 1 < tokens_.size(); }
  [[nodiscard]] bool at_operator(std::string_view text) const {
    return current().kind == TokenKind::kOperator && current().text == text;
  }
  [[nodiscard]] bool at_name(std::string_view text) const {
    return current().kind == TokenKind::kName && current().text == text;
  }
  bool skip_operator(std::string_view text);
  bool skip_name(std::string_view text);
  Status expect_operator(std::string_view text);
  Result<std::string> expect_name(std::string_view what);
  [[nodiscard]] std::unexpected<Error> unexpected_token(std::string_view wanted) const;
  [[nodiscard]] std::unexpected<Error> fault_here(std::string_view message) const {
    return fault(result_.source, current().at, message);
  }

 private:
  using Kind = Expression::Kind;
  using Step = Result<ExpressionPtr> (ExpressionParser::*)();

  [[nodiscard]] ExpressionPtr make(Kind kind, std::uint32_t at) const;
  Result<ExpressionPtr> finished(ExpressionPtr node) const;
  Result<ExpressionPtr> left_to_right(Step operand, Kind kind,
                                      std::initializer_list<std::string_view> operators);
  void note(std::uint32_t at, std::string what) { result_.unsupported.emplace_back(at, what); }

  Result<ExpressionPtr> choice();
  Result<ExpressionPtr> disjunction();
  Result<ExpressionPtr> conjunction();
  Result<ExpressionPtr> negation();
  Result<ExpressionPtr> comparison();
  Result<ExpressionPtr> sum();
  Result<ExpressionPtr> concatenation();
  Result<ExpressionPtr> product();
  Result<ExpressionPtr> signed_value() { return signed_value(true); }
  Result<ExpressionPtr> signed_value(bool with_filters);
  Result<ExpressionPtr> primary();
  Result<ExpressionPtr> name_or_constant();
  Result<ExpressionPtr> list();
  Result<ExpressionPtr> map();
  Result<ExpressionPtr> tuple_until(std::string_view close);
  Result<ExpressionPtr> postfix(ExpressionPtr node);
  Result<ExpressionPtr> after_dot(ExpressionPtr object);
  Result<ExpressionPtr> subscript(ExpressionPtr object);
  Result<ExpressionPtr> call(ExpressionPtr function);
  Result<ExpressionPtr> filter_expression(ExpressionPtr node);
  Result<ExpressionPtr> test(ExpressionPtr value);
  Status arguments(Expression& to);
  Result<ExpressionPtr> target_item(bool with_namespace);

  Template& result_;
  const std::vector<Token>& tokens_;
  std::size_t next_ = 0;
  std::uint32_t nesting_ = 0;
};

}  // namespace otr::chat

#endif  // OTR_CHAT_JINJA_PARSER_H_
