"""The few calls to AWS that an answer to an ESP waits for, without an SDK.

Importing botocore and making three clients takes twice as long as all else that content needs to start, and a cold
start counts in the time that an ESP waits (docs/decisions.md). What is called here are plain HTTP APIs: JSON is
posted, or an object is fetched. Methods have the names, arguments and results of botocore's clients and raise its
`ClientError`, so whoever is given one of these cannot tell the difference.

There are no second attempts, but for a connection that the other side closed while the function was frozen: every call
here may be repeated.
"""

# ruff: noqa: ANN401 - what goes in and comes out has the forms of botocore's clients, which are made at run time
from __future__ import annotations

import base64
import json
import os
import re
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

from botocore.exceptions import ClientError

from mailtailor.aws.clock import system_clock
from mailtailor.aws.signature import Credentials, Scope, signed
from mailtailor.errors import MailtailorError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient

_CODE: Final = re.compile(rb"<Code>(\w+)</Code>")
_CLOSED: Final = (ConnectionError, HTTPException, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""What is raised on a connection that the other side has closed meanwhile."""


class Reply(NamedTuple):
    """What was answered; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds to wait for a connection, and for each part of an answer."""

    connect: float
    read: float


class Host:
    """One host of AWS, with the connections to it that are free.

    Parameters
    ----------
    url
        Where it is; a path in it comes before those asked for.
    scope
        For what to sign.
    patience
        How long to wait.
    """

    def __init__(self, url: str, scope: Scope, patience: Patience) -> None:
        self._url = urlsplit(url)
        self._scope = scope
        self._patience = patience
        self._free: deque[HTTPConnection] = deque()

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """Return the answer to a signed request.

        Raises
        ------
        OSError, http.client.HTTPException
            If there is none in time; `TimeoutError` is an `OSError`.
        """
        path = self._url.path.rstrip("/") + path
        complete = signed(
            method,
            path,
            {"host": self._url.netloc, **headers},
            body,
            credentials=_credentials(),
            scope=self._scope,
            # The system's: AWS knows nothing of a clock that the demonstration moves.
            now=system_clock(),
        )
        try:
            used = self._free.pop()
        except IndexError:
            return self._exchange(self._connection(), method, path, complete, body)
        try:
            return self._exchange(used, method, path, complete, body)
        except _CLOSED:
            return self._exchange(self._connection(), method, path, complete, body)

    def _connection(self) -> HTTPConnection:
        host, port, wait = self._url.hostname or "", self._url.port, self._patience.connect
        if self._url.scheme == "https":
            return HTTPSConnection(host, port, timeout=wait, context=_tls())
        return HTTPConnection(host, port, timeout=wait)

    def _exchange(
        self, connection: HTTPConnection, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        try:
            if connection.sock is None:
                connection.connect()
                if connection.sock is not None:  # which connecting has made
                    connection.sock.settimeout(self._patience.read)
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            reply = Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        except BaseException:
            connection.close()
            raise
        if connection.sock is not None:  # else the other side wants no more on it
            self._free.append(connection)
        return reply


class _JsonApi:
    """An API that is posted JSON, with the operation in a header."""

    def __init__(self, host: Host, prefix: str, version: str) -> None:
        self._host = host
        self._prefix = prefix
        self._type = f"application/x-amz-json-{version}"

    def _call(self, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"content-type": self._type, "x-amz-target": f"{self._prefix}.{operation}"}
        reply = self._host.ask("POST", "/", headers, json.dumps(arguments).encode())
        try:
            result: dict[str, Any] = json.loads(reply.body)
        except ValueError:
            result = {}
        if reply.status != 200:
            code = str(result.get("__type", reply.status)).rpartition("#")[2]
            message = str(result.get("message", result.get("Message", "")))
            raise _error(code, message, reply, operation)
        return result


class DynamoDB(_JsonApi):
    """What `botocore`'s DynamoDB client does, of which three operations."""

    def __init__(self, host: Host) -> None:
        super().__init__(host, "DynamoDB_20120810", "1.0")

    def get_item(self, **arguments: Any) -> Any:
        """Read one item."""
        return _with_bytes(self._call("GetItem", arguments))

    def batch_get_item(self, **arguments: Any) -> Any:
        """Read many items."""
        return _with_bytes(self._call("BatchGetItem", arguments))

    def update_item(self, **arguments: Any) -> Any:
        """Change one item."""
        return _with_bytes(self._call("UpdateItem", arguments))


class SecretsManager(_JsonApi):
    """What `botocore`'s Secrets Manager client does, of which one operation."""

    def __init__(self, host: Host) -> None:
        super().__init__(host, "secretsmanager", "1.1")

    def get_secret_value(self, **arguments: Any) -> Any:
        """Read a secret."""
        return self._call("GetSecretValue", arguments)


class S3:
    """What `botocore`'s S3 client does, of which one operation.

    Parameters
    ----------
    region, suffix, patience
        As `Aws` takes them.
    """

    def __init__(self, region: str, suffix: str, patience: Patience) -> None:
        self._scope = Scope(region, "s3")
        self._suffix = suffix
        self._patience = patience
        self._own = _own_endpoint("S3").rstrip("/")
        self._hosts: dict[str, Host] = {}

    def get_object(self, *, Bucket: str, Key: str, IfNoneMatch: str = "") -> Any:  # noqa: N803 - botocore's names
        """Read an object, unless its entity tag is the one given; as botocore has it, that is an error then."""
        headers = {"if-none-match": IfNoneMatch} if IfNoneMatch else {}
        reply = self._host(Bucket).ask("GET", f"/{quote(Key, safe='/~')}", headers)
        if reply.status != 200:
            found = _CODE.search(reply.body[:4_096])
            raise _error(found[1].decode() if found else str(reply.status), "", reply, "GetObject")
        return {"Body": BytesIO(reply.body), "ETag": reply.headers.get("etag", "")}

    def _host(self, bucket: str) -> Host:
        if bucket not in self._hosts:
            url = f"{self._own}/{bucket}" if self._own else f"https://{bucket}.s3.{self._scope.region}.{self._suffix}"
            self._hosts[bucket] = Host(url, self._scope, self._patience)
        return self._hosts[bucket]


class Aws:
    """Makes the clients. They have botocore's types, and of its operations those that are listed above.

    Parameters
    ----------
    suffix
        What the names of AWS's hosts end with in this part of the world.
    patience
        How long calls wait.
    """

    def __init__(self, *, suffix: str, patience: Patience) -> None:
        self._suffix = suffix
        self._patience = patience
        self._region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION", "")
        if not self._region:
            raise MailtailorError("The region is not known.", "Set AWS_REGION.")

    def dynamodb(self) -> DynamoDBClient:
        """Return a client for DynamoDB."""
        client: Any = DynamoDB(self._host("DynamoDB", "dynamodb"))
        return client  # type: ignore[no-any-return]

    def secrets_manager(self) -> SecretsManagerClient:
        """Return a client for Secrets Manager."""
        client: Any = SecretsManager(self._host("Secrets Manager", "secretsmanager"))
        return client  # type: ignore[no-any-return]

    def s3(self) -> S3Client:
        """Return a client for S3."""
        client: Any = S3(self._region, self._suffix, self._patience)
        return client  # type: ignore[no-any-return]

    def _host(self, service: str, name: str) -> Host:
        url = _own_endpoint(service) or f"https://{name}.{self._region}.{self._suffix}"
        return Host(url, Scope(self._region, name), self._patience)


def _own_endpoint(service: str) -> str:
    """Return where AWS's own variables say that a service is, empty if it is where it always is."""
    name = f"AWS_ENDPOINT_URL_{service.upper().replace(' ', '_')}"
    return os.environ.get(name) or os.environ.get("AWS_ENDPOINT_URL", "")


def _credentials() -> Credentials:
    try:
        return Credentials(
            os.environ["AWS_ACCESS_KEY_ID"],
            os.environ["AWS_SECRET_ACCESS_KEY"],
            os.environ.get("AWS_SESSION_TOKEN", ""),
        )
    except KeyError as error:
        raise MailtailorError(
            "The function has no credentials.", "Lambda gives each function those of its role."
        ) from error


@cache
def _tls() -> ssl.SSLContext:
    # Once: reading the authorities' certificates takes longer than a handshake.
    return ssl.create_default_context()


def _error(code: str, message: str, reply: Reply, operation: str) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {
                "HTTPStatusCode": reply.status,
                "RequestId": reply.headers.get("x-amzn-requestid", ""),
                "HostId": "",
                "HTTPHeaders": dict(reply.headers),
                "RetryAttempts": 0,
            },
        },
        operation,
    )


def _with_bytes(value: Any) -> Any:
    """Return a result of DynamoDB with its bytes decoded; only a value of theirs is a text under the name `B`."""
    if isinstance(value, dict):
        return {
            name: base64.b64decode(one) if name == "B" and isinstance(one, str) else _with_bytes(one)
            for name, one in value.items()
        }
    return [_with_bytes(one) for one in value] if isinstance(value, list) else value
