"""The words for what segments speak of: events, ages, times, numbers, and what a property must be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from mailtailor.instant import DAY, HOUR, MINUTE, SECOND, Instant, to_datetime
from mailtailor.segments.definition import Filter, Scalar, Test

_SHOWN: Final = 12
"""Of a long list; who wants all of it reads the rule."""
_ORDINALS: Final = ("second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_UNITS: Final = ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second"))


class Words(NamedTuple):
    """What an event is called: `done` fits "they have ..." and "they last ...", `things` fits "the sum over ..."."""

    done: str
    thing: str
    things: str


_EVENTS: Final[Mapping[str, Words]] = {
    "product_viewed": Words("viewed a product", "product view", "product views"),
    "product_clicked": Words("clicked a product", "click on a product", "clicks on products"),
    "product_added": Words("added a product to the cart", "product put into the cart", "products put into the cart"),
    "product_removed": Words(
        "removed a product from the cart", "product taken from the cart", "products taken from the cart"
    ),
    "product_added_to_wishlist": Words(
        "added a product to a wish list", "product put on a wish list", "products put on wish lists"
    ),
    "product_removed_from_wishlist": Words(
        "removed a product from a wish list", "product taken from a wish list", "products taken from wish lists"
    ),
    "wishlist_product_added_to_cart": Words(
        "added a wish to the cart", "wish put into the cart", "wishes put into the cart"
    ),
    "product_list_viewed": Words(
        "viewed a list of products", "view of a list of products", "views of lists of products"
    ),
    "product_list_filtered": Words(
        "filtered a list of products", "filtering of a list of products", "filterings of lists of products"
    ),
    "products_searched": Words("searched for products", "search for products", "searches for products"),
    "product_shared": Words("shared a product", "shared product", "shared products"),
    "product_reviewed": Words("reviewed a product", "review", "reviews"),
    "cart_viewed": Words("viewed their cart", "view of the cart", "views of the cart"),
    "cart_shared": Words("shared their cart", "shared cart", "shared carts"),
    "checkout_started": Words("started a checkout", "checkout", "checkouts"),
    "checkout_step_viewed": Words(
        "viewed a step of a checkout", "view of a checkout's step", "views of checkouts' steps"
    ),
    "checkout_step_completed": Words(
        "completed a step of a checkout", "completed step of a checkout", "completed steps of checkouts"
    ),
    "payment_info_entered": Words("entered how they pay", "entry of how they pay", "entries of how they pay"),
    "order_completed": Words("bought", "purchase", "purchases"),
    "order_updated": Words("had an order changed", "changed order", "changed orders"),
    "order_cancelled": Words("had an order cancelled", "cancelled order", "cancelled orders"),
    "order_refunded": Words("had a refund", "refund", "refunds"),
    "promotion_viewed": Words("viewed a promotion", "view of a promotion", "views of promotions"),
    "promotion_clicked": Words("clicked a promotion", "click on a promotion", "clicks on promotions"),
    "coupon_entered": Words("entered a coupon", "entered coupon", "entered coupons"),
    "coupon_applied": Words("had a coupon applied", "applied coupon", "applied coupons"),
    "coupon_denied": Words("had a coupon denied", "denied coupon", "denied coupons"),
    "coupon_removed": Words("removed a coupon", "removed coupon", "removed coupons"),
    "page_viewed": Words("viewed a page", "page view", "page views"),
    "screen_viewed": Words("viewed a screen of an app", "view of an app's screen", "views of an app's screens"),
    "email_delivered": Words("had a mail delivered", "delivered mail", "delivered mails"),
    "email_opened": Words("opened a mail", "open of a mail", "opens of mails"),
    "email_link_clicked": Words("clicked a link in a mail", "click in a mail", "clicks in mails"),
    "email_bounced": Words("had a mail bounce", "bounced mail", "bounced mails"),
    "email_marked_as_spam": Words("marked a mail as spam", "complaint about a mail", "complaints about mails"),
    "subscribed": Words("subscribed to mails", "subscription to mails", "subscriptions to mails"),
    "unsubscribed": Words("unsubscribed from mails", "unsubscription from mails", "unsubscriptions from mails"),
    "signed_up": Words("signed up", "sign-up", "sign-ups"),
    "signed_in": Words("signed in", "sign-in", "sign-ins"),
    "signed_out": Words("signed out", "sign-out", "sign-outs"),
    "account_created": Words("had an account created", "created account", "created accounts"),
    "account_deleted": Words("had an account deleted", "deleted account", "deleted accounts"),
    "trial_started": Words("started a trial", "started trial", "started trials"),
    "trial_ended": Words("ended a trial", "ended trial", "ended trials"),
    "application_installed": Words("installed the app", "installation of the app", "installations of the app"),
    "application_opened": Words("opened the app", "start of the app", "starts of the app"),
    "application_updated": Words("updated the app", "update of the app", "updates of the app"),
    "identified": Words("said who they are", "statement of who they are", "statements of who they are"),
    "grouped": Words("joined a group", "joining of a group", "joinings of groups"),
    "aliased": Words("had two ids joined", "joining of two ids", "joinings of ids"),
    "consent_changed": Words("changed their consent", "change of consent", "changes of consent"),
}


def done(events: Iterable[str]) -> str:
    """Return "viewed a product or bought"."""
    return listed([_words(event).done for event in events], "or")


def thing(events: Iterable[str]) -> str:
    """Return "product view or purchase"."""
    return listed([_words(event).thing for event in events], "or")


def things(events: Iterable[str]) -> str:
    """Return "product views and purchases"."""
    return listed([_words(event).things for event in events], "and")


def _words(event: str) -> Words:
    return _EVENTS.get(event) or Words(f"had an event {event}", f"event {event}", f"events {event}")


def span(duration: Instant) -> str:
    """Return a duration in the greatest unit that has a whole number of it: "7 days", "90 minutes"."""
    if duration == DAY:
        # "The last day" could be yesterday.
        return "24 hours"
    size, unit = next(((size, unit) for size, unit in _UNITS if duration % size == 0), (1, "millisecond"))
    count = duration // size
    return f"{count:,} {unit}" if count == 1 else f"{count:,} {unit}s"


def age(exactly: Instant) -> str:
    """Return "2 days", or "just over 2 days" for a millisecond more."""
    return f"just over {span(exactly - 1)}" if _exceeds(exactly) else span(exactly)


def age_from(least: Instant) -> str:
    """Return "at least 2 days". SQL's strict comparison is an age one millisecond higher, which is "more than"."""
    return f"more than {span(least - 1)}" if _exceeds(least) else f"at least {span(least)}"


def age_below(end: Instant) -> str:
    """Return "less than 9 days", the dual of `age_from`."""
    return f"at most {span(end - 1)}" if _exceeds(end) else f"less than {span(end)}"


def window(ages: tuple[Instant, Instant]) -> str:
    """Return when an event must have been: "in the last 7 days", or between two ages."""
    least, end = ages
    if least:
        return f"{age_from(least)} and {age_below(end)} ago"
    if _exceeds(end):
        return f"in the last {_last(end - 1)} (the very instant included)"
    return f"in the last {_last(end)}"


def _last(duration: Instant) -> str:
    return span(duration).removeprefix("1 ")


def _exceeds(exactly: Instant) -> bool:
    return exactly % SECOND == 1 and exactly > SECOND


def moment(instant: Instant) -> str:
    """Return an instant as people write it: "2026-11-20 10:00 UTC", with the seconds if there are any."""
    known = to_datetime(instant)
    return f"{known:%Y-%m-%d %H:%M:%S} UTC" if known.second else f"{known:%Y-%m-%d %H:%M} UTC"


def which_last(number: int) -> str:
    """Return which event from the last one back: "the last", "the third last"."""
    if number == 1:
        return "the last"
    return f"the {_ORDINALS[number - 2]} last" if number - 2 < len(_ORDINALS) else f"the last but {number - 1:,}"


def times(count: int) -> str:
    """Return "once", "twice", "3 times"."""
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")


def number(value: Decimal) -> str:
    """Return a number as people write it, without an exponent or trailing zeros."""
    plain = f"{value:,f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def percent(share: Decimal) -> str:
    """Return "70 %"."""
    return f"{number(share * 100)} %"


def comparison(bounds: Iterable[tuple[str, object]]) -> str:
    """Return "at least 10 and below 20" of bounds by their names in definitions; those of None are not given."""
    said = {"at_least": "at least", "at_most": "at most", "above": "more than", "below": "less than"}
    return listed([f"{said[name]} {_value(bound)}" for name, bound in bounds if bound is not None], "and")


def where(filters: Mapping[str, Filter]) -> str:
    """Return " (category is Lighting or Home)", or nothing without filters."""
    said = "; ".join(f"{name} {passing(wanted)}" for name, wanted in filters.items())
    return f" ({said})" if said else ""


def passing(wanted: Filter) -> str:
    """Return what a value must be: "is Lighting or Home", "contains “lamp”, in capitals or not"."""
    if not isinstance(wanted, Test):
        return f"is {_value(wanted)}"
    said = listed([*_wanted(wanted), *_unwanted(wanted)], "and")
    return f"{said}, in capitals or not" if wanted.ignore_case else said


def _wanted(test: Test) -> Iterator[str]:
    if test.exists is not None:
        yield "is known" if test.exists else "is not known"
    if test.in_ is not None:
        yield f"is {_values(test.in_, 'or')}"
    if test.is_ is not None:
        yield f"is {_value(test.is_)}"
    for part, verb in ((test.contains, "contains"), (test.prefix, "begins with"), (test.suffix, "ends with")):
        if part is not None:
            yield f"{verb} “{part}”"
    bounds = [(name, getattr(test, name)) for name in ("at_least", "at_most", "above", "below")]
    if said := comparison(bounds):
        yield f"is {said}"


def _unwanted(test: Test) -> Iterator[str]:
    unwanted = [*(test.not_in or ()), *(() if test.not_ is None else (test.not_,))]
    if unwanted:
        needs_a_value = any(True for _ in _wanted(test))
        yield f"is not {_values(unwanted, 'or')}{'' if needs_a_value else ', or is not known'}"


def _values(values: Iterable[Scalar], word: str) -> str:
    return listed([_value(value) for value in values], word)


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal():
            return number(value)
        case int() | float():
            return number(Decimal(str(value)))
        # Bare words read best; what could be taken for a part of the sentence stands in quotation marks.
        case str() if value.replace("_", "").replace("-", "").isalnum() and not _is_number(value):
            return value
        case _:
            return f"“{value}”"


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def listed(parts: list[str], word: str) -> str:
    """Return "a, b or c"; a long list is cut."""
    if len(parts) > _SHOWN:
        parts = [*parts[: _SHOWN - 1], f"{len(parts) - _SHOWN + 1:,} more"]
    return f" {word} ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)
