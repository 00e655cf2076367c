"""The networks from which security services look at mail, as far as their operators publish them.

A hit from one of them is not refused, only labelled. Ranges that people browse from as well are left out: Exchange
Online (Outlook on the web's own traffic), Azure (virtual desktops) and web gateways such as Zscaler.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

_RANGES: Final = {
    # Exchange Online Protection: sets 9 and 10 (*.protection.outlook.com) of "Microsoft 365 URLs and IP address ranges"
    # https://learn.microsoft.com/microsoft-365/enterprise/urls-and-ip-address-ranges
    "microsoft": (
        "40.92.0.0/15 40.107.0.0/16 52.100.0.0/14 52.238.78.88/32 104.47.0.0/17 2a01:111:f400::/48 2a01:111:f403::/48"
    ),
    # Email Gateway Defense: 209.222.80.0/21 by https://campus.barracuda.com/product/essentials/doc/78810332/ and the
    # blocks by region from another project's list, which says that Barracuda publishes them. Not 64.235.144.0/20,
    # which other lists have: by ARIN it is the company's own, offices and all.
    "barracuda": (
        "3.24.133.128/25 13.200.136.128/25 15.222.16.128/25 18.133.136.96/27 18.133.136.128/26 18.184.203.224/27"
        " 18.185.115.192/26 35.157.190.224/27 35.176.92.96/27 209.222.80.0/21"
    ),
    # Where Proofpoint's services are, for its customers' firewalls: https://proofpoint.my.site.com/support/PPSup_SupportInfo
    "proofpoint": "62.209.50.0/24 67.231.144.0/20 91.209.104.0/24 208.84.64.0/22 208.86.200.0/22",
}
"""Of Mimecast and Cisco no list by themselves was found; see docs/machine-events.md."""

_MAPPED: Final = 0xFFFF << 32
"""An IPv4 address as the IPv6 one that stands for it (RFC 4291, 2.5.5.2)."""


def _number(address: str) -> int:
    """Return an IP address as a number, IPv4 ones as mapped to IPv6; -1 for garbage.

    By hand, for importing `ipaddress` would cost the pixel more than all look-ups of a start.
    """
    colon = address.rfind(":")
    if "." not in address[colon + 1 :]:
        return _from_groups(address)
    low = _from_quad(address[colon + 1 :])
    if low < 0 or colon < 0:
        return low if low < 0 else _MAPPED + low
    return _from_groups(f"{address[: colon + 1]}{low >> 16:x}:{low & 0xFFFF:x}")


def _from_quad(text: str) -> int:
    parts = text.split(".")
    if len(parts) != 4 or not all(part.isascii() and part.isdigit() and len(part) <= 3 for part in parts):
        return -1
    numbers = [int(part) for part in parts]
    return int.from_bytes(numbers, "big") if max(numbers) <= 0xFF else -1


def _from_groups(text: str) -> int:
    head, gap, tail = text.partition("::")
    before, after = (part.split(":") if part else [] for part in (head, tail))
    missing = 8 - len(before) - len(after)
    if missing < 1 if gap else missing:
        return -1
    groups = [*before, *("0" * missing), *after]
    if not all(0 < len(group) <= 4 and not group.strip("0123456789abcdefABCDEF") for group in groups):
        return -1
    return int("".join(group.zfill(4) for group in groups), 16)


def _table() -> tuple[list[int], list[int], list[str]]:
    """Return firsts and lasts of all ranges, in order, and whose they are."""
    found = []
    for name, ranges in _RANGES.items():
        for cidr in ranges.split():
            address, _, bits = cidr.partition("/")
            size = 1 << (32 if "." in address else 128) - int(bits)
            found.append((_number(address), _number(address) + size - 1, name))
    firsts, lasts, names = zip(*sorted(found), strict=True)
    return list(firsts), list(lasts), list(names)


_FIRSTS, _LASTS, _NAMES = _table()
_LONGEST: Final = 45
"""An IPv6 address that ends in dotted quads."""


def network(address: str) -> str:
    """Return the name of the scanners' network that an IP address belongs to; empty for none, or garbage."""
    number = _number(address) if len(address) <= _LONGEST else -1
    at = bisect_right(_FIRSTS, number) - 1
    return _NAMES[at] if at >= 0 and number <= _LASTS[at] else ""
