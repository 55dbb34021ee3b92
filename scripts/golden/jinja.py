#!/usr/bin/env python3
"""jinja.py [OUT]: golden file tests/golden/text/jinja.json: small templates and what transformers 5.23 renders of them.

Each case is [template, text], with null for the text where transformers raises.
"""

import json
import os
import sys

from transformers.utils import chat_template_utils

import fixed_date

chat_template_utils.datetime = fixed_date.FixedDate

VARIABLES = {
    "s": "Hello, World", "e": "", "zh": "你好, 世界", "n": 7, "z": 0, "f": 2.5, "t": True, "no": None,
    "l": [3, 1, 2], "words": ["b", "A", "c", "a"], "d": {"b": 1, "a": [1, {"x": None}], "C": "ü"},
    "people": [{"name": "Ann", "age": 30}, {"name": "bob", "age": 20}, {"name": "Cid", "age": 30, "tags": ["x"]}],
    "nested": {"items": 1, "get": 2, "k": {"deep": [10, 20]}}, "q": "it's \"q\"", "nl": "a\nb\r\n\nc",
}

# Expressions, one a line; each is rendered inside {{ }}.
EXPRESSIONS = r"""
1 + 2 * 3
7 // 2
-7 // 2
7 % 3
-7 % 3
7 / 2
6 / 3
2 ** 3 ** 2
2 ** -1
1.0
1e16
1e-5
123456789.123
0.1 + 0.2
1_000
10 ** 15 * 1.0
1.5 // 0.5
5.5 % 2
1 / 0
t + 1
'a' + 1
'a' * 3
[1] * 2
[1] + [2]
(1, 2) + (3,)
[1] + (2,)
1 < 2 < 3
1 < 2 > 5
'a' < 'b'
'a' < 1
[1, 2] < [1, 3]
1 == 1.0
true == 1
none == false
'1' == 1
not 0
not not s
1 and 0
0 or 'x'
none or e or 'last'
s if z else 'else'
s if z
'x' if z else none
(s if z) is defined
3 in l
9 not in l
'lo' in s
1 in s
'b' in d
l in d
none in [none]
s ~ n ~ none ~ t ~ 1.0
s[0]
s[-1]
s[100]
zh[1]
zh[::-1]
zh[1:3]
s[2:]
s[:-2]
s[::2]
s[5:1:-1]
s[::0]
l[0]
l[-1]
l[5]
l[1:]
l[::-1]
l[-2:]
d.b
d['b']
d.missing
d['missing']
d.missing.more
d[0]
d.a[1].x
d.a.1
nested.items
nested['items']
nested.get
nested['get']
nested.k.deep[-1]
nested.k['deep'][0]
missing
missing.more
missing[0]
missing()
missing + 1
'' ~ missing
missing == missing2
missing is defined
missing is undefined
missing is none
missing | length
missing | list
missing | upper
missing | int
missing | tojson
missing is iterable
missing is sequence
missing is string
missing is mapping
[missing]
none.x
none.x.y
none | string
none | length
none | trim
n.x
[1, 'a', none, true, 1.5, [2], (3,), {}]
{'a': 1, 'b': [1, 2], 3: (4,)}
{'a': 1, 'a': 2}
{[1]: 2}
()
(1,)
(1)
1, 2
'a' 'b'
"tab\there"
'nl\nx'
'\x41\u4f60\U0001F95F\101\q'
"it's"
'say "x"'
q
[q]
['\n\t\\', '\x00\x7f', 'é', '\u200b', "a'b"]
s.upper()
s.lower()
s.title()
'hello wORLD'.capitalize()
"they're bill's".title()
"they're bill's-x y" | title
'straße'.upper()
'ÀÉ'.lower()
s.split()
s.split(',')
s.split('l', 1)
s.split('')
'  a  b '.split()
'  a  b '.split(' ')
'a b c'.split(none, 1)
'a b  c '.rsplit(none, 1)
'a,b,c'.rsplit(',', 1)
'a,b,c'.split(',', maxsplit=1)
'a,b,c'.split(sep=',')[-1]
nl.splitlines()
nl.splitlines(true)
'  x '.strip()
'  x '.lstrip()
'  x '.rstrip()
'xxaxx'.strip('x')
'<think>abc'.lstrip('<think>')
'\u3000x\u00a0'.strip()
'a.b.c'.partition('.')
'a.b.c'.rpartition('.')
'abc'.partition('x')
s.startswith('He')
s.startswith(('x', 'He'))
s.endswith('d')
s.startswith('llo', 2)
s.replace('l', 'L')
s.replace('l', 'L', 1)
'ab'.replace('', '-')
s.find('o')
s.find('o', 5)
zh.find('世')
s.rfind('o')
s.index('zz')
s.count('l')
'-'.join(['a', 'b'])
'-'.join([1])
'{} and {}'.format(1, 'x')
'{0}{1}{0}'.format('a', 'b')
'{x}'.format(x=3)
'%s is %d' % ('a', 3)
'%05.2f|%-5s|%5s|%x' % (3.14159, 'a', 'b', 255)
'%s' % 'x'
'%d%%' % 5
'%s'
'12'.isdigit()
''.isdigit()
'ab'.isalpha()
'aB'.isupper()
'AB'.isupper()
' '.isspace()
'abc'.removeprefix('a')
'abc'.removesuffix('c')
'ab'.ljust(4) ~ '|'
'ab'.rjust(4)
'abc'.nosuch()
'abc'.nosuch
l.append(4)
l.append
d.update({})
d.pop('b')
l.index(1)
l.count(1)
l.index(9)
d.keys()
d.values()
d.items()
d.get('b')
d.get('zz')
d.get('zz', 'dflt')
d.get
d.keys() | list
d.items() | list
d | list
d | length
d | items | list
d | items
s.__class__
''.__class__.__mro__
s['__class__']
l.__class__.__base__
s._private
range(3)
range(3) | list
range(1, 10, 3) | list
range(5, 0, -2) | list
range(0) | list
range(3)[1]
range(200000) | list
range(1, 2, 0)
dict(a=1, b=2)
dict({'x': 1}, y=2)
dict([('a', 1)])
namespace(a=1).a
namespace(a=1).b
namespace(_a=1)
strftime_now('%d %b %Y')
strftime_now('%Y-%m-%d %H:%M:%S %A')
raise_exception('no way')
s | upper
s | lower
s | length
zh | length
l | length
n | length
s | trim
'  x ' | trim
'xax' | trim('x')
s | replace('o', '0')
s | replace('o', '0', 1)
12 | replace('1', 'x')
s | capitalize
'foo bar' | title
'a\n\nb' | indent
'a\n\nb' | indent(2, true)
'a\n\nb' | indent(2, first=true, blank=true)
'a\nb' | indent('> ')
'a\nb\n' | indent
'foo bar baz qux' | truncate(9)
'foo bar baz qux' | truncate(9, true)
'foo bar baz qux' | truncate(11)
'foo bar baz qux' | truncate(11, false, '...', 0)
'a b, c' | wordcount
'ab' | center(6) ~ '|'
'%s-%s' | format('a', 1)
l | join
l | join(', ')
people | join(', ', attribute='name')
[] | join('x')
l | first
l | last
[] | first
[] | last
s | first
s | last
l | sort
l | sort(reverse=true)
words | sort
words | sort(case_sensitive=true)
people | sort(attribute='age') | map(attribute='name') | list
people | sort(attribute='age,name') | map(attribute='name') | join(' ')
[1, 'a'] | sort
words | unique | list
words | unique(case_sensitive=true) | list
l | reverse | list
s | reverse
l | reverse
l | sum
people | sum(attribute='age')
[[1], [2]] | sum(start=[])
l | min
l | max
words | max
[] | max
people | map(attribute='name') | list
people | map(attribute='tags', default=[]) | list
people | map(attribute='tags') | list
people | map(attribute='tags.0') | list
words | map('upper') | join
l | map('string') | join('-')
l | map
words | map('replace', 'a', 'z') | list
l | select('odd') | list
l | select('gt', 1) | list
l | reject('odd') | list
[0, 1, '', 'x'] | select | list
people | selectattr('age', 'equalto', 30) | map(attribute='name') | list
people | selectattr('age', '>', 20) | map(attribute='name') | list
people | selectattr('tags') | map(attribute='name') | list
people | selectattr('tags', 'defined') | list | length
people | rejectattr('tags', 'defined') | map(attribute='name') | list
people | selectattr('name', 'in', ['Ann', 'Cid']) | map(attribute='name') | list
people | selectattr('name', 'nosuch') | list
(people | selectattr('age', 'equalto', 99)) is defined
true if people | selectattr('age', 'equalto', 99) else false
(people | selectattr('age', 'equalto', 99) | list) | length
people | selectattr('age', 'equalto', 20) | first
people | groupby('age')
people | groupby('age') | length
d | dictsort
d | dictsort(true)
{'a': 2, 'b': 1} | dictsort(by='value')
{'a': 2, 'b': 1} | dictsort(reverse=true)
l | batch(2) | list
l | batch(2, 'x') | list
l | list
s | list | length
(1, 2) | list
missing | default('x')
e | default('x')
e | default('x', true)
none | default('x')
none | d('x', boolean=true)
'42' | int
'42.9' | int
'x' | int
'x' | int(5)
'0x1F' | int(0, 16)
'1f' | int(base=16)
' 12 ' | int
42.9 | int
-1.5 | int
true | int
none | int
'1.5' | float
'x' | float
'1e3' | float
3 | float
-3 | abs
-3.5 | abs
2.5 | round
3.5 | round
2.567 | round(2)
2.567 | round(1, 'floor')
2.123 | round(1, 'ceil')
7 | round
1234.5 | round(-2)
2.675 | round(2)
5 | string ~ 'x'
'<a href="x">&\'' | escape
'<a>' | e
'<a>' | safe
('<a>' | safe) + '<b>'
'<b>' + ('<a>' | safe)
('<a>' | safe) ~ '<b>'
('<a>' | escape) | escape
('<a>' | escape) | forceescape
[('<a>' | safe)]
('a,<b>' | safe).split(',')
('<a>' | safe) is escaped
'<a>' | nosuchfilter
d | tojson
l | tojson
s | tojson
zh | tojson
zh | tojson(ensure_ascii=true)
'\U0001F95F\x7f' | tojson(ensure_ascii=true)
q | tojson
'a\n\t\x01\x7f\\/<>&\'' | tojson
none | tojson
true | tojson
1.0 | tojson
1e-7 | tojson
1e22 | tojson
(1, 2) | tojson
{'b': 1, 'a': 2} | tojson(sort_keys=true)
d | tojson(indent=2)
[] | tojson(indent=2)
{} | tojson(indent=4)
[[], {}, [1]] | tojson(indent=1)
d | tojson(indent='\t')
d | tojson(separators=(',', ':'))
d | tojson(indent=2, separators=(',', ': '))
{1: 2, none: 3, true: 4, 1.5: 5} | tojson
range(3) | tojson
l | reverse | tojson
3 is odd
3 is even
3 is divisibleby 3
3 is divisibleby(2)
s is string
n is string
n is number
t is number
t is boolean
t is true
1 is true
z is false
f is float
n is integer
t is integer
l is iterable
n is iterable
s is iterable
d is iterable
l is sequence
d is sequence
(l | reverse) is sequence
(l | reverse) is iterable
d is mapping
l is mapping
no is none
no is not none
s is defined
s is not defined
'a' is lower
'A' is upper
'a' is in ['a']
n is eq 7
n is equalto(7)
n is ne 7
n is gt 3
n is lessthan 3
n is sameas n
1 is sameas true
none is sameas none
'upper' is filter
'odd' is test
range is callable
s is callable
s is nosuchtest
s is string and n is number
s is string or missing.x
not s is string
s is not string
f is number and f is not integer
n + f
n * '2'
-n
-f
+n
-'a'
- n | abs
s | upper | lower | length
(s | upper)[0]
s.upper()[0:3].lower()
{'a': {'b': [1, 2, 3]}}.a.b[1]
[1, 2, 3][1:][0]
{'x': 1}.x + [5][0]
'a' if n == 7 and s else 'b'
'a' if n != 7 else 'b' if z else 'c'
1 if true else 2 + 3
n == 7 == true
[l[0], *[1]]
9223372036854775807
'a' ~ 'b' + 'c'
1 + 2 ~ 3
2 * 3 ~ 4
d.b is defined and d.zz is not defined
people[0].name[0]
people[-1]['tags'][0]
people[0]['name'] | lower | replace('a', 'b')
s.split(', ')[1][::-1]
'abc' > 'ab'
[1] == [1.0]
(1,) == [1]
{'a': 1} == {'a': 1.0}
d == d
[] or {} or () or 0 or 0.0 or '' or none or false
'x' * 0
'x' * -1
'\
'
""".strip("\n").split("\n")

TEMPLATES = [
    "", "x", "\n", "x\n", "x\n\n", "a\r\nb\rc", "{{ 1 }}\n{{ 2 }}\n", "{# c #}\nx", "  {# c #}\nx", "a {# c #} b", "{#- c -#} x", "a  {#- c -#}  b",
    "  {% if t %}\n  a\n  {% endif %}\nb", "x {% if t %}\n  a\n  {% endif %}\nb", "  {%+ if t %}a{% endif %}", "{% if t +%}\n a{% endif %}",
    "{%- if t -%}\n a \n{%- endif -%}\n b", "a \n\n {{- s -}} \n\n b", "a\t{% if t %}b{% endif %}", "\t{% if t %}b{% endif %}", "{{ s }}\n  {% set x = 1 %}\n  y",
    "{% set x = 1 -%}\n  y", "{{ 's' -}} {{ 't' }}", "\u3000{%- if t %}x{% endif %}", "{{- '\\n' }}\n", "{% if t %}\n\n\nx{% endif %}\n",
    "{% raw %}{{ x }}{% endraw %}", "{%- raw -%} {{ x }} {%- endraw -%} y", "a\n  {% raw %}\n b\n  {% endraw %}\nc", "{{ '{{' }} {{ '%}' }} {{ \"}}\" }}",
    "{{ {'a': {'b': 1}}['a']['b'] }}", "{{ {'a': {}}}}", "{% if {'a': 1}.a == 1 %}y{% endif %}", "{{ '#}' }}{# }} #}", "{{ 1 }}}", "{ { } } { % # }",
    "{% if z %}a{% elif n == 7 %}b{% else %}c{% endif %}", "{% if z %}a{% elif e %}b{% else %}c{% endif %}", "{% if missing %}a{% endif %}b",
    "{% for x in l %}{{ x }},{% endfor %}", "{% for x in [] %}a{% else %}none{% endfor %}", "{% for x in l if x > 1 %}{{ loop.index }}{{ x }}{% endfor %}",
    "{% for x in l if x > 9 %}a{% else %}none{% endfor %}", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}",
    "{% for c in zh %}{{ c }}|{% endfor %}", "{% for a, b in [(1, 2), [3, 4]] %}{{ a }}{{ b }}{% endfor %}", "{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}",
    "{% for (a, (b, c)) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for x in missing %}a{% else %}b{% endfor %}", "{% for x in 5 %}a{% endfor %}",
    "{% for x in none %}a{% endfor %}", "{% for x in l %}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.index0 }} {% endfor %}",
    "{% for x in l if x != 1 %}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }} {% endfor %}",
    "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}", "{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}",
    "{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for x in [1, 1, 2] %}{{ loop.changed(x) }}{% endfor %}", "{% for x in l %}{{ loop.depth }}{% endfor %}",
    "{% for x in l %}{% for y in l %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}", "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% else %}e{% endfor %}", "{% break %}", "{% for x in l %}{% set y = x %}{% endfor %}{{ y }}",
    "{% set y = 0 %}{% for x in l %}{% set y = y + x %}{{ y }}{% endfor %}{{ y }}", "{% set ns = namespace(y=0) %}{% for x in l %}{% set ns.y = ns.y + x %}{% endfor %}{{ ns.y }}",
    "{% for x in l %}{% endfor %}{{ x }}", "{% for x in l %}x{% endfor %}{{ loop }}", "{% set x = 5 %}{% for x in l %}{{ x }}{% endfor %}{{ x }}",
    "{% for i in range(3) %}{{ i }}{% endfor %}", "{% for m in people[::-1] %}{{ m.name }}{% endfor %}",
    "{% for x in l | reverse %}{{ x }}{{ loop.last }}{% endfor %}", "{% for x in d | dictsort %}{{ x[0] }}{% endfor %}", "{% for k, v in d | items %}{{ k }}{% endfor %}",
    "{% set ns = namespace(n=0) %}{% for x in l if ns.n < 2 %}{% set ns.n = ns.n + 1 %}{{ x }}{% endfor %}",
    "{% set ns = namespace(n=0) %}{% for x in l if ns.n < 2 %}{% set ns.n = ns.n + 1 %}{{ x }}{{ loop.last }}{% endfor %}",
    "{% set g = l | select('odd') %}{{ g | list }}{{ g | list }}", "{% set g = l | map('string') %}{{ g | first }}{{ g | first }}{% for x in g %}!{{ x }}{% endfor %}",
    "{% set g = d.items() %}{{ g | list | length }}{{ g | list | length }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a, b = [1, 2] %}{{ b }}", "{% set a = 1, 2 %}{{ a }}",
    "{% set a, b = 1 %}{{ a }}", "{% set (a, b) = (1, 2) %}{{ a }}", "{% set x %}a{{ s }}b{% endset %}{{ x }}|{{ x | length }}", "{% set x | upper %}a{{ s }}{% endset %}{{ x }}",
    "{% set x | replace('a', 'b') | upper %}aa{% endset %}{{ x }}", "{% set x %}{% set y = 1 %}{% endset %}{{ y }}", "{% set x.y = 1 %}", "{% set d.b = 2 %}{{ d.b }}",
    "{% set ns = namespace() %}{% set ns.a = 1 %}{{ ns.a }}{{ ns['a'] }}{{ ns.b }}", "{% set ns = namespace(a=1) %}{% set ns._x = 1 %}", "{% set ns = namespace(d) %}{{ ns.b }}",
    "{% set ns = namespace(a=1) %}{% set ns.a, ns.b = 3, 4 %}{{ ns.a }}{{ ns.b }}", "{{ ns }}{% set ns = 1 %}", "{% set x = x + 1 %}{{ x }}", "{% if t %}{% set x = 1 %}{% endif %}{{ x }}",
    "{% if z %}{% set x = 1 %}{% endif %}{{ x }}", "{% set s = s | lower %}{{ s }}", "{% set true = 1 %}",
    "{% macro m(a, b=2) %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=5, a=4) }}{{ m() }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(c=2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}", "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, x=2) }}",
    "{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(3) }}", "{% macro m() %}{{ s }}{% endmacro %}{% set s = 'late' %}{{ m() }}", "{{ m() }}{% macro m() %}{% endmacro %}",
    "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "{% macro m() %}x{% endmacro %}{{ m() | upper }}{{ m().strip() ~ '!' }}{{ m.name }}",
    "{% macro m() %}{% set y = 1 %}{% endmacro %}{{ m() }}{{ y }}", "{% macro m(x) %}{{ caller(x) }}{% endmacro %}{% call(y) m(3) %}<{{ y }}>{% endcall %}",
    "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}in{% endcall %}{{ m() }}", "{% macro m() %}{% endmacro %}{% call m() %}in{% endcall %}",
    "{% macro m(a) -%}\n  {{ a }}\n{%- endmacro %}\n{{ m(1) }}", "{% for x in l %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% filter upper %}a{{ s }}{% endfilter %}", "{% filter replace('a', 'b') | upper %}aa{% endfilter %}", "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}",
    "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}", "{% with a = 1, b = a %}{{ b }}{% endwith %}", "{% generation %}x{% set y = 1 %}{% endgeneration %}{{ y }}",
    "{% block b %}x{% endblock %}", "{% autoescape false %}<{% endautoescape %}", "{% print s %}", "{% include 'x' %}", "{% extends 'x' %}", "{% import 'x' as y %}", "{% do l %}",
    "{% if %}", "{% if t %}", "{% for x in l %}", "{% endif %}", "{% nosuch %}", "{{ }}", "{{ 1 + }}", "{{ (1 }}", "{{ 1) }}", "{{ [1 }}", "{{ 'a }}", "{{ a b }}", "{{ a.}}", "{% set %}",
    "{% set x %}", "{% for x l %}{% endfor %}", "{{ x | }}", "{{ x is }}", "{{ 1 is odd is even }}", "{{ f(a=1, 2) }}", "{{ @ }}", "{{ 'a' | upper('x') }}", "{{ s.upper(1) }}", "{{ 1 }",
    "{{ \"a\\\"b\" }}", "{{ 'a\nb' }}", "{{ s|upper }}{{s|lower}}{{s}}", "{%set x=1%}{{x}}", "{%if t%}y{%endif%}", "{{'a'~'b'}}", "{{-1}}", "{{ -1 }}", "{{+1}}", "{{ 1-1 }}", "{% if not z -%} x {%- endif %}",
    "{{ joiner(', ')() }}{% set j = joiner('|') %}{{ j() }}a{{ j() }}b{{ j() }}", "{% set c = cycler(1, 2) %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}",
    "{{ range.__class__ }}", "{{ namespace.__init__ }}", "{{ raise_exception.__globals__ }}", "{% for m in people -%}\n  {{ m.name }}\n{%- endfor %}",
    "{{ people | selectattr('age', 'equalto', 30) | list | tojson }}", "{{ d | tojson(indent=4) | indent(2) }}", "{% set x = ['a'] %}{% set x = x + ['b'] %}{{ x }}",
    "{% for m in people %}{% if loop.index0 % 2 == 0 %}{{ m.name }}{% endif %}{% endfor %}", "{{ (people | last).name }}", "{{ people[0].get('zz', {}).get('y') is none }}",
    "{% set x = {'a': 1} %}{% set x = dict(x, b=2) %}{{ x }}", "{% if 'a' in d and d['a'] is iterable and d['a'] is not string %}y{% endif %}", "{{ x if x is defined else 'none' }}",
]


def render(template):
    try:
        text = chat_template_utils._compile_jinja_template(template).render(**VARIABLES)
        return None if " at 0x" in text else text  # an address: we refuse to print one
    except Exception:
        return None


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else "tests/golden/text"
    templates = ["{{ " + e.replace("\\\n", "") + " }}" for e in EXPRESSIONS] + TEMPLATES
    cases = [[t, render(t)] for t in templates]
    path = os.path.join(out, "jinja.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"now": fixed_date.NOW.isoformat(), "variables": VARIABLES, "cases": cases}, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")
    print(f"{path}: {len(cases)} cases, {sum(t is None for _, t in cases)} raise, {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    main()
