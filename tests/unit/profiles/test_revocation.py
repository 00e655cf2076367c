from __future__ import annotations

import pytest

from mailtailor.errors import NotFound, Unavailable
from mailtailor.profiles.profile import Profile
from mailtailor.profiles.revocation import MAX_ATTEMPTS, revoke
from mailtailor.profiles.store import Conflict, Loaded
from tests.unit.profiles.memory_store import MemoryStore

ANNA = "AAECAwQFBgcICQoLDA0ODw"
OTHER = "EBESExQVFhcYGRobHB0eHw"


def store(*profiles: Profile) -> MemoryStore:
    kept = MemoryStore()
    for profile in profiles:
        kept.save(Loaded(profile, None), ())
    return kept


def no_pause(_attempt: int) -> None:
    return


def test_each_revocation_raises_the_epoch_by_one_and_changes_nothing_else() -> None:
    # given
    kept = store(Profile(ANNA, epoch=3, identities=frozenset({OTHER})))
    # when
    revoke(kept, ANNA, pause=no_pause)
    revoked = revoke(kept, ANNA, pause=no_pause)
    # then
    assert revoked.epoch == kept.profile(ANNA).epoch == 5
    assert kept.profile(ANNA).identities == {OTHER}
    assert kept.published == []


def test_the_id_of_before_a_merge_revokes_the_profile_that_it_became() -> None:
    # given
    kept = store(Profile(ANNA), Profile(OTHER, merged_into=ANNA))
    # when
    revoked = revoke(kept, OTHER, pause=no_pause)
    # then
    assert (revoked.id, kept.profile(ANNA).epoch, kept.profile(OTHER).epoch) == (ANNA, 1, 0)


def test_what_somebody_else_writes_meanwhile_is_kept() -> None:
    # given somebody who writes between our read and our write, once
    kept = store(Profile(ANNA))
    others = iter([Profile(ANNA, version=1, identities=frozenset({OTHER}))])

    def before(operation: str) -> None:
        if operation == "save" and (other := next(others, None)):
            kept.save(Loaded(other, None), ())

    kept.before = before
    paused: list[int] = []
    # when
    revoke(kept, ANNA, pause=paused.append)
    # then
    assert kept.profile(ANNA).epoch == 1
    assert kept.profile(ANNA).identities == {OTHER}
    assert paused == [0]


def test_endless_conflicts_are_told() -> None:
    # given
    kept = store(Profile(ANNA))

    def before(operation: str) -> None:
        if operation == "save":
            raise Conflict(ANNA)

    kept.before = before
    paused: list[int] = []
    # then
    with pytest.raises(Unavailable, match="too many at once"):
        revoke(kept, ANNA, pause=paused.append)
    assert paused == list(range(MAX_ATTEMPTS))


@pytest.mark.parametrize(
    "kept",
    [store(), store(Profile(ANNA, merged_into=OTHER)), store(Profile(ANNA, merged_into=ANNA))],
    ids=["unknown", "pointer to nothing", "pointers in a circle"],
)
def test_a_profile_that_does_not_exist_is_not_made(kept: MemoryStore) -> None:
    writes = kept.writes
    with pytest.raises(NotFound):
        revoke(kept, ANNA, pause=no_pause)
    assert kept.writes == writes
