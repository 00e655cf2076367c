"""Attempts to make our links lead elsewhere, by kind. None may be signed, none may redirect."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.tracking.destination import SLOT, BadDestination, check_destination, location, without_values
from mailtailor.tracking.paths import click_parameters
from mailtailor.tracking.redirect import target
from mailtailor.tracking.tokens import (
    MAX_TOKEN_CHARACTERS,
    BadToken,
    Keyring,
    LinkToken,
    MailingToken,
    Purpose,
    RecipientToken,
    StitchToken,
    read_link,
    sign_link,
    sign_mailing,
    sign_recipient,
    sign_stitch,
)

KEYRING = Keyring.from_secret({"active": "k1", "k1": "first secret key of the tests, long"})
FOREIGN = Keyring.from_secret({"active": "k1", "k1": "another deployment's key, also long"})
AT = 1_764_000_000_000
PROFILE = "AAECAwQFBgcICQoLDA0ODw"
LINK = LinkToken("https://shop.example/lamp?id=1", "spring", 1, AT)
TOKEN = sign_link(KEYRING, LINK)

REFUSED_DESTINATIONS = {
    "scripts and other schemes": [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "javascript://shop.example/%0aalert(1)",
        " javascript:alert(1)",
        "java\tscript:alert(1)",
        "\x01javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "data:text/html;base64,PHNjcmlwdD4=",
        "vbscript:msgbox(1)",
        "file:///etc/passwd",
        "ftp://shop.example/",
        "blob:https://shop.example/1",
        "view-source:https://shop.example/",
        "intent://shop.example#Intent;scheme=https;end",
        "ws://shop.example/",
        "httpss://shop.example/",
        "ht\ntp://shop.example/",
        "feed:https://shop.example/",
    ],
    "no scheme or half of one": [
        "",
        "//evil.example",
        "///evil.example",
        "////evil.example",
        "/\\evil.example",
        "/lamp",
        "evil.example",
        "http:evil.example",
        "https:/evil.example",
        "https:///evil.example",
        "https:////evil.example",
        "https//evil.example",
        "://evil.example",
        "https:",
        "https://",
        "https:?x",
    ],
    "line breaks and other controls": [
        "https://shop.example/\r\nLocation: https://evil.example",
        "https://shop.example/\r\n\r\n<script>alert(1)</script>",
        "https://shop.example/\nSet-Cookie: a=b",
        "https://shop.example/\r",
        "https://shop.example\r\n/",
        "https://shop.example/\x0b",
        "https://shop.example/\x0c",
        "https://shop.example/a\tb",
        "https://sh\top.example/",
        "https://shop.example/\x00",
        "https://shop.example\x00.evil.example/",
        "https://shop.example/\x1f",
        "https://shop.example/\x7f",
        "https://shop.example/\x85",
        "https://shop.example/\u2028",
        "https://shop.example/\u2029",
        "https://shop.example/\ud800",
    ],
    "white space": [
        " https://shop.example/",
        "https://shop.example/ ",
        "https:// shop.example/",
        "https://shop.example /",
        "https://shop.example/\u00a0",
        "https://shop.example/\u3000",
        "https://shop.example/\u1680",
    ],
    "backslashes": [
        "https:\\\\evil.example",
        "https:/\\evil.example",
        "https:\\/evil.example",
        "https://shop.example\\@evil.example/",
        "https://shop.example\\.evil.example/",
        "https://evil.example\\shop.example/",
        "https://shop.example/\\..\\..",
        "https://shop.example/?a=\\",
    ],
    "user information": [
        "https://shop.example@evil.example/",
        "https://shop.example:443@evil.example/",
        "https://user:pass@shop.example/",
        "https://@evil.example/",
        "https://:@evil.example/",
        "https://shop.example%40evil.example/",
        "https://shop.example%2f@evil.example/",
        "https://shop.example@evil@evil.example/",
    ],
    "hosts that are none": [
        "https://?https://evil.example",
        "https://#evil.example",
        "https://:443/",
        "https://./",
        "https://../",
        "https://shop..example/",
        "https://.evil.example/",
        "https://shop%2eexample/",
        "https://shop%00.evil.example/",
        "https://shop.example%2f.evil.example/",
        "https://shop.example;evil.example/",
        "https://shop.example,evil.example/",
        "https://shop.example&evil.example/",
        "https://shop.example=evil.example/",
        "https://shop.example+evil.example/",
        "https://shop.example!evil.example/",
        "https://shop.example'evil.example/",
        "https://{shop}.example/",
        "https://<shop>.example/",
        "https://shop.example*/",
        f"https://{'a' * 64}.example/",
        f"https://{'a.' * 127}ab/",
    ],
    "ports": [
        "https://shop.example:evil.example/",
        "https://shop.example:80:80/",
        "https://shop.example:99999/",
        "https://shop.example:-1/",
        "https://shop.example:443.evil.example/",
        "https://shop.example:\u0664\u0664\u0663/",
        "https://shop.example:000443443/",
    ],
    "addresses in brackets": [
        "https://[evil.example]/",
        "https://[dead.be]/",
        "https://[::1/",
        "https://::1]/",
        "https://[]/",
        "https://[::1]evil.example/",
        "https://[::1].evil.example/",
        "https://[fe80::1%25eth0]/",
        "https://[fe80::1%eth0]/",
        "https://[::1]]/",
        "https://[1]/",
        "https://[::ffff:999.1.1.1]/",
    ],
    "unicode that becomes syntax": [
        "https://shop.example\uff0fevil.example/",
        "https://evil.example\uff0f.shop.example/",
        "https://evil.example\u2044.shop.example\uff0f/",
        "https://evil\u2100shop.example/",
        "https://evil.example\uff03.shop.example/",
        "https://evil.example\uff1f.shop.example/",
        "https://shop.example\uff20evil.example/",
        "https://shop.example\uff1a443.evil.example/",
        "https://evil.example\uff3c.shop.example/",
        "https://shop\uff05\uff12\uff25example/",
        "https://shop\u200b.example/",
        "https://shop\u200d.example/",
        "https://shop\u00ad.example/",
        "https://\u202egpj.example/",
        "https://shop\ufeff.example/",
    ],
    "slots where a value could become an address": [
        f"{SLOT}",
        f"{SLOT}://shop.example/",
        f"https://{SLOT}/",
        f"https://{SLOT}.shop.example/",
        f"https://shop.example{SLOT}/",
        f"https://shop.example:{SLOT}/",
        f"https://{SLOT}@shop.example/",
        f"https://shop.example/{SLOT}",
        f"https://shop.example/a/{SLOT}?b=1",
        f"https://shop.example/?{SLOT}",
        f"https://shop.example/?{SLOT}=1",
        f"https://shop.example/?a=https://{SLOT}",
        f"https://shop.example/?a={SLOT}{SLOT}",
        f"https://shop.example/#{SLOT}",
        f"https://shop.example/#?a={SLOT}",
    ],
}


@pytest.mark.parametrize(
    ("kind", "url"), [(kind, url) for kind, attempts in REFUSED_DESTINATIONS.items() for url in attempts]
)
def test_a_destination_of_this_kind_is_neither_signed_nor_redirected_to(kind: str, url: str) -> None:
    assert kind
    with pytest.raises(BadDestination):
        check_destination(url)
    with pytest.raises(BadDestination):
        sign_link(KEYRING, LinkToken(url, "spring", 1, AT))
    with pytest.raises(BadDestination):
        location(url, ["https://evil.example"])


def test_a_destination_too_long_is_not_signed() -> None:
    with pytest.raises(BadDestination, match="shorten"):
        sign_link(KEYRING, LinkToken("https://shop.example/" + "a" * 4_000, "spring", 1, AT))


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://sh\u043ep.example/", "xn--shp-ted.example"),
        ("https://\u0455hop.example/", "xn--hop-ehd.example"),
        ("https://shop\u3002example/", "shop.example"),
        ("https://shop\uff0eexample/", "shop.example"),
        ("https://\uff53hop.example/", "shop.example"),
        ("https://ⓢhop.example/", "shop.example"),
    ],
)
def test_a_host_that_looks_like_another_is_shown_as_what_it_is(url: str, host: str) -> None:
    assert location(url) == f"https://{host}/"


REFUSED_TOKENS = {
    "addresses instead of tokens": [
        "https://evil.example",
        "//evil.example",
        "%2F%2Fevil.example",
        "evil.example",
        "..",
        "",
        "javascript:alert(1)",
        base64.urlsafe_b64encode(b"https://evil.example").decode().rstrip("="),
    ],
    "tokens of another deployment": [
        sign_link(FOREIGN, LINK),
        sign_link(FOREIGN, LinkToken("https://evil.example/", "spring", 1, AT)),
    ],
    "tokens of another purpose": [
        sign_mailing(KEYRING, MailingToken("https://evil.example/")),
        *(sign_recipient(KEYRING, RecipientToken(PROFILE, purpose)) for purpose in Purpose),
        sign_stitch(KEYRING, StitchToken(PROFILE, AT, b"a nonce here")),
    ],
    "tokens bent": [
        TOKEN[:-1],
        TOKEN[1:],
        TOKEN + "A",
        TOKEN + "=",
        TOKEN + "\n",
        f" {TOKEN}",
        TOKEN.swapcase(),
        TOKEN[::-1],
        TOKEN + TOKEN,
        f"{TOKEN}.{TOKEN}",
        f"~{TOKEN}",
        TOKEN.replace(TOKEN[30], "\uff21", 1),
        "A" * MAX_TOKEN_CHARACTERS,
        "A" * (MAX_TOKEN_CHARACTERS + 1),
    ],
    "payloads exchanged under a signature": [
        base64.urlsafe_b64encode(
            base64.urlsafe_b64decode(TOKEN + "=" * (-len(TOKEN) % 4)).replace(b"shop.example", b"evil.example")
        )
        .decode()
        .rstrip("="),
        base64.urlsafe_b64encode(b"\x01\x00https://evil.example/" + bytes(16)).decode().rstrip("="),
        base64.urlsafe_b64encode(b"\x02\x02k1https://evil.example/" + bytes(16)).decode().rstrip("="),
        base64.urlsafe_b64encode(b"\x01\xff" + bytes(40)).decode().rstrip("="),
    ],
}


@pytest.mark.parametrize(
    ("kind", "token"), [(kind, token) for kind, attempts in REFUSED_TOKENS.items() for token in attempts]
)
def test_a_token_of_this_kind_is_no_link(kind: str, token: str) -> None:
    assert kind
    with pytest.raises(BadToken):
        read_link(KEYRING, token)


SLOTTED = f"https://shop.example:8443/a/b?first={SLOT}&fixed=1&second={SLOT}#top"
HOSTILE_QUERIES = [
    "s1=https://evil.example",
    "s1=//evil.example&s2=//evil.example",
    "s1=%26fixed%3D2",
    "s1=1&fixed=2",
    "s1=1%26fixed=2",
    "s1=%0d%0aLocation:%20https://evil.example",
    "s1=%0D%0ASet-Cookie:%20a=b",
    "s1=%E5%98%8A%E5%98%8DLocation:x",
    "s1=%00",
    "s1=%23fragment",
    "s1=%3Fquestion",
    "s1=%40evil.example",
    "s1=%5C%5Cevil.example",
    "s1=..%2F..%2F",
    "s1=;fixed=2",
    "s1=%3Bfixed%3D2",
    "s1=%FF%FE",
    "s1=%u0000",
    "s1=%",
    "s1=javascript:alert(1)",
    "s1=<script>alert(1)</script>",
    "s1=\r\nX: y",
    "s1=\ud800",
    "s1[]=a",
    "S1=a",
    "s1=" + "a" * 5_000,
    "s3=unused&s0=unused",
    "first=a&second=b&fixed=c",
    "&&&=&=",
    "url=https://evil.example&next=https://evil.example&redirect=//evil.example&u=//evil.example",
]


def anatomy(sent: str) -> tuple[object, ...]:
    """Return what no click may change of an address."""
    parts = urlsplit(sent)
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    return parts.scheme, parts.netloc, parts.path, names, parts.fragment


def assert_clean(sent: str) -> None:
    assert re.fullmatch(r"[\x21-\x7e]+", sent)
    assert "\\" not in sent


@pytest.mark.parametrize("query", HOSTILE_QUERIES)
def test_no_query_changes_more_than_the_values_of_slots(query: str) -> None:
    # when
    sent = target(SLOTTED, click_parameters(query))
    # then
    assert anatomy(sent) == anatomy(without_values(SLOTTED))
    assert dict(parse_qsl(urlsplit(sent).query))["fixed"] == "1"
    assert_clean(sent)


@pytest.mark.parametrize(
    "query",
    [
        "gclid=1%26fixed=2",
        "gclid=1%23top",
        "gclid=%0d%0aLocation:%20https://evil.example",
        "gclid=//evil.example",
        "gclid=1&gclid=2",
        "gclid=1&fixed=2&first=3",
        "GCLID=1",
        "gclid=" + "a" * 5_000,
        "gclid=%00",
        "gclid=;fixed=2",
        "mt_stitch=planted",
        "MT_STITCH=planted",
    ],
)
def test_no_allowed_parameter_overrides_or_brings_another(query: str) -> None:
    # given an allow-list that names what the destination has, and what no one may plant
    forwarded = ("gclid", "fixed", "first", "mt_stitch", "MT_STITCH")
    # when
    sent = target(SLOTTED, click_parameters(query), forwarded=forwarded)
    # then
    scheme, netloc, path, names, fragment = anatomy(sent)
    assert isinstance(names, list)
    assert (scheme, netloc, path, fragment) == ("https", "shop.example:8443", "/a/b", "top")
    assert names in (["first", "fixed", "second"], ["first", "fixed", "second", "gclid"])
    assert dict(parse_qsl(urlsplit(sent).query))["fixed"] == "1"
    assert_clean(sent)


names = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), exclude_characters="\\&#=;+%"), min_size=1
)
anything = st.text() | st.text("%&=#?/\\\r\n;+@:\0 a", max_size=20)


@given(st.lists(names, min_size=1, max_size=4), st.lists(anything, max_size=5), st.lists(st.tuples(names, anything)))
def test_whatever_the_values_the_address_is_the_signed_one(
    parameters: Sequence[str], values: Sequence[str], extra: Sequence[tuple[str, str]]
) -> None:
    # given
    url = "https://shop.example:8443/a?" + "&".join(f"{name}={SLOT}" for name in parameters) + "#top"
    signed = read_link(KEYRING, sign_link(KEYRING, LinkToken(url, "spring", 1, AT))).url
    # when
    sent = location(signed, values, extra)
    # then
    assert signed == url
    scheme, netloc, path, sent_names, fragment = anatomy(sent)
    assert (scheme, netloc, path, fragment) == ("https", "shop.example:8443", "/a", "top")
    assert isinstance(sent_names, list)
    assert sent_names[: len(parameters)] == list(parameters)
    assert set(sent_names[len(parameters) :]) <= {name for name, _ in extra}
    assert_clean(sent)


@given(st.text() | st.binary(max_size=90).map(lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("=")))
def test_nothing_that_we_did_not_sign_is_a_link(token: str) -> None:
    with pytest.raises(BadToken):
        read_link(KEYRING, token)
