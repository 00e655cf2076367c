"""`mailtailor segments`: what segments mean, cost and depend on, and one sentence for what cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from mailtailor.definition_files import DefinitionError
from mailtailor.errors import BadInput, MailtailorError, NotFound
from mailtailor.segments.definition import SegmentDefinition
from mailtailor_cli.main import app

MISSION = """
SELECT user_id FROM browsing_events
WHERE product_viewed = 'Product_X' AND last_viewed < NOW() - INTERVAL '2 days'
  AND user_id NOT IN (SELECT user_id FROM purchases WHERE purchase_date > NOW() - INTERVAL '7 days');
"""
RECENT = "name: recent\ndescription: Bought [lately].\nrule:\n  event: order_completed\n  within: 7d\n"


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "recent.yaml").write_text(RECENT, encoding="utf-8")
    return tmp_path


def run(*arguments: str, standard_input: str = "") -> Result:
    return CliRunner().invoke(app, ["segments", *arguments], input=standard_input)


def test_the_segments_that_come_with_it_are_listed_with_what_they_cost() -> None:
    # when
    result = run("list")
    # then
    assert result.exit_code == 0, result.exception
    rows = {line.split("│")[1].strip(): line for line in result.stdout.splitlines() if line.startswith("│")}
    assert rows.keys() >= {"browse_abandoners", "browse_abandoners_sql", "high_engagement", "recent_purchasers"}
    assert "│ leave " in rows["recent_purchasers"]
    assert "│ enter and leave " in rows["browse_abandoners_sql"]
    assert "Together: " in result.stdout


def test_descriptions_are_text_and_no_markup(directory: Path) -> None:
    assert "Bought [lately]." in run("list", str(directory)).stdout


def test_a_segment_is_explained_by_its_name(directory: Path) -> None:
    # when
    result = run("explain", "recent", "--directory", str(directory))
    # then
    assert result.stdout.splitlines() == [
        "recent: Bought [lately].",
        "",
        "People are members while they have bought in the last 7 days.",
        "",
        "Kept fresh by the event order_completed; consent to personalization.",
        "By time alone, people leave when an event is 7 days old.",
        "Cost: 1 condition; remembers at most 1 event a person, typically 17 bytes; about 1 µs an evaluation.",
    ]


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_a_segment_is_explained_by_its_file(tmp_path: Path, suffix: str) -> None:
    # given
    path = tmp_path / f"recent{suffix}"
    json = '{"name": "recent", "description": "d", "rule": {"event": "order_completed", "within": "7d"}}'
    path.write_text(RECENT if suffix == ".yaml" else json, encoding="utf-8")
    # when
    result = run("explain", str(path))
    # then
    assert "People are members while they have bought in the last 7 days." in result.stdout


def test_a_file_of_sql_is_explained(tmp_path: Path) -> None:
    # given
    (tmp_path / "abandoners.sql").write_text(f"-- Viewed, not bought.\n{MISSION}", encoding="utf-8")
    # when
    result = run("explain", str(tmp_path / "abandoners.sql"))
    # then
    assert result.exit_code == 0, result.exception
    assert "\n- they last viewed a product" in result.stdout
    assert "more than 2 days ago" in result.stdout
    assert "\n- they have not bought in the last 7 days\n" in result.stdout


def test_the_missions_query_becomes_a_rule_that_can_be_kept() -> None:
    # when
    result = run("explain", "--rules", "--sql", MISSION)
    # then
    assert result.exit_code == 0, result.exception
    rule = yaml.safe_load(result.stdout[result.stdout.index("rule:") :])
    SegmentDefinition.model_validate({"name": "s", "description": "d", **rule})
    assert "By time alone, people enter when an event is just over 2 days or 7 days old" in result.stdout


@pytest.mark.parametrize(
    "text", [RECENT, "SELECT user_id FROM purchases WHERE purchase_date > NOW() - INTERVAL '7 days'"]
)
def test_standard_input_holds_either_form(text: str) -> None:
    # when
    result = run("explain", "-", standard_input=text)
    # then
    assert result.exit_code == 0, result.exception
    assert "People are members while they have bought in the last 7 days." in result.stdout


@pytest.mark.parametrize(
    ("arguments", "standard_input", "error", "says"),
    [
        (["explain"], "", BadInput, "One segment can be explained."),
        (["explain", "recent", "--sql", "SELECT"], "", BadInput, "One segment can be explained."),
        (["explain", "recent_purchaser"], "", NotFound, "Did you mean recent_purchasers?"),
        (["explain", __file__], "", BadInput, "These end in .yaml, .json, .sql."),
        (["explain", "/etc"], "", BadInput, "/etc is no file of a segment."),
        (["explain", "nothing/like.yaml"], "", MailtailorError, "nothing/like.yaml:1"),
        (["explain", "-"], "", MailtailorError, "-:1"),
        (["explain", "-"], "rule: [", MailtailorError, "-:1"),
        (["explain", "-"], RECENT.replace("7d", "7 fortnights"), DefinitionError, "-:5"),
        (["explain", "-"], RECENT.replace("order_completed", "order_complete"), DefinitionError, "order_completed"),
        (["explain", "-"], "SELECT user_id\nFROM nowhere", MailtailorError, "-:2:"),
        (["explain", "--sql", "SELECT user_id FROM purchases ORDER BY user_id"], "", MailtailorError, "ORDER BY"),
        (["list", "nowhere"], "", DefinitionError, "nowhere"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_a_sentence(
    arguments: list[str], standard_input: str, error: type[MailtailorError], says: str
) -> None:
    # when
    result = run(*arguments, standard_input=standard_input)
    # then
    assert isinstance(result.exception, error), result.exception
    assert says in str(result.exception)


def test_a_directory_named_as_a_file_and_bytes_that_are_no_text_are_sentences(tmp_path: Path) -> None:
    # given
    (tmp_path / "directory.yaml").mkdir()
    # when
    directory = run("explain", str(tmp_path / "directory.yaml"))
    binary = CliRunner().invoke(app, ["segments", "explain", "-"], input=b"\xff\xfe")
    # then
    assert isinstance(directory.exception, MailtailorError)
    assert "cannot be read" in directory.exception.message or "no segment" in directory.exception.message
    assert isinstance(binary.exception, BadInput)
    assert binary.exception.message == "Standard input is no text in UTF-8."


def test_what_was_declared_may_be_named(tmp_path: Path) -> None:
    # given
    (tmp_path / "segments").mkdir()
    (tmp_path / "events.yaml").write_text("events:\n  wine_tasted:\n    grape: text\n", encoding="utf-8")
    text = "name: s\ndescription: d\nrule: {event: wine_tasted, where: {grape: Riesling}}\n"
    # when
    result = run("explain", "-", "--directory", str(tmp_path / "segments"), standard_input=text)
    # then
    assert "they have had an event wine_tasted (grape is Riesling)" in result.stdout


def test_what_would_hurt_is_explained_and_refused_with_its_estimate() -> None:
    # given
    rule = "{event: product_viewed, distinct: product_id, within: 400d, at_least: 100}"
    # when
    result = run("explain", "-", standard_input=f"name: s\ndescription: d\nrule: {rule}\n")
    # then
    assert "the number of different values of product_id" in result.stdout
    assert isinstance(result.exception, BadInput)
    assert result.exception.message.startswith("The segment s would take more than 500 µs an evaluation")


def test_segments_that_would_hurt_together_are_listed_and_refused(tmp_path: Path) -> None:
    # given
    for number in range(30):
        rule = f"{{event: product_viewed, where: {{category: c{number}}}, sum: price, within: 180d, at_least: 1}}"
        (tmp_path / f"s{number}.yaml").write_text(f"name: s{number}\ndescription: d\nrule: {rule}\n", encoding="utf-8")
    # when
    result = run("list", str(tmp_path))
    # then
    assert "│ s29 " in result.stdout
    assert isinstance(result.exception, MailtailorError)
    assert "64 KB" in str(result.exception)
