"""The syntax of templates: what a block may use of it, and what is written into it before it is compiled.

What is written in are filters that charge the budget of a rendering for each pass through a loop or macro and for each
search, and that mark what goes on with a URL.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from typing import Final

from jinja2 import TemplateSyntaxError, nodes

MAX_NESTING: Final = 40
"""Levels of syntax; what Jinja takes to compile a template grows with the third power of them."""
TOO_DEEP: Final = "the template is nested too deeply"
SPEND: Final = "_spend"
SEARCHED: Final = "_searched"
IN_URL: Final = "_in_url"
_GOES_ON: Final = re.compile(r"[\w=/&?#:,.+~-]\Z")
"""What a URL may have before a percent sign, and no ESP's tag; a semicolon may end the entity of one's beginning."""
_OF_MACROS: Final = frozenset({"varargs", "kwargs", "caller"})
"""Names that Jinja gives to what a macro was called with."""
_ALLOWED: Final = frozenset(
    {
        *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign, nodes.Macro),
        *(nodes.FromImport, nodes.Name, nodes.Const, nodes.List, nodes.Tuple, nodes.Getattr, nodes.Getitem),
        *(nodes.Slice, nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not),
        *(nodes.Neg, nodes.Pos, nodes.CondExpr, nodes.Call, nodes.Keyword),
        *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod),
    }
)


def check_syntax(template: nodes.Template, *, filters: Collection[str], tests: Collection[str]) -> None:
    """Refuse what is not on the allow list.

    Raises
    ------
    TemplateSyntaxError
        Names the line and what is not available.
    """
    if _nesting(template) > MAX_NESTING:
        raise TemplateSyntaxError(TOO_DEEP, 1)
    for node in template.find_all(nodes.Node):
        fault = _fault(node, filters, tests)
        if fault:
            raise TemplateSyntaxError(fault, node.lineno or 1)


def _nesting(node: nodes.Node) -> int:
    return 1 + max(map(_nesting, node.iter_child_nodes()), default=0)


def _fault(node: nodes.Node, filters: Collection[str], tests: Collection[str]) -> str:
    fault = ""
    match node:
        case nodes.Filter(name=name) if name not in filters:
            fault = f"there is no filter {name!r}{did_you_mean(name, filters)}"
        case nodes.Test(name=name) if name not in tests:
            fault = f"there is no test {name!r}{did_you_mean(name, tests)}"
        case nodes.Getattr(attr=name) if name.startswith("_"):
            fault = f"{name!r} cannot be read"
        case nodes.For(recursive=True):
            fault = "a loop cannot be recursive"
        case nodes.Call() if not isinstance(node.node, nodes.Name) or node.dyn_args or node.dyn_kwargs:
            fault = "only macros, track(), block() and range() can be called, with plain arguments"
        case nodes.FromImport() if not isinstance(node.template, nodes.Const) or node.with_context:
            fault = "macros can be imported from a named part only, without context"
        # A value that begins with `#` would make a comment of it, which hides what follows from an ESP.
        case nodes.TemplateData(data=text) if text.endswith("{"):
            fault = "a single { right before a tag could open another language's tag; write &#123; or a blank"
        # Lists of lists, set twenty times over, would double in size each time.
        case nodes.List(items=items) | nodes.Tuple(ctx="load", items=items) if not _constant(items):
            fault = "a list can hold plain values only"
        case _ if unavailable := _unavailable(node):
            fault = f"{unavailable!r} is not available in blocks"
    return fault


def _unavailable(node: nodes.Node) -> str:
    # Of what they were called with, macros could make lists of lists, which take for ever to compare.
    if isinstance(node, nodes.Name) and node.name in _OF_MACROS:
        return node.name
    return "" if type(node) in _ALLOWED else type(node).__name__.lower()


def _constant(items: Iterable[nodes.Node]) -> bool:
    return all(isinstance(item, nodes.Const) for item in items)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?`, or nothing when nothing is close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def charge_passes(template: nodes.Template) -> None:
    """Have each pass through a loop or macro charged, those that a loop leaves out included."""
    environment = template.environment
    for node in list(template.find_all((nodes.For, nodes.Macro))):
        if environment is None or not isinstance(node, nodes.For | nodes.Macro):
            continue
        node.body.insert(0, nodes.ExprStmt(_charging(node), lineno=node.lineno).set_environment(environment))
        if isinstance(node, nodes.For) and node.test is not None:
            # What it leaves out never comes to the body.
            node.test = nodes.And(nodes.Not(_charging(node.test)), node.test).set_environment(environment)


def _charging(passed: nodes.Node) -> nodes.Expr:
    """Return the expression that charges a pass through some syntax, texts in it included; its value is nothing."""
    steps = 1 + sum(1 for _ in passed.find_all(nodes.Node))
    texts = [one.data for one in passed.find_all(nodes.TemplateData)]
    texts += [str(one.value) for one in passed.find_all(nodes.Const)]
    cost: list[nodes.Expr] = [nodes.Const(steps), nodes.Const(sum(map(len, texts)))]
    return nodes.Filter(nodes.Const(None), SPEND, cost, [], None, None)


def charge_searches(template: nodes.Template) -> None:
    """Have `in` charged by the length of the text it looks through."""
    for operand in template.find_all(nodes.Operand):
        if operand.op in {"in", "notin"} and template.environment is not None:
            operand.expr = nodes.Filter(operand.expr, SEARCHED, [], [], None, None, lineno=operand.lineno)
            operand.expr.set_environment(template.environment)


def mark_urls(template: nodes.Template) -> None:
    """Mark what is printed right behind a URL's beginning, where percent signs stay as they are."""
    environment = template.environment
    for output in template.find_all(nodes.Output):
        before = ""
        for number, node in enumerate(output.nodes):
            if environment is not None and _GOES_ON.search(before):
                marked = nodes.Filter(node, IN_URL, [], [], None, None, lineno=node.lineno)
                marked.set_environment(environment)
                output.nodes[number] = marked
            before = node.data if isinstance(node, nodes.TemplateData) else ""
