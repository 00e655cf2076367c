"""What a block showed in a message: agreed on by every fetch, and kept in the archive."""

from __future__ import annotations

import json
import tempfile
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import httpx

from infra.local.system import System
from mailtailor.content.decision import MessageKey, in_sample
from mailtailor.tracking.tokens import MailingToken, Purpose, sign_mailing
from tests.e2e.people import Recipient, keyring, until


def test_a_decision_is_agreed_on_and_goes_through_the_tables_stream_to_the_archive(system: System) -> None:
    # given a message of the sample
    recipient = Recipient(system).introduce()
    sends = (f"send-{number}" for number in count())
    send = next(one for one in sends if in_sample(MessageKey(recipient.profile_id, "decided", one), 10))
    query = {
        "r": recipient.token(Purpose.CONTENT),
        "m": sign_mailing(keyring(system), MailingToken("decided", send)),
    }

    def fetch() -> dict[str, Any]:
        answer = httpx.get(f"{system.base_url}/content/hero.json", params=query, timeout=30)
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()
        return content

    # when it is fetched, and again after she looked at something
    recipient.content()
    first = fetch()
    recipient.send([recipient.track("Product Viewed", product_id="85123A", category="Lighting")])
    until(lambda: recipient.content()["variant"], accept=lambda variant: variant == "products")

    # then
    assert first["variant"] != "products"
    assert fetch() == first
    [row] = until(lambda: _archived(system, recipient.profile_id), seconds=180)
    assert row == ("hero", first["variant"], "decided", send, True)


def _archived(system: System, profile_id: str) -> list[tuple[Any, ...]]:
    """Return the decisions that the archive has of somebody."""
    s3, bucket = system.client("s3"), system.outputs["ArchiveBucket"]
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix="decisions/").get("Contents", [])]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.parquet" for number in range(len(keys))]
        for key, path in zip(keys, paths, strict=True):
            path.write_bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        if not paths:
            return []
        found = duckdb.execute(
            "SELECT DISTINCT ON (id) block, variant, campaign, instance, sampled "
            "FROM read_parquet($files) WHERE profile_id = $profile",
            {"files": [str(path) for path in paths], "profile": profile_id},
        ).fetchall()
    return [tuple(row) for row in json.loads(json.dumps(found))]
