"""Recipient tokens for import into an ESP: `mailtailor tokens export`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from mailtailor.aws.definition_versions import DefinitionVersions
from mailtailor.aws.profile_table import MAX_HOPS, MAX_KEYS, ProfileTable
from mailtailor.errors import BadInput
from mailtailor.instant import Instant
from mailtailor.profiles.identity import IdentityKind, Pseudonymizer, is_email_key
from mailtailor.profiles.profile import Profile
from mailtailor.profiles.store import Loaded
from mailtailor.segments.engine import Engine
from mailtailor.segments.files import load_segments
from mailtailor.tracking.esp_forms import EspForm, esp_form
from mailtailor.tracking.tokens import Keyring, Purpose, RecipientToken, sign_recipient
from mailtailor_cli import csv_files
from mailtailor_cli.connection import Connection, Where, connect
from mailtailor_cli.keys import asking, keyring, pseudonymizer
from mailtailor_cli.recompute import rollout_of

SEGMENTS: Final = Path(__file__).resolve().parents[2] / "layers" / "definitions" / "segments"
PROFILE_ID: Final = "profile_id"

Advance = Callable[[int], None]
"""Told how far the work is, in units of its total."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Who is exported: everybody, or who is in a segment at an instant; without consent nobody is in one."""

    engine: Engine
    segment: str
    now: Instant

    def has(self, profile: Profile) -> bool:
        """Return whether `profile` is exported."""
        return not self.segment or self.segment in self.engine.memberships(profile, self.now)


@dataclass(frozen=True, slots=True)
class Signer:
    """Makes the cells of a person's tokens, in the order of the ESP's attributes."""

    keyring: Keyring
    form: EspForm

    @property
    def columns(self) -> list[str]:
        """The attributes."""
        return [self.form.attributes[purpose] for purpose in Purpose]

    def tokens(self, profile: Profile) -> list[str]:
        """Return a profile's tokens of its present epoch."""
        return [sign_recipient(self.keyring, RecipientToken(profile.id, purpose, profile.epoch)) for purpose in Purpose]


@dataclass(slots=True)
class Tally:
    """How many people were written, and for which reasons others were not or have no tokens."""

    written: int = 0
    others: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        left = "".join(f"; {number:,} {reason}" for reason, number in self.others.items())
        return f"{self.written:,} people written{left}"


def export(
    *,
    segment: Annotated[str, typer.Option(help="Only who is in this segment now.")] = "",
    output: Annotated[Path | None, typer.Option(help="Where to write it; standard output if not given.")] = None,
    key: Annotated[str, typer.Option(help="The profile attribute that tells the ESP who it is.")] = "",
    contacts: Annotated[Path | None, typer.Option(help="The ESP's own export, to add the tokens to.")] = None,
    identity: Annotated[
        str,
        typer.Option(help="What a column of the contacts tells people by: COLUMN=email, user_id or anonymous_id."),
    ] = "",
    esp: Annotated[
        str,
        typer.Option(help="Whose column names: sfmc, braze, hubspot, klaviyo, iterable, mailchimp or generic."),
    ] = "generic",
    on: Annotated[Where, typer.Option("--on", help="The system to work on.")] = Where.AUTO,
) -> None:
    """Write each person's tokens as CSV for import into an ESP; keep the file as you keep passwords."""
    form = esp_form(esp)
    if (contacts is None) != (not identity) or (contacts is not None and key):
        raise BadInput(
            "Those options do not go together.", "Give --contacts and --identity, or --key, or none of them."
        )
    kind = _kind(identity)
    system = connect(on)
    engine = _engine(system, segment)
    audience = Audience(engine, segment, system.clock())
    signer = Signer(keyring(system), form)
    tally = Tally()
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with asking(system):
        table = ProfileTable(client=system.client("dynamodb"), table=system.outputs["ProfilesTable"])
        if contacts is None:
            total = _size(system)
            with csv_files.created(output) as writer, _progress(console) as bar:
                task = bar.add_task("Profiles", total=total)
                writer.writerow([key or PROFILE_ID, *signer.columns])
                for row in people(bar.track(table.scan(), task_id=task), key, audience, signer, tally):
                    writer.writerow(row)
        else:
            names = pseudonymizer(system)
            column = identity.rpartition("=")[0]
            with csv_files.opened(contacts) as source, _progress(console) as bar:
                task = bar.add_task("Contacts", total=source.size)
                with csv_files.created(output, delimiter=source.delimiter, bom=source.bom) as writer:
                    for row in with_tokens(source, Finder(table, names, column, kind), audience, signer, tally):
                        writer.writerow(row)
                        bar.update(task, completed=source.position())
    console.print(f"{tally}, for {system.name}.", markup=False)


def people(
    profiles: Iterable[Loaded], key: str, audience: Audience, signer: Signer, tally: Tally
) -> Iterator[list[str]]:
    """Yield a row for each person: the profile's id, or its attribute `key`, and the tokens."""
    for one in profiles:
        profile = one.profile
        if one.error is not None:
            tally.others["left out, for their profiles cannot be read"] += 1
        elif profile.merged_into is not None or not audience.has(profile):
            continue
        elif not (known := _key(profile, key)):
            tally.others[f"left out, for they have no {key}"] += 1
        elif key and csv_files.may_run(known):
            tally.others[f"left out, for a spreadsheet would take their {key} for a formula"] += 1
        else:
            tally.written += 1
            yield [known, *signer.tokens(profile)]


def _key(profile: Profile, key: str) -> str:
    value = profile.attribute(key) if key else profile.id
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


@dataclass(frozen=True, slots=True)
class Finder:
    """Finds the profiles of contacts by what a column says.

    Parameters
    ----------
    table
        The profiles.
    pseudonymizer
        Makes ids of what the column says.
    column, kind
        The column, and what it holds.
    """

    table: ProfileTable
    pseudonymizer: Pseudonymizer
    column: str
    kind: IdentityKind

    def id(self, value: str) -> str:
        """Return the id of the identity that a cell names; empty if it names none."""
        if self.kind is IdentityKind.EMAIL and not is_email_key(value):
            return ""
        try:
            return self.pseudonymizer.pseudonym(self.kind, value)
        except ValueError:
            return ""

    def profiles(self, ids: Iterable[str]) -> dict[str, Profile]:
        """Return the profiles that identities lead to, merges followed; those that cannot be read are missing."""
        found: dict[str, Profile] = {}
        leads = {one: one for one in ids if one}
        for _ in range(MAX_HOPS):
            loaded = self.table.load(leads.values())
            found |= {one: loaded[at].profile for one, at in leads.items() if loaded[at].error is None}
            leads = {one: to for one in leads if one in found and (to := found[one].merged_into) is not None}
            if not leads:
                break
        return {one: profile for one, profile in found.items() if profile.merged_into is None}


def with_tokens(
    source: csv_files.Table, finder: Finder, audience: Audience, signer: Signer, tally: Tally
) -> Iterator[list[str]]:
    """Yield the header and rows of contacts with the tokens, in columns of their own or, if they exist, in those.

    Who is not known yet gets the tokens of the profile that the first event will make.

    Raises
    ------
    BadInput
        If the contacts lack the column that names people.
    """
    if finder.column not in source.header:
        raise BadInput(
            f"The contacts have no column {finder.column!r}.", f"They have: {', '.join(map(repr, source.header))}."
        )
    at = source.header.index(finder.column)
    header = [*source.header, *(name for name in signer.columns if name not in source.header)]
    places = [header.index(name) for name in signer.columns]
    added = [""] * (len(header) - len(source.header))
    yield header
    while rows := list(islice(source.rows, MAX_KEYS)):
        ids = [finder.id(row[at]) for row in rows]
        profiles = finder.profiles(ids)
        for row, identity in zip(rows, ids, strict=True):
            profile = profiles.get(identity)
            if audience.segment and (profile is None or not audience.has(profile)):
                continue
            if not identity:
                tally.others[f"without tokens, for {finder.column} says no {finder.kind}"] += 1
            elif profile is None:
                tally.others["without tokens, for their profiles cannot be read"] += 1
            tally.written += 1
            filled = row + added
            for place, token in zip(places, signer.tokens(profile) if profile else [""] * len(places), strict=True):
                filled[place] = token
            yield filled


def _engine(system: Connection, segment: str) -> Engine:
    """Return the engine of the definitions that rule: those of the files until any were applied."""
    if not segment:
        return Engine(())
    with asking(system):
        rollout = rollout_of(system)
        if rollout is None:
            engine = Engine(load_segments(SEGMENTS))
        else:
            versions = DefinitionVersions(client=system.client("dynamodb"), table=system.outputs["DefinitionsTable"])
            active = versions.version(rollout.active)
            engine = Engine(active.segments, mark=active.mark)
    if segment not in engine.segments:
        raise BadInput(f"There is no segment {segment!r}.", f"Known are {', '.join(engine.segments)}.")
    return engine


def _kind(identity: str) -> IdentityKind:
    column, _, kind = identity.rpartition("=")
    try:
        return IdentityKind(kind) if identity else IdentityKind.EMAIL
    except ValueError as error:
        known = ", ".join(f"{column or 'COLUMN'}={one}" for one in IdentityKind)
        raise BadInput(
            f"--identity {identity!r} does not say what the column holds.", f"Give one of {known}."
        ) from error


def _size(system: Connection) -> int | None:
    """Return about how many profiles there are; DynamoDB counts every six hours."""
    answer = system.client("dynamodb").describe_table(TableName=system.outputs["ProfilesTable"])
    return int(answer["Table"].get("ItemCount", 0)) or None


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
