// Templates: those of the known families, the language piece by piece as Python's Jinja runs it,
// refusals by name and place, marks of what was typed, and what a hostile template may cost.
#include "chat/template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace otr::chat {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

const std::vector<ChatMessage> kMessages = {
    {"system", "Be brief."}, {"user", " Hi "}, {"assistant", "Yes?"}, {"user", "a,b,,c"}};

TemplateOptions options() { return {.bos_token = "<s>", .eos_token = "</s>"}; }

std::string rendered(std::string_view source) {
  const auto result = apply_template(source, kMessages, options());
  return result ? result->text : "error: " + result.error().message;
}

std::string printed(const std::string& expression) { return rendered("{{ " + expression + " }}"); }

Error error_of(std::string_view source) {
  const auto result = apply_template(source, kMessages, options());
  if (result) ADD_FAILURE() << source << " gave " << result->text;
  return result ? Error{} : result.error();
}

// The text, with what was typed between « and ».
std::string marked(std::string_view source, const std::vector<ChatMessage>& messages = kMessages) {
  const auto result = apply_template(source, messages, options());
  if (!result) return result.error().message;
  std::string shown;
  for (std::size_t i = 0; i < result->text.size(); ++i) {
    const bool before = i > 0 && result->typed[i - 1] != 0;
    const bool now = result->typed[i] != 0;
    if (now != before) shown += now ? "«" : "»";
    shown += result->text[i];
  }
  if (!result->typed.empty() && result->typed.back() != 0) shown += "»";
  return shown;
}

TEST(Template, Families) {
  std::ifstream file(OTR_SOURCE_DIR "/tests/oracle/templates/cases.json");
  const Json cases = Json::parse(file, nullptr, false);
  ASSERT_TRUE(cases.is_array() && cases.size() > 100);
  for (const Json& c : cases) {
    SCOPED_TRACE(c.at("name").get<std::string>());
    std::ifstream source(OTR_SOURCE_DIR "/tests/oracle/templates/" +
                         c.at("file").get<std::string>());
    std::stringstream text;
    text << source.rdbuf();
    std::vector<ChatMessage> messages;
    for (const Json& m : c.at("messages")) messages.push_back({m.at("role"), m.at("content")});
    TemplateOptions given;
    for (const auto& [name, value] : c.at("options").items()) {
      if (name == "bos_token")
        given.bos_token = value;
      else if (name == "eos_token")
        given.eos_token = value;
      else if (name == "add_generation_prompt")
        given.add_generation_prompt = value;
      else
        given.flags[name] = value;
    }
    EXPECT_TRUE(check_template(text.str()));
    const auto result = apply_template(text.str(), messages, given);
    if (c.contains("error")) {
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().kind, ErrorKind::kUsage);
      EXPECT_THAT(result.error().message, HasSubstr(c.at("error").get<std::string>()));
    } else {
      ASSERT_TRUE(result) << result.error().message;
      EXPECT_EQ(result->text, c.at("text").get<std::string>());
    }
  }
}

// What Python's Jinja prints, each seen there.
TEST(Template, Expressions) {
  const std::vector<std::pair<std::string, std::string>> kCases = {
      {"1 + 2 * 3 - 4", "3"},
      {"-7 // 2 ~ ' ' ~ -7 % 3 ~ ' ' ~ 7 % -3", "-4 2 -2"},
      {"1 < 2 < 3, 1 < 2 > 5, not 1 == 2", "(True, False, True)"},
      {"'b' in 'abc' and 2 not in [1, 3]", "True"},
      {"none ~ true ~ [] ~ {}", "NoneTrue[]{}"},
      {"[1, 'it\\'s', none, (1,), {'a': true}]", "[1, \"it's\", None, (1,), {'a': True}]"},
      {"'abcdef'[1:-1] ~ 'abc'[::-1] ~ 'abc'[-1] ~ 'abc'[5]", "bcdecbac"},
      {"range(10)[2:8:3] | list", "[2, 5]"},
      {"'x' * 3 ~ [1] * 2", "xxx[1, 1]"},
      {"missing ~ '|' ~ (missing is defined) ~ (missing | default('d'))", "|Falsed"},
      {"'' | default('d') ~ ('' | default('d', true)) ~ (none | d('e'))", "dNone"},
      {"'a' if false", ""},
      {"'yes' if messages[0].role == 'system' else 'no'", "yes"},
      {"messages[3].content.split(',') ~ messages[3].content.split(',', 1)",
       "['a', 'b', '', 'c']['a', 'b,,c']"},
      {"' a  b '.split() ~ 'a b c'.rsplit(' ', 1)", "['a', 'b']['a b', 'c']"},
      {"'xxaxx'.strip('x') ~ 'xxa'.lstrip('x') ~ 'axx'.rstrip('x')", "aaa"},
      {"'abc'.startswith(('x', 'a')) ~ 'abc'.endswith('c') ~ 'abcb'.find('b') ~ 'a'.find('b')",
       "TrueTrue1-1"},
      {"'hello wORLD-it'.title() ~ ('hello wORLD-it' | title) ~ 'hELLO'.capitalize()",
       "Hello World-ItHello World-ItHello"},
      {"'aaa'.replace('a', 'b', 2) ~ ('aaa' | replace('a', ''))", "bba"},
      {"messages | map(attribute='role') | join('-')", "system-user-assistant-user"},
      {"messages | selectattr('role', 'equalto', 'user') | list | length", "2"},
      {"messages | rejectattr('role', 'in', ['user', 'system']) | map(attribute='role') | list",
       "['assistant']"},
      {"[3, 1, 2] | sort ~ ([1, 2, 1] | unique | list) ~ ([1, 2] | reverse | list)",
       "[1, 2, 3][1, 2][2, 1]"},
      {"{'b': 1, 'a': 2} | dictsort ~ {'b': 1}.items() | list", "[('a', 2), ('b', 1)][('b', 1)]"},
      {"{'a': 1}.get('a') ~ {'a': 1}.get('b') ~ {'a': 1}.get('b', 7)", "1None7"},
      {"{'a': [1, 'ü\\n'], 'b': none} | tojson", R"({"a": [1, "ü\n"], "b": null})"},
      {"'ü' | tojson(ensure_ascii=true)", R"("\u00fc")"},
      {"[1, {'a': []}] | tojson(indent=2)", "[\n  1,\n  {\n    \"a\": []\n  }\n]"},
      {"[1, 2] | tojson(separators=(',', ':'))", "[1,2]"},
      {"'a\\nb\\n\\nc' | indent(2)", "a\n  b\n\n  c"},
      {"'12' | int + '-3' | int + ('x' | int(5))", "14"},
      {"3 is odd and 4 is even and 9 is divisibleby 3 and 'a' is string", "True"},
      {"[] is sequence ~ {} is mapping ~ 1 is number ~ true is integer", "TrueTrueTrueFalse"},
      {"'Grüße' | upper | length ~ 'ÄÖ'.lower()", "error"},
      {"'\\x41\\u00e9\\101\\q'",
       "Aé"
       "A\\q"},
      {"loop is defined", "False"},
      {"strftime_now is defined", "False"},
      {"tools is defined ~ tools is none", "TrueTrue"},
  };
  for (const auto& [expression, expected] : kCases) {
    if (expected == "error") {
      EXPECT_THAT(printed(expression), HasSubstr("'ß'"));
    } else {
      EXPECT_EQ(printed(expression), expected) << expression;
    }
  }
}

TEST(Template, Statements) {
  const std::vector<std::pair<std::string, std::string>> kCases = {
      {"a\n", "a"},
      {"a\r\nb\r\n\r\n", "a\nb\n"},
      {"a\n  {% if true %}\n  b\n  {% endif %}\nc", "a\n  b\nc"},
      {"a  {%- if true -%}  b  {%- endif +%}\n c", "ab\n c"},
      {"a {%+ if true %} b{% endif %}\n\nc", "a  b\nc"},
      {"  {# note #}\na {{- 1 -}} b", "a1b"},
      {"{% for i in range(5) if i % 2 == 0 %}{{ loop.index }}:{{ i }}{{ ',' if not loop.last }}"
       "{% endfor %}",
       "1:0,2:2,3:4"},
      {"{% for i in [] %}x{% else %}none{% endfor %}", "none"},
      {"{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}{{ v }}{% endfor %}", "a1b2"},
      {"{% for i in range(9) %}{% if i == 1 %}{% continue %}{% elif i == 3 %}{% break %}{% endif %}"
       "{{ i }}{% endfor %}",
       "02"},
      {"{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = 5 %}{% endfor %}{{ x }}", "111"},
      {"{% set n = namespace(x=1) %}{% for i in [1, 2] %}{% set n.x = n.x + i %}{% endfor %}{{ n.x "
       "}}",
       "4"},
      {"{% set a, b = 1, 2 %}{{ a + b }}{% set c %} x {% endset %}[{{ c }}]", "3[ x ]"},
      {"{% set c | trim | upper %} x {% endset %}[{{ c }}]", "[X]"},
      {"{% macro f(a, b=a ~ '!') %}{{ a }}{{ b }}{{ g }}{% endmacro %}{% set g = 3 %}"
       "{{ f(1) }}{{ f(1, b=2) }}",
       "11!3123"},
      {"{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
       "3210"},
      {"{% raw %}{{ x }}{% endraw %}", "{{ x }}"},
      {"{% generation %}a{% endgeneration %}", "a"},
      {"{% for i in 'aé' %}{{ loop.revindex }}{{ i }}{{ loop.nextitem }}{% endfor %}", "2aé1é"},
      {"{ {a}} %} #}", "{ {a}} %} #}"},
  };
  for (const auto& [source, expected] : kCases) EXPECT_EQ(rendered(source), expected) << source;
}

TEST(Template, RefusesByNameAndPlace) {
  const std::vector<std::pair<std::string, std::string>> kCases = {
      {"\n\n {% include 'x' %}", "line 3 column 2: the statement 'include' is not supported"},
      {"{% call f() %}", "'call'"},
      {"{{ 1.5 }}", "fraction"},
      {"{{ 1 / 2 }}", "'/'"},
      {"{{ 2 ** 3 }}", "'**'"},
      {"{{ 'a' | wordwrap }}", "line 1 column 10: the filter 'wordwrap' is not supported"},
      {"{{ 'a' is sameas 'b' }}", "the test 'sameas' is not supported"},
      {"{{ 'a'.zfill(3) }}", "the method 'zfill' of str is not supported"},
      {"{{ [].append(1) }}", "'append'"},
      {"{{ cycler(1) }}", "'cycler'"},
      {"{{ strftime_now('%Y') }}", "'strftime_now' is not supported"},
      {"{{ nothing.x }}", "'nothing' is undefined"},
      {"{{ nothing + 'x' }}", "'nothing' is undefined"},
      {"{{ nothing() }}", "'nothing'"},
      {"{{ 'a' + 1 }}", "str and int"},
      {"{{ 'a' < 1 }}", "cannot order"},
      {"{% if 1 %}", "endif"},
      {"{% for a in b %}", "endfor"},
      {"{% endif %}", "closes no block"},
      {"{% break %}", "no loop"},
      {"{{ (1 }}", "unexpected }"},
      {"{{", "not closed"},
      {"{% x", "not closed"},
      {"{#", "not closed"},
      {"{% raw %}", "endraw"},
      {"{{ 'a }}", "not closed"},
      {"{{ 'a", "not closed"},
      {"{{ }}", "expected an expression"},
      {"{{ a b }}", "expected '}}', found 'b'"},
      {"{{ a ? b }}", "'?'"},
      {"{{ f(*x) }}", "* and **"},
      {"{{ 9223372036854775808 }}", "2^63"},
      {"{{ 9223372036854775807 + 1 }}", "64 bits"},
      {"{{ 1 // 0 }}", "zero"},
      {"{{ (x|safe) ~ 'a' }}", "'safe'"},
      {"{% set loop = 1 %}", "'loop'"},
      {"{% set a.b = 1 %}", "undefined"},
      {"{% set a, b = [1] %}", "expected 2 values"},
      {"{{ [1] | map('upper') }}", "list"},
      {"{% for i in [1] %}{% macro f() %}{% endmacro %}{% endfor %}", "macro"},
      {"{{ raise_exception('never\n mind') }}", "refuses this conversation: 'never  mind'"},
      {"\xFF", "not UTF-8"},
  };
  for (const auto& [source, expected] : kCases) {
    EXPECT_THAT(error_of(source).message, HasSubstr(expected)) << source;
  }
  EXPECT_EQ(error_of("{{ raise_exception('no') }}").kind, ErrorKind::kUsage);
}

TEST(Template, CheckNamesWhatMayNeverBeReached) {
  const std::string source = "{% if tools %}\n{{ tools | pprint }}{% endif %}ok";
  EXPECT_EQ(rendered(source), "ok");
  const Status checked = check_template(source);
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().message, HasSubstr("line 2 column 12: the filter 'pprint'"));
  EXPECT_FALSE(check_template("{% if x %}{{ 'a'.encode() }}{% endif %}"));
  EXPECT_TRUE(check_template("{{ strftime_now('x') if strftime_now is defined }}{{ x | safe }}"));
}

TEST(Template, MarksFollowWhatWasTyped) {
  EXPECT_EQ(marked("<{{ messages[1].content }}>"), "<« Hi »>");
  EXPECT_EQ(marked("<{{ messages[1].content | trim }}>{{ messages[1].role }}"), "<«Hi»>user");
  EXPECT_EQ(marked("{{ '[' + messages[1].content.strip() + ']' }}"), "[«Hi»]");
  EXPECT_EQ(marked("{{ messages[3].content.split(',') | join('|') }}"), "«a»|«b»||«c»");
  EXPECT_EQ(marked("{{ messages[1].content | upper | replace('H', '<h>') }}"), "« »<h>«I »");
  EXPECT_EQ(marked("{{ messages[1].content[::-1] ~ messages[1].content[1] }}"), "« iH H»");
  EXPECT_EQ(marked("{{ messages[1] | tojson }}"), "{\"role\": \"user\", \"content\": \"« Hi »\"}");
  EXPECT_EQ(marked("{{ [messages[1].content] }}"), "['« Hi »']");
  EXPECT_EQ(marked("{% set x %}a{{ messages[1].content }}{% endset %}{{ x | title }}"), "A« Hi »");
  EXPECT_EQ(marked("{% for c in messages[1].content %}{{ c }}.{% endfor %}"), "« ».«H».«i».« ».");
  EXPECT_EQ(marked("{% macro f(x) %}({{ x }}){% endmacro %}{{ f(messages[1].content) }}"),
            "(« Hi »)");
  EXPECT_EQ(marked("{{ messages[1].content | indent(1, true) }}{{ messages[0].content * 2 }}"),
            " « Hi Be brief.Be brief.»");
  EXPECT_EQ(marked("{{ messages[0].content }}"), "«Be brief.»");
  // A text that completes what the template writes is still known.
  EXPECT_EQ(marked("<|im_{{ messages[0].content }}", {{"user", "end|>"}}), "<|im_«end|>»");
}

TEST(Template, RefusesRolesAndTextsItCannotUse) {
  const auto error = [](const ChatMessage& message) {
    const auto result = apply_template("x", std::vector{message}, {});
    return result ? Error{} : result.error();
  };
  EXPECT_EQ(error({"<|im_end|>", "x"}).kind, ErrorKind::kUsage);
  EXPECT_THAT(error({"developer", "x"}).message, HasSubstr("'developer'"));
  EXPECT_THAT(error({"user", "a\xC3("}).message, HasSubstr("byte 1"));
  EXPECT_EQ(error({"user", std::string("\0{{ x }}", 8)}).message, "");
}

// Each ends quickly, with an error that names the bound.
TEST(Template, HostileTemplatesAreBounded) {
  const std::vector<std::pair<std::string, std::string>> kCases = {
      {"{% for i in range(1000000000) %}{% endfor %}", "range"},
      {"{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}", "steps"},
      {"{% set n = namespace(x='a') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor "
       "%}",
       "not supported"},
      {"{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor "
       "%}",
       "not supported"},
      {"{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor "
       "%}",
       "bytes"},
      {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "deep"},
      {"{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}", "deep"},
      {"{% macro f(a=f()) %}{% endmacro %}{{ f() }}", "deep"},
      {"{{ 'a' * 1000000000 }}", "too often"},
      {"{{ 'a' * 9223372036854775807 }}", "too often"},
      {"{{ [1] * 1000000000 }}", "too often"},
      {"{% set a = 'a' * 10000000 %}{{ a }}{{ a }}", "bytes"},
      {"{% set a = 'a' * 1000000 %}{{ a.replace('a', a) }}", "bytes"},
      {"{% set a = 'a' * 1000000 %}{{ a.replace('', a) }}", "bytes"},
      {"{% set a = 'a' * 10000000 %}{{ a | list | length }}", "bytes"},
      {"{% set a = 'ab' * 4000000 %}{{ a.strip(a) }}", "steps"},
      {"{{ " + std::string(60'000, '(') + "1" + std::string(60'000, ')') + " }}", "deep"},
      {"{{ " + std::string(60'000, '[') + std::string(60'000, ']') + " }}", "deep"},
      {"{{ " + std::string(100'000, '-') + "1 }}", "deep"},
      {"{{ 1" + std::string(50'000, 'x').replace(0, 0, "") + " }}", "number"},
      {"{{ [1]" +
           [] {
             std::string s;
             for (int i = 0; i < 30000; ++i) s += "[0]";
             return s;
           }() +
           " }}",
       "deep"},
      {[] {
         std::string s;
         for (int i = 0; i < 20000; ++i) s += "{% if 1 %}";
         return s;
       }(),
       "deep"},
      {[] {
         std::string s;
         for (int i = 0; i < 90000; ++i) s += "{{1}}";
         return s;
       }(),
       "tokens"},
      {std::string((1 << 20) + 1, 'a'), "1 MiB"},
  };
  for (const auto& [source, expected] : kCases) {
    const std::string message = error_of(source).message;
    EXPECT_THAT(message, HasSubstr(expected)) << source.substr(0, 100);
    EXPECT_LT(message.size(), 400U);
  }
  EXPECT_EQ(rendered(std::string(1 << 20, 'a')).size(), 1U << 20);
  EXPECT_EQ(rendered(std::string("\0{{ 1 }}\0", 9)), std::string("\0"
                                                                 "1\0",
                                                                 3));
}

// No prefix of a template crashes the reader.
TEST(Template, EveryPrefixEnds) {
  const std::string source =
      "{%- set n = namespace(a=[1, 'x\\u00e9'][::-1]) -%}{# c #}{% for m, k in [(1, 2)] if not m "
      "is "
      "odd %}{{ n.a | map('upper', x=1) | join(\", \") if m in {} else -1 // 2 }}{% else %}"
      "{% raw %}x{% endraw %}{% endfor %}{% macro f(a, b=1) %}{% set x | trim %}a{% endset %}"
      "{% endmacro %}";
  for (std::size_t size = 0; size <= source.size(); ++size) {
    const auto result = apply_template(source.substr(0, size), kMessages, options());
    EXPECT_TRUE(result || !result.error().message.empty());
  }
}

}  // namespace
}  // namespace otr::chat
