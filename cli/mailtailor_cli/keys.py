"""A system's secrets, for commands that sign or look people up; and how any command asks AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from mailtailor.aws.profile_table import Throttled
from mailtailor.errors import MailtailorError
from mailtailor.profiles.identity import Pseudonymizer
from mailtailor.tracking.tokens import Keyring
from mailtailor_cli.connection import Connection


def keyring(system: Connection) -> Keyring:
    """Return the keyring of `system`; raise `MailtailorError` if it cannot be read."""
    return Keyring.from_secret(_secret(system, "TokensSecretId"))


def pseudonymizer(system: Connection) -> Pseudonymizer:
    """Return what makes profile ids of outside keys in `system`; raise `MailtailorError` as `keyring` does."""
    return Pseudonymizer(_secret(system, "IdentitySecretId")["pepper"].encode())


@contextmanager
def asking(system: Connection) -> Iterator[None]:
    """Turn what goes wrong while AWS is asked into a `MailtailorError` that names `system`."""
    try:
        yield
    except ClientError as error:
        raise MailtailorError(f"{system.subject} refused: {error.response['Error']['Message']}") from error
    except BotoCoreError as error:
        raise MailtailorError(f"{system.subject} does not answer: {error}") from error
    except Throttled as error:
        raise MailtailorError(f"{system.subject} has too much to do.", "Try again later.") from error


def _secret(system: Connection, output: str) -> Mapping[str, str]:
    with asking(system):
        answer = system.client("secretsmanager").get_secret_value(SecretId=system.outputs[output])
    secret: Mapping[str, str] = json.loads(answer["SecretString"])
    return secret
