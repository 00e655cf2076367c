"""Hours of five people's lives, and what has to be true when they have come to rest, whatever went wrong in them.

In one hour definitions are deployed and everybody is recomputed; in another, of fewer events, definitions are applied.
What happens is the same in every run, to the millisecond; a fault changes only when it is noticed. So one count over
everything that happened says what memberships have to be in the end.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import duckdb

from mailtailor.aws.bucket_message import pack
from mailtailor.aws.definition_versions import DefinitionVersions
from mailtailor.aws.event_queue import EventQueue, LargeEvents
from mailtailor.aws.recompute_runs import RecomputeRuns, Run
from mailtailor.events import flip_files, flips
from mailtailor.events.archive import EVENTS, FLIPS, READ_SQL, bucket
from mailtailor.events.event import Event
from mailtailor.instant import DAY, HOUR, MINUTE, SECOND
from mailtailor.segments.definition import Condition, SegmentDefinition
from mailtailor.segments.rollout import Phase, Rollout
from mailtailor.segments.versions import Version, checked
from tests.integration.crashes.cloud import Cloud, cloud
from tests.integration.crashes.wire import Fault, Point
from tests.unit.segments.whole_history import Happened, History, holds

START: Final = 1_790_002_800_000
"""A full hour."""
ANNA, BROWSER, CARL, DORA, EVE = "A" * 22, "B" * 22, "C" * 22, "D" * 22, "E" * 22
BOB: Final = next(one for n in range(1_000) if bucket(one := f"{n:022}") == bucket(ANNA))
"""In the same bucket of the archive as Anna."""
BUCKETS: Final = sorted({bucket(one) for one in (ANNA, BROWSER, BOB, CARL, DORA, EVE)})
KINDS: Final = {BROWSER: "anonymous_id"}
BOTH: Final = {"tracking": True, "personalization": True}
REST: Final = DAY
"""Longer than anything may take to come to rest."""


def segment(name: str, **rule: Any) -> SegmentDefinition:
    """Return a segment."""
    return SegmentDefinition.model_validate({"name": name, "description": name, "rule": rule})


ABANDONERS: Final = segment(
    "abandoners",
    all=[{"event": "product_viewed", "within": "20m"}, {"not": {"event": "product_added", "within": "20m"}}],
)
CLICKERS: Final = segment("clickers", event="email_link_clicked", at_least=2, within="2h")
FRESH: Final = segment("fresh", event="product_viewed", within="21m")
"""Left a minute after the other, so that a wake-up is near when one is worked off."""
PLUS: Final = segment("plus", attribute="plan", **{"is": "plus"})
OLD: Final = (
    ABANDONERS,
    CLICKERS,
    FRESH,
    PLUS,
    segment("viewers", event="product_viewed", within="30m"),
    segment("buyers", event="order_completed", at_least=2, within="2h"),
    segment("dropped", event="order_completed", within="2h"),
)
NEW: Final = (
    ABANDONERS,
    CLICKERS,
    FRESH,
    PLUS,
    segment("viewers", event="product_viewed", within="100m"),
    segment("buyers", event="order_completed", at_least=1, within="2h"),
    segment("customers", event="order_completed", first=True, older_than="46m"),
    segment("silent", **{"not": {"event": "product_viewed", "within": "2h"}}),
)
CONDITIONS: Final[Mapping[str, Condition]] = {one.name: one.rule for one in NEW}


def happened(event_type: str, name: str, who: str, at: int, **more: Any) -> dict[str, Any]:
    """Return an event without the instant of its receipt; `at` is in milliseconds since the start."""
    identities = [{"kind": KINDS.get(who, "user_id"), "id": who}]
    return {
        "id": name,
        "type": event_type,
        "source": "test",
        "identities": identities,
        "occurred_at": START + at,
        **more,
    }


def click(name: str, who: str, at: int, *, position: int, campaign: str) -> dict[str, Any]:
    """Return a click on a link of a mail."""
    properties = {"campaign": campaign, "position": position}
    return happened("email_link_clicked", name, who, at, properties=properties)


def consent(name: str, who: str, at: int, **granted: bool) -> dict[str, Any]:
    """Return a statement."""
    return happened("consent_changed", name, who, at, consent=granted)


def deleted(name: str, who: str, event: str, at: int) -> dict[str, Any]:
    """Return what says that an event did not happen."""
    return happened("event_corrected", name, who, at, properties={"corrects": event, "deleted": True})


FIRST_ORDER: Final = happened("order_completed", "o1", BOB, MINUTE)
BECOMES_ANNA: Final = {
    **happened("identified", "i1", ANNA, 2 * MINUTE, attributes={"plan": "plus"}),
    "identities": [{"kind": "user_id", "id": ANNA}, {"kind": "anonymous_id", "id": BROWSER}],
}

SCRIPT: Final[tuple[tuple[int, tuple[dict[str, Any], ...]], ...]] = (
    # When it is noticed, in minutes, and what, each in a message of its own. First all say what they allow.
    (0, tuple(consent(f"yes-{one}", one, -HOUR, **BOTH) for one in (ANNA, BROWSER, BOB, DORA, EVE))),
    (
        1,
        (
            happened("product_viewed", "v1", BROWSER, MINUTE),
            FIRST_ORDER,
            happened("product_viewed", "v-carl", CARL, MINUTE),
            happened("order_completed", "o-carl", CARL, MINUTE),
            happened("order_completed", "o-dora", DORA, MINUTE),
        ),
    ),
    # The browser turns out to be Anna's; an order is told twice, a view late.
    (2, (BECOMES_ANNA, FIRST_ORDER, happened("product_viewed", "v2", ANNA, -2 * MINUTE))),
    # A mail scanner clicks for Bob, which its third click shows; he and Anna click too.
    (
        4,
        (
            click("b1", BOB, 4 * MINUTE, position=1, campaign="spring"),
            click("b2", BOB, 4 * MINUTE + 300, position=2, campaign="spring"),
            click("c1", ANNA, 4 * MINUTE, position=1, campaign="spring"),
            happened("product_added", "a1", ANNA, 4 * MINUTE),
        ),
    ),
    (
        6,
        (
            click("b3", BOB, 4 * MINUTE + 600, position=3, campaign="spring"),
            click("b4", BOB, 5 * MINUTE, position=1, campaign="summer"),
            happened("order_completed", "o2", ANNA, 6 * MINUTE, properties={"note": "x" * 950_000}),
            happened("order_completed", "o3", BOB, 5 * MINUTE),
        ),
    ),
    # Two take back what they allowed. A scanner clicks twice for Anna.
    (
        8,
        (
            consent("no-bob", BOB, 8 * MINUTE, personalization=False),
            consent("no-dora", DORA, 8 * MINUTE, personalization=False),
            click("d1", ANNA, 7 * MINUTE, position=1, campaign="autumn"),
            click("d2", ANNA, 7 * MINUTE + 300, position=2, campaign="autumn"),
        ),
    ),
    # Views that have nearly left their windows, so that whoever writes sends the wake-ups; Bob allows all again.
    (
        18,
        (
            happened("product_viewed", "v3", BOB, -MINUTE - 30 * SECOND),
            consent("yes-again", BOB, 17 * MINUTE, personalization=True),
            happened("order_completed", "o5", ANNA, 17 * MINUTE),
        ),
    ),
    (24, (happened("product_viewed", "v4", BOB, 23 * MINUTE), happened("identified", "i2", ANNA, 22 * MINUTE))),
    # The scanner's third click for Anna comes when the others count as a person's.
    (
        30,
        (
            click("d3", ANNA, 7 * MINUTE + 600, position=3, campaign="autumn"),
            click("c2", ANNA, 29 * MINUTE, position=2, campaign="summer"),
            happened("identified", "i3", BOB, 29 * MINUTE, attributes={"plan": "plus"}),
        ),
    ),
    # Orders turn out to be tests, one of them when it has just taken a true one's place in what is remembered. Both
    # wait for their rebuilds when everybody is recomputed.
    (36, (happened("order_completed", "o6", EVE, 36 * MINUTE),)),
    (37, (happened("order_completed", "o7", EVE, 37 * MINUTE),)),
    (38, (deleted("x1", ANNA, "o5", 17 * MINUTE), deleted("x2", EVE, "o7", 37 * MINUTE))),
    (42, (happened("order_completed", "o4", DORA, 41 * MINUTE), happened("product_viewed", "v5", ANNA, 40 * MINUTE))),
)
END: Final = 60 * MINUTE

BURST: Final = ("b1", "b2", "b3", "d1", "d2", "d3")
REFUSED: Final = {"v-carl"}
DELETED: Final = {"o5", "o7"}
OF: Final = {ANNA: {ANNA, BROWSER}, BOB: {BOB}, CARL: {CARL}, DORA: {DORA}, EVE: {EVE}}


@dataclass(frozen=True)
class Plan:
    """What happens in an hour.

    Attributes
    ----------
    script
        When it is noticed, in minutes, and what.
    changes
        When something is done to definitions, in minutes, and what.
    """

    script: tuple[tuple[int, tuple[dict[str, Any], ...]], ...]
    changes: tuple[tuple[int, Callable[[Cloud], None]], ...]

    @property
    def told(self) -> list[dict[str, Any]]:
        """All that is noticed."""
        return [one for _, told in self.script for one in told]

    @property
    def burst(self) -> tuple[str, ...]:
        """The clicks that turn out to be a machine's."""
        return tuple(one["id"] for one in self.told if one["id"] in BURST)


def _deploy(world: Cloud) -> None:
    world.deploy(*NEW)


def _recompute(world: Cloud) -> None:
    # Or recomputing would find it itself, in the archive, and nobody would see that it was missing.
    sent = "".join(world.queues.by_name["archive"].sent)
    assert all(f'"correction:{one}"' in sent for one in BURST[:3]), "a correction was lost"
    run = Run("run", world.now)
    assert RecomputeRuns(client=world.dynamodb, table="clock").start(run, previous=None)
    for number in BUCKETS:
        world.queues.send("recompute", pack(run.id, number))


def _apply(world: Cloud) -> None:
    """Do what the command line does."""
    versions = DefinitionVersions(client=world.dynamodb, table="definitions")
    versions.note_deployed(Version(0, checked(OLD)))
    assert versions.add(Version(1, checked(NEW), mark="1"))
    assert versions.save(Rollout().stage(1, at=world.now))


DEPLOYED: Final = Plan(SCRIPT, ((25, _deploy), (45, _recompute)))
APPLIED: Final = Plan(
    (
        *SCRIPT[:3],
        (9, (happened("order_completed", "o8", ANNA, 9 * MINUTE), happened("product_viewed", "v6", EVE, 8 * MINUTE))),
        (16, (happened("order_completed", "o9", ANNA, 16 * MINUTE), happened("product_viewed", "v7", BOB, 3 * MINUTE))),
        (23, (happened("order_completed", "o10", EVE, 23 * MINUTE),)),
    ),
    ((5, _apply),),
)
PLANS: Final = {"deployed": DEPLOYED, "applied": APPLIED}


def play(plan: Plan, fault: Fault | None) -> list[Point]:
    """Play an hour with a fault, check what came of it, and return the requests that functions made."""
    with cloud(start=START, fault=fault, segments=OLD) as world:
        _live(world, plan)
        _rest(world)
        check(world, plan)
        # When everything stood still for hours, all that ends has ended.
        world.stand_still(world.now + 3 * HOUR)
        _rest(world)
        check(world, plan)
        check_archive(world, plan)
        check_changes(world, plan)
        return world.wire.points


def _live(world: Cloud, plan: Plan) -> None:
    acts: list[tuple[int, Callable[[], None]]] = [(at, partial(_tell, world, told)) for at, told in plan.script]
    acts += [(at, partial(change, world)) for at, change in plan.changes]
    for at, act in sorted(acts, key=lambda one: one[0]):
        world.pass_time(max(world.now, START + at * MINUTE))
        act()
        while world.queues.by_name["events"].waiting and at == 0:
            # What somebody does before they allow it is not kept, so everything else waits for that.
            world.pass_time(world.now + SECOND)
    world.pass_time(max(world.now, START + END))


def _tell(world: Cloud, told: tuple[dict[str, Any], ...]) -> None:
    for one in told:
        event = Event.model_validate({**one, "received_at": world.now})
        sender = EventQueue(_Sender(world), LargeEvents(world.s3, "intake"))  # type: ignore[arg-type]
        sender.send([event])


class _Sender:
    def __init__(self, world: Cloud) -> None:
        self._world = world

    def send_all(self, bodies: Any) -> None:
        for body in bodies:
            self._world.queues.send("events", body)


def _rest(world: Cloud) -> None:
    """Let time pass until nothing is under way and nobody is overdue."""
    last = world.now + REST
    while not world.resting or any(
        one.due_at is not None and one.due_at <= world.now for one in world.profiles().values()
    ):
        assert world.now < last, "it never comes to rest"
        world.pass_time(world.now + 5 * MINUTE)


# What has to be true.


def check(world: Cloud, plan: Plan) -> None:
    """Compare everything with what happened.

    Raises
    ------
    AssertionError
        If anything is lost, doubled or untrue.
    """
    dead = {name: one.dead for name, one in world.queues.by_name.items() if one.dead}
    assert not dead
    members = _members(world)
    assert members == {one: _truth(plan, one, world.now) for one in OF}
    _check_flips(world, members)
    _check_esp(world, members)


def _members(world: Cloud) -> dict[str, set[str]]:
    profiles = world.profiles()
    assert profiles[BROWSER].merged_into == ANNA
    assert not profiles[BROWSER].memberships
    assert not any(one.incomplete for one in profiles.values())
    for one in profiles.values():
        ends = [known.valid_until for known in one.memberships.values()]
        assert all(end > world.now for end in ends)
        # Whoever time alone will change is to be woken, and not too late.
        assert not ends or (one.due_at is not None and one.due_at <= min(ends)) or min(ends) >= 2**60, one
    return {one: {name for name, known in profiles[one].memberships.items() if known.member} for one in OF}


def _truth(plan: Plan, who: str, now: int) -> set[str]:
    mine = [one for one in plan.told if one["identities"][0]["id"] in OF[who]]
    stated = [(one["occurred_at"], one["consent"]["personalization"]) for one in mine if "consent" in one]
    if not stated or not max(stated)[1]:
        return set()
    history = History(who)
    for one in mine:
        history.attributes |= one.get("attributes", {})
        if one["id"] not in {*BURST, *DELETED}:
            history.add(Happened(one["id"], one["type"], one["occurred_at"], one.get("properties", {})))
    return {name for name, rule in CONDITIONS.items() if holds(rule, history, now, CONDITIONS)}


def _check_flips(world: Cloud, members: Mapping[str, set[str]]) -> None:
    """Each flip once: in, out, in; in the order of versions; and together they make the memberships."""
    told: dict[tuple[str, str], list[tuple[int, bool]]] = {}
    for image in world.published:
        for flip in image["flips"]["L"]:
            key = image["id"]["S"], flip["M"]["segment"]["S"]
            told.setdefault(key, []).append((int(image["version"]["N"]), flip["M"]["entered"]["BOOL"]))
    for (who, name), turns in told.items():
        versions, states = [one for one, _ in turns], [state for _, state in turns]
        assert versions == sorted(set(versions)), (who, name)
        assert states == [number % 2 == 0 for number in range(len(states))], (who, name, turns)
        assert states[-1] == (name in members.get(who, set())), (who, name, turns)
    assert {(who, name) for who, names in members.items() for name in names} <= told.keys()


def _flips(world: Cloud) -> dict[tuple[str, str, int], bool]:
    """Return whether somebody entered, by profile, segment and version, of all flips that writes stored."""
    return {
        (image["id"]["S"], flip["M"]["segment"]["S"], int(image["version"]["N"])): flip["M"]["entered"]["BOOL"]
        for image in world.published
        for flip in image["flips"]["L"]
    }


def _check_esp(world: Cloud, members: Mapping[str, set[str]]) -> None:
    """The ESP has each flip that no newer one replaced, never an older one after a newer one, and acts once on each."""
    esp, stored = world.esp, _flips(world)
    arrived: dict[tuple[str, str], list[int]] = {}
    for message in esp.received:
        told = message["data"]
        assert stored[told["profile_id"], told["segment"], told["version"]] == (message["type"] == "segment.entered")
        arrived.setdefault((told["profile_id"], told["segment"]), []).append(told["version"])
    assert all(versions == sorted(versions) for versions in arrived.values())
    # A repetition carries the same webhook id, by which a receiver may drop it too.
    assert all(len(ids) == 1 for ids in esp.ids.values())
    for who, name, version in stored:
        assert max(arrived.get((who, name), [0])) >= version
    for (who, name), applied in esp.applied.items():
        assert [one for one, _ in applied] == sorted({one for one, _ in applied})
        assert applied[-1][1] == (name in members.get(who, set()))


def check_archive(world: Cloud, plan: Plan) -> None:
    """Every event that was accepted, every correction and every flip is there, once for who reads as readers do."""
    told = {one["id"] for one in plan.told}
    with tempfile.TemporaryDirectory() as folder:
        rows = duckdb.execute(READ_SQL, {"files": world.archived(EVENTS, Path(folder))}).fetchall()
        files = world.archived(FLIPS, Path(folder))
        names = {one.name for one in (*OLD, *NEW)}
        kept = [flip for name in names for flip in flip_files.read(duckdb.connect(), files, [*KINDS, *OF], name)]
    assert sorted(row[0] for row in rows) == sorted({*told - REFUSED, *(f"correction:{one}" for one in plan.burst)})
    assert sorted((one.profile_id, one.segment, one.version) for one in flips.once_each(kept)) == sorted(_flips(world))


def check_changes(world: Cloud, plan: Plan) -> None:
    """The run of recomputing has ended, and the applied definitions rule, whoever died over it."""
    if plan is DEPLOYED:
        runs = RecomputeRuns(client=world.dynamodb, table="clock")
        progress = [runs.progress(Run("run", 0), number) for number in BUCKETS]
        assert all(one.done for one in progress), "a bucket stands still"
    else:
        rollout = DefinitionVersions(client=world.dynamodb, table="definitions").rollout()
        assert rollout is not None
        assert (rollout.active, rollout.staged, rollout.phase) == (1, None, Phase.SETTLED)
