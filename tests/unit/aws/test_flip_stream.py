from __future__ import annotations

from mailtailor.aws.flip_stream import changes
from mailtailor.aws.profile_item import encode
from mailtailor.esp.membership_change import MembershipChange
from mailtailor.instant import FOREVER
from mailtailor.profiles.profile import Flip, Profile

PROFILE_ID = "p" * 22


def test_the_flips_of_a_write_carry_the_version_that_the_write_gave_the_profile() -> None:
    # given
    flips = [
        Flip("recent_purchasers", True, 1_000, "event:o1", 5_000),
        Flip("browse_abandoners", False, 1_001, "time", FOREVER),
    ]
    image = encode(Profile(PROFILE_ID, version=6), flips)

    # when
    found = changes({"eventName": "MODIFY", "dynamodb": {"NewImage": image, "SequenceNumber": "1"}})

    # then
    assert found == [
        MembershipChange(PROFILE_ID, "recent_purchasers", True, 7, 1_000, "event:o1", 5_000),
        MembershipChange(PROFILE_ID, "browse_abandoners", False, 7, 1_001, "time", None),
    ]


def test_a_write_that_flipped_nothing_and_a_removal_publish_nothing() -> None:
    assert changes({"dynamodb": {"NewImage": encode(Profile(PROFILE_ID, version=1), [])}}) == []
    assert changes({"dynamodb": {"OldImage": encode(Profile(PROFILE_ID, version=1), [])}}) == []
