#include "chat/jinja_parser.h"

#include <algorithm>
#include <array>

#include "text/utf8.h"

namespace otr::chat {
namespace {

class StatementParser {
 public:
  StatementParser(Template& result, const std::vector<Token>& tokens)
      : result_(result), tokens_(result, tokens) {}

  Status run() {
    OTR_TRY_ASSIGN(result_.body, statements({}));
    return {};
  }

 private:
  using Kind = Statement::Kind;
  using Names = std::initializer_list<std::string_view>;

  // Up to a tag with one of the names, which is then the current token, or else to the end.
  Result<std::vector<Statement>> statements(Names ends) {
    const std::uint32_t begin = tokens_.current().at;
    if (++nesting_ > kMaxSyntaxDepth) {
      return tokens_.fault_here("blocks nest more than 100 deep, which is not supported");
    }
    std::vector<Statement> result;
    for (; tokens_.current().kind != TokenKind::kEnd; tokens_.skip()) {
      const Token& token = tokens_.current();
      if (token.kind == TokenKind::kText) {
        result.push_back({.kind = Kind::kText, .at = token.at});
        result.back().text = MarkedText::written(token.text);
        continue;
      }
      tokens_.skip();
      if (token.kind == TokenKind::kOutputBegin) {
        OTR_TRY_ASSIGN(Statement statement, output(token.at));
        result.push_back(std::move(statement));
        continue;
      }
      if (std::ranges::any_of(ends, [&](auto name) { return tokens_.at_name(name); })) {
        --nesting_;
        return result;
      }
      OTR_TRY_ASSIGN(Statement statement, tag(token.at));
      result.push_back(std::move(statement));
    }
    --nesting_;
    if (ends.size() == 0) return result;
    return fault(
        result_.source, begin,
        "the block that begins here is not closed by {% " + std::string(*(ends.end() - 1)) + " %}");
  }

  // Each reader of a tag leaves the closing %} as the current token.
  Status expect_tag_end() {
    if (tokens_.current().kind == TokenKind::kTagEnd) return {};
    return tokens_.unexpected_token("'%}'");
  }
  Status skip_tag_end() {
    OTR_TRY(expect_tag_end());
    tokens_.skip();
    return {};
  }
  // The body of a block and its end.
  Result<std::vector<Statement>> body(std::string_view end) {
    OTR_TRY(skip_tag_end());
    OTR_TRY_ASSIGN(std::vector<Statement> result, statements({end}));
    tokens_.skip();
    OTR_TRY(expect_tag_end());
    return result;
  }

  Result<Statement> output(std::uint32_t at) {
    Statement result{.kind = Kind::kOutput, .at = at};
    OTR_TRY_ASSIGN(result.value, tokens_.tuple());
    // Nothing here is escaped for HTML, so what is printed as it is needs no mark to say so.
    while (result.value->kind == Expression::Kind::kFilter && result.value->name == "safe" &&
           result.value->parts.size() == 1 && result.value->named.empty()) {
      const std::uint32_t place = result.value->at;
      std::erase_if(result_.unsupported, [&](const auto& one) { return one.first == place; });
      ExpressionPtr inner = std::move(result.value->parts[0]);
      result.value = std::move(inner);
    }
    if (tokens_.current().kind == TokenKind::kOutputEnd) return result;
    return tokens_.unexpected_token("'}}'");
  }

  Result<Statement> tag(std::uint32_t at) {
    OTR_TRY_ASSIGN(const std::string name, tokens_.expect_name("the name of a statement"));
    if (name == "if") return if_statement(at);
    if (name == "for") return for_statement(at);
    if (name == "set") return set_statement(at);
    if (name == "macro") return macro(at);
    if (name == "generation") return generation(at);
    if (name == "break" || name == "continue") {
      if (loops_ == 0) return fault(result_.source, at, "{% " + name + " %} stands in no loop");
      OTR_TRY(expect_tag_end());
      return Statement{.kind = name == "break" ? Kind::kBreak : Kind::kContinue, .at = at};
    }
    if (name.starts_with("end") || name == "else" || name == "elif") {
      return fault(result_.source, at, "{% " + name + " %} closes no block");
    }
    return fault(result_.source, at, "the statement " + quoted(name) + " is not supported");
  }

  Result<Statement> if_statement(std::uint32_t at) {
    Statement result{.kind = Kind::kIf, .at = at};
    while (true) {
      Statement::Branch& branch = result.branches.emplace_back();
      OTR_TRY_ASSIGN(branch.condition, tokens_.tuple(false));
      OTR_TRY(skip_tag_end());
      OTR_TRY_ASSIGN(branch.body, statements({"elif", "else", "endif"}));
      if (!tokens_.skip_name("elif")) break;
    }
    if (tokens_.skip_name("else")) {
      OTR_TRY(skip_tag_end());
      OTR_TRY_ASSIGN(result.branches.emplace_back().body, statements({"endif"}));
    }
    tokens_.skip();
    OTR_TRY(expect_tag_end());
    return result;
  }

  Result<Statement> for_statement(std::uint32_t at) {
    Statement result{.kind = Kind::kFor, .at = at};
    OTR_TRY_ASSIGN(result.target, tokens_.target(false));
    if (!tokens_.skip_name("in")) return tokens_.unexpected_token("'in'");
    OTR_TRY_ASSIGN(result.value, tokens_.tuple(false));
    if (tokens_.skip_name("if")) {
      OTR_TRY_ASSIGN(result.condition, tokens_.expression());
    }
    if (tokens_.at_name("recursive")) {
      return tokens_.fault_here("a recursive loop is not supported");
    }
    OTR_TRY(skip_tag_end());
    ++loops_;
    OTR_TRY_ASSIGN(result.body, statements({"else", "endfor"}));
    --loops_;
    if (tokens_.skip_name("else")) {
      OTR_TRY_ASSIGN(result.otherwise, body("endfor"));
      return result;
    }
    tokens_.skip();
    OTR_TRY(expect_tag_end());
    return result;
  }

  // A part that may not be left by a `break` of a loop around it.
  Result<std::vector<Statement>> closed_body(std::string_view end) {
    const std::uint32_t loops = std::exchange(loops_, 0);
    ++closed_;
    OTR_TRY_ASSIGN(std::vector<Statement> result, body(end));
    --closed_;
    loops_ = loops;
    return result;
  }

  Result<Statement> set_statement(std::uint32_t at) {
    Statement result{.kind = Kind::kSet, .at = at};
    OTR_TRY_ASSIGN(result.target, tokens_.target(true));
    if (tokens_.skip_operator("=")) {
      OTR_TRY_ASSIGN(result.value, tokens_.tuple());
      OTR_TRY(expect_tag_end());
      return result;
    }
    result.kind = Kind::kSetBlock;
    OTR_TRY_ASSIGN(result.value, tokens_.filters(nullptr));
    OTR_TRY_ASSIGN(result.body, closed_body("endset"));
    return result;
  }

  Result<Statement> macro(std::uint32_t at) {
    if (loops_ > 0 || closed_ > 0) {
      return fault(result_.source, at, "a macro inside a loop or another block is not supported");
    }
    Statement result{.kind = Kind::kMacro, .at = at};
    OTR_TRY_ASSIGN(result.name, tokens_.expect_name("the name of the macro"));
    OTR_TRY(tokens_.expect_operator("("));
    for (bool first = true; !tokens_.at_operator(")"); first = false) {
      if (!first) OTR_TRY(tokens_.expect_operator(","));
      OTR_TRY_ASSIGN(const std::string name, tokens_.expect_name("the name of a parameter"));
      ExpressionPtr otherwise;
      if (tokens_.skip_operator("=")) {
        OTR_TRY_ASSIGN(otherwise, tokens_.expression());
      } else if (!result.parameters.empty() && result.parameters.back().second) {
        return tokens_.fault_here("a parameter without a default after one with a default");
      }
      result.parameters.emplace_back(name, std::move(otherwise));
    }
    tokens_.skip();
    OTR_TRY_ASSIGN(result.body, closed_body("endmacro"));
    return result;
  }

  Result<Statement> generation(std::uint32_t at) {
    Statement result{.kind = Kind::kBlock, .at = at};
    OTR_TRY_ASSIGN(result.body, closed_body("endgeneration"));
    return result;
  }

  Template& result_;
  ExpressionParser tokens_;
  std::uint32_t nesting_ = 0;
  std::uint32_t loops_ = 0;   // around the current place, up to the next closed body
  std::uint32_t closed_ = 0;  // closed bodies around the current place
};

}  // namespace

Result<Template> parse_template(std::string_view source) {
  if (source.size() > kMaxSourceBytes) {
    return fail(ErrorKind::kBadInput, "the model's chat template has " +
                                          std::to_string(source.size()) +
                                          " bytes; at most 1 MiB is supported");
  }
  if (const auto offset = text::utf8_error(source)) {
    return fail(ErrorKind::kBadInput,
                "the model's chat template is not UTF-8 at byte " + std::to_string(*offset));
  }
  Template result{.source = normal_source(source)};
  OTR_TRY_ASSIGN(const std::vector<Token> tokens, tokenize(result.source));
  OTR_TRY(StatementParser(result, tokens).run());
  return result;
}

}  // namespace otr::chat
