"""Pictures of pages, taken by a Chromium that is on this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from mailtailor.errors import MailtailorError, NotFound

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
SECONDS: Final = 30
"""Until a browser that does not come to an end is stopped: images may be loaded from afar."""
MAX_HEIGHT: Final = 8_000
"""Pixels; a block is a few hundred high, and a picture beyond this helps nobody."""
_HEIGHT: Final = re.compile(r'data-height="([0-9]{1,6})"')
_SETTLED: Final = 4_000
"""Milliseconds of the page's own time, in which images may arrive."""


def find_browser() -> str:
    """Return the path of a browser that can take pictures; raise `NotFound` if there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise NotFound(
            "No Chromium was found on this machine, so there are no pictures.",
            "Install chromium or Chrome, or leave out --png: the HTML is the same.",
        )
    return found


def take(browser: str, page: str, width: int, path: Path) -> None:
    """Write a picture of a whole page, as `mailtailor_cli.preview_page` makes them.

    Parameters
    ----------
    browser
        As `find_browser` returned it.
    page
        HTML that tells its own height.
    width
        In CSS pixels.
    path
        Where the PNG goes.

    Raises
    ------
    MailtailorError
        If the browser fails, or takes too long.
    """
    with tempfile.TemporaryDirectory(prefix="mailtailor-") as folder:
        file = Path(folder) / "page.html"
        file.write_text(page, encoding="utf-8")
        common = [f"--user-data-dir={folder}/profile", f"--virtual-time-budget={_SETTLED}", file.as_uri()]
        said = _run(browser, "--dump-dom", f"--window-size={width},600", *common)
        told = _HEIGHT.search(said)
        height = min(max(int(told[1]) if told else 600, 1), MAX_HEIGHT)
        _run(browser, f"--screenshot={path.resolve()}", f"--window-size={width},{height}", *common)
    if not path.exists():
        raise MailtailorError("The browser took no picture.", "Leave out --png: the HTML is the same.")


def _run(browser: str, *arguments: str) -> str:
    command = [browser, "--headless=new", "--disable-gpu", "--hide-scrollbars", "--no-first-run", *arguments]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # Chromium refuses to run its own sandbox as root; the page's frames run no scripts in any case.
        command.insert(1, "--no-sandbox")
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=True)  # noqa: S603 - our own arguments
    except subprocess.TimeoutExpired as error:
        raise MailtailorError(f"The browser took longer than {SECONDS} seconds.", "Leave out --png.") from error
    except (OSError, subprocess.CalledProcessError) as error:
        raise MailtailorError(
            "The browser could not take the picture.", "Leave out --png: the HTML is the same."
        ) from error
    return done.stdout.decode("utf-8", "replace")
