"""What a snippet is made of, and what it is: pieces of text for one ESP, and what they cannot do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from mailtailor.content.address import CONTENT, MAX_BLOCKS, Shape, is_name
from mailtailor.errors import BadInput
from mailtailor.tracking.esp_forms import EspForm
from mailtailor.tracking.tokens import Purpose

PROFILE_ID: Final = "profile_id"
"""What `mailtailor tokens export` calls the column of profiles' ids."""
MAX_FALLBACK: Final = 20_000
"""Characters of all fallbacks of one snippet: a Content Block of Braze holds 50 KB, and Gmail clips a mail at 102."""

# All of these go into string constants and tags of languages that quote in their own ways. Nothing that any of them
# would take for syntax is admitted, so nothing needs escaping.
_URL: Final = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_.~-]*")
_HALVES: Final = ("{", "[", "%", "\\")
_ATTRIBUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SnippetRequest:
    """Which blocks shall be shown, and where they are fetched.

    Attributes
    ----------
    form
        The ESP's form, which names the attribute that holds each recipient's content token.
    blocks
        The blocks' names, in the order of the mail.
    fallbacks
        What is shown in place of each block that cannot be fetched: its static variant, HTML or plain text.
    content_url
        What content paths follow, such as `https://mail.example`.
    shape
        What the address answers with.
    message
        The mailing's token, to which clicks are counted; empty for none.
    parameters
        What every fetch says to the blocks beside that, by name.
    tell_sends_apart
        Whether the ESP adds the id of the send to the mailing's token.
    attribute
        The attribute that holds the content token (or the profile's id), if it is not the usual one.
    credential
        The name of the credential that the ESP shows when it fetches. With one it names recipients by their profiles'
        ids, without one by their signed tokens.
    cache_minutes
        How long the ESP may keep an answer, for those that can be told; None for what it does by itself.

    Raises
    ------
    BadInput
        If a name or address has a form that would need escaping, or there is too much of something.
    """

    form: EspForm
    blocks: tuple[str, ...]
    fallbacks: Mapping[str, str]
    content_url: str
    shape: Shape
    message: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    tell_sends_apart: bool = False
    attribute: str = ""
    credential: str = ""
    cache_minutes: int | None = None

    def __post_init__(self) -> None:
        for name in self.blocks:
            if not is_name(name):
                raise BadInput(f"{name!r} is no name of a block.", "It has a-z, 0-9 and _, a letter first.")
        if not 0 < len(set(self.blocks)) == len(self.blocks) <= MAX_BLOCKS:
            raise BadInput(f"One fetch takes 1 to {MAX_BLOCKS} different blocks.", "Leave out what is named twice.")
        if not _URL.fullmatch(self.content_url):
            raise BadInput("The address of content is no plain web address.", "Such as https://mail.example.")
        if not _TOKEN.fullmatch(self.message):
            raise BadInput("The mailing's token has the wrong form.")
        for name in (self.attribute, self.credential, *self.parameters):
            if name and not _ATTRIBUTE.fullmatch(name):
                raise BadInput(f"{name!r} cannot be a name here.", "Use A-Z a-z 0-9 _.")
        if self.tell_sends_apart and not (self.message and self.form.instance_tag):
            raise BadInput(
                f"{self.form.title} has no tag by which sends can be told apart, or no campaign was given.",
                "Leave it out: all sends of a mailing to a person are then one message.",
            )
        if self.cache_minutes is not None and self.cache_minutes != 0 and not 5 <= self.cache_minutes <= 240:
            raise BadInput("An answer is kept for 5 to 240 minutes.", "0 keeps none.")

    @property
    def recipient_attribute(self) -> str:
        """The name of the attribute that holds the recipient's content token; with a credential, the profile's id."""
        return self.attribute or (PROFILE_ID if self.credential else self.form.attributes[Purpose.CONTENT])

    @property
    def address(self) -> str:
        """Where the blocks are, without parameters."""
        return f"{self.content_url}/{CONTENT}/{','.join(self.blocks)}.{self.shape}"

    @property
    def is_public(self) -> bool:
        """Whether an ESP can reach the address: https, on the port that all of them admit."""
        return self.content_url.startswith("https://") and not re.search(r":(?!443$)\d+$", self.content_url)

    def url(self, recipient: str, *, send: str = "") -> str:
        """Return the address with its parameters; the tags are the ESP's, in place of what it fills in."""
        name = "p" if self.credential else "r"
        message = [f"m={self.message}{'~' + send if self.tell_sends_apart else ''}"] if self.message else []
        return f"{self.address}?{'&'.join([*self._said, *message, f'{name}={recipient}'])}"

    @property
    def shared_url(self) -> str:
        """The address with what every fetch says, and no recipient."""
        return f"{self.address}?{'&'.join(self._said)}" if self.parameters else self.address

    @property
    def _said(self) -> list[str]:
        return [f"{name}={quote(value, safe='')}" for name, value in self.parameters.items()]

    def fallback(self, block: str, openers: Mapping[str, str]) -> str:
        """Return a block's static variant, made harmless to the ESP.

        A fetched block is inserted as it stands, so its static twin must not be evaluated either.

        Parameters
        ----------
        block
            Its name.
        openers
            What opens a tag of the ESP's language, and what is written in place of it.
        """
        text = self.fallbacks.get(block, "") if self.fallbacks_fit else ""
        for opener, harmless in openers.items():
            text = text.replace(opener, harmless)
        # Half of an opener at the end would find its other half in the tag that follows.
        return f"{text} " if text.endswith(_HALVES) else text

    @property
    def fallbacks_fit(self) -> bool:
        """Whether the fallbacks are small enough to stand in a mail's source; if not, they are left out."""
        return sum(len(self.fallbacks.get(name, "")) for name in self.blocks) <= MAX_FALLBACK


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a snippet: where it goes, and what is pasted there."""

    where: str
    code: str


@dataclass(frozen=True, slots=True)
class Snippet:
    """What is pasted into an ESP.

    Attributes
    ----------
    parts
        The pieces, in the order in which they are needed.
    setup
        What must be so before it works, a sentence each.
    limits
        What it cannot do, a sentence each.
    """

    parts: tuple[Part, ...]
    setup: tuple[str, ...]
    limits: tuple[str, ...]


BRACES: Final = {"{{": "&#123;&#123;", "{%": "&#123;%", "{#": "{ #"}
"""Of Liquid, HubL, Django and Handlebars. Style sheets hold `{#id`, where an entity would be no entity."""
BRACES_IN_TEXT: Final = {"{{": "{ {", "{%": "{ %", "{#": "{ #"}


def braces(shape: Shape) -> Mapping[str, str]:
    """Return what makes tags in braces harmless, in HTML or in plain text."""
    return BRACES_IN_TEXT if shape is Shape.TEXT else BRACES
