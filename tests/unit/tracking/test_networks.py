"""Networks of scanners: the published ranges, and nothing else."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.tracking.networks import network


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("40.92.0.0", "microsoft"),
        ("40.93.255.255", "microsoft"),
        ("104.47.127.255", "microsoft"),
        ("2a01:111:f403:c10::1", "microsoft"),
        ("2A01:0111:F400:FFFF:FFFF:FFFF:FFFF:FFFF", "microsoft"),
        ("::ffff:104.47.0.1", "microsoft"),
        ("209.222.82.7", "barracuda"),
        ("18.133.136.96", "barracuda"),
        ("67.231.152.1", "proofpoint"),
    ],
)
def test_published_ranges_are_known(address: str, name: str) -> None:
    assert network(address) == name


@pytest.mark.parametrize("address", ["40.91.255.255", "40.94.0.0", "104.47.128.0", "2a01:111:f401::", "18.133.136.192"])
def test_neighbours_of_a_range_are_not_in_it(address: str) -> None:
    assert network(address) == ""


@pytest.mark.parametrize(
    "address",
    # Outlook on the web, Google's image proxy, Zscaler, iCloud Private Relay, a home, documentation (RFC 5737, 3849)
    ["52.97.1.1", "66.249.93.1", "165.225.1.1", "172.225.1.1", "91.64.1.1", "192.0.2.1", "2001:db8::1"],
)
def test_networks_from_which_people_browse_are_nobody_s(address: str) -> None:
    assert network(address) == ""


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "-",
        "unknown",
        "40.92.0",
        "40.92.0.0.0",
        "40.92.0.256",
        "40.92.0.0:443",
        "4\u0660.92.0.0",
        "+40.92.0.0",
        "40.92..0",
        ":",
        ":::",
        "1::2::3",
        "2a01:111:f403",
        "2a01:111:f403:::1",
        "2a01:111:f403::g",
        "2a01:111:f403::1%eth0",
        "40.92.0.0/15",
        "1" * 99,
    ],
)
def test_garbage_is_nobody_s(garbage: str) -> None:
    assert network(garbage) == ""


@given(st.one_of(st.text(), st.text(alphabet="0123456789abcdef:.", max_size=45)))
def test_no_text_is_too_odd(text: str) -> None:
    assert network(text) in {"", "barracuda", "microsoft", "proofpoint"}


@given(st.integers(0, 2**32 - 1))
def test_an_address_is_the_same_in_all_its_spellings(number: int) -> None:
    # given
    plain, mapped = IPv4Address(number), IPv6Address(0xFFFF << 32 | number)
    # then
    assert network(str(plain)) == network(str(mapped)) == network(mapped.exploded) == network(f"::ffff:{plain}")
