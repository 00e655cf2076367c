"""Jinja2, cut down to what a block needs and bounded in all it does.

The sandbox that Jinja ships guards objects, not resources, and was escaped four times through string formatting.
So this one starts from an allow list: template syntax, filters, tests, functions. Attributes reach into dictionaries
only, methods cannot be called, operators work on numbers only. Every pass through a loop or macro is charged to a
budget in proportion to its size, as is every character that is printed or that a filter reads or makes, so that no
template can run long or grow large.
"""

# ruff: noqa: ANN401 - Jinja calls all of this with whatever a template holds
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote

from jinja2 import FunctionLoader, StrictUndefined, Template, TemplateSyntaxError, Undefined, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.filters import do_capitalize, do_default, do_title
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from mailtailor.content import neutral, template_syntax
from mailtailor.content.template_syntax import IN_URL, SEARCHED, SPEND, TOO_DEEP

if TYPE_CHECKING:
    from jinja2.environment import TemplateModule

MAX_STEPS: Final = 50_000
"""Syntax nodes passed in loops and macros: about 20 ms of work, hundreds of times what a block of 12 products takes."""
MAX_CHARACTERS: Final = 100_000
MAX_TOKENS: Final = 2_500
"""Of one template: what it takes to compile so many is what it takes to render one; our largest module has 400."""
MAX_RANGE: Final = 100
MAX_NUMBER: Final = 10**12
STEPS_A_LINK: Final = 100
"""Signing one takes as long as so many steps, so a block of 100 links spends a fifth of its budget on them."""
SEARCHED_A_STEP: Final = 100
"""Characters that `in` looks through in the time of a step, amply."""


class TrackLink(Protocol):
    """Makes a tracked link of a destination."""

    def __call__(self, url: str, *, product_id: str, category: str) -> str:
        """Return the tracked URL."""


class InsertBlock(Protocol):
    """Renders another block, by the name that the template's block has for it."""

    def __call__(self, name: str) -> str:
        """Return what it shows, in the form of the template that inserts it."""


class Exhausted(SecurityError):
    """A template asked for more work or output than a block may."""


@dataclass(slots=True)
class Run:
    """One rendering: what it may still spend, how it makes links and inserts other blocks, and what it imported."""

    track: TrackLink
    insert: InsertBlock | None = None
    steps: int = MAX_STEPS
    characters: int = MAX_CHARACTERS
    modules: dict[str, TemplateModule] = field(default_factory=dict)

    def spend(self, steps: int, characters: int) -> None:
        """Charge the budget.

        Raises
        ------
        Exhausted
            If nothing is left.
        """
        self.steps -= steps
        self.characters -= characters
        if self.steps < 0 or self.characters < 0:
            raise Exhausted("the template takes too many steps or prints too much")


# A template reaches every object in its variables, so the run is kept where it cannot look.
_run: ContextVar[Run | None] = ContextVar("run", default=None)


@contextmanager
def running(run: Run) -> Iterator[None]:
    """Charge what templates do inside the `with` block to `run`."""
    token = _run.set(run)
    try:
        yield
    finally:
        _run.reset(token)


def _track(url: str, product_id: str = "", category: str = "") -> str:
    run = _run.get()
    if run is None or not all(isinstance(value, str) for value in (url, product_id, category)):
        raise SecurityError("track() takes a URL and names")
    run.spend(STEPS_A_LINK, 0)
    return run.track(url, product_id=product_id, category=category)


def _block(name: str) -> Markup:
    run = _run.get()
    if run is None or run.insert is None or not isinstance(name, str):
        raise SecurityError("block() takes the name of a block, and not in a block that is inside another")
    # Not escaped: every value in it was, where it was printed.
    return Markup(_charged(run.insert(name)))  # noqa: S704


def _range(*bounds: int) -> range:
    numbers = range(*bounds)
    # The length of a giant one is no number that len() could return.
    if numbers[MAX_RANGE:]:
        raise SecurityError(f"range() has more than {MAX_RANGE} numbers")
    return numbers


@pass_context
def _charge(context: Context, value: None, steps: int, characters: int) -> None:  # noqa: ARG001 - a filter's signature
    # It takes the context only so that Jinja does not evaluate it while compiling.
    run = _run.get()
    if run is not None:
        run.spend(steps, characters)


@pass_context
def _searched(_context: Context, value: Any) -> Any:
    run = _run.get()
    if run is not None and isinstance(value, str):
        run.spend(len(value) // SEARCHED_A_STEP, 0)
    return value


@pass_context
def _is_in(context: Context, value: Any, sequence: Any) -> bool:
    return value in _searched(context, sequence)


def _charged(text: str) -> str:
    run = _run.get()
    if run is not None:
        run.spend(1, len(text))
    return text


def _on_text(function: Callable[..., str]) -> Callable[..., str]:
    # It takes the context for the same reason: what is evaluated while compiling is charged to no run.
    @pass_context
    def checked(_context: Context, value: Any, *args: Any, **kwargs: Any) -> str:
        # Jinja's own filters would turn anything into text first, a list nested without end included.
        if not isinstance(value, str | int | float):
            raise SecurityError("the filter works on text only")
        return _charged(function(_charged(str(value)), *args, **kwargs))

    return checked


def _truncate(value: str, length: int = 80) -> str:
    if len(value) <= length:
        return value
    shortened = value[: max(length - 1, 0)]
    return (shortened.rsplit(" ", 1)[0] if " " in shortened else shortened) + "\N{HORIZONTAL ELLIPSIS}"


@pass_context
def _join(_context: Context, values: Any, separator: str = ", ") -> str:
    if not isinstance(values, list | tuple) or not all(isinstance(value, str | int | float) for value in values):
        raise SecurityError("join works on a list of text or numbers")
    texts = [str(value) for value in values]
    if len(separator) * len(texts) + sum(map(len, texts)) > MAX_CHARACTERS:
        raise Exhausted("join makes too long a text")
    return _charged(separator.join(texts))


def _length(value: Any) -> int:
    if not isinstance(value, str | list | tuple | dict):
        raise SecurityError("length works on text and lists")
    return len(value)


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "default": do_default,
    "d": do_default,
    "upper": _on_text(str.upper),
    "lower": _on_text(str.lower),
    "title": _on_text(do_title),
    "capitalize": _on_text(do_capitalize),
    "trim": _on_text(lambda value: value.strip()),
    "truncate": _on_text(_truncate),
    "urlencode": _on_text(lambda value: quote(value, safe="")),
    "join": _join,
    "length": _length,
}
FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {"track": _track, "range": _range, "block": _block}
TESTS: Final = ("defined", "undefined", "string", "number", "odd", "even", "divisibleby", "in")
ARITHMETIC: Final = frozenset({"+", "-", "*", "/", "//", "%"})


class _Template(Template):
    """A template whose macros are imported anew by each rendering: what it sets may be somebody's, such as a link."""

    def _get_default_module(self, ctx: Context | None = None) -> TemplateModule:  # noqa: ARG002 - Jinja's hook
        run, name = _run.get(), str(self.name)
        if run is None:
            return self.make_module()
        if name not in run.modules:
            run.modules[name] = self.make_module()
        return run.modules[name]


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """Compiles and runs the templates of one block.

    Parameters
    ----------
    templates
        Texts by name; a template may import macros from another.
    html
        Whether they make HTML, which is escaped always, or plain text.
    """

    intercepted_binops = ARITHMETIC
    template_class = _Template

    def __init__(self, templates: Mapping[str, str], *, html: bool) -> None:
        super().__init__(
            autoescape=html,
            # The name doubles as the file's, by which a traceback tells where in which template an error arose.
            loader=FunctionLoader(lambda name: (templates[name], name, None) if name in templates else None),
            undefined=StrictUndefined,
            finalize=self._print,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._neutral = neutral.in_html if html else neutral.in_text
        self.filters = {**FILTERS, SPEND: _charge, SEARCHED: _searched, IN_URL: self._go_on_with_url}
        self.tests = {name: self.tests[name] for name in TESTS} | {"in": _is_in}
        self.globals = dict(FUNCTIONS)

    def parse(self, source: str, name: str | None = None, filename: str | None = None) -> nodes.Template:
        """Return the syntax of a template.

        Raises
        ------
        TemplateSyntaxError
            If it is none, or too large.
        """
        with _limits(name):
            return super().parse(source, name, filename)

    def compile(self, source: Any, name: str | None = None, *args: Any, **kwargs: Any) -> Any:
        """Compile a template.

        Raises
        ------
        TemplateSyntaxError
            If it is none or too large, or uses what a block may not.
        """
        with _limits(name):
            return super().compile(source, name, *args, **kwargs)

    def _tokenize(self, source: str, name: str | None, *args: Any, **kwargs: Any) -> TokenStream:
        # Jinja's hook before parsing. The stream is lazy, so of a giant no more is read than is allowed.
        stream = super()._tokenize(source, name, *args, **kwargs)
        return TokenStream(_bounded(stream), stream.name, stream.filename)

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        # Jinja's hook between parsing and compiling.
        template_syntax.check_syntax(source, filters=FILTERS, tests=TESTS)
        template_syntax.charge_passes(source)
        template_syntax.charge_searches(source)
        template_syntax.mark_urls(source)
        return super()._generate(source, *args, **kwargs)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return a dictionary's entry, or a fact about the loop such as `loop.index`; no other object is entered."""
        if isinstance(obj, LoopContext):
            return super().getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return an entry of a dictionary, list or text."""
        if isinstance(obj, dict | list | tuple | str):
            try:
                return obj[argument]
            except (TypeError, LookupError):
                pass
        return self.undefined(obj=obj, name=argument)

    def call(self, context: Context, callee: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a macro or one of the allowed functions."""
        if not isinstance(callee, Macro) and callee not in FUNCTIONS.values():
            raise SecurityError("only macros and a few functions can be called")
        made = context.call(callee, *args, **kwargs)
        # Jinja does so in HTML only; in plain text, too, what a macro says has been made harmless where it was printed.
        return Markup(made) if isinstance(callee, Macro) else made  # noqa: S704

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Calculate with two numbers of a reasonable size."""
        if not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise SecurityError(f"{operator} works on numbers only")
        result = super().call_binop(context, operator, left, right)
        if abs(result) > MAX_NUMBER:
            raise Exhausted("the number grows too large")
        return result

    def _print(self, value: Any) -> str:
        # Markup is what a macro made: its data went through here already.
        return _charged(value if isinstance(value, Markup) else self._neutral(_printable(value)))

    @pass_context
    def _go_on_with_url(self, _context: Context, value: Any) -> Markup:
        # In plain text it is no markup either, but printed as it is.
        return value if isinstance(value, Markup) else Markup(self._neutral(_printable(value), in_url=True))  # noqa: S704


def _bounded(tokens: Iterable[Token]) -> Iterator[Token]:
    for number, token in enumerate(tokens):
        if number == MAX_TOKENS:
            raise TemplateSyntaxError(f"a template has at most {MAX_TOKENS} words and signs of code", token.lineno)
        yield token


@contextmanager
def _limits(name: str | None) -> Iterator[None]:
    """Say as the template's error what Python's own limits say."""
    try:
        yield
    except (RecursionError, MemoryError, SyntaxError) as error:
        raise TemplateSyntaxError(TOO_DEEP, 1, name) from error
    except ValueError as error:
        raise TemplateSyntaxError("a number has too many digits", 1, name) from error


def _printable(value: Any) -> str:
    if isinstance(value, Undefined) or (isinstance(value, str | int | float) and not isinstance(value, bool)):
        return str(value)
    raise SecurityError("only text and numbers can be printed")
