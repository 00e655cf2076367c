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
    prefix
        Of the route's paths, such as `/o/`.
    patience
        How many seconds the API may take.
    content_type, body
        The answer.
    """

    prefix: str
    patience: int
    content_type: str
    body: bytes


FALLBACKS: Final = (
    Fallback(prefix="/o/", patience=5, content_type="image/gif", body=pixel.GIF),
    Fallback(prefix="/c/", patience=5, content_type="text/html; charset=utf-8", body=TRY_AGAIN.encode()),
    # An error would be kept by mail clients' proxies for long.
    Fallback(prefix="/image/", patience=3, content_type="image/gif", body=pixel.GIF),
    # The mail stays whole without the block.
    Fallback(prefix="/content/", patience=4, content_type="text/html; charset=utf-8", body=b""),
)
