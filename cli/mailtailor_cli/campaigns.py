"""What became of campaigns: `mailtailor campaigns`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from mailtailor_cli.admin_routes import AdminFunction
from mailtailor_cli.connection import Connection, Where, connect

app = typer.Typer(help="What became of campaigns: deliveries, opens and clicks.", no_args_is_help=True)


class By(StrEnum):
    """What a report can be divided by."""

    LINK = "link"
    HOUR = "hour"


On = Annotated[Where, typer.Option("--on", help="The system to work on.")]
Since = Annotated[str, typer.Option("--since", help="How far to look back: 48h, 7d; at most 92d.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]

REPORT: Final = AdminFunction("CampaignReport", "campaign reports", "make the report")
OPENS: Final = {"Opens": "human_opens", "unique": "human_unique_opens", "by machines": "machine_opens"}
CLICKS: Final = {"Clicks": "human_clicks", "unique": "human_unique_clicks", "by machines": "machine_clicks"}


@app.command()
def report(
    campaign: Annotated[str, typer.Argument(help="The campaign's id, as mailtailor campaigns list shows it.")],
    *,
    since: Since = "30d",
    by: Annotated[By, typer.Option("--by", help="What to divide the report by.")] = By.LINK,
    as_json: AsJson = False,
    on: On = Where.AUTO,
) -> None:
    """Count what was delivered, opened and clicked, by people and by machines."""
    answer = ask(connect(on), campaign, since=since, by=by)
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
        return
    console = Console()
    console.print(_totals(answer))
    console.print(_links(answer["rows"]) if by is By.LINK else _hours(answer["rows"]))


@app.command(name="list")
def list_(*, since: Since = "30d", as_json: AsJson = False, on: On = Where.AUTO) -> None:
    """List the campaigns that something happened to, the latest first."""
    answer = ask(connect(on), "", since=since)
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
        return
    table = Table(Column("Campaign", overflow="fold"), "First", "Last")
    table.add_column("Events", justify="right")
    for one in answer["campaigns"]:
        table.add_row(escape(one["campaign"]), _minute(one["first"]), _minute(one["last"]), f"{one['events']:,}")
    Console().print(table)


def ask(system: Connection, campaign: str, **query: str) -> dict[str, Any]:
    """Return the report function's answer; raise `MailtailorError` if it has none."""
    return REPORT.ask(system, f"/admin/campaigns/{quote(campaign, safe='')}", query)


def _totals(answer: Mapping[str, Any]) -> Table:
    totals = answer["totals"]
    table = Table(title=f"{escape(answer['campaign'])}, {_minute(answer['since'])} to {_minute(answer['until'])} UTC")
    table.add_column("")
    for name in ("people", "unique", "rate", "machines", "unique"):
        table.add_column(name, justify="right")
    table.add_row("Delivered", f"{totals['delivered']:,}")
    for what, rate in (("opens", "open_rate"), ("clicks", "click_rate")):
        numbers = [f"{totals[name]:,}" for name in (f"human_{what}", f"human_unique_{what}")]
        machines = [f"{totals[name]:,}" for name in (f"machine_{what}", f"machine_unique_{what}")]
        table.add_row(what.capitalize(), *numbers, _percent(totals[rate]), *machines)
    table.add_row("Clicked of opened", "", "", _percent(totals["click_to_open_rate"]))
    return table


def _links(rows: list[dict[str, Any]]) -> Table:
    table = Table("Link", Column("Address", overflow="fold"))
    _add_numbers(table, CLICKS)
    for row in rows:
        table.add_row(_position(row["position"]), escape(row["url"]), *(f"{row[name]:,}" for name in CLICKS.values()))
    return table


def _hours(rows: list[dict[str, Any]]) -> Table:
    # Without lines, for with them hours and numbers are cut in a terminal of 80 columns.
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("Hour (UTC)", no_wrap=True)
    columns = [("Delivered", "delivered"), *OPENS.items(), *CLICKS.items()]
    _add_numbers(table, [heading for heading, _ in columns])
    for row in rows:
        table.add_row(_minute(row["hour"]), *(f"{row[name]:,}" for _, name in columns))
    return table


def _add_numbers(table: Table, headings: Iterable[str]) -> None:
    for heading in headings:
        table.add_column(heading, justify="right", overflow="fold")


def _position(position: int | None) -> str:
    if position == 0:
        return "invisible"
    return "" if position is None else str(position)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _minute(iso: str) -> str:
    return iso[:16].replace("T", " ")
