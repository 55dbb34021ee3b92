#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/text.h"
#include "text/jinja/library.h"
#include "text/jinja_render.h"

// No time is asserted here: the evaluator counts what it does and how much it holds, and stops by that count.
// What is asserted is that each hostile template ends in the error of a count, and that nothing a template
// can do is done without being counted.

namespace graft {
namespace {

constexpr const char* kWork = "the template does too much (an endless loop, or text without end)";
constexpr const char* kDeep = "nested too deeply (endless recursion?)";

constexpr const char* kLarge = "a value that is too large";

struct Hostile {
  std::string source;
  std::string error;  // after its place
};

std::string repeated(const std::string& text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

std::string loop(const std::string& body) { return "{% for i in range(99999) %}" + body + "{% endfor %}"; }
std::string growing(const std::string& start, const std::string& step) {
  return "{% set n = namespace(s=" + start + ") %}" + loop("{% set n.s = " + step + " %}");
}
std::string nested(const std::string& open, const std::string& close) {
  return "{{ " + repeated(open, 50000) + "1" + repeated(close, 50000) + " }}";
}

// Each would run, grow or recurse for hours or without end.
const std::vector<Hostile>& hostile_templates() {
  static const std::vector<Hostile> all = {
      {loop(loop("")), kWork},
      {loop(loop(loop("{{ i }}"))), kWork},
      {"{{ range(10 ** 9) }}", "range: more than 100000 items"},
      {loop("{% set x = range(99999) %}"), kWork},
      {loop("{{ 'x' * 99999 }}"), kWork},
      {growing("'ab'", "n.s ~ n.s"), kWork},
      {growing("'ab'", "n.s * 2"), kWork},
      {growing("'ab'", "n.s.replace('a', n.s)"), kWork},
      {growing("'ab'", "'%s%s' % (n.s, n.s)"), kWork},
      {growing("'ab'", "'{0}{0}'.format(n.s)"), kWork},
      {growing("[1]", "n.s + n.s"), kWork},
      {growing("[1]", "[n.s, n.s]"), kLarge},
      {growing("[1]", "[n.s]"), "a value nested more than 100 times"},
      {growing("1", "dict(a=n.s)"), "a value nested more than 100 times"},
      {growing("1", "[n.s].count"), "a value nested more than 100 times"},
      {"{% set n = namespace(l=1) %}" + loop("{% for x in [n.l] %}{% set n.l = loop %}{% endfor %}"),
       "a value nested more than 100 times"},
      {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", kDeep},
      {"{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}", kDeep},
      {"{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}", kWork},
      {"{% macro f(g) %}{{ g(g) }}{% endmacro %}{{ f(f) }}", kDeep},
      {"{% macro f() %}{{ caller() }}{% endmacro %}{% macro g() %}{% call f() %}{{ g() }}{% endcall %}"
       "{% endmacro %}{{ g() }}",
       kDeep},
      {"{{ 'a' * 999999999999 }}", kLarge},
      {"{{ [0] * 999999999999 }}", kLarge},
      {"{{ ('a' * 9999999) | replace('a', 'b' * 9999) }}", kWork},
      {"{{ ('a' * 9999999).replace('', 'b' * 9999) }}", kWork},
      {"{{ ('a\\n' * 999999) | indent(999) }}", kWork},
      {"{{ range(99999) | map('string') | join('x' * 99999) }}", kWork},
      {"{{ (range(99999) | list * 9) | unique | list | length }}", kWork},
      {"{{ 'a' | center(99999999999) }}", kWork},
      {"{{ 'a'.ljust(99999999999) }}", kWork},
      {"{{ ('%999d' * 999999) % (1,) }}", "not enough arguments for the format"},
      {"{{ [1] | batch(99999999999, 0) | list }}", kWork},
      {"{{ 9 ** 9 ** 9 ** 9 }}", "an integer that does not fit 64 bits"},
      {"{{ {'a': 1} | tojson(indent=99999999) }}", "indent: got 99999999, want at most 64"},
      {nested("(", ")"), "nested too deep"},
      {nested("[", "]"), "nested too deep"},
      {nested("{1:", "}"), "nested too deep"},
  };
  return all;
}

// Each step is short to write down and long to do.
const std::vector<Hostile>& costly_templates() {
  static const std::vector<Hostile> all = {
      {"{% set s = 'a' * 9999999 %}" + loop("{{ s.upper() }}"), kWork},
      {"{% set s = 'a' * 9999999 %}" + loop("{% if s.isalpha() %}{% endif %}"), kWork},
      {"{% set s = 'a' * 9999999 %}" + loop("{% set x = s is sameas (s) %}"), kWork},
      {"{% set s = 'a' * 9999999 %}" + loop("{% set f = s.islower %}{% set x = f() %}"), kWork},
      {"{{ ('a' * 9999999).find('a' * 4999999 ~ 'b') }}", kWork},
      {"{{ ('a' * 9999999).rfind('b' ~ 'a' * 4999999) }}", kWork},
      {"{{ ('a' * 9999999).count('a' * 4999999 ~ 'b') }}", kWork},
      {"{{ ('a' * 9999999).partition('a' * 4999999 ~ 'b') }}", kWork},
      {"{{ ('a' * 9999999).replace('a' * 4999999 ~ 'b', '') }}", kWork},
      {"{{ ('a' * 999999).split('a' * 499999 ~ 'b') | length }}", kWork},
      {"{{ ('a' * 4999999 ~ 'b') in 'a' * 9999999 }}", kWork},
      {"{% set s = 'a' * 999999 %}{% set l = [s, s, s, s, s, s, s, s] %}" + loop("{% set x = l | sort %}"),
       kWork},
      {"{% set s = 'a' * 999999 %}{% set l = [s, s, s, s, s, s, s, s] %}" + loop("{% set x = l | max %}"),
       kWork},
      {"{{ (['a'] * 9999) | map(attribute='0' ~ '.0' * 99999) | list | length }}", kWork},
  };
  return all;
}

void expect_ended(const std::vector<Hostile>& templates) {
  for (const auto& [source, wanted] : templates) {
    const std::string error = error_of(source);
    const std::size_t line = error.find(':'), column = error.find(':', line + 1),
                      end = error.find(": ", column);
    EXPECT_EQ(error.substr(0, line + 3), "test:1:") << source.substr(0, 120);
    EXPECT_TRUE(end != error.npos && error.substr(end + 2).starts_with(wanted))
        << source.substr(0, 120) << " -> " << error.substr(0, 200);
  }
}

TEST(JinjaLimits, EndEachHostileTemplateByACountWithItsPlace) {
  expect_ended(hostile_templates());
  expect_ended(costly_templates());
}

/// A text, a list and a dict, each some 70 kB.
JinjaVariables large_values() {
  std::string text, other;
  for (int i = 0; i < 10000; ++i) text += "ab cd\n ";
  std::vector<JinjaValue> list;
  JinjaValue::Members members;
  for (int i = 0; i < 2000; ++i) {
    list.emplace_back(std::string(30, 'a') + std::to_string(i));
    members.emplace_back(list.back(), list.back());
  }
  return {{"s", JinjaValue(text)},          {"t", JinjaValue(std::string(text))},
          {"l", JinjaValue::list(list)},    {"m", JinjaValue::list(std::vector(list))},
          {"d", JinjaValue::dict(members)}, {"e", JinjaValue::dict(JinjaValue::Members(members))}};
}

/// What a thousand rounds of an expression come to where its own work is 1 % of what they would handle.
std::string error_of_rounds(const std::string& expression) {
  static const JinjaVariables values = large_values();
  return error_of("{% for i in range(1000) %}{% set x = " + expression + " %}{% endfor %}", values,
                  {.work = 700'000});
}

// Over a text s, its copy t; a list l, its copy m; a dict d, its copy e.
constexpr std::string_view kWholeValue =
    R"(s + t; s ~ t; s == t; s != t; s < t; s <= t; s >= t; s in t; 'x' in s; s * 2; s[5]; s[1:]; s % ();
s is upper; s is lower; s is sameas(t); s is eq(t); s.strip(); s.lstrip(); s.rstrip(); s.split();
s.split('c'); s.rsplit(); s.rsplit('c'); s.splitlines(); s.partition('x'); s.rpartition('x');
s.replace('a', 'b'); s.upper(); s.lower(); s.title(); s.capitalize(); s.find('x'); s.rfind('x');
s.index('ab'); s.count('a'); s.format(); s.isdigit(); s.isalpha(); s.isalnum(); s.isspace();
s.isupper(); s.islower(); s.ljust(9); s.rjust(9); s.join(['a', 'b']); 'a'.join(l);
s.startswith('a', 1); s.endswith('a', 1); s.removeprefix('a'); s.removesuffix('a'); l + m; l * 2;
l == m; l < m; l <= m; 'x' in l; l[1:]; l.count('x'); d == e; d.items(); d.keys(); d.values();
d['x']; d.get('x'); d.x; 'x' in d; dict(d); l ~ ''; d ~ '')";

TEST(JinjaLimits, WhateverLooksAtAllOfAValueIsCharged) {
  for (const std::string& part : split(kWholeValue, ';')) {
    const std::string expression(trim(part));
    const std::string error = error_of_rounds(expression);
    EXPECT_NE(error.find(kWork), error.npos) << expression << " -> " << error.substr(0, 100);
  }
}

TEST(JinjaLimits, EveryFilterThatLooksAtAllOfAValueIsCharged) {
  const std::map<std::string, std::string> calls = {{"map", "l | map('upper')"},
                                                    {"select", "l | select"},
                                                    {"reject", "l | reject"},
                                                    {"selectattr", "l | selectattr('x')"},
                                                    {"rejectattr", "l | rejectattr('x')"},
                                                    {"dictsort", "d | dictsort"},
                                                    {"items", "d | items"},
                                                    {"batch", "l | batch(2)"},
                                                    {"groupby", "l | groupby(0)"},
                                                    {"sum", "l | sum(start='')"},
                                                    {"join", "l | join"},
                                                    {"replace", "s | replace('a', 'b')"},
                                                    {"indent", "s | indent"},
                                                    {"center", "s | center(9)"},
                                                    {"sort", "l | sort"},
                                                    {"unique", "l | unique"},
                                                    {"min", "l | min"},
                                                    {"max", "l | max"},
                                                    {"list", "l | list"},
                                                    {"last", "l | last"},
                                                    {"first", "l | first"},
                                                    {"format", "s | format"}};
  // They look at the value itself alone, or at a number.
  const std::set<std::string> exempt = {"default", "d", "attr", "abs", "round", "safe", "string"};
  for (const auto filters : {jinja_text_filters(), jinja_sequence_filters(), jinja_value_filters()}) {
    for (const auto& filter : filters) {
      const std::string name(filter.name);
      if (exempt.contains(name)) continue;
      const auto call = calls.find(name);
      const std::string expression = call == calls.end() ? "s | " + name : call->second;
      const std::string error = error_of_rounds(expression);
      EXPECT_NE(error.find(kWork), error.npos) << expression << " -> " << error.substr(0, 100);
    }
  }
}

TEST(JinjaLimits, DeepAndLongSourcesNeitherCrashNorHang) {
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
TEST(JinjaLimits, ValuesThatHoldThemselvesAreTakenApart) {
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

TEST(JinjaLimits, AreWhatTheCallerSays) {
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

}  // namespace
}  // namespace graft
