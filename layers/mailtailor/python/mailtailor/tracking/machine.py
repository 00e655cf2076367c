"""Opens and clicks that no person made, as far as one hit shows it by itself.

A label says why; nothing is ever refused for it, because a user agent is what anybody says of himself. What shows only
in several hits together is in `bursts`. Every rule, with its source, is in docs/machine-events.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

CACHED: Final = 2_048
"""How many user agents' verdicts are kept; one takes less than a kilobyte."""
LONGEST: Final = 200
"""Characters of a user agent that are read: as many as `events.capture` keeps. An ESP may pass on more."""

APPLE_MPP: Final = "mozilla/5.0"
"""All that Apple's Mail Privacy Protection says; browsers go on with their platform."""
GMAIL_PREFETCH: Final = (
    "mozilla/5.0 (windows nt 10.0; win64; x64) applewebkit/537.36 (khtml, like gecko) chrome/42.0.2311.135"
    " safari/537.36 edge/12.246 mozilla/5.0"
)

PROXIES: Final = {
    "googleimageproxy": "gmail",
    "yahoomailproxy": "yahoo",
    "ramblermail": "rambler",
    "seznamemailproxy": "seznam",
    "secureurl.fwdcdn.com": "ukrnet",
    "fastmailua": "fastmail",
    "hey.com/imageproxy": "hey",
    "shortwave image fetcher": "shortwave",
}
"""Who loads images for a person, at the moment in which the person opens the mail, by a part of the user agent."""

SCANNERS: Final = {
    "barracuda": "barracuda",
    "proofpoint": "proofpoint",
    "urldefense": "proofpoint",
    "mimecast": "mimecast",
    "ciscosecure": "cisco",
    "ironport": "cisco",
    "safelinks": "microsoft",
    "google-safety": "google",
}
"""Security services that give their name, by a part of the user agent."""

APPS: Final = ("; wv)", "electron/", "metaiab ", "fban/", "fbav/", "[linkedinapp]", "instagram ")
"""Browsers inside apps: a person's, though the list of crawlers knows the app's name by its fetcher."""
ENGINES: Final = (
    *("applewebkit", "gecko", "khtml", "msie ", "presto", "trident"),
    *("elinks", "links (", "lynx/", "opera", "ucbrowser", "w3m/"),
)
"""One of these every browser names: an engine, or itself if it has its own. Mail programs load images without, but
links they hand to a browser."""
# fmt: off
LIBRARIES: Final = (
    "apache-http", "faraday", "go-", "go/", "got/", "guzzle", "http_request", "java", "libcurl", "lua-resty-http",
    "mechanize", "node", "perl", "php", "powershell", "pycurl", "python", "ruby", "user-agent", "wget", "winhttp",
    "www-mechanize",
)
# fmt: on
"""How HTTP libraries begin that the list of crawlers lacks or knows in part. No browser or mail program begins so."""
ALONE: Final = {
    GMAIL_PREFETCH: "gmail_prefetch",
    APPLE_MPP: "apple_mpp",
    "": "no_user_agent",
    "-": "no_user_agent",
    "mozilla": "http_client",
    "mozilla/4.0": "http_client",
    "mozilla/5.0 (compatible)": "http_client",
}
"""What tells by being all that is said."""


@dataclass(frozen=True, slots=True)
class Label:
    """A verdict: `machine` is the reason why no person made the hit, empty for a person's; `proxy` stood for one."""

    machine: str = ""
    proxy: str = ""


def label(event_type: str, properties: Mapping[str, Any]) -> Label:
    """Return what an open or click shows by itself. Properties of a wrong type count as absent.

    Parameters
    ----------
    event_type
        `email_opened` or `email_link_clicked`.
    properties
        The event's: `user_agent`, `method`, `prefetch`, `network`, `position`, and an ESP's own `machine`.
    """
    if said := properties.get("machine"):
        return Label(said if isinstance(said, str) else "esp")
    # True and 0.0 equal integers, but neither is a link's position.
    position = properties.get("position")
    if type(position) is int and position == 0:
        return Label("honeypot")
    if properties.get("method") == "HEAD":
        return Label("head")
    if properties.get("prefetch") is True:
        return Label("prefetch")
    network = properties.get("network")
    if network and isinstance(network, str):
        return Label(f"scanner_{network}")
    user_agent = properties.get("user_agent")
    # Reports of an ESP may have none; one that is there and empty is from somebody who hides what every browser says.
    return _judged(event_type == "email_opened", user_agent[:LONGEST]) if isinstance(user_agent, str) else Label()


@lru_cache(maxsize=CACHED)
def _judged(opened: bool, user_agent: str) -> Label:
    """Return what a user agent says; few are said often, so the thousand patterns are seldom tried."""
    said = user_agent.strip().lower()
    if named := next((name for part, name in SCANNERS.items() if part in said), ""):
        return Label(f"scanner_{named}")
    if named := next((name for part, name in PROXIES.items() if part in said), ""):
        # They load images, never pages.
        return Label(proxy=named) if opened else Label("crawler")
    if said in ALONE:
        return Label(ALONE[said]) if opened or said != APPLE_MPP else Label("http_client")
    if any(part in said for part in APPS):
        return Label()
    if _is_crawler(user_agent):
        return Label("crawler")
    return Label("http_client" if said.startswith(LIBRARIES) or not (opened or _has_engine(said)) else "")


def _has_engine(said: str) -> bool:
    return any(name in said for name in ENGINES)


def _is_crawler(user_agent: str) -> bool:
    # Reading the patterns takes as long as a hundred events: only who needs them does.
    from crawleruseragents import is_crawler  # type: ignore[import-untyped]  # noqa: PLC0415

    return bool(is_crawler(user_agent))
