from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from typer.testing import CliRunner, Result

from functions.campaign_report.handler import PATH
from mailtailor.errors import MailtailorError
from mailtailor.events.mail_counts import Campaign, Counts, HourRow, LinkRow
from mailtailor_cli import campaigns
from mailtailor_cli.connection import Connection
from mailtailor_cli.main import app

NOON = 1_700_049_600_000
TOTALS = Counts(1_200, 600, 480, 90, 80, 70, 60, 5, 4)
PERIOD = {"since": "2023-11-08T12:00:00.000Z", "until": "2023-11-15T12:00:00.000Z"}


class Lambda:
    """The edge of Lambda: keeps what was asked and answers as it is told."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answer: dict[str, Any] | Exception = {}

    def invoke(self, *, FunctionName: str, Payload: str) -> dict[str, Any]:  # noqa: N803
        assert FunctionName == "report-function"
        self.asked.append(json.loads(Payload))
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"Payload": io.BytesIO(json.dumps(self.answer).encode())}


class System(Connection):
    """A system of which only the function answers."""

    function = Lambda()

    def client(self, service: str) -> Any:
        assert service == "lambda"
        return self.function


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Lambda:
    answering = Lambda()
    monkeypatch.setattr(System, "function", answering)
    system = System("the test system", {"CampaignReportFunction": "report-function"})
    monkeypatch.setattr(campaigns, "connect", lambda _where: system)
    monkeypatch.setenv("COLUMNS", "140")
    return answering


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["campaigns", *arguments])


def answered(status: int, **body: Any) -> dict[str, Any]:
    return {"statusCode": status, "body": json.dumps(body)}


def reported(*rows: LinkRow | HourRow) -> dict[str, Any]:
    payloads = [row.payload() for row in rows]
    return answered(200, campaign="[spring]", **PERIOD, totals=TOTALS.payload(), rows=payloads)


def cells(output: str) -> list[list[str]]:
    """Return the cells of all tables' rows."""
    lines = [line for line in output.splitlines() if "│" in line]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_a_report_by_link_is_a_table_of_totals_and_one_of_links(function: Lambda) -> None:
    # given
    clicks = Counts(human_clicks=1_070, human_unique_clicks=60, machine_clicks=5)
    function.answer = reported(LinkRow(0, "https://a.example/", Counts()), LinkRow(3, "https://[b].example/", clicks))
    # when
    result = run("report", "[spring]", "--since", "7d")
    # then
    assert result.exit_code == 0
    assert "[spring], 2023-11-08 12:00 to 2023-11-15 12:00 UTC" in result.output
    assert cells(result.output) == [
        ["Delivered", "1,200", "", "", "", ""],
        ["Opens", "600", "480", "40.0%", "90", "80"],
        ["Clicks", "70", "60", "5.0%", "5", "4"],
        ["Clicked of opened", "", "", "12.5%", "", ""],
        ["invisible", "https://a.example/", "0", "0", "0"],
        ["3", "https://[b].example/", "1,070", "60", "5"],
    ]


def test_a_report_by_hour_names_the_hours(function: Lambda) -> None:
    # given
    function.answer = reported(HourRow(NOON, TOTALS))
    # when
    result = run("report", "spring", "--by", "hour")
    # then
    last = result.output.splitlines()[-1]
    assert re.split(r" {2,}", last.strip()) == ["2023-11-15 12:00", "1,200", "600", "480", "90", "70", "60", "5"]
    assert function.asked[0]["queryStringParameters"] == {"since": "30d", "by": "hour"}


@pytest.mark.parametrize(
    ("by", "row"),
    [
        ("hour", HourRow(NOON, Counts(600_000, 40_000, 40_000, 20_000, 20_000, 20_000))),
        ("link", LinkRow(3, f"https://shop.example/{'long/' * 20}end", Counts())),
    ],
)
def test_nothing_is_cut_in_a_terminal_of_80_columns(
    function: Lambda, monkeypatch: pytest.MonkeyPatch, by: str, row: LinkRow | HourRow
) -> None:
    # given
    monkeypatch.setenv("COLUMNS", "80")
    function.answer = reported(row)
    # when
    result = run("report", "spring", "--by", by)
    # then
    assert result.exit_code == 0
    assert "…" not in result.output


def test_the_function_is_asked_as_the_api_would(function: Lambda) -> None:
    # given
    function.answer = reported()
    # when
    run("report", "a/b c%", "--since", "48h")
    # then
    assert function.asked[0]["rawPath"] == f"{PATH}/a%2Fb%20c%25"
    assert function.asked[0]["requestContext"]["http"]["method"] == "GET"


def test_json_is_the_functions_own_answer(function: Lambda) -> None:
    # given
    function.answer = reported()
    # when
    result = run("report", "spring", "--json")
    # then
    assert json.loads(result.output) == json.loads(function.answer["body"])


def test_rates_without_a_denominator_stay_empty(function: Lambda) -> None:
    # given
    function.answer = answered(200, campaign="spring", **PERIOD, totals=Counts().payload(), rows=[])
    # then
    assert ["Opens", "0", "0", "", "0", "0"] in cells(run("report", "spring").output)


def test_campaigns_are_listed(function: Lambda) -> None:
    # given
    function.answer = answered(200, **PERIOD, campaigns=[Campaign("[spring]", NOON, NOON, 1_234).payload()])
    # then
    assert cells(run("list").output) == [["[spring]", "2023-11-15 12:00", "2023-11-15 12:00", "1,234"]]
    assert json.loads(run("list", "--json").output)["campaigns"][0]["campaign"] == "[spring]"


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (answered(404, code="NotFound", message="Nothing of that name.", hint="Look."), "Nothing of that name. Look."),
        (
            {"errorMessage": "it broke"},
            "The test system could not make the report. The log of CampaignReport says why.",
        ),
        (
            ClientError({"Error": {"Code": "AccessDenied", "Message": "no rights"}}, "Invoke"),
            "The test system refused: no rights",
        ),
        (
            EndpointConnectionError(endpoint_url="http://x"),
            'The test system does not answer: Could not connect to the endpoint URL: "http://x"',
        ),
    ],
)
def test_what_goes_wrong_is_a_sentence(function: Lambda, answer: Any, sentence: str) -> None:
    # given
    function.answer = answer
    # when
    error = run("report", "spring").exception
    # then
    assert isinstance(error, MailtailorError)
    assert str(error) == sentence


def test_a_system_deployed_before_there_were_reports_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(campaigns, "connect", lambda _where: System("the test system", {}))
    # then
    assert str(run("list").exception) == "The test system has no campaign reports. Deploy it again."
