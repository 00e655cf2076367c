from __future__ import annotations

from mailtailor.aws.profile_item import encode
from tests.unit.profiles.world import JOURNEY, World


def test_an_item_gives_back_the_profile_it_was_made_of() -> None:
    # given
    world = World()
    for one in JOURNEY:
        world.process(one)
    # when
    for item in world.store.items.values():
        profile = world.store.profile(item["id"]["S"])
        again = encode(profile, ())
        # then
        item.pop("flips", None)
        item.pop("flipped", None)
        again["version"] = item["version"]
        assert again == item
