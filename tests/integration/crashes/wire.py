"""The wire between functions and the world: every request is a point, and at one point something goes wrong.

It lies where botocore sends, so the client's own retries are real. What botocore sends again is no further point.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import StrEnum
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ReadTimeoutError
from moto.core.botocore_stubber import BotocoreStubber

from mailtailor.instant import SECOND

if TYPE_CHECKING:
    import pytest

T = TypeVar("T")


class Outcome(StrEnum):
    """What goes wrong at a point."""

    BEFORE = "dies before the request"
    AFTER = "dies after it was done"
    REFUSED = "is refused, until the client gives up"
    UNANSWERED = "gets no answer, and the client asks again"
    DOUBLED = "another does the whole batch first"


class Kind(NamedTuple):
    """A kind of request: which function makes it, and what it asks of what."""

    function: str
    request: str


class Point(NamedTuple):
    """One request of a run: its number, and of what kind it is."""

    number: int
    kind: Kind


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and at which point of a run."""

    number: int
    outcome: Outcome


class Killed(BaseException):
    """The end of a function, in the middle of everything."""


@dataclass
class Wire:
    """Passes requests on, counts those of functions, and lets one of them go wrong.

    Parameters
    ----------
    fault
        What goes wrong.
    clock
        Tells the instant at which answers are made.
    queues
        Answers requests for SQS, given the operation and what it asks.
    wrote
        Is told of what was written to a table, given the operation and what it asked.
    """

    fault: Fault | None
    clock: Callable[[], int]
    queues: Callable[[str, Any], dict[str, Any]]
    wrote: Callable[[str, Any], None]
    points: list[Point] = field(default_factory=list)
    _function: str = ""
    _rival: Callable[[], None] | None = None
    _dead: bool = False
    _call: object = None

    @contextmanager
    def working(self, function: str, rival: Callable[[], None]) -> Iterator[None]:
        """Count what is requested meanwhile as the function's; `rival` does the same work as another process would."""
        self._function, self._rival, self._dead = function, rival, False
        try:
            yield
        finally:
            self._function = ""

    def request(
        self, name: str, send: Callable[[], T], *, refused: Callable[[], T], lost: Exception, call: object
    ) -> T:
        """Pass a request on unless something goes wrong with it.

        Parameters
        ----------
        name
            What it asks of what.
        send
            Has it done.
        refused
            Makes the answer of a service that is too busy.
        lost
            What the client is told if no answer comes.
        call
            The same for all attempts of a client at one request.
        """
        if not self._function:
            return send()
        if self._dead:
            # Threads that are still at work when their function dies do nothing more.
            raise Killed
        first = call != self._call
        if first:
            self._call = call
            self.points.append(Point(len(self.points) + 1, Kind(self._function, name)))
        if self.fault is None or len(self.points) != self.fault.number:
            return send()
        return self._fail(self.fault.outcome, send, refused, lost, first=first)

    def _fail(
        self, outcome: Outcome, send: Callable[[], T], refused: Callable[[], T], lost: Exception, *, first: bool
    ) -> T:
        if outcome is Outcome.REFUSED:
            return refused()
        if outcome is Outcome.DOUBLED and first and self._rival:
            function, self._function = self._function, ""
            self._rival()
            self._function = function
            return send()
        if outcome is Outcome.BEFORE:
            self._die()
        if not first or outcome is Outcome.DOUBLED:
            return send()
        send()
        if outcome is Outcome.AFTER:
            self._die()
        raise lost

    def _die(self) -> None:
        self._dead = True
        raise Killed

    # The wire to AWS.

    def connect(self, patch: pytest.MonkeyPatch) -> None:
        """Lie between botocore and moto."""
        original = BotocoreStubber.__call__

        def sent(stubber: BotocoreStubber, event_name: str, request: AWSPreparedRequest, **given: Any) -> Any:
            _, service, operation = event_name.split(".")
            asked = _asked(service, request)

            def send() -> AWSResponse:
                if service == "sqs":
                    answer = _answer(request, 200, self.queues(operation, asked))
                else:
                    answered = original(stubber, event_name, request, **given)
                    assert answered is not None
                    answer = answered
                answer.headers["date"] = formatdate(self.clock() / SECOND, usegmt=True)
                if service == "dynamodb" and answer.status_code == 200:
                    self.wrote(operation, asked)
                return answer

            return self.request(
                f"{operation} {_target(service, request, asked)}",
                send,
                refused=lambda: _answer(request, 503, {}),
                lost=ReadTimeoutError(endpoint_url=request.url),
                call=request.headers["amz-sdk-invocation-id"],
            )

        patch.setattr(BotocoreStubber, "__call__", sent)


class _Raw(BytesIO):
    def stream(self, **_given: Any) -> Iterator[bytes]:
        yield self.read()


def _answer(request: AWSPreparedRequest, status: int, body: dict[str, Any]) -> AWSResponse:
    raw: Any = _Raw(json.dumps(body).encode() if body else b"")
    headers: Any = {"content-type": "application/x-amz-json-1.0"}
    return AWSResponse(request.url, status, headers, raw)


BY_BODY: Final = ("dynamodb", "sqs", "secrets-manager")
"""Services that are asked in JSON; S3 is asked by address."""


def _asked(service: str, request: AWSPreparedRequest) -> Any:
    body: Any = request.body
    return json.loads(body) if service in BY_BODY and body else {}


def _target(service: str, request: AWSPreparedRequest, asked: Any) -> str:
    """Return the table, queue, bucket or secret that a request is for."""
    match service:
        case "dynamodb" if "RequestItems" in asked:
            return str(next(iter(asked["RequestItems"])))
        case "dynamodb" if "TransactItems" in asked:
            return str(asked["TransactItems"][0]["Put"]["TableName"])
        case "dynamodb":
            return str(asked.get("TableName"))
        case "sqs":
            return str(asked["QueueUrl"]).rpartition("/")[2]
        case "s3":
            return str(urlsplit(request.url).hostname).partition(".")[0]
    return str(asked.get("SecretId"))
