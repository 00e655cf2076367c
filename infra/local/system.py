"""A running local system, as the demonstration, the command line and the end-to-end tests see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import boto3

from infra.local import clock
from mailtailor.instant import Instant

REGION: Final = "us-east-1"
CREDENTIALS: Final = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
"""The stand-in checks no signature; these only keep a real account's credentials out of every request."""


@dataclass(frozen=True, slots=True)
class System:
    """Where a local system is and what it is made of.

    Parameters
    ----------
    base_url
        The stable address, without trailing slash: what a recipient's or a provider's request goes to.
    endpoint_url
        The stand-in's own address, for AWS clients.
    outputs
        The outputs of the stack `MailtailorApp`.
    write_key
        Authorizes the tracking API.
    shopify_secret
        Signs Shopify's webhooks.
    browser_key
        Authorizes the tracking API for web pages, which may do less.
    state_dir
        Everything that lives as long as this system's data.
    demo
        Whether the demonstration is on.
    admin_password
        Of the administrator that each local system has.
    """

    base_url: str
    endpoint_url: str
    outputs: Mapping[str, str]
    write_key: str
    shopify_secret: str
    state_dir: Path
    demo: bool
    admin_password: str = ""
    browser_key: str = ""

    @property
    def clock_file(self) -> Path:
        """The file with the clock's offset in milliseconds; every function reads it."""
        return self.state_dir / "clock"

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        """Return a boto3 client of this system, made once a service; clients may be shared between threads."""
        return client_of(self.endpoint_url, service)

    def now(self) -> Instant:
        """Return the instant that the functions take for now."""
        return clock.now(self.clock_file)

    def move_clock(self, milliseconds: int) -> None:
        """Move time forward, and with it the wake-ups that became due.

        Raises
        ------
        BadInput
            If `milliseconds` is negative.
        """
        functions, segment_clock = self.client("lambda"), self.outputs["SegmentClockFunction"]
        # A sweep goes on where the one before stopped; without one before, it would not look back over the leap.
        clock.sweep(functions, segment_clock)
        clock.move(self.clock_file, milliseconds)
        clock.sweep(functions, segment_clock)


@cache
def client_of(endpoint_url: str, service: str) -> Any:  # noqa: ANN401
    """Return a boto3 client of the stand-in at `endpoint_url`."""
    return boto3.client(service, region_name=REGION, endpoint_url=endpoint_url, **CREDENTIALS)  # type: ignore[call-overload]
