// Templates: the part that is understood, and that everything else is refused by name.
#include "text/template.h"

#include <gtest/gtest.h>

namespace otr::text {
namespace {

constexpr std::string_view kQuestion = "{{ messages[0]['content'] }}";

TEST(Template, LiteralTextAndQuestion) {
  const auto result =
      apply_template("Q: " + std::string(kQuestion) + "\nA:" + std::string(kQuestion), "why?");
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_FALSE(result->bos);
  EXPECT_EQ(result->text, "Q: why?\nA:why?");
}

TEST(Template, OneLineFeedAtTheEndIsDroppedAsJinjaDoes) {
  EXPECT_EQ(apply_template("A:\n", "x")->text, "A:");
  EXPECT_EQ(apply_template("A:\n\n", "x")->text, "A:\n");
  EXPECT_EQ(apply_template("\n" + std::string(kQuestion), "x\n")->text, "\nx\n");
}

TEST(Template, BosOnlyAtTheBeginning) {
  const auto result = apply_template("{{bos_token}}[{{messages[0]['content']}}]", "x");
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(result->bos);
  EXPECT_EQ(result->text, "[x]");
  EXPECT_FALSE(apply_template(" {{ bos_token }}", "x"));
  EXPECT_FALSE(apply_template("{{ bos_token }}{{ bos_token }}", "x"));
}

// Whatever a question says is text: it cannot write tags, nor be cut by them.
TEST(Template, QuestionIsNeverATemplate) {
  for (const std::string_view question :
       std::initializer_list<std::string_view>{"{{ bos_token }}",
                                               "{% for %}",
                                               "}}",
                                               "{{",
                                               "{# #}",
                                               "{{ messages[0]['content'] }}",
                                               "",
                                               {"\0x", 2},
                                               "\xff"}) {
    const auto result = apply_template("<" + std::string(kQuestion) + ">", question);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_FALSE(result->bos);
    EXPECT_EQ(result->text, "<" + std::string(question) + ">");
  }
}

TEST(Template, BracesThatAreNoTag) {
  for (const std::string_view source : {"", "{", "}", "a{b}c", "}}", "%}", "{ {", "x{"}) {
    const auto result = apply_template(source, "x");
    ASSERT_TRUE(result) << source;
    EXPECT_EQ(result->text, source);
  }
}

TEST(Template, AnythingElseIsRefusedAtItsOffset) {
  for (const std::string_view tag :
       {"{% if x %}", "{# note #}", "{{ messages }}", "{{ messages[0].content }}",
        "{{ messages[1]['content'] }}", "{{ eos_token }}", "{{- bos_token }}", "{{", "{{ x", "{%",
        "{#", "{{}}", "{{ 'a' }}", "{{{ messages[0]['content'] }}}"}) {
    const auto result = apply_template("abc" + std::string(tag), "x");
    ASSERT_FALSE(result) << tag;
    EXPECT_EQ(result.error().kind, ErrorKind::kBadInput);
    EXPECT_NE(result.error().message.find("offset 3"), std::string::npos) << result.error().message;
    EXPECT_NE(result.error().message.find("--raw"), std::string::npos);
  }
  // The message stays short, whatever the template holds.
  EXPECT_LT(apply_template("{% " + std::string(100'000, 'x'), "x").error().message.size(), 300U);
}

}  // namespace
}  // namespace otr::text
