"""Answers fetches: recipients, catalog and blocks are gathered within a time, and what is late is done without.

What has to be waited for is done by threads, all of it at once; what is made of it takes a millisecond or two and is
done here. So whatever hangs, the answer does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Final

from mailtailor.aws import definitions, live_definitions
from mailtailor.aws.catalog import CatalogObject
from mailtailor.aws.clock import Clock, clock_from_environment
from mailtailor.aws.decision_table import DecisionTable
from mailtailor.aws.direct import Aws, Patience
from mailtailor.aws.fetch_credentials import FetchCredentials
from mailtailor.aws.observability import count, logger
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.aws.published_blocks import Published, PublishedBlocks
from mailtailor.aws.recipients import Asked, Impersonal, Recipient, Recipients
from mailtailor.aws.secrets import Secret
from mailtailor.aws.settings import from_environment
from mailtailor.aws.time_budget import Deadline, TimeBudget
from mailtailor.aws.token_keys import TokenKeys
from mailtailor.content.address import images_at
from mailtailor.content.answer import UNREADABLE, Answer, fitting
from mailtailor.content.catalog import Catalog
from mailtailor.content.decision import Decision, MessageKey, Skipped, in_sample
from mailtailor.content.links import BlockLinks, untracked
from mailtailor.content.offer import Offer
from mailtailor.content.recipient import view_of
from mailtailor.content.render import Format, Renderer
from mailtailor.content.select import LATE, Request, Served, Shelf, decision_name, everybody, serve, unfilled
from mailtailor.instant import SECOND, Instant
from mailtailor.segments.live import LiveEngines
from mailtailor.tracking.tokens import MailingToken

PATIENCE: Final = Patience(connect=0.3, read=0.4)
"""One attempt each: a second one would come too late for the answer that waits for it."""
CATALOG_SECONDS: Final = 0.2
"""How long a catalog that is being read again is waited for; the copy from before serves just as well."""
_PASSED_OVER_LATE: Final = (Skipped("", LATE),)


@dataclass(frozen=True, slots=True)
class Fetch:
    """What an ESP asks for.

    Attributes
    ----------
    blocks
        Their names.
    form
        What they shall be made of.
    asked
        Whom it is for.
    query
        All parameters, not checked.
    """

    blocks: tuple[str, ...]
    form: Format
    asked: Asked = field(default_factory=Asked)
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Materials:
    """What one fetch is made of.

    Attributes
    ----------
    renderers
        Of the blocks, by name; None where there is none.
    recipient, reason
        Whom it is for, or why nobody.
    """

    renderers: Mapping[str, Renderer | None]
    shelf: Shelf
    recipient: Recipient | None
    reason: str
    now: Instant


@dataclass(frozen=True, slots=True)
class Serving:
    """Answers fetches.

    Attributes
    ----------
    click_url
        What the paths of tracked links follow.
    logged_per_cent
        Of how many messages the decisions go to the archive.
    """

    blocks: PublishedBlocks
    offers: tuple[Offer, ...]
    recipients: Recipients
    decisions: DecisionTable
    engines: LiveEngines
    catalog: CatalogObject
    clock: Clock
    budget: TimeBudget
    click_url: str
    logged_per_cent: int

    def answers(self, fetch: Fetch, *, used: int = 0) -> list[Answer]:
        """Return what each block shows, in the order of the fetch; `used` milliseconds of the time are over."""
        deadline = self.budget.begin(used=used)
        given = self._gather(fetch, deadline)
        answers = list(fitting((self._answer(name, fetch, given, deadline) for name in fetch.blocks), fetch.form))
        if given.recipient is not None and given.recipient.message is not None:
            return self._agreed(answers, fetch, given, given.recipient.message, deadline)
        return answers

    def _gather(self, fetch: Fetch, deadline: Deadline) -> Materials:
        now, began_late = self.clock(), deadline.passed()
        catalog = deadline.start(self.catalog.value)
        blocks = deadline.start(lambda: self._found(fetch.blocks))
        recipient, reason = self._recipient(fetch, deadline)
        try:
            found = deadline.wait(blocks)
        except TimeoutError:
            # If the function's start took all the time, it is not the blocks' fault.
            count("BlocksRefused", 0 if began_late else 1, reason=LATE)
            found = {name: self.blocks.at_hand(name) for name in fetch.blocks}
        renderers = {name: block.renderer if block else None for name, block in found.items()}
        shelf = Shelf(self._catalog(catalog, deadline), self.offers, self._library, images_at(self.click_url))
        return Materials(renderers, shelf, recipient, reason, now)

    def _found(self, names: tuple[str, ...]) -> dict[str, Published | None]:
        """Return blocks as they are published; what they insert is read with them, and at hand from then on."""
        found = {name: self.blocks.find(name) for name in names}
        for outer in filter(None, found.values()):
            for nested in outer.renderer.block.blocks.values():
                self.blocks.find(nested.block)
        return found

    def _recipient(self, fetch: Fetch, deadline: Deadline) -> tuple[Recipient | None, str]:
        if not fetch.asked.anybody:
            return None, "anonymous"
        finding = deadline.start(lambda: self.recipients.find(fetch.asked))
        # Who is in which segment can be told only by what rules, which mostly is known already.
        ruling = None if self.engines.known else deadline.start(self.engines.view)
        try:
            if ruling is not None:
                deadline.wait(ruling)
            return deadline.wait(finding), ""
        except Impersonal as error:
            return None, error.reason
        except TimeoutError:
            # By a thread, for it may have been found by now, and it was the rules that were late.
            finding.add_done_callback(lambda found: deadline.start(lambda: self._settle_late(found, fetch)))
            return None, LATE
        except Exception as error:  # noqa: BLE001 - whatever fails, the mail goes out
            logger.exception("The recipient could not be found.")
            return None, type(error).__name__

    def _catalog(self, reading: Future[Catalog], deadline: Deadline) -> Catalog:
        at_hand = self.catalog.at_hand
        try:
            return deadline.wait(reading, at_most=CATALOG_SECONDS if at_hand.bestsellers else PATIENCE.read)
        except TimeoutError:
            # If no time is left for anything, it is not the catalog's fault.
            count("CatalogUnreadable", 0 if deadline.passed() else 1, reason=LATE)
            return at_hand

    def _library(self, name: str) -> Renderer | None:
        found = self.blocks.at_hand(name)
        return found.renderer if found else None

    def _answer(self, name: str, fetch: Fetch, given: Materials, deadline: Deadline) -> Answer:
        renderer = given.renderers[name]
        if renderer is None:
            # Perhaps it was published and cannot be read; then its mail must not fail.
            return Answer(name, reason=UNREADABLE if self.blocks.may_have(name) else "")
        try:
            return self._shown(renderer, fetch, given, deadline)
        except Exception as error:  # noqa: BLE001 - as above
            logger.exception("A block could not be made.", extra={"block": name})
            return Answer(name, renderer, unfilled(renderer, fetch.form, given.now), type(error).__name__)

    def _shown(self, renderer: Renderer, fetch: Fetch, given: Materials, deadline: Deadline) -> Answer:
        name, cache_ = renderer.block.name, renderer.block.cache
        if cache_.kind == "shared":
            request, view = Request(fetch.form, fetch.query), everybody(given.now)
            served = serve(renderer, request, view, given.shelf, untracked, out_of_time=deadline.passed)
            return Answer(name, renderer, served, "", None if served.decision.has_fault else cache_.seconds)
        if given.recipient is None:
            late = _PASSED_OVER_LATE if given.reason == LATE else ()
            keep = None if fetch.asked.anybody else cache_.seconds
            return Answer(name, renderer, unfilled(renderer, fetch.form, given.now, late), given.reason, keep)
        settled = given.recipient.decisions.get(self._name(renderer, fetch))
        served = self._personal(renderer, fetch, given, given.recipient, settled=settled, out_of_time=deadline.passed)
        return Answer(name, renderer, served)

    def _personal(
        self,
        renderer: Renderer,
        fetch: Fetch,
        given: Materials,
        recipient: Recipient,
        *,
        settled: Decision | None,
        out_of_time: Callable[[], bool],
    ) -> Served:
        """Return a block as its recipient sees it; what was settled is as of its instant, links included."""
        now = settled.at if settled else given.now
        links = BlockLinks(
            block=renderer.block.name,
            keyring=recipient.keyring,
            click_url=self.click_url,
            profile_id=recipient.profile.id,
            # Without a mailing, clicks belong to the block itself.
            mailing=recipient.mailing or MailingToken(renderer.block.name),
            now=now,
        )
        engine = self.engines.of(recipient.profile.definitions)
        view = replace(view_of(recipient.profile, engine, given.now), now=now)
        request = Request(fetch.form, fetch.query)
        return serve(renderer, request, view, given.shelf, links, settled=settled, out_of_time=out_of_time)

    def _name(self, renderer: Renderer, fetch: Fetch) -> str:
        return decision_name(renderer, fetch.query, self._library)

    def _agreed(
        self, answers: list[Answer], fetch: Fetch, given: Materials, message: MessageKey, deadline: Deadline
    ) -> list[Answer]:
        """Store what was decided now for the first time; what another fetch decided at the same moment is shown."""
        recipient = given.recipient
        if recipient is None:
            return answers
        names = {
            self._name(answer.renderer, fetch): answer
            for answer in answers
            if answer.renderer and answer.renderer.block.cache.kind == "personal"
        }
        made = {
            name: answer.served.decision
            for name, answer in names.items()
            if answer.served and name not in recipient.decisions
        }
        if not made:
            return answers
        stand = self._kept(message, made, given.now, deadline)
        shown: dict[str, Answer] = {}
        for name, decision in made.items():
            other, answer = stand.get(name, decision), names[name]
            if other != decision and answer.renderer and not deadline.passed():
                served = self._personal(answer.renderer, fetch, given, recipient, settled=other, out_of_time=_never)
                shown[answer.block] = replace(answer, served=served)
        return list(fitting((shown.get(answer.block, answer) for answer in answers), fetch.form))

    def _kept(
        self, message: MessageKey, made: Mapping[str, Decision], now: Instant, deadline: Deadline
    ) -> Mapping[str, Decision]:
        keeping = deadline.start(lambda: self._keep(message, made, now))
        try:
            return deadline.wait(keeping)
        except TimeoutError:
            # The answer does not wait for it. It is on its way, and most likely arrives.
            count("DecisionsNotStored", reason=LATE)
        except Exception:  # noqa: BLE001 - the answer does not depend on it
            logger.exception("Decisions could not be stored.")
            count("DecisionsNotStored", reason="refused")
        return {}

    def _keep(self, message: MessageKey, made: Mapping[str, Decision], now: Instant) -> Mapping[str, Decision]:
        sampled = in_sample(message, self.logged_per_cent)
        logged = sampled or any(one.has_fault for one in made.values())
        return self.decisions.keep(message, made, now=now, logged=logged, sampled=sampled)

    def _settle_late(self, found: Future[Recipient], fetch: Fetch) -> None:
        """Store that somebody who was found too late was shown the fallback, so that later fetches show it too."""
        if found.cancelled() or found.exception() is not None or found.result().message is None:
            return
        recipient, now = found.result(), self.clock()
        blocks = [block.renderer for name in fetch.blocks if (block := self.blocks.at_hand(name))]
        made = {
            self._name(renderer, fetch): unfilled(renderer, fetch.form, now, _PASSED_OVER_LATE).decision
            for renderer in blocks
            if renderer.block.cache.kind == "personal"
        }
        made = {name: decision for name, decision in made.items() if name not in recipient.decisions}
        if not made or recipient.message is None:
            return
        try:
            self._keep(recipient.message, made, now)
        except Exception:  # noqa: BLE001 - nobody waits for it who could be told
            logger.exception("Decisions could not be stored.")
            count("DecisionsNotStored", reason="refused")


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment of the content function; Braze drops content after two seconds, network included."""

    profiles_table: str
    definitions_table: str
    decisions_table: str
    tokens_secret_id: str
    fetch_secret_id: str
    catalog_bucket: str
    content_url: str
    aws_suffix: str = "amazonaws.com"
    time_budget_ms: int = 800
    logged_per_cent: int = 10
    refresh_seconds: int = 10


def connect() -> Serving:
    """Return what the environment names; nothing is read yet."""
    settings, clock = from_environment(Settings), clock_from_environment()
    aws, budget = Aws(suffix=settings.aws_suffix, patience=PATIENCE), TimeBudget(settings.time_budget_ms)
    dynamodb, secrets = aws.dynamodb(), aws.secrets_manager()

    def secret(secret_id: str) -> Secret:
        return Secret(client=secrets, secret_id=secret_id, clock=clock, beside=budget.beside)

    engines = live_definitions.for_readers(
        dynamodb,
        settings.definitions_table,
        refresh_seconds=settings.refresh_seconds,
        clock=clock,
        beside=budget.beside,
    )
    decisions = DecisionTable(client=dynamodb, name=settings.decisions_table)
    return Serving(
        blocks=PublishedBlocks(
            client=aws.s3(),
            bucket=settings.catalog_bucket,
            clock=clock,
            refresh=settings.refresh_seconds * SECOND,
            deployed={block.name: block for block in definitions.blocks()},
            audience=engines.audience,
        ),
        offers=definitions.offers().offers,
        recipients=Recipients(
            client=dynamodb,
            profiles=ProfileTable(client=dynamodb, table=settings.profiles_table),
            profiles_name=settings.profiles_table,
            decisions=decisions,
            keys=TokenKeys(secret(settings.tokens_secret_id)),
            credentials=FetchCredentials(secret(settings.fetch_secret_id)),
        ),
        decisions=decisions,
        engines=engines,
        catalog=CatalogObject(client=aws.s3(), bucket=settings.catalog_bucket, clock=clock),
        clock=clock,
        budget=budget,
        click_url=settings.content_url,
        logged_per_cent=settings.logged_per_cent,
    )


def answered(fetch: Fetch, serving: Callable[[], Serving], *, used: int) -> list[Answer]:
    """Return what each block shows; where nothing can be connected to, the fallbacks of the blocks as deployed."""
    try:
        return serving().answers(fetch, used=used)
    except Exception as error:  # noqa: BLE001 - whatever fails, the mail goes out
        logger.exception("Nothing but fallbacks can be answered.")
        deployed = {block.name: Renderer(block) for block in definitions.blocks()}
        return [
            Answer(name, renderer, unfilled(renderer, fetch.form, 0), type(error).__name__)
            if (renderer := deployed.get(name))
            else Answer(name, reason=UNREADABLE)
            for name in fetch.blocks
        ]
