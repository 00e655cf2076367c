"""The form of a profile in DynamoDB: small, since its size decides what every event costs.

| attribute | form | meaning |
|---|---|---|
| id | S | profile id |
| version | N | counts writes |
| as_of | N | instant of the last evaluation |
| attributes | M of L [value, N] | traits and when they were stated |
| consent | M of L [BOOL, N] | purposes, granted or not, and since when |
| identities | SS | other identities that lead here |
| streams | B | what segments remember (`segments.streams`) |
| memberships | M of L [BOOL, N until, N since] | only members, and others that time alone may let in |
| definitions | S | fingerprint of the definitions that evaluated |
| due_at, due_bucket | N, S | keys of the due index |
| flips | L of M | only in the write that flipped; the stream publishes them |
| flipped | BOOL | beside flips: what the stream's filter looks for, since it cannot look for a list |
| incomplete | BOOL | only until the profile is rebuilt from the archive |
| stitches | M of L [S, N] | nonces of stitch tokens used lately: by whom, and until when they were good |
| merged_into | S | only in a pointer |
| epoch | N | revocation epoch, absent when 0 |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from mailtailor.aws.due_index import due_bucket
from mailtailor.consent.policy import Consent, Purpose
from mailtailor.instant import FOREVER
from mailtailor.profiles.profile import Attribute, Flip, JsonValue, Profile, Stitch
from mailtailor.segments import stream_codec
from mailtailor.segments.engine import Membership

Item = dict[str, Any]

_UNCOUNTED: Final = frozenset({"version", "as_of", "flips", "flipped"})
"""Attributes that are no reason for a write: two that each one changes, and flips of an earlier one, long published."""


def encode(profile: Profile, flips: Sequence[Flip]) -> Item:
    """Return the item of `profile` with its version advanced; empty attributes are left out."""
    item: Item = {"id": {"S": profile.id}, "version": _number(profile.version + 1)}
    if profile.merged_into is not None:
        item["merged_into"] = {"S": profile.merged_into}
    optional: dict[str, tuple[object, Any]] = {
        "as_of": (profile.as_of, _number(profile.as_of)),
        "epoch": (profile.epoch, _number(profile.epoch)),
        "attributes": (
            profile.attributes,
            {"M": {name: {"L": [_value(one.value), _number(one.at)]} for name, one in profile.attributes.items()}},
        ),
        "consent": (
            profile.consent,
            {"M": {str(one): {"L": [{"BOOL": c.granted}, _number(c.at)]} for one, c in profile.consent.items()}},
        ),
        "identities": (profile.identities, {"SS": sorted(profile.identities)}),
        "memberships": (
            profile.memberships,
            {"M": {name: {"L": _membership(one)} for name, one in profile.memberships.items()}},
        ),
        "definitions": (profile.definitions, {"S": profile.definitions}),
        "incomplete": (profile.incomplete, {"BOOL": True}),
        "stitches": (
            profile.stitches,
            {"M": {n: {"L": [{"S": one.identity}, _number(one.expires_at)]} for n, one in profile.stitches.items()}},
        ),
        "flips": (flips, {"L": [{"M": _flip(flip)} for flip in flips]}),
        "flipped": (flips, {"BOOL": True}),
    }
    item |= {name: value for name, (present, value) in optional.items() if present}
    if compact := stream_codec.encode(profile.streams):
        item["streams"] = {"B": compact}
    if profile.due_at is not None:
        item["due_at"] = _number(profile.due_at)
        item["due_bucket"] = {"S": due_bucket(profile.id, profile.due_at)}
    return item


def decode(item: Mapping[str, Any]) -> Profile:
    """Return the profile of an item as DynamoDB gives it."""
    return Profile(
        id=item["id"]["S"],
        version=int(item["version"]["N"]),
        epoch=_int(item, "epoch"),
        attributes={
            name: Attribute(_plain(pair["L"][0]), int(pair["L"][1]["N"])) for name, pair in _map(item, "attributes")
        },
        consent={
            Purpose(name): Consent(pair["L"][0]["BOOL"], int(pair["L"][1]["N"])) for name, pair in _map(item, "consent")
        },
        identities=frozenset(item["identities"]["SS"]) if "identities" in item else frozenset(),
        streams=stream_codec.decode(bytes(item["streams"]["B"])) if "streams" in item else {},
        memberships={name: _stored_membership(entry["L"]) for name, entry in _map(item, "memberships")},
        definitions=item["definitions"]["S"] if "definitions" in item else "",
        as_of=_int(item, "as_of"),
        due_at=int(item["due_at"]["N"]) if "due_at" in item else None,
        incomplete="incomplete" in item,
        stitches={nonce: Stitch(pair["L"][0]["S"], int(pair["L"][1]["N"])) for nonce, pair in _map(item, "stitches")},
        merged_into=item["merged_into"]["S"] if "merged_into" in item else None,
    )


def same_content(item: Item, stored: Mapping[str, Any]) -> bool:
    """Return whether writing `item` over `stored` would only count a write."""
    return _content(item) == _content(stored)


def size(item: Mapping[str, Any]) -> int:
    """Return about how many bytes DynamoDB counts for an item: its names, texts and bytes, a little for the rest."""
    return sum(len(name) + _size(value) for name, value in item.items())


def _size(value: Item) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S" | "B":
            return len(content.encode() if kind == "S" else content)
        case "SS":
            return sum(map(len, content))
        case "N":
            return len(content) // 2 + 2
        case "L":
            return 3 + sum(1 + _size(one) for one in content)
        case "M":
            return 3 + sum(1 + len(name) + _size(one) for name, one in content.items())
        case _:
            return 1


def _content(item: Mapping[str, Any]) -> dict[str, Any]:
    content = {name: value for name, value in item.items() if name not in _UNCOUNTED}
    if "identities" in content:
        content["identities"] = {"SS": sorted(content["identities"]["SS"])}
    return content


def _number(value: float) -> Item:
    # As DynamoDB gives it back: another notation would look like a change, and be written again and again.
    return {"N": str(value) if isinstance(value, int) else format(Decimal(str(value or 0)).normalize(), "f")}


def _int(item: Mapping[str, Any], name: str) -> int:
    return int(item[name]["N"]) if name in item else 0


def _map(item: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - DynamoDB's JSON
    return item[name]["M"].items() if name in item else ()


def _membership(membership: Membership) -> list[Item]:
    entry: list[Item] = [{"BOOL": membership.member}]
    entry.append(_number(membership.valid_until) if membership.valid_until < FOREVER else {"NULL": True})
    return [*entry, _number(membership.since)]


def _stored_membership(entry: list[Item]) -> Membership:
    member, until, since = entry
    return Membership(member["BOOL"], int(until["N"]) if "N" in until else FOREVER, int(since["N"]))


def _flip(flip: Flip) -> Item:
    item = {
        "segment": {"S": flip.segment},
        "entered": {"BOOL": flip.entered},
        "at": _number(flip.at),
        "reason": {"S": flip.reason},
    }
    if flip.valid_until < FOREVER:
        item["valid_until"] = _number(flip.valid_until)
    return item


def _value(value: JsonValue) -> Item:
    """Return DynamoDB's form of a JSON value."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int() | float():
            return _number(value)
        case str():
            return {"S": value}
        case list():
            return {"L": [_value(one) for one in value]}
        case dict():
            return {"M": {name: _value(one) for name, one in value.items()}}


def _plain(value: Item) -> JsonValue:
    """Return the JSON value of DynamoDB's form."""
    ((kind, content),) = value.items()
    match kind:
        case "NULL":
            return None
        case "N":
            return float(content) if any(sign in content for sign in ".eE") else int(content)
        case "L":
            return [_plain(one) for one in content]
        case "M":
            return {name: _plain(one) for name, one in content.items()}
        case _:
            plain: JsonValue = content
            return plain
