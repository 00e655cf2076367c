from __future__ import annotations

import base64
import string
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.errors import BadInput, MailtailorError
from mailtailor.tracking.destination import BadDestination
from mailtailor.tracking.tokens import (
    MAX_TOKEN_CHARACTERS,
    BadToken,
    Keyring,
    LinkToken,
    MailingToken,
    Purpose,
    RecipientToken,
    StitchToken,
    UnknownKey,
    read_link,
    read_mailing,
    read_recipient,
    read_stitch,
    sign_link,
    sign_mailing,
    sign_recipient,
    sign_stitch,
)

SECRET = {"active": "k1", "k1": "first secret key of the tests, long", "k0": "older secret key of the tests, long"}
KEYRING = Keyring.from_secret(SECRET)
PROFILE = base64.urlsafe_b64encode(bytes(range(16))).rstrip(b"=").decode()
LINK = LinkToken("https://shop.example/p?id=1#top", "spring", 3, 1_764_000_000_000, "85123A", "lights")
STITCH = StitchToken(PROFILE, 1_764_000_000_000, bytes(range(12)))
ALPHABET = string.ascii_letters + string.digits + "-_"

hosts = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z]{2,5}){1,2}\Z")
rests = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), exclude_characters="\\"), max_size=80)
urls = st.builds(
    "{}://{}{}{}".format, st.sampled_from(["http", "https", "HTTPS"]), hosts, st.sampled_from("/?#"), rests
)
profile_ids = st.binary(min_size=16, max_size=16).map(lambda raw: base64.urlsafe_b64encode(raw)[:22].decode())


@given(urls, st.integers(0, 500), st.integers(0, 1 << 45), st.text(max_size=20).filter(str.isascii))
def test_a_signed_link_comes_back_exactly(url: str, position: int, sent_at: int, product_id: str) -> None:
    # given
    link = LinkToken(url, "spring sale ♥", position, sent_at, product_id, "Lichter & Lampen", "2026-11-24.1")
    # when
    token = sign_link(KEYRING, link)
    # then
    assert read_link(KEYRING, token) == link


@given(profile_ids, st.sampled_from(Purpose), st.integers(0, 1 << 40))
def test_a_signed_recipient_comes_back_exactly(profile_id: str, purpose: Purpose, epoch: int) -> None:
    recipient = RecipientToken(profile_id, purpose, epoch)
    assert read_recipient(KEYRING, sign_recipient(KEYRING, recipient), purpose) == recipient


@given(st.data())
def test_a_token_with_any_character_changed_is_refused(data: st.DataObject) -> None:
    # given
    token = sign_link(KEYRING, LINK)
    at = data.draw(st.integers(0, len(token) - 1))
    changed = data.draw(st.sampled_from(ALPHABET).filter(lambda character: character != token[at]))
    # then: this covers every flipped bit, and other spellings of the last bits
    with pytest.raises(BadToken):
        read_link(KEYRING, token[:at] + changed + token[at + 1 :])


def test_a_token_cut_off_anywhere_is_refused() -> None:
    token = sign_link(KEYRING, LINK)
    for length in range(len(token)):
        with pytest.raises(BadToken):
            read_link(KEYRING, token[:length])


@given(
    st.text(max_size=120)
    | st.text(ALPHABET, max_size=120)
    | st.binary(max_size=90).map(lambda raw: base64.urlsafe_b64encode(b"\x01" + raw).rstrip(b"=").decode())
)
def test_what_we_did_not_sign_is_refused_and_never_breaks_the_reader(garbage: str) -> None:
    with pytest.raises(BadToken):
        read_link(KEYRING, garbage)
    with pytest.raises(BadToken):
        read_mailing(KEYRING, garbage)
    with pytest.raises(BadToken):
        read_recipient(KEYRING, garbage, Purpose.TRACK)
    with pytest.raises(BadToken):
        read_stitch(KEYRING, garbage, now=0)


@pytest.mark.parametrize("spelling", ["{}=", "{}==", " {}", "{}\n", "{}!", "%20{}"])
def test_only_one_spelling_of_a_token_is_accepted(spelling: str) -> None:
    with pytest.raises(BadToken) as refusal:
        read_mailing(KEYRING, spelling.format(sign_mailing(KEYRING, MailingToken("spring"))))
    assert refusal.value.reason == "encoding"


def test_the_standard_base64_alphabet_is_refused() -> None:
    # given: enough tokens that some need the two characters in which the alphabets differ
    tokens = [sign_mailing(KEYRING, MailingToken(f"campaign {number}")) for number in range(50)]
    others = [token.replace("-", "+").replace("_", "/") for token in tokens]
    # then
    for token, other in zip(tokens, others, strict=True):
        if other != token:
            with pytest.raises(BadToken):
                read_mailing(KEYRING, other)


def test_stray_last_bits_are_refused() -> None:
    # given: a token whose last character carries bits that no byte needs
    campaign = next(name for name in ("c", "cc", "ccc") if len(sign_mailing(KEYRING, MailingToken(name))) % 4)
    token = sign_mailing(KEYRING, MailingToken(campaign))
    order = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    other = token[:-1] + order[order.index(token[-1]) + 1]
    # when / then: a lenient decoder reads the same bytes from both
    assert base64.urlsafe_b64decode(other + "==") == base64.urlsafe_b64decode(token + "==")
    with pytest.raises(BadToken):
        read_mailing(KEYRING, other)


def test_a_token_of_a_retired_key_still_works() -> None:
    # given
    token = sign_link(replace(KEYRING, active="k0"), LINK)
    # then
    assert read_link(KEYRING, token) == LINK


def test_a_token_of_an_unknown_key_is_refused_as_such() -> None:
    # given
    newer = Keyring.from_secret({**SECRET, "active": "k2", "k2": "newer secret key of the tests, long"})
    token = sign_link(newer, LINK)
    # then
    with pytest.raises(UnknownKey):
        read_link(KEYRING, token)


def test_a_token_of_a_foreign_key_with_our_key_id_is_refused() -> None:
    # given
    foreign = Keyring.from_secret({"active": "k1", "k1": "somebody else's secret key, also long"})
    # then
    with pytest.raises(BadToken) as refusal:
        read_link(KEYRING, sign_link(foreign, LINK))
    assert refusal.value.reason == "signature"


@pytest.mark.parametrize("made_for", Purpose)
@pytest.mark.parametrize("used_for", Purpose)
def test_a_recipient_token_serves_its_purpose_only(made_for: Purpose, used_for: Purpose) -> None:
    token = sign_recipient(KEYRING, RecipientToken(PROFILE, made_for))
    if made_for is used_for:
        assert read_recipient(KEYRING, token, used_for).profile_id == PROFILE
    else:
        with pytest.raises(BadToken):
            read_recipient(KEYRING, token, used_for)


def test_a_token_of_one_kind_is_refused_as_another() -> None:
    # given
    signed: dict[str, str] = {
        "link": sign_link(KEYRING, LINK),
        "mailing": sign_mailing(KEYRING, MailingToken("spring")),
        "stitch": sign_stitch(KEYRING, STITCH),
        **{purpose: sign_recipient(KEYRING, RecipientToken(PROFILE, purpose)) for purpose in Purpose},
    }
    readers: dict[str, Callable[[str], object]] = {
        "link": lambda token: read_link(KEYRING, token),
        "mailing": lambda token: read_mailing(KEYRING, token),
        "stitch": lambda token: read_stitch(KEYRING, token, now=STITCH.issued_at),
        Purpose.TRACK: lambda token: read_recipient(KEYRING, token, Purpose.TRACK),
        Purpose.CONTENT: lambda token: read_recipient(KEYRING, token, Purpose.CONTENT),
        Purpose.MANAGE: lambda token: read_recipient(KEYRING, token, Purpose.MANAGE),
    }
    # then
    for kind, token in signed.items():
        for wanted, read in readers.items():
            if wanted == kind:
                read(token)
            else:
                with pytest.raises(BadToken, match="signature"):
                    read(token)


@given(profile_ids, st.integers(0, 1 << 45), st.binary(min_size=12, max_size=12))
def test_a_stitch_comes_back_exactly_within_ten_minutes_and_not_later(
    profile_id: str, issued_at: int, nonce: bytes
) -> None:
    # given
    stitch = StitchToken(profile_id, issued_at, nonce)
    token = sign_stitch(KEYRING, stitch)
    # then
    assert read_stitch(KEYRING, token, now=issued_at + 600_000) == stitch
    with pytest.raises(BadToken) as refusal:
        read_stitch(KEYRING, token, now=issued_at + 600_001)
    assert refusal.value.reason == "expired"


def test_a_stitch_of_a_retired_key_is_read() -> None:
    token = sign_stitch(replace(KEYRING, active="k0"), STITCH)
    assert read_stitch(KEYRING, token, now=STITCH.issued_at) == STITCH


def test_two_stitches_of_one_person_are_as_unlike_as_those_of_two() -> None:
    # given
    one, same, other = (
        base64.urlsafe_b64decode(sign_stitch(KEYRING, StitchToken(profile_id, STITCH.issued_at, nonce)) + "==")
        for profile_id, nonce in ((PROFILE, b"a" * 12), (PROFILE, b"b" * 12), ("A" * 22, b"c" * 12))
    )
    pseudonym = base64.urlsafe_b64decode(f"{PROFILE}==")
    # then: all begin with version, key id and instant; of the rest no four bytes are alike
    nonce_at = one.index(b"a" * 12)
    assert one[:nonce_at] == same[:nonce_at] == other[:nonce_at]
    assert not [at for at in range(nonce_at, len(one) - 3) if one[at : at + 4] == same[at : at + 4]]
    assert pseudonym not in one + same


@pytest.mark.parametrize("nonce", [b"", b"x" * 11, b"x" * 13])
def test_a_nonce_of_another_length_is_not_signed(nonce: bytes) -> None:
    with pytest.raises(BadInput):
        sign_stitch(KEYRING, replace(STITCH, nonce=nonce))


def test_a_token_too_long_is_refused_unread() -> None:
    with pytest.raises(BadToken) as refusal:
        read_link(KEYRING, "A" * (MAX_TOKEN_CHARACTERS + 1))
    assert refusal.value.reason == "length"


def test_a_url_of_2500_characters_is_signed_and_one_beyond_the_limit_is_refused() -> None:
    long = replace(LINK, url="https://shop.example/?q=" + "x" * 2_476)
    assert read_link(KEYRING, sign_link(KEYRING, long)) == long
    with pytest.raises(BadDestination, match="shorten"):
        sign_link(KEYRING, replace(LINK, url="https://shop.example/?q=" + "x" * 3_100))


def test_a_send_instance_is_read_and_a_malformed_one_counts_as_none() -> None:
    token = sign_mailing(KEYRING, MailingToken("spring", "2026-11-24"))
    bare = token.partition("~")[0]
    assert read_mailing(KEYRING, token) == MailingToken("spring", "2026-11-24")
    assert read_mailing(KEYRING, f"{bare}~{{{{ send_id }}}}") == MailingToken("spring", "")
    assert read_mailing(KEYRING, f"{bare}~{'x' * 65}") == MailingToken("spring", "")
    assert read_mailing(KEYRING, f"{bare}~") == MailingToken("spring", "")
    with pytest.raises(BadInput):
        sign_mailing(KEYRING, MailingToken("spring", "a b"))


@pytest.mark.parametrize("campaign", ["", "x" * 101, "a\0b", "a\nb", "\ud800"])
def test_a_campaign_id_of_the_wrong_form_is_not_signed(campaign: str) -> None:
    with pytest.raises(BadInput):
        sign_mailing(KEYRING, MailingToken(campaign))


@pytest.mark.parametrize("profile_id", ["", "short", PROFILE + "A", PROFILE[:-1] + "B", PROFILE[:-1] + "!"])
def test_a_profile_id_of_the_wrong_form_is_not_signed(profile_id: str) -> None:
    with pytest.raises(BadInput):
        sign_recipient(KEYRING, RecipientToken(profile_id, Purpose.TRACK))


@pytest.mark.parametrize(
    "secret",
    [
        {},
        {"active": "k1"},
        {"k1": "x" * 32},
        {"active": "k1", "k1": "short"},
        {"active": "k 1", "k 1": "x" * 32},
        {"active": "active"},
    ],
)
def test_a_keyring_that_cannot_sign_is_refused(secret: dict[str, str]) -> None:
    with pytest.raises(MailtailorError):
        Keyring.from_secret(secret)


def test_keys_do_not_show_when_a_keyring_is_printed() -> None:
    assert "secret key" not in repr(KEYRING)
