"""Templates that try to run long, grow large or reach out. Each is tried in a process of its own, under limits.

The list is the one of resource attacks and sandbox escapes known for Jinja and its relatives.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from jinja2 import TemplateError

from tests.unit.content.blocks import render

MEGABYTE = 1 << 20

ATTACKS = {
    "one long loop": "{% for i in range(1000000000) %}x{% endfor %}",
    "a loop in a loop in a loop": "{% for i in range(100) %}" * 3 + "{% endfor %}" * 3,
    "loops over a text": "{% for i in s %}{% for j in s %}{% for k in s %}{% endfor %}{% endfor %}{% endfor %}",
    "loops full of tests": "{% for i in range(100) %}" + "{% if i %}{% endif %}" * 1_000 + "{% endfor %}",
    "nested loops over data": "{% for i in items %}" * 15 + "{% endfor %}" * 15,
    "a multiplied text": "{{ 'a' * 1000000000 }}",
    "a multiplied list": "{{ ['a'] * 1000000000 }}",
    "a multiplied variable": "{{ s * 1000000000 }}",
    "doubling in a loop": "{% set x = s %}{% for i in range(40) %}{% set x = x + x %}{% endfor %}{{ x }}",
    "doubling in a row": "{% set x = s %}" + "{% set x = x + x %}" * 40 + "{{ x }}",
    "doubling by joining": "{% set x = s %}" + "{% set x = x ~ x %}" * 40 + "{{ x }}",
    "doubling by capture": "{% set x = s %}" + "{% set x %}{{ x }}{{ x }}{% endset %}" * 40 + "{{ x }}",
    "doubling by join": "{% set x = s %}" + "{% set x = items | join(x) %}" * 40 + "{{ x }}",
    "lists of lists": "{% set x = ['a'] %}" + "{% set x = [x, x] %}" * 40 + "{{ x }}",
    "lists of lists, compared": "{% set x = [1] %}{% set y = [1] %}"
    + "{% set x = [x, x] %}{% set y = [y, y] %}" * 40
    + "{{ x == y }}",
    "percent formatting": "{{ '%0999999999d' % 1 }}",
    "percent formatting of a variable": "{{ s % 1 }}",
    "format": "{{ '{:>999999999}'.format(1) }}",
    "format_map": "{{ '{x:>999999999}'.format_map({'x': 1}) }}",
    "format as a filter": "{{ '%0999999999d' | format(1) }}",
    "format by attr": "{{ ('{:>999999999}' | attr('format'))(1) }}",
    "format by map": "{{ ['{0.__class__}'] | map('format', 1) | list }}",
    "format by index": "{{ '{:>999999999}'['format'](1) }}",
    "center": "{{ 'a' | center(999999999) }}",
    "ljust": "{{ 'a'.ljust(999999999) }}",
    "zfill": "{{ 'a'.zfill(999999999) }}",
    "expandtabs": "{{ '\t'.expandtabs(999999999) }}",
    "replace": "{{ s | replace('a', s) | replace('a', s) | replace('a', s) | replace('a', s) }}",
    "indent": "{{ s | indent(999999999, true) }}",
    "batch": "{{ [1] | batch(999999999, 'x') | list }}",
    "slice": "{{ [1] | slice(999999999, 'x') | list }}",
    "filters in a row": "{% set x = s | urlencode %}" + ("{% set x = x" + " | urlencode" * 60 + " %}") * 5,
    "filters of a constant": "{% set x = '" + "%" * 4_000 + "'" + " | urlencode" * 60 + " %}",
    "filters in a loop": "{% for i in range(100) %}{% set x = s" + " | urlencode" * 50 + " %}{% endfor %}",
    "joins in a loop": "{% for i in range(100) %}" * 2 + "{% set x = items | join(s) %}" + "{% endfor %}" * 2,
    "lipsum": "{{ lipsum(n=100000) }}",
    "urlize": "{{ s | urlize }}",
    "xmlattr": "{{ {'a b': 'c'} | xmlattr }}",
    "powers": "{{ 9 ** 9 ** 9 }}",
    "large numbers": "{% set x = 10 %}" + "{% set x = x * x %}" * 40 + "{{ x }}",
    "rounding": "{{ 1.5 | round(999999999, 'ceil') }}",
    "recursion of a macro": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "macros that double": "{% macro m0() %}x{% endmacro %}"
    + "".join(
        "{% macro mN() %}{{ mP() }}{{ mP() }}{% endmacro %}".replace("N", str(n)).replace("P", str(n - 1))
        for n in range(1, 40)
    )
    + "{{ m39() }}",
    "a macro that prints much": "{% macro m() %}" + "x" * 20_000 + "{% endmacro %}"
    "{% macro n() %}{% for i in range(100) %}{{ m() }}{% endfor %}{% endmacro %}"
    "{% for i in range(100) %}{{ n() }}{% endfor %}",
    "a loop in a macro": "{% macro m() %}{% for i in range(100) %}" + "x" * 20_000 + "{% endfor %}{% endmacro %}"
    "{% for i in range(100) %}{% set x = m() %}{% endfor %}",
    "recursion of a loop": "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "including itself": "{% include 'only.html' %}",
    "importing itself": "{% from 'only.html' import x %}",
    "refilling the budget": "{{ 1 | _spend(-1000000, -1000000) }}",
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "classes by index": "{{ ''['__class__'] }}",
    "classes by attr": "{{ '' | attr('__class__') }}",
    "globals of a function": "{{ track.__globals__ }}",
    "globals of a macro": "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
    "globals by a macro's name": "{% macro m() %}{% endmacro %}{{ m['_func'] }}",
    "the environment": "{{ self._TemplateReference__context }}",
    "the loop's insides": "{% for i in [1] %}{{ loop._iterator }}{% endfor %}",
    "calling what a loop offers": "{% for i in [1] %}{{ loop.cycle('a') }}{% endfor %}",
    "cycler": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "joiner": "{{ joiner('x')() }}",
    "namespace": "{% set n = namespace(x=1) %}{% set n.x = 2 %}{{ n.x }}",
    "changing our data": "{{ items.append(1) }}",
    "methods of a dictionary": "{{ recipient.items() }}",
    "printing a method": "{{ recipient.items }}",
    "printing a list": "{{ items }}",
    "printing a function": "{{ track }}",
    "escaping switched off": "{% autoescape false %}{{ recipient.html }}{% endautoescape %}",
    "marked as safe": "{{ recipient.html | safe }}",
    "a call block": "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}x{% endcall %}",
    "arguments unpacked": "{{ range(*items) }}",
    "negative range": "{% for i in range(0, -1000000000, -1) %}{% endfor %}",
    "deep nesting": "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
    "deep loops": "{% for i in [1] %}" * 500 + "{% endfor %}" * 500,
}


@dataclass(frozen=True)
class Outcome:
    stopped: bool
    seconds: float
    megabytes: float


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """Run all attacks in one process that may not take more than 400 MB of address space."""
    script = subprocess.run(
        [sys.executable, "-m", "tests.unit.content.test_sandbox"],
        input=json.dumps(ATTACKS),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert script.returncode == 0, script.stderr[-2_000:]
    return {name: Outcome(*values) for name, values in json.loads(script.stdout).items()}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_stopped_quickly_and_in_little_memory(attack: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[attack]

    assert outcome.stopped
    assert outcome.seconds < 1
    assert outcome.megabytes < 64


def test_an_ordinary_template_stays_far_below_the_budget() -> None:
    rows = "{% for product in products %}<tr><td>{{ product.name }}</td><td>{{ product.price }}</td></tr>{% endfor %}"
    shown = render(rows, {"products": [{"name": "Lantern", "price": "£2.55"}] * 12})

    assert shown.count("Lantern") == 12


def run_attacks() -> None:
    data = {"s": "a%" * 500, "items": list(range(12)), "recipient": {"html": "<b>"}}
    outcomes = {}
    for name, template in json.load(sys.stdin).items():
        before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        try:
            render(template, data)
        except (TemplateError, RecursionError, SyntaxError, TypeError, ValueError):
            stopped = True
        else:
            stopped = False
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1_024 / MEGABYTE
        outcomes[name] = (stopped, time.perf_counter() - started, grown)
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (400 * MEGABYTE, 400 * MEGABYTE))
    run_attacks()
