"""What each use of data needs, and what a profile allowed.

A profile's consent is a record a purpose: granted or not, and since when. Unknown means not granted. The latest
statement counts; of two at the same instant the stricter one does, so that the order of arrival never matters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from mailtailor.instant import Instant


class Purpose(StrEnum):
    """A use of data that a recipient can allow or refuse."""

    TRACKING = "tracking"
    """Recording what the recipient does: opens, clicks, views."""
    PERSONALIZATION = "personalization"
    """Segments and personal content."""


@dataclass(frozen=True, slots=True)
class Consent:
    """One purpose's state: the last statement and when it was made."""

    granted: bool
    at: Instant


ConsentRecord = Mapping[Purpose, Consent]


class Basis(StrEnum):
    """Why an event may be kept: the letters of Article 6(1) of the GDPR that apply here."""

    CONSENT = "consent"
    CONTRACT = "contract"
    LEGAL_OBLIGATION = "legal_obligation"
    LEGITIMATE_INTERESTS = "legitimate_interests"


NEEDS_NO_TRACKING: Final[Mapping[str, Basis]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("order_completed", "order_updated", "order_cancelled", "order_refunded"),
            Basis.CONTRACT,
        ),
        **dict.fromkeys(
            ("consent_changed", "unsubscribed", "email_marked_as_spam"),
            Basis.LEGAL_OBLIGATION,
        ),
        **dict.fromkeys(
            ("identified", "grouped", "aliased", "email_delivered", "email_bounced", "event_corrected"),
            Basis.LEGITIMATE_INTERESTS,
        ),
    }
)
"""Events that exist without watching anybody: what the recipient told us, what we sent, what they bought, and that
something we had recorded was not theirs."""


def allows(consent: ConsentRecord, purpose: Purpose) -> bool:
    """Return whether `consent` grants `purpose`."""
    statement = consent.get(purpose)
    return statement is not None and statement.granted


def refuses(consent: ConsentRecord, purpose: Purpose) -> bool:
    """Return whether `consent` refuses `purpose`; silence is no refusal."""
    statement = consent.get(purpose)
    return statement is not None and not statement.granted


def may_record(consent: ConsentRecord, event_type: str) -> bool:
    """Return whether an event of this type may be kept for a profile with this consent."""
    return event_type in NEEDS_NO_TRACKING or allows(consent, Purpose.TRACKING)


def basis(event_type: str) -> Basis:
    """Return why an event of this type is kept once `may_record` admitted it."""
    return NEEDS_NO_TRACKING.get(event_type, Basis.CONSENT)


def stated(consent: ConsentRecord, statements: Mapping[Purpose, bool], at: Instant) -> dict[Purpose, Consent]:
    """Return `consent` after `statements` made at `at`."""
    return merged(consent, {purpose: Consent(granted, at) for purpose, granted in statements.items()})


def merged(one: ConsentRecord, other: ConsentRecord) -> dict[Purpose, Consent]:
    """Return the later statement of each purpose; at the same instant, the refusal."""
    result = dict(one)
    for purpose, statement in other.items():
        known = result.get(purpose)
        if known is None or (statement.at, not statement.granted) > (known.at, not known.granted):
            result[purpose] = statement
    return result


def stricter(one: ConsentRecord, other: ConsentRecord) -> dict[Purpose, Consent]:
    """Return what both records allow, for merging two profiles of one person.

    A purpose that only one of them mentions keeps that statement: silence of an anonymous profile is no refusal.
    """
    result = merged(one, other)
    for purpose in one.keys() & other.keys():
        if not (one[purpose].granted and other[purpose].granted):
            # As late as the grant it overrules, whose message may come again.
            result[purpose] = Consent(granted=False, at=max(one[purpose].at, other[purpose].at))
    return result
