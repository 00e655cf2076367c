"""Makes a customer's data harmless to the e-mail service provider that receives a block.

An ESP looks for its own language in the mail it assembles: AMPscript `%%...%%`, Liquid and Handlebars `{{...}}`
and `{%...%}`, Mailchimp's `*|...|*`, `[[...]]` of others. A customer named `{{secret}}` must never be evaluated,
so the characters that open such tags are written in another way wherever data is printed. A template's own text
stays as its author wrote it.
"""

from __future__ import annotations

import re
from typing import Final

from markupsafe import Markup, escape

# Single characters, not pairs: the second half of a pair may come from the template or from the next value.
# A percent sign with two hexadecimal digits is part of a URL, unless what is before it makes a tag of it. No language
# starts with only one; where `%NAME%` is a tag, it shows the recipient's own fields and nothing else. A `<` matters at
# the end only, where a percent sign of the template may follow.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SPECIAL: Final = re.compile(r"[{}\[\]|*]|%(?![0-9A-Fa-f]{2})|(?<=[%<])%|(?<=&lt;)%|(?:<|&lt;)\Z")
_ENTITIES: Final = {char: f"&#{ord(char)};" for char in "{}[]|*%"} | {"&lt;": "&#60;"}
_LOOKALIKES: Final = dict(zip("{}[]|*%<", "\uff5b\uff5d\uff3b\uff3d\uff5c\uff0a\uff05\uff1c", strict=True))
_WRITTEN: Final = re.compile("&#(" + "|".join(str(ord(char)) for char in _LOOKALIKES) + ");")


def in_html(text: str, *, in_url: bool = False) -> Markup:
    """Return `text` escaped for HTML text and quoted attributes, with ESP syntax as entities; control characters go.

    Parameters
    ----------
    text
        The customer's data.
    in_url
        Whether it goes on with a URL. Elsewhere a percent sign at its beginning is written in another way even if
        digits follow, for it might meet another one.
    """
    written = _SPECIAL.sub(lambda match: _ENTITIES[match[0]], str(escape(_CONTROL.sub("", text))))
    if written.startswith("%") and not in_url:
        written = _ENTITIES["%"] + written[1:]
    return Markup(written)  # noqa: S704 - escaped


def decoded(html: str) -> str:
    """Return HTML with what `in_html` wrote as entities in the form of `in_text`: decoding would bring it back."""
    return _WRITTEN.sub(lambda match: _LOOKALIKES[chr(int(match[1]))], html)


def in_text(text: str, *, in_url: bool = False) -> str:
    """Return `text` for plain text, where no entities exist: ESP syntax becomes full-width look-alikes."""
    written = _SPECIAL.sub(lambda match: _LOOKALIKES.get(match[0], match[0]), _CONTROL.sub("", text))
    return written if in_url or not written.startswith("%") else _LOOKALIKES["%"] + written[1:]
