"""The networks from which security services look at mail, as far as their operators publish them.

A hit from one of them is not refused, only labelled. Ranges that people browse from as well are left out: Exchange
Online (Outlook on the web's own traffic), Azure (virtual desktops) and web gateways such as Zscaler.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

_RANGES: Final = {
    # Exchange Online Protection, "Microsoft 365 URLs and IP address ranges", ids 9 and 10 (*.protection.outlook.com):
    # https://learn.microsoft.com/microsoft-365/enterprise/urls-and-ip-address-ranges
    "microsoft": (
        "40.92.0.0/15 40.107.0.0/16 52.100.0.0/14 104.47.0.0/17 2a01:111:f400::/48 2a01:111:f403::/48"
    ),
    # https://campus.barracuda.com/product/emailgatewaydefense/doc/96023004/ip-analysis-inbound/
    "barracuda": "209.222.80.0/21",
    # https://proofpoint.my.site.com/support/PPSup_SupportInfo
    "proofpoint": "67.231.144.0/20 208.84.64.0/22 208.86.200.0/22",
}


def _number(address: str) -> int:
    """Return an IPv4 address as the IPv6 one that stands for it (RFC 4291, 2.5.5.2), as a number; -1 for garbage.

    By hand, for importing `ipaddress` would cost the pixel more than all look-ups of a start.
    """
    head, gap, tail = address.partition("::")
    last = (tail if gap else head).rpartition(":")[2]
    if "." in last:
        quad = last.split(".")
        if len(quad) != 4 or not all(part.isascii() and part.isdigit() and len(part) < 4 for part in quad):
            return -1
        bytes_ = [int(part) for part in quad]
        if max(bytes_) > 255:
            return -1
        groups = f"{bytes_[0] << 8 | bytes_[1]:x}:{bytes_[2] << 8 | bytes_[3]:x}"
        if address == last:
            return _number("::ffff:" + groups)
        return _number(address[: -len(last)] + groups)
    before, after = (part.split(":") if part else [] for part in (head, tail))
    missing = 8 - len(before) - len(after)
    if missing < 1 if gap else missing:
        return -1
    number = 0
    for group in [*before, *("0" * missing), *after]:
        if not 0 < len(group) < 5 or not group.isascii() or not group.isalnum():
            return -1
        try:
            number = number << 16 | int(group, 16)
        except ValueError:
            return -1
    return number


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
