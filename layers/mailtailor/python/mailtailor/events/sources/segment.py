"""Calls of Segment's tracking API as our events.

A write key is a server's, which may say anything, or a browser's, which everybody can read in a page and which may say
less (`mailtailor.events.browser_keys`).

Sources of the rules: Segment, "HTTP API", "Spec: Common fields" (timestamps), "Consent object", "E-commerce spec";
analytics-next for the browser's short paths.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from mailtailor.consent.policy import Purpose
from mailtailor.errors import BadInput, NotFound
from mailtailor.events import browser_keys, context
from mailtailor.events.browser_keys import NotAllowed
from mailtailor.events.event import Event, Identity, event_type
from mailtailor.events.untrusted import BadField, clean, is_private, mapping, text, time, without_addresses
from mailtailor.events.vocabulary import commerce, mail
from mailtailor.instant import Instant
from mailtailor.profiles import stitching
from mailtailor.profiles.identity import IdentityKind, Pseudonymizer, is_email_key
from mailtailor.tracking.tokens import StitchToken

MAX_EVENT_BYTES: Final = 32_768
MAX_BATCH_BYTES: Final = 512_000
MAX_BATCH_EVENTS: Final = 2_500
MAX_SHARED_BYTES: Final = 8_192
"""Of what a batch says for all its events: each that is parked takes it along."""
MAX_MESSAGE_ID: Final = 100
MAX_IDENTITY: Final = 256
MAX_ATTRIBUTES: Final = 50
MAX_ATTRIBUTE: Final = 256
MAX_LIST: Final = 20

SOURCE: Final = "segment"
CONSENT_EVENTS: Final = frozenset({"segment_consent_preference", "segment_consent_preference_updated"})
MAIL_EVENTS: Final = frozenset({"email_delivered", "email_opened", "email_link_clicked"})
ADDRESS_PARTS: Final = {
    "city": ("city",),
    "region": ("region", "state"),
    "country": ("country",),
    "postal_code": ("postal_code", "postalCode", "zip"),
}

SHORT: Final = MappingProxyType(
    {"i": "identify", "t": "track", "p": "page", "s": "screen", "g": "group", "a": "alias", "b": "batch"}
)
"""The browser SDK's paths."""
BATCHES: Final = frozenset({"batch", "import"})

_COMPACT: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))

Payload = Mapping[str, Any]


class Authority(StrEnum):
    """Whose write key a call carries."""

    SERVER = "server"
    BROWSER = "browser"


def write_keys(authorization: str, payload: object) -> list[str]:
    """Return the write keys a call carries: in its body, as user of HTTP Basic, or as bearer token.

    Source: Segment's SDKs differ; Python sends the body's only, RudderStack's Python Basic only, Node both.
    """
    scheme, _, credentials = authorization.strip().partition(" ")
    keys = [credentials.strip()] if scheme.lower() == "bearer" else []
    if scheme.lower() == "basic":
        try:
            keys.append(base64.b64decode(credentials.strip(), validate=True).decode().partition(":")[0])
        except ValueError:
            keys.append("")
    in_body = payload.get("writeKey") if isinstance(payload, dict) else None
    return [*keys, in_body] if isinstance(in_body, str) else keys


def _no_stitch(_token: str) -> StitchToken | None:
    return None


@dataclass(frozen=True, slots=True)
class Reception:
    """What the receiving side adds to a call.

    Parameters
    ----------
    received_at
        When the call arrived.
    pseudonymizer
        Turns outside keys into pseudonyms.
    new_id
        Makes an id for a call that has none.
    redeem
        Reads the stitch token that a call carries; None for one that is not good, which the call survives.
    authority
        Whose write key the call carries.
    """

    received_at: Instant
    pseudonymizer: Pseudonymizer
    new_id: Callable[[], str]
    redeem: Callable[[str], StitchToken | None] = _no_stitch
    authority: Authority = Authority.SERVER


@dataclass(frozen=True, slots=True)
class Rejection:
    """An event of a batch that was not taken: its place from 0, why, and all that `replayed` needs."""

    index: int
    error: BadInput
    item: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a call.

    Attributes
    ----------
    events
        To be queued.
    rejected
        What was not taken.
    left_out
        How much a browser's key stated beyond its authority, by its kind.
    """

    events: list[Event] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def parkable(self) -> list[Rejection]:
        """What later code may be able to use."""
        return [rejection for rejection in self.rejected if not isinstance(rejection.error, NotAllowed)]


def receive(call: str, payload: object, size: int, reception: Reception) -> Result:
    """Return the events of one HTTP call.

    Parameters
    ----------
    call
        The last part of the path: `track`, `batch` and so on.
    payload
        The body, parsed.
    size
        The body's length in bytes, decompressed; the caller read no more than `MAX_BATCH_BYTES`.
    reception
        What the receiving side adds.

    Raises
    ------
    NotFound
        If there is no such call.
    BadInput
        If nothing of the call can be taken. In a batch one bad event does not refuse the others; and what a browser's
        key may not say is rejected, not refused, for its SDK would take that for a fault.
    """
    call = SHORT.get(call, call)
    if call not in BATCHES and call not in CALLS:
        raise NotFound("There is no such call.", f"Known: {', '.join([*CALLS, *sorted(BATCHES)])}.")
    if not isinstance(payload, dict):
        raise BadInput("The body must be a JSON object.")
    if call in BATCHES:
        return _batch(call, payload, size, reception)
    if size > MAX_EVENT_BYTES:
        raise BadInput("The event is larger than 32 KB.")
    result = Result()
    try:
        result.events.extend(_events(call, clean(payload), reception, result.left_out))
    except NotAllowed as error:
        result.rejected.append(Rejection(0, error, payload))
    return result


def _batch(call: str, payload: Payload, size: int, reception: Reception) -> Result:
    items = payload.get("batch")
    if not isinstance(items, list):
        raise BadField("batch", "must be a list of events")
    if len(items) > MAX_BATCH_EVENTS:
        raise BadInput("The batch has more than 2,500 events.", "Send it in parts.")
    shared = clean({name: payload.get(name) for name in ("context", "sentAt")})
    mapping(shared["context"], "context")
    if size > MAX_SHARED_BYTES and _size(shared) > MAX_SHARED_BYTES:
        raise BadInput("The context of the batch is larger than 8 KB.", "Give each event its own.")
    if call == "import":
        # Times of history are exact; when they are sent says nothing of the clock that noted them.
        shared["sentAt"] = None
        items = [{**item, "sentAt": None} if isinstance(item, dict) else item for item in items]
    result = Result()
    for index, item in enumerate(items):
        try:
            result.events.extend(_batched(item, shared, size, reception, result.left_out))
        except BadInput as error:
            told = {"payload": item, "shared": shared, "authority": reception.authority.value}
            result.rejected.append(Rejection(index, error, told))
    return result


def replayed(item: Mapping[str, Any], reception: Reception) -> list[Event]:
    """Return the events of an item that was rejected before, with the authority that its call had.

    An event without an id gets one that is the same at each replay.

    Raises
    ------
    BadInput
        If it still cannot be used.
    """
    payload, shared, authority = (item.get(name) for name in ("payload", "shared", "authority"))
    if not isinstance(shared, dict) or authority not in set(Authority):
        raise BadInput("The item is not one that was parked here.")
    told = json.dumps([reception.received_at, payload, shared], sort_keys=True)
    derived = reception.pseudonymizer.pseudonym(IdentityKind.ANONYMOUS_ID, f"event\0{told}")
    with_authority = replace(reception, authority=Authority(authority), new_id=lambda: derived)
    everything = {"context": shared.get("context"), "sentAt": shared.get("sentAt")}
    return _batched(payload, everything, 0, with_authority, Counter())


def _batched(
    item: object, shared: Payload, batch_size: int, reception: Reception, left_out: Counter[str]
) -> list[Event]:
    payload = clean(mapping(item, ""))
    # A batch that is no larger than one event may be holds none that is; measuring costs as much as parsing.
    if batch_size > MAX_EVENT_BYTES and _size(payload) > MAX_EVENT_BYTES:
        raise BadInput("The event is larger than 32 KB.")
    call = payload.get("type")
    if not isinstance(call, str) or call not in CALLS:
        raise BadField("type", f"must be one of {', '.join(CALLS)}")
    context = {**mapping(shared["context"], "context"), **mapping(payload.get("context"), "context")}
    return _events(call, {"sentAt": shared["sentAt"], **payload, "context": context}, reception, left_out)


def _size(payload: Payload) -> int:
    return len(_COMPACT.encode(payload).encode())


def _events(call: str, payload: Payload, reception: Reception, left_out: Counter[str]) -> list[Event]:
    """Return the call's event; before it, that its browser is a recipient's, if the call says so."""
    stated = _event(call, payload, reception)
    event = stated if reception.authority is Authority.SERVER else browser_keys.limited(stated, left_out)
    if event is None:
        return []
    ours = mapping(payload.get("context"), "context").get("mailtailor")
    # Whoever is named needs no stitching, and who refuses is not to be found out.
    unnamed = [identity.kind for identity in event.identities] == [IdentityKind.ANONYMOUS_ID]
    if (
        not isinstance(ours, dict)
        or "stitch" not in ours
        or not unnamed
        or stated.consent.get(Purpose.TRACKING) is False
    ):
        return [event]
    token = reception.redeem(ours["stitch"] if isinstance(ours["stitch"], str) else "")
    return [stitching.stitched(token, event.identities[0], at=reception.received_at), event] if token else [event]


def _event(call: str, payload: Payload, reception: Reception) -> Event:
    identities = _who(call, payload, reception.pseudonymizer)
    said = CALLS[call](payload)
    try:
        return Event(
            id=f"{SOURCE}:{_message_id(payload, reception)}",
            source=SOURCE,
            identities=identities,
            occurred_at=_occurred_at(payload, reception.received_at),
            received_at=reception.received_at,
            context=context.kept(mapping(payload.get("context"), "context")),
            consent=_consent(payload),
            **said,
        )
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise BadField(".".join(str(part) for part in fault["loc"]), "cannot be used") from None


def _message_id(payload: Payload, reception: Reception) -> str:
    message_id = text(payload.get("messageId"), "messageId", limit=MAX_MESSAGE_ID)
    if message_id is None:
        return reception.new_id()
    if without_addresses(message_id) != message_id:
        return reception.pseudonymizer.pseudonym(IdentityKind.ANONYMOUS_ID, message_id)
    return message_id


def _who(call: str, payload: Payload, pseudonymizer: Pseudonymizer) -> tuple[Identity, ...]:
    if call == "alias":
        return _aliases(payload, pseudonymizer)
    # Traits of a group are the group's: an address there is not the caller's.
    return _identities({**payload, "traits": None} if call == "group" else payload, pseudonymizer)


def _identities(payload: Payload, pseudonymizer: Pseudonymizer) -> tuple[Identity, ...]:
    keys = {
        IdentityKind.USER_ID: text(payload.get("userId"), "userId", limit=MAX_IDENTITY),
        IdentityKind.EMAIL: _email(payload),
        IdentityKind.ANONYMOUS_ID: text(payload.get("anonymousId"), "anonymousId", limit=MAX_IDENTITY),
    }
    identities = tuple(Identity(kind=kind, id=pseudonymizer.pseudonym(kind, key)) for kind, key in keys.items() if key)
    if not identities:
        raise BadField("userId", "is missing, and so are anonymousId and an e-mail address")
    return identities


def _aliases(payload: Payload, pseudonymizer: Pseudonymizer) -> tuple[Identity, ...]:
    """Return the identities that an alias joins; Segment leaves open whether the previous one was known."""
    previous = text(payload.get("previousId"), "previousId", limit=MAX_IDENTITY)
    if previous is None:
        raise BadField("previousId", "is missing")
    user = text(payload.get("userId"), "userId", limit=MAX_IDENTITY)
    if user is None:
        raise BadField("userId", "is missing")
    keys = (
        (IdentityKind.USER_ID, user),
        (IdentityKind.USER_ID, previous),
        (IdentityKind.ANONYMOUS_ID, previous),
    )
    return tuple(Identity(kind=kind, id=pseudonymizer.pseudonym(kind, key)) for kind, key in keys)


def _email(payload: Payload) -> str | None:
    context = mapping(payload.get("context"), "context")
    places = (
        ("traits", payload.get("traits")),
        ("context.traits", context.get("traits")),
        ("properties", payload.get("properties")),
    )
    for name, place in places:
        address = text(mapping(place, name).get("email"), f"{name}.email", limit=MAX_IDENTITY)
        if address is not None:
            if not is_email_key(address):
                raise BadField(f"{name}.email", "must be an e-mail address or the hex of its SHA-256")
            return address
    return None


def _occurred_at(payload: Payload, received_at: Instant) -> Instant:
    """Return when it happened, by our clock.

    A sender's clock may be wrong by any amount, but by the same amount when it notes the event and when it sends
    it: `receivedAt - (sentAt - originalTimestamp)`. Without both, the time is taken as it is.
    """
    field = "timestamp" if payload.get("originalTimestamp") is None else "originalTimestamp"
    original = time(payload.get(field), field)
    sent = time(payload.get("sentAt"), "sentAt")
    if original is None:
        return received_at
    corrected = original if sent is None else received_at - max(sent - original, 0)
    return max(0, min(corrected, received_at))


def _consent(payload: Payload) -> dict[Purpose, bool]:
    field = "context.consent.categoryPreferences"
    consent = mapping(mapping(payload.get("context"), "context").get("consent"), "context.consent")
    preferences = mapping(consent.get("categoryPreferences"), field)
    stated = {purpose: preferences[purpose] for purpose in Purpose if purpose in preferences}
    for purpose, granted in stated.items():
        if not isinstance(granted, bool):
            raise BadField(f"{field}.{purpose}", "must be true or false")
    return stated


def _properties(payload: Payload) -> dict[str, Any]:
    properties = mapping(payload.get("properties"), "properties")
    # A page call repeats its page's address here.
    places = {
        name: context.without_stitch(properties[name])
        for name in context.ADDRESSES
        if isinstance(properties.get(name), str)
    }
    kept: dict[str, Any] = without_addresses({**properties, **places})
    return kept


def _track(payload: Payload) -> dict[str, Any]:
    name = text(payload.get("event"), "event", limit=MAX_ATTRIBUTE)
    if name is None:
        raise BadField("event", "is missing")
    kind = event_type(without_addresses(name))
    if not kind[:1].isalpha():
        raise BadField("event", "must be a name that begins with a Latin letter")
    if kind in CONSENT_EVENTS:
        return {"type": "consent_changed"}
    properties = commerce(_properties(payload))
    return {"type": kind, "properties": mail(properties) if kind in MAIL_EVENTS else properties}


def _viewed(payload: Payload, kind: str) -> dict[str, Any]:
    named = {name: text(payload.get(name), name, limit=MAX_ATTRIBUTE) for name in ("name", "category")}
    given = without_addresses({name: value for name, value in named.items() if value is not None})
    return {"type": kind, "properties": commerce({**given, **_properties(payload)})}


def _page(payload: Payload) -> dict[str, Any]:
    return _viewed(payload, "page_viewed")


def _screen(payload: Payload) -> dict[str, Any]:
    return _viewed(payload, "screen_viewed")


def _group(payload: Payload) -> dict[str, Any]:
    group_id = text(payload.get("groupId"), "groupId", limit=MAX_IDENTITY)
    if group_id is None:
        raise BadField("groupId", "is missing")
    traits: dict[str, Any] = without_addresses(mapping(payload.get("traits"), "traits"))
    return {"type": "grouped", "properties": {**traits, "group_id": without_addresses(group_id)}}


def _alias(_payload: Payload) -> dict[str, Any]:
    return {"type": "aliased"}


def _identify(payload: Payload) -> dict[str, Any]:
    # RudderStack's SDK for Python has them in the context.
    traits = mapping(payload.get("traits"), "traits") or mapping(
        mapping(payload.get("context"), "context").get("traits"), "context.traits"
    )
    attributes: dict[str, Any] = {}
    for name, value in traits.items():
        if name == "address":
            attributes.update(_address(mapping(value, "traits.address")))
        elif name == "company" and isinstance(value, dict):
            attributes["company"] = _attribute(value.get("name"), "traits.company.name")
        elif not is_private(name):
            attributes[_attribute_name(name)] = _attribute(value, f"traits.{name}")
    if len(attributes) > MAX_ATTRIBUTES:
        raise BadField("traits", f"has more than {MAX_ATTRIBUTES} entries")
    return {"type": "identified", "attributes": attributes}


def _address(address: Payload) -> dict[str, Any]:
    return {
        attribute: _attribute(address[name], f"traits.address.{name}")
        for attribute, names in ADDRESS_PARTS.items()
        for name in reversed(names)
        if name in address
    }


def _attribute_name(name: str) -> str:
    attribute = event_type(without_addresses(name))
    if not attribute[:1].isalpha():
        raise BadField(f"traits.{name}", "must have a name that begins with a Latin letter")
    return attribute


def _attribute(value: object, field: str) -> object:
    if isinstance(value, list):
        if len(value) > MAX_LIST:
            raise BadField(field, f"has more than {MAX_LIST} entries")
        return [_scalar(item, f"{field}[{index}]") for index, item in enumerate(value)]
    return _scalar(value, field)


def _scalar(value: object, field: str) -> object:
    if isinstance(value, dict | list):
        raise BadField(field, "must be text, a number, true, false, null or a short list of them")
    if isinstance(value, str) and len(value) > MAX_ATTRIBUTE:
        raise BadField(field, f"is longer than {MAX_ATTRIBUTE} characters")
    return without_addresses(value)


CALLS: Final[Mapping[str, Callable[[Payload], dict[str, Any]]]] = MappingProxyType(
    {
        "identify": _identify,
        "track": _track,
        "page": _page,
        "screen": _screen,
        "group": _group,
        "alias": _alias,
    }
)
"""What each call says beyond who and when."""
