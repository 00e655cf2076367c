"""The deployment's secrets, as far as the demonstration plays a part that holds them: an ESP and a shop."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from infra.local.system import System
from mailtailor.profiles.identity import IdentityKind, Pseudonymizer
from mailtailor.tracking.tokens import Keyring


@dataclass(frozen=True, slots=True)
class Keys:
    """What signs and names.

    Parameters
    ----------
    pseudonymizer
        Makes profile ids of customer numbers.
    keyring
        Signs links and recipients.
    esp_key
        Verifies what is delivered to the ESP.
    """

    pseudonymizer: Pseudonymizer
    keyring: Keyring
    esp_key: str

    @classmethod
    def of(cls, system: System) -> Keys:
        """Read the keys of `system`."""
        client = system.client("secretsmanager")

        def secret(output: str) -> dict[str, Any]:
            value: dict[str, Any] = json.loads(client.get_secret_value(SecretId=system.outputs[output])["SecretString"])
            return value

        return cls(
            pseudonymizer=Pseudonymizer(secret("IdentitySecretId")["pepper"].encode()),
            keyring=Keyring.from_secret(secret("TokensSecretId")),
            esp_key=secret("EspSecretId")["signing_key"],
        )

    def profile_id(self, customer: str) -> str:
        """Return the pseudonym of a customer number."""
        return self.pseudonymizer.pseudonym(IdentityKind.USER_ID, customer)
