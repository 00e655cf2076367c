"""What is answered when nothing behind a route answers: by the CDN in the cloud, by its stand-in on one machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mailtailor.tracking import pixel

TRY_AGAIN: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex">
<title>Please try again</title>
<style>
body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 28rem; margin: 20vh auto; padding: 0 1.5rem }
a { color: inherit }
</style>
<h1>One moment, please</h1>
<p>The page behind this link did not answer in time. <a href="">Try again</a>: the link stays good.</p>
</html>
"""


@dataclass(frozen=True, kw_only=True)
class Fallback:
    """What a route answers when nothing behind it does.

    Parameters
    ----------
    prefix, suffix
        Of the route's paths, such as `/o/`, and of those among them that get this answer; the first that fits does.
    patience
        How many seconds the API may take; one number for all of a prefix.
    content_type, body
        The answer.
    cached
        Whether the CDN may keep the API's own answers, as long as they say so; one truth for all of a prefix.
    """

    prefix: str
    suffix: str = ""
    patience: int
    content_type: str
    body: bytes
    cached: bool = False

    def answers(self, path: str) -> bool:
        """Return whether this is the answer for `path`."""
        return path.startswith(self.prefix) and path.endswith(self.suffix)


FALLBACKS: Final = (
    Fallback(prefix="/o/", patience=5, content_type="image/gif", body=pixel.GIF),
    Fallback(prefix="/c/", patience=5, content_type="text/html; charset=utf-8", body=TRY_AGAIN.encode()),
    # An error would be kept by mail clients' proxies for long.
    Fallback(prefix="/image/", patience=3, content_type="image/gif", body=pixel.GIF),
    # The mail stays whole without the block. JSON is an object, for Braze reads no other kind. Braze leaves content out
    # after two seconds, so the API has one of them.
    *(
        Fallback(
            prefix="/content/", suffix=suffix, patience=1, content_type=f"{kind}; charset=utf-8", body=body, cached=True
        )
        for suffix, kind, body in (
            (".json", "application/json", b"{}"),
            (".txt", "text/plain", b""),
            ("", "text/html", b""),
        )
    ),
)
