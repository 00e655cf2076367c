"""What content is made of: a profile, the catalog, blocks and offers, and a limit on the time to put them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from mailtailor.aws import clients, definitions
from mailtailor.aws.catalog import CatalogObject
from mailtailor.aws.clock import Clock, clock_from_environment
from mailtailor.aws.observability import logger
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.aws.secrets import Secret
from mailtailor.aws.settings import from_environment
from mailtailor.aws.time_budget import TimeBudget
from mailtailor.aws.token_keys import TokenKeys
from mailtailor.consent.policy import Purpose as Use
from mailtailor.consent.policy import allows
from mailtailor.content.links import BlockLinks
from mailtailor.content.offer import Offer
from mailtailor.content.render import Format, Renderer
from mailtailor.content.select import RecipientView, Request, Served, Shelf, serve, unfilled
from mailtailor.profiles.profile import Profile
from mailtailor.segments.engine import Engine
from mailtailor.tracking.tokens import BadToken, MailingToken, Purpose, read_mailing, read_recipient

READ_TIMEOUT: Final = 0.4
CONNECT_TIMEOUT: Final = 0.3
"""Seconds. One attempt each: a second one would come too late for the answer that waits for it."""


class Impersonal(Exception):
    """The recipient is not shown personal content.

    Parameters
    ----------
    reason
        One word for metrics: `anonymous`, `token_...` (see `BadToken`), `unknown`, `revoked` or `consent`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Fetch:
    """What the ESP asks for.

    Attributes
    ----------
    form
        What the block shall be made of.
    recipient, message
        The tokens `r` and `m`, not verified, empty if missing.
    query
        All parameters, not checked.
    """

    form: Format
    recipient: str
    message: str
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was shown; `reason` says why nothing personal was, empty if the ladder itself decided."""

    served: Served
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment of the content function; Braze drops content after two seconds, network included."""

    profiles_table: str
    tokens_secret_id: str
    catalog_bucket: str
    content_url: str
    time_budget_ms: int = 800


@dataclass(frozen=True, slots=True)
class Personal:
    """Makes blocks personal.

    Attributes
    ----------
    click_url
        What the paths of tracked links follow.
    """

    offers: tuple[Offer, ...]
    keys: TokenKeys
    profiles: ProfileTable
    engine: Engine
    catalog: CatalogObject
    clock: Clock
    budget: TimeBudget
    click_url: str

    def served(self, fetch: Fetch, renderer: Renderer) -> Served:
        """Return the block as its recipient sees it.

        Raises
        ------
        Impersonal
            If the recipient cannot be known, or allowed no personal content.
        """
        profile = self._profile(fetch.recipient)
        now = self.clock()
        view = RecipientView(
            person=self.engine.reader(profile, now),
            attributes={name: attribute.value for name, attribute in profile.attributes.items()},
            viewed=self.engine.recent(profile, "viewed"),
            purchased=self.engine.recent(profile, "purchased"),
            now=now,
        )
        links = BlockLinks(
            block=renderer.block.name,
            keyring=self.keys.read(lambda keyring: keyring),
            click_url=self.click_url,
            profile_id=profile.id,
            mailing=self._mailing(fetch.message, renderer.block.name),
            now=now,
        )
        shelf = Shelf(self.catalog.value(), self.offers, load_renderers().get)
        return serve(renderer, Request(fetch.form, fetch.query), view, shelf, links)

    def _profile(self, token: str) -> Profile:
        if not token:
            raise Impersonal("anonymous")
        try:
            recipient = self.keys.read(lambda keyring: read_recipient(keyring, token, Purpose.CONTENT))
        except BadToken as error:
            raise Impersonal(f"token_{error.reason}") from error
        profile = self.profiles.read(recipient.profile_id)
        if profile is None:
            raise Impersonal("unknown")
        if profile.epoch != recipient.epoch:
            raise Impersonal("revoked")
        if not allows(profile.consent, Use.PERSONALIZATION):
            raise Impersonal("consent")
        return profile

    def _mailing(self, token: str, block: str) -> MailingToken:
        """Return what clicks on the block belong to: the message's mailing, or without one the block itself."""
        try:
            return self.keys.read(lambda keyring: read_mailing(keyring, token))
        except BadToken:
            return MailingToken(block)


@cache
def segment_engine() -> Engine:
    """Return the engine of the segments in the layer, compiled once."""
    return Engine(definitions.segments())


@cache
def load_renderers() -> dict[str, Renderer]:
    """Return the blocks by name. They come from the layer, so that fallbacks need neither network nor settings."""
    return {block.name: Renderer(block, segment_engine().audience) for block in definitions.blocks()}


def connect() -> Personal:
    """Return what the environment names; nothing is read yet."""
    settings, clock = from_environment(Settings), clock_from_environment()
    secrets = clients.secrets_manager(timeout=READ_TIMEOUT, connect=CONNECT_TIMEOUT, attempts=1)
    dynamodb = clients.dynamodb(timeout=READ_TIMEOUT, connect=CONNECT_TIMEOUT, attempts=1)
    s3 = clients.s3(timeout=READ_TIMEOUT, connect=CONNECT_TIMEOUT, attempts=1)
    return Personal(
        offers=definitions.offers().offers,
        keys=TokenKeys(Secret(client=secrets, secret_id=settings.tokens_secret_id, clock=clock)),
        profiles=ProfileTable(client=dynamodb, table=settings.profiles_table),
        engine=segment_engine(),
        catalog=CatalogObject(client=s3, bucket=settings.catalog_bucket, clock=clock),
        clock=clock,
        budget=TimeBudget(settings.time_budget_ms),
        click_url=settings.content_url,
    )


def answered(fetch: Fetch, renderer: Renderer, personal: Callable[[], Personal]) -> Answer:
    """Return the personal block if that works in time, else the fallback. Never raises."""
    try:
        given = personal()
        return Answer(given.budget.run(lambda: given.served(fetch, renderer)))
    except Impersonal as error:
        reason = error.reason
    except TimeoutError:
        reason = "late"
    except Exception as error:  # noqa: BLE001 - whatever fails, the mail goes out
        reason = type(error).__name__
        logger.exception("The block could not be made personal.", extra={"block": renderer.block.name})
    return Answer(unfilled(renderer, fetch.form, 0), reason)
