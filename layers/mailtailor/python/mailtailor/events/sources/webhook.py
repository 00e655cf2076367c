"""What a webhook source is, and how a delivery of any becomes events.

A source verifies the delivery, parts its body into items, and normalizes each item by itself: one that cannot be used
takes no other with it, and is kept for a later try as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from pydantic import ValidationError

from mailtailor.consent.policy import Purpose
from mailtailor.errors import BadInput
from mailtailor.events.event import MAX_EVENT_ID, Event, Identity
from mailtailor.events.untrusted import BadField, clean, without_addresses
from mailtailor.events.vocabulary import commerce
from mailtailor.instant import Instant
from mailtailor.profiles.identity import IdentityKind, Pseudonymizer, is_email_key

MAX_ITEMS: Final = 10_000
"""More in one delivery than any sender's documented most."""
MAX_IDENTITY: Final = 256

Item = Mapping[str, Any]
"""One thing a delivery tells, as JSON: enough to normalize it again without the delivery's headers."""


class Outside(Protocol):
    """Other servers, as far as a source must ask them: for public keys and confirmations.

    Whoever calls names hosts that the sender cannot choose. Answers are bounded in size and time; redirects are not
    followed.
    """

    def get(self, url: str) -> bytes:
        """Return what `url` answers with 200; raise `Unavailable` otherwise."""
        ...

    def kept(self, url: str) -> bytes:
        """Return what `url` answered lately, at most a day ago; else ask as `get` does."""
        ...

    def post(self, url: str, payload: Mapping[str, Any], *, bearer: str = "") -> bytes:
        """Return what `url` answers to a JSON body with 2xx; raise `Unavailable` otherwise."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request to a source's address.

    Attributes
    ----------
    headers
        Names in lower case.
    body
        Raw, as it was signed.
    received_at
        When it arrived.
    method, query
        How it was called; `query` is decoded.
    urls
        The addresses it may have been called at, for senders that sign theirs.
    """

    headers: Mapping[str, str]
    body: bytes
    received_at: Instant
    method: str = "POST"
    query: Mapping[str, str] = field(default_factory=dict)
    urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What a sender wants to read."""

    body: str = ""
    content_type: str = "text/plain; charset=utf-8"
    status: int = 200


@dataclass(frozen=True, slots=True)
class Person:
    """Who an item is about, by outside keys; an address that is none, and blank keys, count as unknown."""

    user_id: str | None = None
    email: str | None = None
    anonymous_id: str | None = None

    def identities(self, pseudonymizer: Pseudonymizer) -> tuple[Identity, ...]:
        """Return the pseudonyms, strongest first."""
        email = _key(self.email)
        keys = {
            IdentityKind.USER_ID: _key(self.user_id),
            IdentityKind.EMAIL: email if is_email_key(email) else "",
            IdentityKind.ANONYMOUS_ID: _key(self.anonymous_id),
        }
        return tuple(Identity(kind=kind, id=pseudonymizer.pseudonym(kind, key)) for kind, key in keys.items() if key)


@dataclass(frozen=True, slots=True)
class Normalizing:
    """What the receiving side adds to an item.

    Attributes
    ----------
    source
        The source's name.
    received_at
        When the delivery arrived.
    pseudonymizer
        Turns outside keys into pseudonyms.
    """

    source: str
    received_at: Instant
    pseudonymizer: Pseudonymizer

    def event(
        self,
        event_type: str,
        *,
        event_id: str,
        at: Instant | None,
        person: Person,
        properties: Mapping[str, Any] | None = None,
        attributes: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        consent: Mapping[Purpose, bool] | None = None,
    ) -> list[Event]:
        """Return the event, or nothing if `person` is nobody we can name.

        Parameters
        ----------
        event_type
            In our vocabulary.
        event_id
            The sender's own, or `derived_id`; the same for the same thing, however often it is told.
        at
            When it happened by the sender's clock; the time of receipt if None.
        person
            Who did it.
        properties, attributes, context
            Absent values and addresses are left out; properties of the vocabulary are brought to its form.
        consent
            What was stated with it.

        Raises
        ------
        BadField
            If a field is of a wrong type.
        """
        identities = person.identities(self.pseudonymizer)
        if not identities:
            return []
        # Only what is kept is cleaned: most of what senders tell is left behind.
        kept = clean({"properties": properties, "attributes": attributes, "context": context})
        try:
            event = Event(
                id=self._id(event_id),
                type=event_type,
                source=self.source,
                identities=identities,
                occurred_at=self.received_at if at is None else max(0, at),
                received_at=self.received_at,
                properties=commerce(_present(kept["properties"])),
                attributes=_present(kept["attributes"]),
                context=_present(kept["context"]),
                consent=dict(consent or {}),
            )
        except ValidationError as error:
            fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
            raise BadField(".".join(str(part) for part in fault["loc"]), "cannot be used") from None
        return [event]

    def derived_id(self, *parts: object) -> str:
        """Return an id made of what tells one thing from another, for senders that give none.

        Keyed, so that an address among the parts cannot be guessed from it.
        """
        return self.pseudonymizer.pseudonym(IdentityKind.ANONYMOUS_ID, "\0".join(map(str, ("event", *parts))))

    def _id(self, event_id: str) -> str:
        # An id with an address in it would carry that into every store.
        told: str = clean(f"{self.source}:{event_id}")
        if len(told) > MAX_EVENT_ID or without_addresses(told) != told:
            return f"{self.source}:{self.derived_id(event_id)}"
        return told


def _key(given: str | None) -> str:
    return str(clean(given.strip()[:MAX_IDENTITY])) if given else ""


def _present(values: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in without_addresses(dict(values or {})).items() if value is not None}


def objects(body: object) -> list[Item]:
    """Return the items of a body that is an array of them, or one; what is no object is an item that cannot be used."""
    return body if isinstance(body, list) else [body]  # type: ignore[list-item]


Verify = Callable[[Delivery, Sequence[str], Outside], None]
"""Returns if a delivery is good for any of the secrets; raises `Unauthorized` if it is not signed so, or too old."""
Handshake = Callable[[Delivery, Sequence[str], Outside], Reply | None]
"""Answers what a sender asks before it sends events, such as whether the address is ours; verifies by itself what it
must. None if the delivery is an ordinary one, not verified yet."""


def _no_handshake(_delivery: Delivery, _secrets: Sequence[str], _outside: Outside) -> Reply | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSource:
    """A kind of sender.

    Parameters
    ----------
    name
        The last part of its address, and the name of its secrets.
    verify
        Refuses what is not authentic.
    items
        Parts a verified delivery's body; raises `BadInput` if it cannot be read.
    normalize
        Returns the events of an item, none for one that does not count; raises `BadInput` if it cannot be used.
    handshake
        Answers what is not a delivery; verifies by itself what it must.
    reply
        What this sender wants to read when all is taken; JSON if None.
    unreadable
        The status for a signed body that no later try makes readable.
    """

    name: str
    verify: Verify
    items: Callable[[Delivery], Iterable[Item]]
    normalize: Callable[[Item, Normalizing], list[Event]]
    handshake: Handshake = _no_handshake
    reply: Reply | None = None
    unreadable: int = 400


@dataclass(frozen=True, slots=True)
class Rejection:
    """An item that could not be used: its place from 0, the item as it came, and why."""

    index: int
    item: Item
    error: BadInput


@dataclass(frozen=True, slots=True)
class Received:
    """What became of a delivery."""

    events: list[Event]
    rejected: list[Rejection]


def receive(source: WebhookSource, delivery: Delivery, pseudonymizer: Pseudonymizer) -> Received:
    """Return the events of a verified delivery, and its items that could not be used.

    Raises
    ------
    BadInput
        If the body as a whole cannot be read.
    """
    normalizing = Normalizing(source.name, delivery.received_at, pseudonymizer)
    received = Received([], [])
    for index, item in enumerate(source.items(delivery)):
        if index == MAX_ITEMS:
            raise BadInput(f"The delivery holds more than {MAX_ITEMS:,} items.", "Send it in parts.")
        try:
            received.events.extend(normalized(source, item, normalizing))
        except BadInput as error:
            received.rejected.append(Rejection(index, item, error))
    return received


def normalized(source: WebhookSource, item: Item, normalizing: Normalizing) -> list[Event]:
    """Return the events of one item.

    Raises
    ------
    BadInput
        If it cannot be used, whatever the reason: a sender's surprise must not cost its other items.
    """
    if not isinstance(item, Mapping):
        raise BadInput("The item is no JSON object.")
    try:
        return source.normalize(item, normalizing)
    except BadInput:
        raise
    except Exception as error:
        raise BadInput("The item has a form that we do not know.", "It is kept until we do.") from error
