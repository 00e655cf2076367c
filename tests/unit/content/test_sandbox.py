"""Templates that try to run long, grow large or reach out, and what each is told instead.

Each runs in a process of its own that is forked from one where everything is imported, so its processor time and the
memory it takes are its own. The list is of resource attacks and sandbox escapes known for Jinja and its relatives.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mailtailor.content.links import BlockLinks
from mailtailor.content.render import Format, Renderer
from mailtailor.content.sandbox import MAX_TOKENS, TemplateEnvironment
from mailtailor.tracking.tokens import Keyring, MailingToken
from tests.unit.content.blocks import block, render

MEGABYTE = 1 << 20
MAX_SECONDS = 0.1
MAX_MEGABYTES = 64
PLAIN_LOOP = 0.0062
"""Seconds that 200,000 passes through an empty loop take on the machine for which the above holds."""

HUNDRED = "{% for i in range(100) %}"
END = "{% endfor %}"
LONG = "{% macro long() %}" + "a" * 60_000 + "{% endmacro %}{% set m = long() %}"


def squared(body: str) -> str:
    return HUNDRED * 2 + body + END * 2


ATTACKS: dict[str, dict[str, str]] = {
    "range() has more than": {
        "one long loop": "{% for i in range(1000000000) %}x{% endfor %}",
        "a negative range": "{% for i in range(0, -1000000000, -1) %}{% endfor %}",
        "a range that has no length": "{% for i in range(99999999999999999999999) %}{% endfor %}",
    },
    "takes too many steps or prints too much": {
        "a loop in a loop in a loop": HUNDRED * 3 + END * 3,
        "loops over a text": "{% for i in s %}{% for j in s %}{% for k in s %}" + END * 3,
        "loops full of tests": squared("{% if i %}{% endif %}" * 150),
        "nested loops over data": "{% for i in items %}" * 10 + END * 10,
        "loops that are filtered": squared("{% for k in items if k in items %}{% endfor %}"),
        "loops that leave all out": HUNDRED * 2 + "{% for k in long if k in items %}{% endfor %}" + END * 2,
        "loops that leave out a long text": HUNDRED * 2
        + "{% for k in '"
        + "a" * 60_000
        + "' if not k %}{% endfor %}"
        + END * 2,
        "trimming in a loop": squared("{% set x = '" + " " * 60_000 + "' | trim %}"),
        "loops that search what a macro printed": LONG + squared("{% if s in m %}{% endif %}"),
        "loops that ask what a macro printed": LONG + squared("{% if s is in(m) or s is not in(m) %}{% endif %}"),
        "loops that search a constant": squared("{% if s in '" + "a" * 60_000 + "' %}{% endif %}"),
        "loops that search a text": squared("{% if s in long %}{% endif %}"),
        "loops that compare data": squared("{% if wide == alike %}{% endif %}"),
        "loops that search data": squared("{% if 'z' in wide %}{% endif %}"),
        "loops that slice": squared("{% if long[1:] == long[:1999] %}{% endif %}"),
        "filters in a row": "{% set x = s | urlencode %}" + ("{% set x = x" + " | urlencode" * 30 + " %}") * 5,
        "filters of a constant": "{% set x = '" + "%" * 4_000 + "'" + " | urlencode" * 30 + " %}",
        "filters in a loop": HUNDRED + "{% set x = s" + " | urlencode" * 30 + " %}" + END,
        "joins in a loop": squared("{% set x = items | join(s) %}"),
        "truncating in a loop": squared("{% set x = long | truncate(1999) %}"),
        "large letters that take more room": squared("{% set x = ligatures | upper %}"),
        "titles of letters that take more room": squared("{% set x = ligatures | title %}"),
        "links in a loop": squared("{% set x = track(address) %}"),
        "links in a row": "{% set x = track(address) %}" * 100 + HUNDRED + "{% set x = track(address) %}" * 20 + END,
        "links of a link": squared("{% if track(track(address)) %}{% endif %}"),
        "macros that double": "{% macro m0() %}x{% endmacro %}"
        + "".join(
            "{% macro mN() %}{{ mP() }}{{ mP() }}{% endmacro %}".replace("N", str(n)).replace("P", str(n - 1))
            for n in range(1, 25)
        )
        + "{{ m24() }}",
        "a macro that prints much": "{% macro m() %}" + "x" * 20_000 + "{% endmacro %}"
        "{% macro n() %}{% for i in range(100) %}{{ m() }}{% endfor %}{% endmacro %}"
        "{% for i in range(100) %}{{ n() }}{% endfor %}",
        "a loop in a macro": "{% macro m() %}{% for i in range(100) %}" + "x" * 20_000 + "{% endfor %}{% endmacro %}"
        "{% for i in range(100) %}{% set x = m() %}{% endfor %}",
        "a macro with a long argument": "{% macro m(a) %}{% endmacro %}" + squared("{{ m(long) }}"),
    },
    "the variant is larger than": {
        "ampersands, which take five characters": HUNDRED + "{{ ampersands }}" + END,
        "braces, which take six": HUNDRED + "{{ braces }}" + END,
    },
    "works on numbers only": {
        "a multiplied text": "{{ 'a' * 1000000000 }}",
        "a multiplied list": "{{ ['a'] * 1000000000 }}",
        "a multiplied variable": "{{ s * 1000000000 }}",
        "doubling in a loop": "{% set x = s %}{% for i in range(40) %}{% set x = x + x %}{% endfor %}{{ x }}",
        "doubling in a row": "{% set x = s %}" + "{% set x = x + x %}" * 40 + "{{ x }}",
        "percent formatting": "{{ '%0999999999d' % 1 }}",
        "percent formatting of a variable": "{{ s % 1 }}",
    },
    "join makes too long a text": {
        "doubling by join": "{% set x = s %}" + "{% set x = items | join(x) %}" * 40 + "{{ x }}",
    },
    "the filter works on text only": {
        "a filter that would print a list first": "{{ wide | upper }}",
        "a filter of a function": "{{ track | trim }}",
    },
    "the number grows too large": {
        "large numbers": "{% set x = 10 %}" + "{% set x = x * x %}" * 40 + "{{ x }}",
        "a product of giant literals": "{{ " + "9" * 4_000 + " * " + "9" * 4_000 + " }}",
        "infinity": "{{ 1e308 * 10 }}",
    },
    "a list can hold plain values only": {
        "lists of lists": "{% set x = ['a'] %}" + "{% set x = [x, x] %}" * 40 + "{{ x }}",
        "lists of lists, compared": "{% set x = [1] %}{% set y = [1] %}"
        + "{% set x = [x, x] %}{% set y = [y, y] %}" * 40
        + "{{ x == y }}",
        "tuples of tuples": "{% set x = (1, 1) %}" + "{% set x = (x, x) %}" * 40,
    },
    "words and signs of code": {
        "a giant template": "{{ s }}" * 9_000,
        "a giant template of nothing": "{{''}}" * 10_000,
        "a giant list": "{% set x = [" + "1," * 30_000 + "] %}",
        "a giant comparison": "{{ s" + " < s" * 15_000 + " }}",
        "a giant ladder": "{% if s %}" + "{% elif s %}" * 5_000 + "{% endif %}",
        "many macros": "".join(f"{{% macro m{n}() %}}{{% endmacro %}}" for n in range(1_500)),
    },
    "the template is nested too deeply": {
        "nothing but openings": "{{" * 30_000,
        "deep nesting": "{{ " + "(" * 1_000 + "1" + ")" * 1_000 + " }}",
        "deep negation": "{{ " + "not " * 1_000 + "1 }}",
        "deep loops": "{% for i in [1] %}" * 90 + END * 90,
        "names of names": "{{ recipient" + ".a" * 300 + " }}",
        "filters of filters": "{{ s" + " | trim" * 300 + " }}",
        "conditions in conditions": "{{ " + "1 if s else (" * 100 + "1" + ")" * 100 + " }}",
        "a deep sum": "{{ " + "1 + " * 600 + "1 }}",
        "deep alternatives": "{{ " + "s or " * 600 + "s }}",
    },
    "a number has too many digits": {
        "a giant literal": "{{ " + "9" * 60_000 + " }}",
        "a giant literal in another base": "{{ 0x" + "f" * 60_000 + " }}",
    },
    "maximum recursion depth exceeded": {
        "recursion of a macro": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "two macros that call each other": "{% macro m() %}{{ n() }}{% endmacro %}"
        "{% macro n() %}{{ m() }}{% endmacro %}{{ m() }}",
        "importing itself": "{% from 'only.html' import x %}",
    },
    "only macros, track(), block() and range() can be called": {
        "format": "{{ '{:>999999999}'.format(1) }}",
        "format_map": "{{ '{x:>999999999}'.format_map({'x': 1}) }}",
        "format by attr": "{{ ('{:>999999999}' | attr('format'))(1) }}",
        "format by index": "{{ '{:>999999999}'['format'](1) }}",
        "ljust": "{{ 'a'.ljust(999999999) }}",
        "zfill": "{{ 'a'.zfill(999999999) }}",
        "expandtabs": "{{ '\t'.expandtabs(999999999) }}",
        "casefold": "{{ ligatures.casefold() }}",
        "replace as a method": "{{ s.replace('a', s) }}",
        "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "calling what a loop offers": "{% for i in [1] %}{{ loop.cycle('a') }}{% endfor %}",
        "what a loop remembers": "{% for i in [1] %}{{ loop.changed(wide) }}{% endfor %}",
        "cycler": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "joiner": "{{ joiner('x')() }}",
        "changing our data": "{{ items.append(1) }}",
        "methods of a dictionary": "{{ recipient.items() }}",
        "arguments unpacked": "{{ range(*items) }}",
        "named arguments unpacked": "{{ track(**recipient) }}",
        "calling a result": "{{ track(address)() }}",
        "a generator's frame": "{{ (track).gi_frame.f_builtins.eval('1') }}",
    },
    "only macros and a few functions can be called": {
        "calling the loop": "{% for i in [1] %}{{ loop([1]) }}{% endfor %}",
        "calling data": "{{ s() }}",
    },
    "there is no filter": {
        "format as a filter": "{{ '%0999999999d' | format(1) }}",
        "format by map": "{{ ['{0.__class__}'] | map('format', 1) | list }}",
        "center": "{{ 'a' | center(999999999) }}",
        "replace": "{{ s | replace('a', s) | replace('a', s) | replace('a', s) | replace('a', s) }}",
        "indent": "{{ s | indent(999999999, true) }}",
        "wordwrap": "{{ s | wordwrap(1, true, s) }}",
        "batch": "{{ [1] | batch(999999999, 'x') | list }}",
        "slice": "{{ [1] | slice(999999999, 'x') | list }}",
        "sorting": "{{ wide | sort }}",
        "grouping": "{{ wide | groupby('a') }}",
        "sums": "{{ [[1]] | sum(start=[]) }}",
        "chains of maps": "{{ wide | map('map', 'map') }}",
        "urlize": "{{ s | urlize }}",
        "xmlattr": "{{ {'a b': 'c'} | xmlattr }}",
        "pretty printing": "{{ recipient | pprint }}",
        "JSON": "{{ wide | tojson }}",
        "rounding": "{{ 1.5 | round(999999999, 'ceil') }}",
        "refilling the budget": "{{ 1 | _spend(-1000000, -1000000) }}",
        "switching off what makes data harmless": "{{ braces | _in_url }}",
        "classes by attr": "{{ '' | attr('__class__') }}",
        "marked as safe": "{{ recipient.html | safe }}",
    },
    "there is no test": {
        "a test that calls": "{{ s is callable }}",
        "a test that is a filter's": "{{ 'x' is filter }}",
        "a test of identity": "{{ s is sameas(s) }}",
    },
    "is not available in blocks": {
        "doubling by joining": "{% set x = s %}" + "{% set x = x ~ x %}" * 40 + "{{ x }}",
        "doubling by capture": "{% set x = s %}" + "{% set x %}{{ x }}{{ x }}{% endset %}" * 40 + "{{ x }}",
        "powers": "{{ 9 ** 9 ** 9 }}",
        "a dictionary": "{% set x = {'a': s} %}",
        "namespace": "{% set n = namespace(x=1) %}{% set n.x = 2 %}{{ n.x }}",
        "including itself": "{% include 'only.html' %}",
        "extending itself": "{% extends 'only.html' %}",
        "importing all": "{% import 'only.html' as x %}",
        "a named part of a page": "{% block a %}{{ super() }}{% endblock %}",
        "escaping switched off": "{% autoescape false %}{{ recipient.html }}{% endautoescape %}",
        "a call block": "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}x{% endcall %}",
        "printing what a macro was given": "{% macro m() %}{{ varargs }}{% endmacro %}{{ m(1, 2) }}",
        "printing what a macro was given by name": "{% macro m() %}{{ kwargs }}{% endmacro %}{{ m(a=1) }}",
        "lists of what macros were given, compared": "{% macro m(n) %}"
        "{% if n %}{{ m(n - 1, varargs, varargs) }}{% else %}{{ k(40, varargs) }}{% endif %}{% endmacro %}"
        "{% macro k(n, x) %}"
        "{% if n %}{{ k(n - 1, x, varargs, varargs) }}{% else %}{{ 'y' if x == varargs else 'z' }}{% endif %}"
        "{% endmacro %}{{ m(40) }}",
        "a filter over a part": "{% filter center(999999999) %}x{% endfilter %}",
        "a scope": "{% with x = s %}{{ x }}{% endwith %}",
    },
    "Encountered unknown tag": {
        "statements": "{% do items.append(1) %}",
        "leaving loops": "{% for i in [1] %}{% break %}{% endfor %}",
        "looking around": "{% debug %}",
        "asynchronous loops": "{% async for i in [1] %}{% endfor %}",
        "Python": "{% python %}import os{% endpython %}",
    },
    "macros can be imported from a named part only": {
        "importing what data names": "{% from s import x %}",
        "importing with all variables": "{% from 'only.html' import x with context %}",
    },
    "a loop cannot be recursive": {
        "recursion of a loop": "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    },
    "cannot be read": {
        "globals of a function": "{{ track.__globals__ }}",
        "globals of a macro": "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
        "the environment": "{{ self._TemplateReference__context }}",
        "the loop's insides": "{% for i in [1] %}{{ loop._iterator }}{% endfor %}",
    },
    "has no attribute": {
        "an object's insides": "{{ thing.secret }}",
        "data that is nested too deeply": "{{ deep.a.a.a.a.a.a }}",
        "classes by index": "{{ ''['__class__'] }}",
        "globals by a macro's name": "{% macro m() %}{% endmacro %}{{ m['_func'] }}",
        "code of a function": "{{ track['func_code'] }}",
        "printing a method": "{{ recipient.items }}",
        "what a macro is": "{% macro m() %}{% endmacro %}{{ m.name }}",
    },
    "has no element": {
        "an index beyond all": "{{ s[99999999999999999999] }}",
    },
    "only text and numbers can be printed": {
        "printing a list": "{{ items }}",
        "printing a giant list": "{{ wide }}",
        "printing a function": "{{ track }}",
    },
    "is undefined": {
        "lipsum": "{{ lipsum }}",
        "calling what was handed over": "{{ function() }}",
        "the configuration": "{{ config }}",
        "an object in the data": "{{ thing }}",
        "bytes in the data": "{{ raw }}",
        "a generator in the data": "{% for x in generator %}{{ x }}{% endfor %}",
    },
    "track() takes a URL and names": {
        "a link to a function": "{{ track(track) }}",
        "a link to a list": "{{ track(items) }}",
    },
    "The link's destination": {
        "a link to a script": "{{ track('javascript:alert(1)') }}",
    },
    "block() takes the name of a block": {
        "inserting without leave": "{{ block('hero') }}",
        "inserting what data names": "{{ block(items) }}",
    },
    "slice step cannot be zero": {
        "a slice without steps": "{{ s[::0] }}",
    },
    "integer division or modulo by zero": {
        "a division by zero": "{{ 1 // 0 }}",
    },
}
TEMPLATES = {name: template for attacks in ATTACKS.values() for name, template in attacks.items()}
SAYS = {name: says for says, attacks in ATTACKS.items() for name in attacks}


class Thing:
    secret = "a password"


DATA: dict[str, Any] = {
    "s": "a%" * 500,
    "long": "a" * 2_000,
    "ligatures": "\N{LATIN SMALL LIGATURE FFI}" * 2_000,
    "ampersands": "&" * 2_000,
    "braces": "{" * 2_000,
    "address": "https://shop.example/" + "a" * 1_900,
    "items": list(range(12)),
    "wide": [["y" * 2_000] * 50] * 50,
    "alike": [["y" * 2_000] * 50] * 50,
    "deep": {"a": {"a": {"a": {"a": {"a": {"a": "x"}}}}}},
    "recipient": {"html": "<b>"},
    "thing": Thing(),
    "function": print,
    "raw": b"x",
    "generator": (n for n in range(10**9)),
}


@dataclass(frozen=True)
class Outcome:
    said: str
    seconds: float
    megabytes: float


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    script = subprocess.run(
        [sys.executable, "-m", "tests.unit.content.test_sandbox"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert script.returncode == 0, script.stderr[-2_000:]
    return {name: Outcome(**values) for name, values in json.loads(script.stdout).items()}


@pytest.mark.parametrize("attack", TEMPLATES)
def test_an_attack_is_stopped_quickly_and_in_little_memory(attack: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[attack]

    assert SAYS[attack] in outcome.said
    assert outcome.seconds < MAX_SECONDS
    assert outcome.megabytes < MAX_MEGABYTES


def test_what_runs_long_or_grows_large_would_be_noticed() -> None:
    # given
    def grow() -> None:
        bytearray(100 * MEGABYTE)

    def run() -> None:
        end = time.process_time() + 3 * MAX_SECONDS * _slowness()
        while time.process_time() < end:
            pass

    # when, then
    assert _tried(grow).megabytes > MAX_MEGABYTES
    assert _tried(run).seconds > MAX_SECONDS


def test_an_ordinary_template_stays_far_below_the_budget() -> None:
    rows = "{% for product in products %}<tr><td>{{ product.name }}</td><td>{{ product.price }}</td></tr>{% endfor %}"
    shown = render(rows, {"products": [{"name": "Lantern", "price": "£2.55"}] * 12})

    assert shown.count("Lantern") == 12


def test_a_large_template_that_is_no_attack_compiles() -> None:
    TemplateEnvironment({}, html=True).compile("<p>{{ recipient.name }}</p>" * (MAX_TOKENS // 8))


@pytest.mark.parametrize("value", ["{{ 7 * 7 }}", "{% for i in range(9) %}", "{# x #}", "{{ recipient.html | safe }}"])
def test_a_template_in_the_data_is_shown_and_not_run(value: str) -> None:
    # when
    data = {name: {"name": value} for name in ("recipient", "request", "inputs")}
    shown = render("{{ recipient.name }}{{ request.name }}{{ inputs.name }}", data)

    # then
    assert "49" not in shown
    assert shown.count("&#123;") >= 3


def _tried(work: Callable[[], object]) -> Outcome:
    """Return what comes of something in a process of its own that is forked from this one."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
        os.write(writing, json.dumps(_outcome(work)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return Outcome(*json.loads(told)) if told else Outcome("it was killed", 5, 0)


def _outcome(work: Callable[[], object]) -> tuple[str, float, float]:
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        work()
    except Exception as error:  # noqa: BLE001 - which one is what is asked
        said = f"{type(error).__name__}: {error}"
    else:
        said = "it ran to its end"
    taken = time.process_time() - started
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1_024 / MEGABYTE
    return said[:300], taken / _slowness(), grown


def _slowness() -> float:
    """Return how many times slower than the one of the budget this machine is just now; not less than 1."""
    started = time.process_time()
    for _ in range(200_000):
        pass
    return max(1, (time.process_time() - started) / PLAIN_LOOP)


def _attack(template: str) -> None:
    keyring = Keyring.from_secret({"active": "k1", "k1": "a secret key of the tests, long enough"})
    mailing = MailingToken("spring", "")
    links = BlockLinks(
        block="hero", keyring=keyring, click_url="https://t.example", profile_id="A" * 22, mailing=mailing, now=0
    )
    made = block(template)
    Renderer(made).render(made.variants[0], Format.HTML, DATA, links)


def main() -> None:
    """Try all attacks, and print what came of each."""
    resource.setrlimit(resource.RLIMIT_AS, (600 * MEGABYTE, 600 * MEGABYTE))
    _outcome(lambda: _attack("{{ 1 }}{{ track(address) }}"))
    outcomes = {name: vars(_tried(partial(_attack, template))) for name, template in TEMPLATES.items()}
    print(json.dumps(outcomes))  # noqa: T201


if __name__ == "__main__":
    main()
