"""What somebody would see in a block at an instant, and why: by the code that serves it. Pure; nothing is stored.

A preview shows no more than the recipient's mail would. Whoever allowed no personal content is shown what they would be
sent, and what they did is not looked at to explain it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from mailtailor.consent.policy import Consent, Purpose, allows
from mailtailor.content.audience import UNKNOWN_AUDIENCE
from mailtailor.content.block import FALLBACK, Block, Variant
from mailtailor.content.inputs import ColourInput, Input, Parameter, UrlInput, Value
from mailtailor.content.links import untracked
from mailtailor.content.recipient import view_of
from mailtailor.content.render import Format, Renderer
from mailtailor.content.select import LATE, Request, Served, Shelf, everybody, serve, unfilled
from mailtailor.errors import BadInput
from mailtailor.instant import Instant, to_iso
from mailtailor.profiles.profile import Profile
from mailtailor.segments.engine import BadReference, Engine
from mailtailor.segments.vocabulary import suggested
from mailtailor.segments.why import Reason, reason_of
from mailtailor.segments.wording import moment

SHOWN: Final = "shown"
NOT_REACHED: Final = "not_reached"
IMPERSONAL: Final = "impersonal"
"""What a rung of the ladder came to, besides the reasons in `mailtailor.content.decision.Skipped`."""


class Who(StrEnum):
    """Whose mail is looked at."""

    RECIPIENT = "recipient"
    """Somebody with a profile."""
    EMPTY = "empty"
    """Somebody who allowed personal content and of whom nothing else is known."""
    ANONYMOUS = "anonymous"
    """A fetch that names nobody."""
    OUTAGE = "outage"
    """Anybody, while nothing that the block needs answers."""


_NOTES: Final[Mapping[Who, str]] = {
    Who.EMPTY: "This is somebody who allowed personal content and of whom nothing else is known.",
    Who.ANONYMOUS: "The fetch names nobody, so this is what is the same for all.",
    Who.OUTAGE: "Nothing that the block needs answers in time, so its static variant is shown.",
}
_REFUSED: Final = "They allowed no personal content, so this is what they are sent; what they did was not looked at."


@dataclass(frozen=True, slots=True)
class Rung:
    """One variant on the way to what is shown.

    Attributes
    ----------
    variant
        Its name, or `fallback`.
    reason
        `shown`, `not_reached`, `impersonal`, or why it was passed over: see `mailtailor.content.decision.Skipped`.
    says
        That in a sentence.
    condition
        Its audience with truth and evidence, if it has one and the recipient may be looked at.
    """

    variant: str
    reason: str
    says: str
    condition: Reason | None = None

    def payload(self) -> dict[str, Any]:
        """Return this as JSON."""
        told = {"variant": self.variant, "reason": self.reason, "says": self.says}
        return told | ({"condition": self.condition.payload()} if self.condition else {})


@dataclass(frozen=True, slots=True)
class Preview:
    """What is shown, and how that came about.

    `profile_id` is empty if it is nobody in particular; `parameters` are what a fetch may say to the block.
    """

    block: str
    profile_id: str
    at: Instant
    form: Format
    served: Served
    rungs: tuple[Rung, ...]
    notes: tuple[str, ...]
    parameters: tuple[str, ...]

    def payload(self) -> dict[str, Any]:
        """Return this as JSON."""
        return {
            "block": self.block,
            "profile_id": self.profile_id or None,
            "at": to_iso(self.at),
            "form": "text" if self.form is Format.TEXT else "html",
            "variant": self.served.variant,
            "body": self.served.body,
            "variants": [rung.payload() for rung in self.rungs],
            "notes": list(self.notes),
            "parameters": list(self.parameters),
        }


def read_settings(block: Block, settings: Mapping[str, str], form: Format) -> Request:
    """Return what is asked of a block.

    Parameters
    ----------
    block
        The block.
    settings
        Values of its inputs, and of what a fetch says to it, as text.
    form
        HTML or plain text.

    Raises
    ------
    BadInput
        If nothing of a name can be set, or it cannot hold the value.
    """
    known = {**block.request, **block.inputs}
    values: dict[str, Value] = {}
    for name, raw in settings.items():
        if name not in known:
            listed = f"There are {', '.join(known)}." if known else "It takes none."
            raise BadInput(f"In {block.name} no {name[:64]!r} can be set.", suggested(name, known) or listed)
        try:
            values[name] = _read(known[name], raw)
        except ValueError as error:
            raise BadInput(f"{name} cannot be {raw[:64]!r}: {error}.") from error
    query = {name: raw for name, raw in settings.items() if name in block.request}
    return Request(form, query, {name: value for name, value in values.items() if name in block.inputs})


def _read(one: Input | Parameter, raw: str) -> Value:
    return one.check(raw) if isinstance(one, ColourInput | UrlInput) else one.read(raw)


def served_to(
    profile: Profile | None, renderer: Renderer, request: Request, at: Instant, *, engine: Engine, shelf: Shelf
) -> Served | None:
    """Return what a recipient is shown, None if it is the static variant because nobody may be looked at.

    Parameters
    ----------
    profile
        The recipient; None for a fetch that names nobody.
    renderer
        Of the block, its audiences compiled by `engine`.
    request
        What is asked of it.
    at
        When the mail is sent.
    engine
        By which the profile is evaluated.
    shelf
        What there is to show.

    Links lead to their destination itself, so that a click in a preview counts for nobody.
    """
    if renderer.block.cache.kind == "shared":
        view = everybody(at)
    elif profile is None or not allows(profile.consent, Purpose.PERSONALIZATION):
        return None
    else:
        view = view_of(profile, engine, at)
        if at < profile.as_of:
            # Stored verdicts hold from their evaluation on, and say nothing of the time before.
            view = replace(view, person=engine.person(profile))
    return serve(renderer, request, view, shelf, untracked)


def preview(
    who: Who,
    profile: Profile | None,
    renderer: Renderer,
    request: Request,
    at: Instant,
    *,
    engine: Engine,
    shelf: Shelf,
) -> Preview:
    """Return what is shown and why; `profile` is that of `Who.RECIPIENT`, and all else is as `served_to` takes it."""
    block = renderer.block
    subject = (
        Profile("", consent={Purpose.PERSONALIZATION: Consent(granted=True, at=0)}) if who is Who.EMPTY else profile
    )
    served = None
    if who is not Who.OUTAGE:
        served = served_to(subject, renderer, request, at, engine=engine, shelf=shelf)
    if served is None:
        served = unfilled(renderer, request.form, at)
        rungs = tuple(_late(block) if who is Who.OUTAGE else _impersonal(block))
    else:
        looked_at = None if block.cache.kind == "shared" else subject
        rungs = tuple(_rungs(block, served, looked_at, engine, at))
    notes = tuple(_notes(who, profile, at))
    whose = profile.id if profile else ""
    return Preview(block.name, whose, at, request.form, served, rungs, notes, tuple(block.request))


def _notes(who: Who, profile: Profile | None, at: Instant) -> Iterator[str]:
    if who is not Who.RECIPIENT or profile is None:
        yield _NOTES[who]
    elif not allows(profile.consent, Purpose.PERSONALIZATION):
        yield _REFUSED
    elif at < profile.as_of:
        yield (
            f"They were evaluated on {moment(profile.as_of)}, after the instant asked for: what had left all windows "
            "by then is forgotten, and attributes and consent are those of now."
        )


def _impersonal(block: Block) -> Iterator[Rung]:
    for variant in block.variants:
        yield Rung(variant.name, IMPERSONAL, "It is for recipients who are known and allowed personal content.")
    yield Rung(FALLBACK, SHOWN, "The static variant is shown.")


def _late(block: Block) -> Iterator[Rung]:
    for variant in block.variants:
        yield Rung(variant.name, LATE, "Nothing that it needs answers in time.")
    yield Rung(FALLBACK, SHOWN, "The static variant is shown.")


def _rungs(block: Block, served: Served, subject: Profile | None, engine: Engine, at: Instant) -> Iterator[Rung]:
    reasons = dict(served.skipped)
    for variant in block.variants:
        if variant.name == served.variant:
            yield Rung(variant.name, SHOWN, "It is shown.", _audience(variant, subject, engine, at))
        elif variant.name in reasons:
            reason = reasons[variant.name]
            yield Rung(variant.name, reason, why_passed_over(variant, reason), _audience(variant, subject, engine, at))
        else:
            yield Rung(variant.name, NOT_REACHED, "One before it is shown.")
    if served.variant == FALLBACK:
        yield Rung(FALLBACK, SHOWN, "None of the variants fits, so the static one is shown.")


def _audience(variant: Variant, subject: Profile | None, engine: Engine, at: Instant) -> Reason | None:
    if variant.audience is None or subject is None:
        return None
    try:
        engine.audience(variant.audience)
    except BadReference:
        return None
    return reason_of(subject, variant.audience, engine=engine, at=at)


def why_passed_over(variant: Variant, reason: str) -> str:
    """Return in a sentence why a variant was passed over."""
    needs = variant.needs
    said = {
        "audience": "They are not in its audience.",
        "context": f"What it asks of the fetch or the recipient is not so: {', '.join(variant.when)}.",
        "products": f"It needs {needs.products} from their own views and purchases, and there are fewer.",
        "bestsellers": f"It needs {needs.bestsellers} bestsellers, and the catalog has fewer.",
        "stores": f"It needs {needs.stores} stores near them, and fewer are known.",
        "offer": "It needs an offer, and none stands for them then.",
        UNKNOWN_AUDIENCE: "Its audience names a segment that is not deployed, or events that no segment asks for.",
    }
    return said.get(reason, f"It fails: {reason}.")
