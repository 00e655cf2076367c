from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.profiles.identity import IdentityKind, Pseudonymizer

PSEUDONYMIZER = Pseudonymizer(b"a pepper of the tests")
KEYS = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: bool(text.strip()))


@given(st.sampled_from(IdentityKind), KEYS)
def test_a_pseudonym_is_22_url_safe_characters_and_always_the_same(kind: IdentityKind, key: str) -> None:
    # when
    pseudonym = PSEUDONYMIZER.pseudonym(kind, key)

    # then
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", pseudonym)
    assert pseudonym == PSEUDONYMIZER.pseudonym(kind, key)


def test_the_construction_never_changes_for_every_stored_profile_depends_on_it() -> None:
    assert PSEUDONYMIZER.pseudonym(IdentityKind.USER_ID, "42") == "ktYP6-3S71HJTCHs7PH2Ew"
    assert PSEUDONYMIZER.pseudonym(IdentityKind.EMAIL, "ann@example.com") == "1i2MJzTKCfOCGV2JJRhATw"


@pytest.mark.parametrize("spelling", ["ann@example.com", " Ann@Example.COM\n", "ANN@EXAMPLE.COM"])
def test_spellings_of_an_address_and_its_hash_are_one_person(spelling: str) -> None:
    # given
    digest = hashlib.sha256(b"ann@example.com").hexdigest()

    # when
    pseudonym = PSEUDONYMIZER.pseudonym(IdentityKind.EMAIL, spelling)

    # then
    assert pseudonym == PSEUDONYMIZER.pseudonym(IdentityKind.EMAIL, digest)
    assert pseudonym == PSEUDONYMIZER.pseudonym(IdentityKind.EMAIL, digest.upper())


def test_the_same_text_as_another_kind_is_another_person() -> None:
    assert len({PSEUDONYMIZER.pseudonym(kind, "a@b.example") for kind in IdentityKind}) == len(IdentityKind)


def test_a_user_id_keeps_its_case_because_the_crm_decides_what_it_means() -> None:
    assert PSEUDONYMIZER.pseudonym(IdentityKind.USER_ID, "aB") != PSEUDONYMIZER.pseudonym(IdentityKind.USER_ID, "ab")


def test_another_deployment_knows_the_same_person_by_another_pseudonym() -> None:
    # given
    other = Pseudonymizer(b"another pepper")

    # then
    assert other.pseudonym(IdentityKind.USER_ID, "42") != PSEUDONYMIZER.pseudonym(IdentityKind.USER_ID, "42")


@pytest.mark.parametrize("blank", ["", "  ", "\t\n"])
def test_a_blank_key_is_nobody(blank: str) -> None:
    with pytest.raises(ValueError, match="blank"):
        PSEUDONYMIZER.pseudonym(IdentityKind.USER_ID, blank)


def test_an_empty_pepper_is_refused_for_it_would_protect_nobody() -> None:
    with pytest.raises(ValueError, match="pepper"):
        Pseudonymizer(b"")


def test_kinds_are_ordered_strongest_first() -> None:
    assert list(IdentityKind) == [IdentityKind.USER_ID, IdentityKind.EMAIL, IdentityKind.ANONYMOUS_ID]
