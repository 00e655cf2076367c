"""What each kind of condition says, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mailtailor.instant import DAY, FOREVER, HOUR, MINUTE, from_datetime
from mailtailor.segments.definition import MAX_WINDOW
from mailtailor.segments.engine import BadReference, Engine
from tests.unit.segments.people import NOW, Happened, definition, judge, person

NEVER, ALWAYS = (False, FOREVER), (True, FOREVER)


def view(at: int, **properties: Any) -> Happened:
    return "product_viewed", at, properties


def order(at: int, **properties: Any) -> Happened:
    return "order_completed", at, properties


def test_exactly_two_stops_with_the_third_and_starts_again_when_the_first_leaves() -> None:
    # given
    rule = {"event": "product_viewed", "exactly": 2, "within": "1d"}
    views = [view(NOW), view(NOW + HOUR), view(NOW + 2 * HOUR)]
    # when, then
    assert judge(rule, *views[:2], now=NOW + HOUR) == (True, NOW + DAY)
    assert judge(rule, *views, now=NOW + 2 * HOUR) == (False, NOW + DAY)
    assert judge(rule, *views, now=NOW + DAY) == (True, NOW + DAY + HOUR)


def test_at_most_none_is_never() -> None:
    rule = {"event": "order_completed", "at_most": 0, "within": "7d"}
    assert judge(rule) == ALWAYS
    assert judge(rule, order(NOW)) == (False, NOW + 7 * DAY)


def test_between_two_ages_events_enter_and_leave() -> None:
    # given
    rule = {"event": "product_viewed", "between": ["2d", "9d"], "at_least": 2}
    views = view(NOW), view(NOW + DAY), view(NOW + 2 * DAY)
    # when, then
    assert judge(rule, *views, now=NOW + 2 * DAY) == (False, NOW + 3 * DAY)
    assert judge(rule, *views, now=NOW + 3 * DAY) == (True, NOW + 10 * DAY)
    assert judge(rule, *views, now=NOW + 10 * DAY) == NEVER


def test_without_a_window_a_condition_reaches_as_far_back_as_we_remember() -> None:
    assert judge({"event": "order_completed"}, order(NOW)) == (True, NOW + MAX_WINDOW)
    assert judge({"event": "order_completed", "older_than": "2d"}, order(NOW), now=NOW + MAX_WINDOW) == NEVER


def test_the_first_purchase_stays_the_first_for_ever() -> None:
    # given
    engine = Engine([definition({"event": "order_completed", "first": True, "older_than": "30d"})])
    buyer = person(engine, order(NOW + DAY), order(NOW), order(NOW + 2 * DAY))
    # when
    engine.memory.prune(buyer.streams, NOW + 3 * MAX_WINDOW)
    # then
    assert engine.evaluate(buyer, NOW + 3 * MAX_WINDOW)["s"] == ALWAYS
    new = {"event": "order_completed", "first": True, "within": "7d"}
    assert judge(new, order(NOW + DAY), order(NOW), now=NOW + DAY) == (True, NOW + 7 * DAY)


def test_the_last_view_decides_what_was_looked_at_last() -> None:
    # given
    rule = {"event": "product_viewed", "last": {"category": "Home"}, "within": "7d"}
    home, toys = view(NOW, category="Home"), view(NOW + HOUR, category="Toys")
    # when, then
    assert judge(rule, home, now=NOW + HOUR) == (True, NOW + 7 * DAY)
    assert judge(rule, home, toys, now=NOW + HOUR) == NEVER


def test_money_spent_is_summed_exactly_refunds_included() -> None:
    # given ten times 0.1, which is no sum of binary fractions
    rule = {"sum": "total", "event": "order_completed", "minus": "order_refunded", "within": "90d", "at_least": 1}
    orders = [order(NOW + n, total=0.1) for n in range(10)]
    # when, then
    assert judge(rule, *orders, now=NOW + 10) == (True, NOW + 90 * DAY)
    assert judge(rule, *orders, ("order_refunded", NOW + 9, {"total": 0.1}), now=NOW + 10)[0] is False
    assert judge({**rule, "at_least": 0}) == ALWAYS


def test_a_sum_turns_true_again_when_a_refund_leaves_the_window() -> None:
    rule = {"sum": "total", "event": "order_completed", "minus": "order_refunded", "within": "10d", "above": 50}
    events = ("order_refunded", NOW, {"total": 30}), order(NOW + DAY, total=60)
    assert judge(rule, *events, now=NOW + DAY) == (False, NOW + 10 * DAY)
    assert judge(rule, *events, now=NOW + 10 * DAY) == (True, NOW + 11 * DAY)


def test_an_average_of_nothing_compares_with_nothing() -> None:
    rule = {"average": "total", "event": "order_completed", "within": "90d", "below": 50}
    assert judge(rule) == NEVER
    assert judge(rule, order(NOW, total="10"), order(NOW)) == NEVER
    assert judge(rule, order(NOW, total=10), order(NOW, total=90.0))[0] is False
    assert judge(rule, order(NOW, total=10), order(NOW + 1, total=89.9999), now=NOW + 1)[0]


def test_values_that_differ_are_counted_once_each() -> None:
    # given
    rule = {"distinct": "products.category", "event": "order_completed", "within": "30d", "at_least": 3}
    lines = [{"category": "Home"}, {"category": "Toys"}, {"category": "Home"}, "no line"]
    # when, then
    assert judge(rule, order(NOW, products=lines)) == NEVER
    more = order(NOW, products=lines), order(NOW + DAY, products=[{"category": "Bags"}])
    assert judge(rule, *more, now=NOW + DAY) == (True, NOW + 30 * DAY)


ABANDONED_CART = {
    "event": "product_added",
    "not_followed_by": {"event": "order_completed"},
    "older_than": "30m",
    "within": "7d",
}


def test_a_cart_is_abandoned_after_half_an_hour_until_something_is_bought() -> None:
    cart: Happened = ("product_added", NOW, {})
    assert judge(ABANDONED_CART, cart) == (False, NOW + 30 * MINUTE)
    assert judge(ABANDONED_CART, cart, now=NOW + 30 * MINUTE) == (True, NOW + 7 * DAY)
    assert judge(ABANDONED_CART, cart, order(NOW), now=NOW + 30 * MINUTE) == NEVER
    assert judge(ABANDONED_CART, cart, order(NOW + 3 * DAY), now=NOW + 3 * DAY) == NEVER


def test_a_view_without_adding_that_product_within_two_days_counts_however_others_went() -> None:
    # given a view of each product, and the first added in time
    rule = {
        "event": "product_viewed",
        "within": "7d",
        "not_followed_by": {"event": "product_added", "within": "48h", "same": "product_id"},
    }
    added = ("product_added", NOW + HOUR, {"product_id": "a"})
    one, other = view(NOW, product_id="a"), view(NOW + HOUR, product_id="b")
    # when, then
    assert judge(rule, one, added, now=NOW + 3 * DAY) == NEVER
    assert judge(rule, one, other, added, now=NOW + DAY) == (False, NOW + 2 * DAY + HOUR)
    assert judge(rule, one, other, added, now=NOW + 2 * DAY + HOUR) == (True, NOW + 7 * DAY + HOUR)
    assert judge(rule, view(NOW), now=NOW + 3 * DAY) == NEVER


def test_a_product_not_bought_since_it_was_last_viewed_counts_whatever_else_was_bought() -> None:
    # given
    rule = {
        "event": "product_viewed",
        "not_followed_by": {"event": "order_completed", "same": "products.product_id"},
        "older_than": "1h",
        "within": "7d",
    }
    views = [view(NOW, products=[{"product_id": one}]) for one in "ab"]
    bought = order(NOW + 2 * HOUR, products=[{"product_id": "a"}])
    # when, then
    assert judge(rule, *views, bought, now=NOW + 2 * HOUR) == (True, NOW + 7 * DAY)
    assert judge(rule, views[0], now=NOW) == (False, NOW + HOUR)
    assert judge(rule, views[0], bought, now=NOW + 2 * HOUR) == NEVER


def test_an_event_that_others_follow_in_time() -> None:
    rule = {"event": "email_link_clicked", "followed_by": {"event": "order_completed", "within": "1h"}, "within": "7d"}
    click = ("email_link_clicked", NOW, {"campaign": "c"})
    assert judge(rule, click, order(NOW + HOUR - 1), now=NOW + HOUR) == (True, NOW + 7 * DAY)
    assert judge(rule, click, order(NOW + HOUR), now=NOW + HOUR) == NEVER
    assert judge(rule, click, order(NOW - 1)) == NEVER


def test_events_of_one_type_follow_each_other_only_later() -> None:
    rule = {"event": "product_viewed", "followed_by": {"event": "product_viewed"}, "within": "7d"}
    assert judge(rule, view(NOW)) == NEVER
    assert judge(rule, view(NOW), view(NOW + 1), now=NOW + 1) == (True, NOW + 7 * DAY)


def test_the_share_of_mails_clicked() -> None:
    rule = {"clicked_share": 0.5, "within": "30d"}
    mails = [("email_delivered", NOW, {"campaign": name}) for name in "ab"]
    assert judge(rule, *mails, ("email_link_clicked", NOW, {"campaign": "a"})) == (True, NOW + 30 * DAY)
    assert judge(rule, *mails, ("email_opened", NOW, {"campaign": "a"})) == NEVER


@pytest.mark.parametrize(
    ("test", "value", "passes"),
    [
        ("GB", "GB", True),
        ("GB", "gb", False),
        ({"is": "gb", "ignore_case": True}, "GB", True),
        ({"contains": "ondo", "ignore_case": True}, "LONDON", True),
        ({"prefix": "Lon"}, "London", True),
        ({"suffix": "don"}, "London", True),
        ({"prefix": "Lon"}, 5, False),
        ({"not": "GB"}, "DE", True),
        ({"not": "GB"}, None, True),
        ({"not_in": ["GB", "DE"]}, "DE", False),
        ({"not": "GB", "exists": True}, None, False),
        ({"exists": False}, None, True),
        ({"at_least": 3}, 3, True),
        ({"above": 3}, 3, False),
        ({"at_least": 3, "below": 5}, 5, False),
        ({"at_least": 3}, True, False),
        ({"at_least": 3}, "5", False),
        ({"below": "2026-01-01"}, "2025-12-31", True),
        (1, True, False),
        (1, 1.0, True),
    ],
)
def test_attributes_pass_tests(test: Any, value: Any, passes: bool) -> None:
    attributes = {} if value is None else {"place": value}
    assert judge({"attribute": "place", "is": test}, **attributes) == (passes, FOREVER)


def instant(text: str) -> int:
    return from_datetime(datetime.fromisoformat(text).astimezone(UTC))


def test_a_birthday_is_seven_days_ahead_for_one_day_of_the_persons_zone() -> None:
    # given a day before clocks are set back in London
    rule = {"anniversary": "birthday", "in_days": 7, "time_zone": "Europe/London"}
    begins, ends = instant("2026-10-25T00:00+01:00"), instant("2026-10-26T00:00+00:00")
    # when, then a day of 25 hours
    assert ends - begins == 25 * HOUR
    assert judge(rule, birthday="1980-11-01", now=begins - 1) == (False, begins)
    assert judge(rule, birthday="1980-11-01", now=begins) == (True, ends)
    assert judge(rule, birthday="1980-11-01", now=ends) == (False, instant("2027-10-25T00:00+01:00"))


def test_a_zone_that_an_attribute_names_goes_first_and_nonsense_does_not_count() -> None:
    rule = {"date": "renewal", "in_days": [0, 0], "time_zone": "UTC", "time_zone_attribute": "zone"}
    midnight = instant("2026-11-24T00:00+09:00")
    assert judge(rule, renewal="2026-11-24", zone="Asia/Tokyo", now=midnight) == (True, midnight + DAY)
    for zone in ("../../etc/passwd", "Nowhere/Land", 5):
        assert judge(rule, renewal="2026-11-24", zone=zone, now=midnight) == (False, midnight + 9 * HOUR)


def test_the_29_of_february_returns_on_the_28() -> None:
    rule = {"anniversary": "birthday", "in_days": 0}
    assert judge(rule, birthday="2000-02-29", now=instant("2027-02-28T12:00+00:00"))[0]
    assert judge(rule, birthday="2000-02-29", now=instant("2028-02-28T12:00+00:00")) == (
        False,
        instant("2028-02-29T00:00+00:00"),
    )


def test_a_range_of_days_around_new_year_is_found_from_both_sides() -> None:
    rule = {"anniversary": "birthday", "in_days": [-3, 7]}
    begins, ends = instant("2026-12-25T00:00+00:00"), instant("2027-01-05T00:00+00:00")
    for now in (begins, instant("2026-12-31T23:00+00:00"), ends - 1):
        assert judge(rule, birthday="1990-01-01", now=now) == (True, ends)
    assert judge(rule, birthday="1990-01-01", now=ends) == (False, instant("2027-12-25T00:00+00:00"))


@pytest.mark.parametrize(
    "value", ["soon", "2026-13-01", "0000-01-01", "9999-12-31T23:59:59-14:00x", 20260101, None, ""]
)
def test_what_is_no_date_is_never_ahead(value: Any) -> None:
    assert judge({"date": "renewal", "in_days": [-366, -100]}, renewal=value) == NEVER


def test_dates_at_the_end_of_the_calendar_do_no_harm() -> None:
    for value in ("0001-01-01", "9999-12-31", "9999-12-31T23:59:59-14:00"):
        assert judge({"date": "renewal", "in_days": [0, 7]}, renewal=value)[0] is False
        judge({"anniversary": "renewal", "in_days": [-7, 7]}, renewal=value)


def test_near_is_within_so_many_kilometres_of_any_store() -> None:
    # given London and Paris, and somebody in Croydon, about 15 km south of London's centre
    stores = {"london": [51.5074, -0.1278], "paris": [48.8566, 2.3522]}
    croydon: dict[str, Any] = {"latitude": 51.3714, "longitude": -0.0977}
    # when, then
    assert judge({"near": {"km": 16, "of": stores}}, **croydon) == ALWAYS
    assert judge({"near": {"km": 15, "of": stores}}, **croydon) == NEVER
    assert judge({"near": {"km": 20_100, "of": stores}}) == NEVER
    assert judge({"near": {"km": 20_100, "of": stores}}, latitude=91, longitude=0) == NEVER


@pytest.mark.parametrize(
    ("events", "state", "holds"),
    [
        (["unsubscribed"], "unsubscribed", True),
        (["unsubscribed", "subscribed"], "unsubscribed", False),
        (["email_bounced"], "bounced", True),
        (["email_bounced", "email_delivered"], "bounced", False),
        (["email_marked_as_spam", "email_delivered"], "complained", True),
    ],
)
def test_what_the_esp_last_said(events: list[str], state: str, holds: bool) -> None:
    told = [(event, NOW + n, {"campaign": "c"}) for n, event in enumerate(events)]
    assert judge({"mail_state": state}, *told, now=NOW + 5)[0] is holds


def test_scores_compare_by_their_decimal_text_and_without_one_nothing_is_true() -> None:
    assert judge({"score": "churn", "at_least": 0.7}, score_churn=0.7) == ALWAYS
    assert judge({"score": "churn", "above": 0.7}, score_churn=0.7) == NEVER
    assert judge({"score": "churn", "below": 0.7}) == NEVER
    assert judge({"score": "churn", "below": 0.7}, score_churn=float("nan")) == NEVER


def test_a_random_split_parts_everybody_once_and_evenly() -> None:
    # given
    parts = [{"random": "holdout", "percent": [start, start + 25]} for start in (0, 25, 50, 75)]
    engine = Engine([definition(rule, f"part{n}") for n, rule in enumerate(parts)])
    # when
    counts = [0] * 4
    for number in range(2_000):
        somebody = person(engine)
        somebody.id = f"{number:022d}"
        members = [n for n in range(4) if engine.evaluate(somebody, NOW)[f"part{n}"][0]]
        assert len(members) == 1
        counts[members[0]] += 1
    # then
    assert all(400 < count < 600 for count in counts)


def test_a_segment_of_segments_is_affected_by_what_affects_those() -> None:
    # given
    engine = Engine(
        [
            definition({"all": [{"segment": "buyers"}, {"not": {"segment": "britons"}}]}, "abroad"),
            definition({"event": "order_completed", "within": "7d"}, "buyers"),
            definition({"attribute": "country", "is": "GB"}, "britons"),
        ]
    )
    # when, then
    assert engine.affected("order_completed", {}) == {"buyers", "abroad"}
    assert engine.affected_by_attributes(["country", "name"]) == {"britons", "abroad"}
    assert engine.evaluate(person(engine, order(NOW), country="DE"), NOW)["abroad"] == (True, NOW + 7 * DAY)


def test_chains_of_segments_cost_no_more_than_their_links() -> None:
    # given each segment asks the one before thrice: 3**19 evaluations, if nothing were remembered
    first = definition({"event": "order_completed", "within": "7d"}, "s0")
    chain = [definition({"all": [{"segment": f"s{n}"}] * 3}, f"s{n + 1}") for n in range(20)]
    engine = Engine([first, *chain[:19]])
    # when, then
    assert engine.evaluate(person(engine, order(NOW)), NOW)["s19"] == (True, NOW + 7 * DAY)
    with pytest.raises(BadReference, match="more than 20"):
        Engine([first, *chain])


def test_segments_in_a_circle_or_unknown_are_refused() -> None:
    with pytest.raises(BadReference, match="circle"):
        Engine([definition({"segment": "b"}, "a"), definition({"not": {"segment": "a"}}, "b")])
    with pytest.raises(BadReference, match="does not exist"):
        Engine([definition({"segment": "b"}, "a")])


def test_only_what_an_event_concerns_is_affected() -> None:
    # given
    dear = {"category": {"in": ["Toys", "Home"]}, "price": {"above": 5}}
    engine = Engine(
        [
            definition({"event": "product_viewed", "where": {"category": "Home"}}, "home"),
            definition({"event": "product_viewed", "where": dear}, "dear"),
            definition({"event": "product_viewed"}, "any"),
            definition({"opened_share": 0.5, "within": "30d"}, "openers"),
        ]
    )
    # when, then
    assert engine.affected("product_viewed", {"category": "Home", "price": 3}) == {"home", "any"}
    assert engine.affected("product_viewed", {"category": "Toys", "price": 9}) == {"dear", "any"}
    assert engine.affected("email_opened", {"campaign": "c"}) == {"openers"}
    assert engine.affected("order_completed", {}) == set()


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"event": "a", "within": "2d", "between": ["1d", "2d"]}, "within or between"),
        ({"event": "a", "between": ["2d", "2d"]}, "lesser age first"),
        ({"event": "a", "at_least": 3, "at_most": 2}, "nobody can be a member"),
        ({"event": "a", "exactly": 2, "at_least": 1}, "exactly stands alone"),
        ({"event": "a", "first": True}, "within or older_than"),
        ({"event": "a", "where": {"b": {}}}, "a test is needed"),
        ({"event": "a", "where": {"b": {"in": None}}}, "null is no value"),
        ({"event": "a", "where": {"b": float("inf")}}, "finite number"),
        ({"event": "a", "where": {"b": {"in": [float("nan")]}}}, "finite number"),
        ({"event": "a", "where": {"b": {"above": 1, "below": "z"}}}, "not of both"),
        ({"event": "a", "where": {"b": {"above": 1, "ignore_case": True}}}, "tests of text"),
        ({"event": "a", "not_followed_by": {"event": "b", "within": "9d"}, "within": "7d"}, "old enough"),
        ({"event": "a", "followed_by": {"event": "b"}, "not_followed_by": {"event": "b"}}, "either followed_by"),
        ({"event": "a", "sum": "total"}, "a number to compare with"),
        ({"event": "a", "sum": "total", "at_least": 1, "minus": "a"}, "either for or against"),
        ({"anniversary": "b", "date": "c", "in_days": 1}, "either date or anniversary"),
        ({"date": "b", "in_days": [7, 0]}, "lesser number first"),
        ({"date": "b", "in_days": 1, "time_zone": "Europe/Londn"}, "is no time zone"),
        ({"date": "b", "in_days": 1, "time_zone": "../passwd"}, "pattern"),
        ({"random": "a", "percent": [10, 10]}, "lesser number first"),
        ({"near": {"km": 5, "of": {"x": [91, 0]}}}, "less than or equal to 90"),
        ({"any": [{"event": "a"}] * 300}, "at most 200 conditions"),
    ],
)
def test_what_can_mean_nothing_is_refused_with_the_reason(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        definition(rule)
