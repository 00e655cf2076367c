"""Who a fetch is for, and what was decided for the same message before: one read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mailtailor.aws import decision_table, profile_item
from mailtailor.aws.decision_table import DecisionTable
from mailtailor.aws.fetch_credentials import FetchCredentials
from mailtailor.aws.observability import count, logger
from mailtailor.aws.profile_table import ProfileTable, Throttled
from mailtailor.aws.token_keys import TokenKeys
from mailtailor.consent.policy import Purpose as Use
from mailtailor.consent.policy import allows
from mailtailor.content.decision import Decision, MessageKey
from mailtailor.profiles.profile import Profile
from mailtailor.tracking.tokens import BadToken, Keyring, MailingToken, Purpose, read_mailing, read_recipient

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_PROFILE_ID: Final = re.compile(r"[A-Za-z0-9_-]{22}")


class Impersonal(Exception):
    """The recipient is not shown personal content.

    Parameters
    ----------
    reason
        One word for metrics: `anonymous`, `token_...` (see `BadToken`), `credential`, `unknown`, `revoked`, `consent`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom a fetch names, nothing of it verified and all of it perhaps empty.

    Attributes
    ----------
    token
        A content token, `r`.
    profile_id
        Whom a server names, `p`.
    authorization
        The header in which it shows its credential.
    message
        The mailing's token, `m`.
    """

    token: str = ""
    profile_id: str = ""
    authorization: str = field(default="", repr=False)
    message: str = ""

    @property
    def anybody(self) -> bool:
        """Whether anybody is named, rightly or not."""
        return bool(self.token or self.profile_id)


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody who allowed personal content.

    Attributes
    ----------
    profile
        As it stands now.
    keyring
        Signs their links.
    mailing
        What clicks belong to, None if the fetch does not say.
    message
        Under which decisions are kept, None if the fetch names no mailing.
    decisions
        Those that were made for the message, by their names.
    """

    profile: Profile
    keyring: Keyring
    mailing: MailingToken | None = None
    message: MessageKey | None = None
    decisions: Mapping[str, Decision] = field(default_factory=dict)


class Recipients:
    """Finds recipients.

    Parameters
    ----------
    client
        DynamoDB.
    profiles, decisions
        The two tables.
    profiles_name
        The name of the first one.
    keys
        Verify tokens.
    credentials
        Verify servers.
    """

    def __init__(
        self,
        *,
        client: DynamoDBClient,
        profiles: ProfileTable,
        profiles_name: str,
        decisions: DecisionTable,
        keys: TokenKeys,
        credentials: FetchCredentials,
    ) -> None:
        self._client = client
        self._profiles = profiles
        self._profiles_name = profiles_name
        self._decisions = decisions
        self._keys = keys
        self._credentials = credentials

    def find(self, asked: Asked) -> Recipient:
        """Return whom a fetch is for, by one strongly consistent read, and one more for each merge.

        Raises
        ------
        Impersonal
            If nobody is named, not with authority, or somebody who must not be shown personal content.
        """
        profile_id, epoch = self._named(asked)
        mailing = self._mailing(asked.message)
        message = MessageKey(profile_id, mailing.campaign, mailing.instance) if mailing else None
        profile, decisions = self._together(message) if message else (self._profiles.read(profile_id), {})
        if profile is None:
            raise Impersonal("unknown")
        if epoch is not None and profile.epoch != epoch:
            raise Impersonal("revoked")
        if not allows(profile.consent, Use.PERSONALIZATION):
            raise Impersonal("consent")
        return Recipient(profile, self._keys.read(lambda keyring: keyring), mailing, message, decisions)

    def _named(self, asked: Asked) -> tuple[str, int | None]:
        """Return the profile's id, and the epoch that its token is of, None without one."""
        if asked.token:
            try:
                recipient = self._keys.read(lambda keyring: read_recipient(keyring, asked.token, Purpose.CONTENT))
            except BadToken as error:
                raise Impersonal(f"token_{error.reason}") from error
            return recipient.profile_id, recipient.epoch
        if not asked.profile_id:
            raise Impersonal("anonymous")
        if not _PROFILE_ID.fullmatch(asked.profile_id) or not self._credentials.admit(asked.authorization):
            raise Impersonal("credential")
        return asked.profile_id, None

    def _mailing(self, token: str) -> MailingToken | None:
        try:
            return self._keys.read(lambda keyring: read_mailing(keyring, token)) if token else None
        except BadToken:
            return None

    def _together(self, message: MessageKey) -> tuple[Profile | None, dict[str, Decision]]:
        profile_key, decisions_key = {"id": {"S": message.profile_id}}, decision_table.key(message)
        request: Any = {
            self._profiles_name: {"Keys": [profile_key], "ConsistentRead": True},
            self._decisions.name: {"Keys": [decisions_key], "ConsistentRead": True},
        }
        answer = self._client.batch_get_item(RequestItems=request)
        if self._profiles_name in answer.get("UnprocessedKeys", {}):
            raise Throttled("the profile was left unread")
        found: Mapping[str, list[Any]] = answer["Responses"]
        profile = next(map(profile_item.decode, found.get(self._profiles_name, [])), None)
        if profile is not None and profile.merged_into is not None:
            profile = self._profiles.read(profile.merged_into)
        return profile, self._decoded(found.get(self._decisions.name, []))

    def _decoded(self, items: list[Any]) -> dict[str, Decision]:
        # Decisions that were left unread or are of another form are made again; storing tells what stands.
        try:
            return {name: one for item in items for name, one in decision_table.decisions(item).items()}
        except ValueError:
            logger.error("Stored decisions cannot be read.")
            count("DecisionsUnreadable")
            return {}
