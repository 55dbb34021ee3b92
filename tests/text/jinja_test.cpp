#include <gtest/gtest.h>

#include "base/error.h"
#include "text/golden.h"
#include "text/golden_time.h"
#include "text/jinja_render.h"

namespace graft {
namespace {

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
