"""Asks functions behind the routes under /admin, past the API: who may invoke them needs no second login."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mailtailor.errors import MailtailorError
from mailtailor_cli.connection import Connection
from mailtailor_cli.keys import asking


@dataclass(frozen=True, slots=True)
class AdminFunction:
    """A function that answers requests in JSON.

    Attributes
    ----------
    name
        What the stack calls it; its output is that and `Function`.
    offers
        What a system lacks that was deployed before there was this function, such as "campaign reports".
    failed
        What it could not do if it broke, such as "make the report".
    """

    name: str
    offers: str
    failed: str

    def ask(self, system: Connection, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the answer to a GET request.

        Raises
        ------
        MailtailorError
            If the function refuses, with its own sentence, or does not answer.
        """
        return self._answered(system, path, "GET", queryStringParameters=dict(query))

    def post(self, system: Connection, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a POST request; raise `MailtailorError` as `ask` does."""
        return self._answered(system, path, "POST", body=json.dumps(body))

    def _answered(self, system: Connection, path: str, method: str, **rest: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        event = {
            "version": "2.0",
            "rawPath": path,
            "requestContext": {"requestId": "mailtailor-cli", "http": {"method": method}},
            **rest,
        }
        response = self._invoked(system, event)
        if "statusCode" not in response:
            raise MailtailorError(f"{system.subject} could not {self.failed}.", f"The log of {self.name} says why.")
        body: dict[str, Any] = json.loads(response["body"])
        if response["statusCode"] != 200:
            raise MailtailorError(body["message"], body["hint"])
        return body

    def _invoked(self, system: Connection, event: Mapping[str, Any]) -> dict[str, Any]:
        try:
            with asking(system):
                invoked = system.client("lambda").invoke(
                    FunctionName=system.outputs[f"{self.name}Function"], Payload=json.dumps(event)
                )
                response: dict[str, Any] = json.loads(invoked["Payload"].read())
        except KeyError as error:
            raise MailtailorError(f"{system.subject} has no {self.offers}.", "Deploy it again.") from error
        except ValueError as error:
            raise MailtailorError(f"{system.subject} does not answer: {error}") from error
        return response
