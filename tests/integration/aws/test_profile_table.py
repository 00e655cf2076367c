"""The table keeps its promises on moto and on Amazon's own engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailtailor.aws.profile_table import ProfileTable
from mailtailor.consent.policy import Consent, Purpose
from mailtailor.instant import FOREVER
from mailtailor.profiles.profile import Attribute, Flip, Profile, Stitch
from mailtailor.profiles.projection import Merged
from mailtailor.profiles.store import Conflict, Loaded
from mailtailor.segments.engine import Membership
from mailtailor.segments.streams import Messages, Occurrences, Recents

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ANNA, BOB, CARL = "A" * 22, "B" * 22, "C" * 22
FLIP = Flip("recent_purchasers", entered=True, at=1_790_000_000_000, reason="event:e1", valid_until=1_790_000_604_800)


@pytest.fixture
def table(dynamodb: DynamoDBClient) -> ProfileTable:
    return ProfileTable(client=dynamodb, table="profiles")


def full_profile() -> Profile:
    return Profile(
        id=ANNA,
        epoch=2,
        attributes={
            "first_name": Attribute("Änna {{x}}", 5),
            "tags": Attribute(["a", 1, 2.5, None, True, {"k": "v"}], 6),
        },
        consent={Purpose.TRACKING: Consent(granted=True, at=1), Purpose.PERSONALIZATION: Consent(granted=False, at=2)},
        identities=frozenset({BOB}),
        streams={1: Occurrences([(10, 20)]), 2: Messages({3: (10, 0)}), 3: Recents({"85123A": 9})},
        memberships={"a": Membership(True, 100, 50), "b": Membership(True, FOREVER, 50)},
        definitions="abc",
        stitches={"bm9uY2Ugb2YgMTI": Stitch(BOB, 1_790_000_600_000)},
        as_of=7,
        due_at=1_790_000_000_000,
    )


def test_a_profile_comes_back_as_it_was_saved(table: ProfileTable) -> None:
    # given
    profile = full_profile()
    # when
    table.save(Loaded(profile, None), [FLIP])
    # then
    profile.version = 1
    assert table.read(ANNA) == profile
    assert table.load([ANNA])[ANNA].profile == profile


def test_an_unknown_profile_is_none_when_read_and_new_when_loaded(table: ProfileTable) -> None:
    assert table.read(ANNA) is None
    assert table.load([ANNA])[ANNA].profile == Profile(ANNA)


def test_more_profiles_than_one_request_admits_are_loaded(table: ProfileTable) -> None:
    # given
    ids = [f"{n:022d}" for n in range(230)]
    for profile_id in ids[::2]:
        table.save(Loaded(Profile(profile_id), None), [])
    # when
    found = table.load(ids)
    # then
    assert [found[one].profile.version for one in ids] == [1, 0] * 115


def test_the_second_of_two_writers_is_refused(table: ProfileTable) -> None:
    # given two who read the same profile, new or not
    for _ in range(2):
        first, second = table.load([ANNA])[ANNA], table.load([ANNA])[ANNA]
        # when
        table.save(first, [FLIP])
        # then
        with pytest.raises(Conflict):
            table.save(second, [FLIP])


def test_a_write_that_would_change_nothing_is_left_out(table: ProfileTable) -> None:
    # given
    table.save(Loaded(full_profile(), None), [FLIP])
    # when
    again = table.load([ANNA])[ANNA]
    again.profile.as_of += 1_000
    # then
    assert table.save(again, []) is False
    assert table.load([ANNA])[ANNA].profile.version == 1


@pytest.mark.parametrize("number", [100.0, 2.5, 0.1, -0.0, 1e-7, 1e16, 1e100, -1.5e-100, 2**63, 12345678.9012])
def test_no_number_makes_every_event_a_write(table: ProfileTable, number: float) -> None:
    # given
    profile = Profile(ANNA, attributes={"spent": Attribute(number, 5), "all": Attribute([number], 5)})
    table.save(Loaded(profile, None), [])
    # when the same is stated again, and when nothing is
    again, silent = table.load([ANNA])[ANNA], table.load([ANNA])[ANNA]
    assert float(str(again.profile.attribute("spent"))) == number
    again.profile.attributes = profile.attributes
    # then
    assert table.save(again, []) is False
    assert table.save(silent, []) is False


def test_a_large_profile_is_told(table: ProfileTable, caplog: pytest.LogCaptureFixture) -> None:
    # when
    table.save(Loaded(Profile(ANNA, attributes={"about": Attribute("x" * 3_000, 5)}), None), [])
    # then
    assert caplog.records == []
    # when
    table.save(Loaded(Profile(BOB, attributes={"about": Attribute("x" * 4_100, 5)}), None), [])
    # then
    assert [record.__dict__["profile_id"] for record in caplog.records] == [BOB]


def test_a_pointer_is_followed_when_read(table: ProfileTable) -> None:
    # given
    table.save(Loaded(full_profile(), None), [])
    # when
    assert table.point(BOB, to=ANNA) is None
    # then
    assert (table.read(BOB) or Profile("")).id == ANNA


def test_an_identity_that_leads_somewhere_is_not_moved(table: ProfileTable) -> None:
    # given
    table.point(BOB, to=ANNA)
    # when
    there = table.point(BOB, to=CARL)
    # then
    assert there is not None
    assert there.profile.merged_into == ANNA


def test_pointers_in_a_circle_end_in_nobody(table: ProfileTable) -> None:
    table.point(ANNA, to=BOB)
    table.point(BOB, to=ANNA)
    assert table.read(ANNA) is None


def test_a_merge_is_all_or_nothing(table: ProfileTable) -> None:
    # given a profile, one to be merged into it, and somebody who writes the latter meanwhile
    for one in (ANNA, BOB):
        table.save(Loaded(Profile(one), None), [])
    loaded = table.load([ANNA, BOB])
    pointer = Profile(BOB, version=loaded[BOB].profile.version, merged_into=ANNA)
    loaded[ANNA].profile.identities = frozenset({BOB})
    rival = table.load([BOB])[BOB]
    rival.profile.epoch = 1
    table.save(rival, [])
    # when
    with pytest.raises(Conflict):
        table.save(loaded[ANNA], [], [Merged(pointer, (FLIP,))])
    # then
    assert table.load([ANNA])[ANNA].profile.identities == frozenset()
    # when it is tried again
    loaded = table.load([ANNA, BOB])
    pointer.version = loaded[BOB].profile.version
    loaded[ANNA].profile.identities = frozenset({BOB})
    table.save(loaded[ANNA], [], [Merged(pointer, (FLIP,))])
    # then
    assert (table.read(BOB) or Profile("")).id == ANNA


def test_an_item_that_cannot_be_read_says_so_and_hides_no_other(table: ProfileTable, dynamodb: DynamoDBClient) -> None:
    # given
    table.save(Loaded(Profile(ANNA), None), [])
    dynamodb.put_item(
        TableName="profiles", Item={"id": {"S": BOB}, "version": {"N": "1"}, "streams": {"B": b"\x63broken"}}
    )
    # when
    found = table.load([ANNA, BOB])
    # then
    assert found[ANNA].error is None
    assert isinstance(found[BOB].error, ValueError)
