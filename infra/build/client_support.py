"""Makes the table of what mail clients support from Can I email's data: `python -m infra.build.client_support FILE`.

FILE is `caniemail.json` as https://www.caniemail.com/api/data.json serves it, or as the npm package `caniemail` holds
it (MIT, Rémi Parmentier and contributors). Only the latest verdicts of the clients that most mails are read in are
kept, and of them only what is not supported.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

TABLE: Final = (
    Path(__file__).parents[2] / "layers" / "mailtailor" / "python" / "mailtailor" / "content" / "client_support.json"
)
CLIENTS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "Gmail": (("gmail", "desktop-webmail"), ("gmail", "ios"), ("gmail", "android")),
    "Apple Mail": (("apple-mail", "macos"), ("apple-mail", "ios")),
    "Outlook (Windows)": (("outlook", "windows"),),
    "Outlook.com": (("outlook", "outlook-com"),),
    "Outlook apps": (("outlook", "ios"), ("outlook", "android")),
    "Yahoo": (("yahoo", "desktop-webmail"), ("yahoo", "ios"), ("yahoo", "android")),
    "Samsung Email": (("samsung-email", "android"),),
    "Thunderbird": (("thunderbird", "macos"),),
}
CATEGORIES: Final = frozenset({"css", "html", "image"})


def table(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table: by feature, the clients of which at least one platform does not support it."""
    features = {}
    for feature in source["data"]:
        if feature["category"] not in CATEGORIES:
            continue
        lacking = [
            client
            for client, platforms in CLIENTS.items()
            if any(_latest(feature["stats"], *platform) == "n" for platform in platforms)
        ]
        if lacking:
            features[feature["slug"]] = {"title": feature["title"], "not_in": lacking}
    return {
        "credit": "Can I email, https://www.caniemail.com, MIT, Rémi Parmentier and contributors",
        "as_of": source["last_update_date"][:10],
        "features": features,
    }


def _latest(stats: Mapping[str, Any], family: str, platform: str) -> str:
    """Return the newest verdict: y, n, a (partly) or u; without its notes."""
    verdicts = stats.get(family, {}).get(platform, {})
    # They are listed from the oldest version to the newest.
    return str(list(verdicts.values())[-1]).partition(" ")[0] if verdicts else "u"


if __name__ == "__main__":
    made = table(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    TABLE.write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
