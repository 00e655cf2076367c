"""Compiles a block's HTML templates when it is published: MJML to HTML, style sheets into attributes.

Nothing is fetched: a style sheet by reference is refused. What no attribute can hold, rules for small screens and dark
mode, stays in one `<style>` at the beginning, which not every client reads there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Final

from mailtailor.content.markup import CUT, Unbalanced, hide, in_lines, outline
from mailtailor.content.template_syntax import did_you_mean

MJML_SUFFIXES: Final = (".mjml", ".mjml.j2")
_STYLE: Final = re.compile(r"<style\b[^<>]*+>(.*?)</style\s*>\s*", re.DOTALL | re.IGNORECASE)
_COMMENT: Final = re.compile(r"<!--.*?-->", re.DOTALL)
_LINKED: Final = re.compile(r"<link\b[^<>]*\bstylesheet\b|@import\b", re.IGNORECASE)
_BODY: Final = re.compile(r"<body\b[^<>]*+>(.*)</body\s*>", re.DOTALL | re.IGNORECASE)
_ARTICLE: Final = re.compile(r'^\s*<div aria-roledescription="email"[^<>]*+>(.*)</div>\s*$', re.DOTALL)
_BOILERPLATE: Final = re.compile(r"#outlook a\b|\.moz-text-html\b")
"""Of what MJML writes into the head of a whole mail: rules for all of it, which are the mail's and not a block's."""
_UNKNOWN: Final = re.compile(r"<(mj-[\w-]*)")
_POSITION: Final = re.compile(r"\s*(?:in root template\s*)?at position (\d+)(?::\d+)?")
# fmt: off
_ELEMENTS: Final = (
    "mj-accordion", "mj-accordion-element", "mj-accordion-text", "mj-accordion-title", "mj-attributes", "mj-body",
    "mj-button", "mj-carousel", "mj-carousel-image", "mj-class", "mj-column", "mj-divider", "mj-group", "mj-head",
    "mj-hero", "mj-image", "mj-navbar", "mj-navbar-link", "mj-raw", "mj-section", "mj-social", "mj-social-element",
    "mj-spacer", "mj-style", "mj-table", "mj-text", "mj-wrapper",
)
# fmt: on
_AT_RULES: Final = ("media", "supports", "font-face")


class CannotCompile(ValueError):
    """A template that cannot be compiled.

    Attributes
    ----------
    line
        Where, from 1.
    """

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.line = line


def compiled(template: str, file: str) -> str:
    """Return the HTML template that is rendered of what an author wrote; the same text if nothing is to be done.

    Parameters
    ----------
    template
        Jinja and HTML, or MJML if the file's name says so.
    file
        The file's name.

    Raises
    ------
    CannotCompile
        With the line.
    """
    is_mjml = file.endswith(MJML_SUFFIXES)
    # What tags hold is no markup yet, and may look like the beginning of any.
    markup = in_lines(template, lambda _tag: "")
    if (linked := _LINKED.search(_COMMENT.sub("", markup))) is not None:
        line = markup.count("\n", 0, markup.find(linked[0])) + 1
        raise CannotCompile("a style sheet cannot be fetched; write its rules into <style>", line)
    if not is_mjml and _STYLE.search(markup) is None:
        return template
    if not all(find_spec(package) for package in ("css_inline", "mjml", "tinycss2")):
        raise CannotCompile("compiling needs more to be installed: pip install 'mailtailor[publishing]'")
    try:
        hidden = hide(template, mjml=is_mjml)
        html = _of_mjml(hidden.html) if is_mjml else hidden.html
        return hidden.shown(_inlined(html))
    except Unbalanced as error:
        raise CannotCompile(str(error)) from error


def _of_mjml(source: str) -> str:
    """Return the block that MJML describes: the body of the mail that it makes, and the rules it needs."""
    from mjml import mjml2html  # noqa: PLC0415 - nothing that serves mails has it

    if not source.lstrip().startswith("<mjml"):
        source = f"<mjml><mj-body>{source}</mj-body></mjml>"
    try:
        # No fonts: a mail that uses one of theirs by chance would link to a host that it does not name.
        mail = mjml2html(source, fonts={})
    except (OSError, ValueError) as error:
        hint = "close every element, and write < in text as &lt;"
        raise CannotCompile(f"MJML says: {_said(error)}; {hint}", _line(error, source)) from error
    if (unknown := _UNKNOWN.search(mail)) is not None:
        line = source.count("\n", 0, source.find(unknown[0])) + 1
        raise CannotCompile(f"MJML knows no <{unknown[1]}>{did_you_mean(unknown[1], _ELEMENTS)}", line)
    body = _BODY.search(mail)
    if body is None:
        raise CannotCompile("MJML made no body of it")
    article = _ARTICLE.match(body[1])
    styles = [css for css in _STYLE.findall(_COMMENT.sub("", mail[: body.start()])) if not _BOILERPLATE.search(css)]
    return "".join(f"<style>{css.strip()}</style>" for css in styles if css.strip()) + (article or body)[1].strip()


def _said(error: Exception) -> str:
    return re.sub(r"\s+", " ", _POSITION.sub("", str(error))).strip()[:300]


def _line(error: Exception, source: str) -> int:
    found = _POSITION.search(str(error))
    return source.count("\n", 0, int(found[1])) + 1 if found else 1


def _inlined(html: str) -> str:
    """Return HTML with the rules of its style sheets in attributes; those that cannot be stay in one sheet."""
    import css_inline  # noqa: PLC0415 - as above

    sheets: list[str] = []

    def take(match: re.Match[str]) -> str:
        sheets.append(match[1])
        return ""

    # Only outside comments: what is for Outlook alone stays as it is.
    parts = re.split(r"(<!--.*?-->)", html, flags=re.DOTALL)
    rest = "".join(part if part.startswith("<!--") else _STYLE.sub(take, part) for part in _joined(parts))
    plain, kept = _parted(sheets)
    if plain:
        inliner = css_inline.CSSInliner(load_remote_stylesheets=False)
        inlined = inliner.inline_fragment(rest, plain)
        if outline(inlined) != outline(rest):
            raise Unbalanced(CUT)  # the parser moved something out of its loop or condition, or put something into it
        rest = inlined
    return (f"<style>{kept}</style>\n" if kept else "") + rest.strip() + "\n"


def _joined(parts: list[str]) -> Iterable[str]:
    """Yield HTML between comments for Outlook whole: a style sheet may hold the comments by which tags are hidden."""
    buffer = ""
    for part in parts:
        if part.startswith("<!--") and not part.startswith("<!--mtj"):
            yield buffer
            yield part
            buffer = ""
        else:
            buffer += part
    yield buffer


def _parted(sheets: list[str]) -> tuple[str, str]:
    """Return the rules that elements can carry, and those that only a style sheet can: at-rules, `:hover`, `:root`."""
    import tinycss2  # noqa: PLC0415 - as above

    plain, kept = [], []
    for sheet in sheets:
        for rule in tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True):
            text = rule.serialize().strip()
            if rule.type == "error":
                raise CannotCompile(f"the style sheet cannot be read: {rule.message}")
            if rule.type == "at-rule":
                if rule.lower_at_keyword not in _AT_RULES:
                    raise CannotCompile(f"@{rule.at_keyword} is no rule for mails; there are @media and @supports")
                kept.append(text)
            elif ":" in tinycss2.serialize(rule.prelude):
                kept.append(text)
            else:
                plain.append(text)
    return "\n".join(plain), "\n".join(kept)
