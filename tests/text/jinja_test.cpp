#include <gtest/gtest.h>

#include "base/error.h"
#include "text/golden.h"
#include "text/golden_time.h"
#include "text/jinja/template.h"

namespace graft {
namespace {

std::string render(const std::string& source, const JinjaVariables& variables = {},
                   const JinjaLimits& limits = {}) {
  return JinjaTemplate(source, "test").render(variables, golden_time(), limits).text;
}

std::string error_of(const std::string& source, const JinjaVariables& variables = {},
                     const JinjaLimits& limits = {}) {
  try {
    return "rendered: " + render(source, variables, limits);
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Jinja, SmallTemplatesRenderAsTransformersDoesOrRaiseAlike) {
  const Json file = read_json(golden("jinja.json"));
  JinjaVariables variables;
  for (const auto& [name, value] : file["variables"].items())
    variables.emplace_back(name, jinja_value(value, name));
  ASSERT_GT(file["cases"].size(), 600U);
  for (const Json& entry : file["cases"]) {
    const std::string source = entry[0].get<std::string>();
    SCOPED_TRACE(source);
    if (entry[1].is_null())
      EXPECT_TRUE(error_of(source, variables).starts_with("test:")) << error_of(source, variables);
    else
      EXPECT_EQ(error_of(source, variables), "rendered: " + entry[1].get<std::string>());
  }
}

TEST(Jinja, ErrorsNameLineAndColumnInCharacters) {
  EXPECT_EQ(error_of("a\n你好{{ x.y }}"), "test:2:7: 'x' is undefined");
  EXPECT_EQ(error_of("{% if x %}\n{{ 1 + }}"), "test:2:8: expected an expression, got `}}`");
  EXPECT_EQ(error_of("\r\n\r{{ 'a' "), "test:3:1: unclosed {{");
  EXPECT_EQ(error_of("x\n  {% for a in b %}"), "test:2:3: this block is never closed");
  EXPECT_EQ(error_of("{{ 'x' | nope }}"), "test:1:10: no filter named 'nope'");
  EXPECT_EQ(error_of("{% include 'a' %}"), "test:1:4: `include`: a chat template cannot read other files");
  EXPECT_EQ(error_of("{% for x in [1] recursive %}{% endfor %}"),
            "test:1:17: `recursive` loops are not supported");
  EXPECT_EQ(error_of("{{ raise_exception('Roles must\\nalternate') }}"),
            "test:1:19: the template refuses: Roles must\\x0Aalternate");
}

TEST(Jinja, NothingOfTheHostCanBeReached) {
  for (const char* walk : {"{{ ''.__class__ }}", "{{ [].__class__ }}", "{{ x.__dict__ }}",
                           "{{ namespace.__init__ }}", "{{ range.__globals__ }}", "{{ ''['__class__'] }}",
                           "{{ '' | attr('__class__') }}", "{{ cycler.__init__ }}"})
    EXPECT_EQ(error_of(walk, {{"x", JinjaValue::dict({})}}), "rendered: ") << walk;
  for (const char* walk :
       {"{{ ''.__class__.__mro__ }}", "{{ [].__class__() }}", "{{ '{0.__class__}'.format('a') }}",
        "{{ '%(a)s' % {'a': 1} }}", "{{ {}.update({1: 2}) }}", "{{ [].append(1) }}",
        "{{ self._TemplateReference }}", "{{ ().__class__.__base__.__subclasses__() }}",
        "{{ [''] | map(attribute='__class__.x') | list }}", "{% set namespace.x = 1 %}",
        "{{ raise_exception.__globals__['os'] }}", "{{ open('/etc/passwd') }}", "{{ environ.HOME }}",
        "{% set x = namespace(__class__=1) %}"})
    EXPECT_TRUE(error_of(walk).starts_with("test:1:")) << walk << " " << error_of(walk);
}

// Each would run, grow or recurse without end; the limits end it with a place.
TEST(Jinja, HostileTemplatesEndInAnError) {
  const std::vector<std::string> hostile = {
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{% macro f(g) %}{{ g(g) }}{% endmacro %}{{ f(f) }}",
      "{% macro f() %}{{ caller() }}{% endmacro %}{% macro g() %}{% call f() %}{{ g() }}{% endcall %}{% "
      "endmacro %}{{ g() }}",
      "{{ 'a' * 999999999999 }}",
      "{{ [0] * 999999999999 }}",
      "{% set n = namespace(s='ab') %}{% for i in range(99999) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
      "{% set n = namespace(s=[1]) %}{% for i in range(99999) %}{% set n.s = n.s + n.s %}{% endfor %}",
      "{% set n = namespace(s=[1]) %}{% for i in range(99999) %}{% set n.s = [n.s] %}{% endfor %}{{ n.s }}",
      "{% set n = namespace(s=[1]) %}{% for i in range(99) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s }}",
      "{% set n = namespace(s=1) %}{% for i in range(99999) %}{% set n.s = dict(a=n.s) %}{% endfor %}{{ n.s "
      "| tojson }}",
      "{% for i in range(99999) %}{{ 'x' * 99999 }}{% endfor %}",
      "{% for i in range(99999) %}{% set x = range(99999) %}{% endfor %}",
      "{{ ('a' * 9999999) | replace('a', 'b' * 9999) }}",
      "{{ ('a' * 9999999).replace('', 'b' * 9999) }}",
      "{{ ('a\n' * 999999) | indent(999) }}",
      "{{ range(99999) | map('string') | join('x' * 99999) }}",
      "{{ (range(99999) | list * 99) | unique | list | length }}",
      "{{ 'a' | center(99999999999) }}",
      "{{ 'a'.ljust(99999999999) }}",
      "{{ '%99999999999d' % 1 ~ ('%999d' * 999999) % (1,) }}",
      "{{ [1] | batch(99999999999, 0) | list }}",
      "{{ 9 ** 9 ** 9 ** 9 }}",
      "{{ {'a': 1} | tojson(indent=99999999) }}",
      "{% set n = namespace(f=1) %}{% for i in range(99999) %}{% set n.f = [n.f].count %}{% endfor %}",
      "{% set n = namespace(l=1) %}{% for i in range(99999) %}{% for x in [n.l] %}{% set n.l = loop %}{% "
      "endfor %}{% endfor %}",
      "{{ " + std::string(100000, '(') + " }}",
      "{{ " + std::string(100000, '[') + " }}",
      "{{ " + std::string(100000, '-') + "1 }}",
  };
  for (const std::string& source : hostile) {
    const std::string error = error_of(source);
    EXPECT_TRUE(error.starts_with("test:")) << source.substr(0, 120) << " -> " << error.substr(0, 200);
  }
}

std::string repeated(const std::string& text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

TEST(Jinja, DeepAndLongSourcesNeitherCrashNorHang) {
  EXPECT_TRUE(error_of("{{ " + repeated("not ", 50000) + "1 }}").starts_with("test:1:"));
  EXPECT_TRUE(error_of("{{ 1" + repeated(" + 1", 50000) + " }}").starts_with("test:1:"));
  EXPECT_TRUE(error_of("{{ 1" + repeated(" | abs", 50000) + " }}").starts_with("test:1:"));
  EXPECT_TRUE(error_of("{{ x" + repeated(".a", 50000) + " }}").starts_with("test:1:"));
  EXPECT_TRUE(error_of("{{ 1" + repeated(" if 1 else 1", 50000) + " }}").starts_with("test:1:"));
  EXPECT_TRUE(error_of(repeated("{% if 1 %}", 50000)).starts_with("test:1:"));
  EXPECT_EQ(error_of("{% if 0 %}" + repeated("{% elif 0 %}", 20000) + "{% else %}x{% endif %}"),
            "rendered: x");
  EXPECT_EQ(error_of("{{ " + repeated("1 ~ ", 50000) + "1 }}").size(),
            std::string("rendered: ").size() + 50001);
  EXPECT_TRUE(error_of(std::string(2000000, 'x')).starts_with("test: a template of 2000000 bytes"));
  EXPECT_TRUE(error_of("a\xFF").starts_with("test @1: not valid UTF-8"));
}

// What the template makes can hold itself and be linked in long chains; neither leaks nor overflows the
// stack.
TEST(Jinja, ValuesThatHoldThemselvesAreTakenApart) {
  EXPECT_EQ(error_of("{% set n = namespace() %}{% set n.n = n %}x"), "rendered: x");
  EXPECT_EQ(error_of("{% set n = namespace() %}{% macro m() %}{{ n }}{% endmacro %}{% set n.m = m %}x"),
            "rendered: x");
  EXPECT_EQ(error_of("{% set n = namespace(p=0) %}{% for i in range(50000) %}{% set n.p = namespace(p=n.p) %}"
                     "{% endfor %}{% set n.p = 0 %}x"),
            "rendered: x");
  EXPECT_EQ(
      error_of("{% set n = namespace(m=0) %}{% macro f(p) %}{% macro g() %}{% endmacro %}{% set n.m = g %}"
               "{% endmacro %}{% for i in range(20000) %}{{ f(n.m) }}{% endfor %}x"),
      "rendered: x");
}

TEST(Jinja, LimitsAreWhatTheCallerSays) {
  JinjaLimits limits;
  limits.output_bytes = 5;
  EXPECT_EQ(error_of("{{ 'abcde' }}", {}, limits), "rendered: abcde");
  EXPECT_EQ(error_of("{{ 'abcdef' }}", {}, limits), "test:1:4: the text grows over 5 bytes");
  limits = {.work = 1000};
  EXPECT_TRUE(error_of("{% for i in range(1000) %}{% endfor %}", {}, limits).find("does too much") !=
              std::string::npos);
  limits = {.levels = 10};
  EXPECT_TRUE(error_of("{{ [[[[[[[[[[[1]]]]]]]]]]] }}", {}, limits).find("nested too deeply") !=
              std::string::npos);
}

TEST(Jinja, GenerationBlocksAreReturnedWithTheirMessage) {
  const Json messages = Json::parse(
      R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": "你"}, {"role": "assistant", "content": ""}])");
  const JinjaTemplate source(
      "{% for m in messages %}[{{ m.role }}]{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
      "{% endgeneration %}{% endif %}{% endfor %}{% generation %}!{% endgeneration %}",
      "test");
  const JinjaRendering rendering =
      source.render({{"messages", jinja_value(messages, "messages")}}, golden_time());
  EXPECT_EQ(rendering.text, "[user][assistant]你[assistant]!");
  ASSERT_EQ(rendering.generations.size(), 2U);  // the empty one is none
  EXPECT_EQ(rendering.generations[0].bytes, (ByteSpan{17, 20}));
  EXPECT_EQ(rendering.generations[0].message, 1U);
  EXPECT_EQ(rendering.generations[1].message, std::nullopt);
  EXPECT_TRUE(rendering.generations_known);
  const JinjaTemplate captured("{% set x %}{% generation %}a{% endgeneration %}{% endset %}{{ x }}", "test");
  EXPECT_FALSE(captured.render({}, golden_time()).generations_known);
}

TEST(Jinja, JsonThatNoTemplateCanHoldIsRefused) {
  EXPECT_THROW(jinja_value(Json(UINT64_MAX), "x"), Error);
  Json deep = 1;
  for (int i = 0; i < 200; ++i) deep = Json::array({deep});
  EXPECT_THROW(jinja_value(deep, "x"), Error);
}

}  // namespace
}  // namespace graft
