"""Mistakes in a segment's file stop the deploy, with the file, the line and what to do."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import mailtailor.segments
from mailtailor.definition_files import DefinitionError
from mailtailor.segments.definition import LastOlderThan, SegmentDefinition
from mailtailor.segments.files import load_segment, load_segments, read_segment

SHIPPED = Path(__file__).parents[3] / "layers" / "definitions" / "segments"
RECENT = "name: recent\ndescription: Bought lately.\nrule:\n  event: order_completed\n  within: 7d\n"
QUERY = "SELECT user_id FROM purchases WHERE purchase_date > NOW() - INTERVAL '7 days'"


def rule(name: str, text: str) -> str:
    return f"name: {name}\ndescription: d\nrule:\n  {text}\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    segments = tmp_path / "segments"
    segments.mkdir()
    return segments


def write(directory: Path, **files: str) -> None:
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        (directory / f"{stem}.{suffix}").write_text(text, encoding="utf-8")


def test_the_shipped_segments_are_in_order() -> None:
    # when
    segments = {one.name: one for one in load_segments(SHIPPED)}
    # then
    assert list(segments) == ["browse_abandoners", "browse_abandoners_sql", "high_engagement", "recent_purchasers"]


def test_yaml_json_and_sql_are_one_language(directory: Path) -> None:
    # given
    as_json = json.dumps(
        {"name": "b", "description": "Bought lately.", "rule": {"event": "order_completed", "within": "7d"}}
    )
    write(directory, a_yaml=RECENT.replace("recent", "a"), b_json=as_json, c_sql=f"-- Bought\n-- lately.\n{QUERY};\n")
    # when
    segments = load_segments(directory)
    # then
    assert [one.name for one in segments] == ["a", "b", "c"]
    assert {one.description for one in segments} == {"Bought lately."}
    assert len({one.rule.model_dump_json() for one in segments}) == 1


def test_what_functions_load_is_what_was_read() -> None:
    for segment in load_segments(SHIPPED):
        written = segment.model_dump_json(by_alias=True, exclude_unset=True)
        assert SegmentDefinition.model_validate_json(written) == segment


def test_declarations_beside_the_directory_are_known(directory: Path) -> None:
    # given
    declared = "events:\n  quiz_finished: {points: number}\nattributes:\n  shoe_size: number\n"
    (directory.parent / "events.yaml").write_text(declared, encoding="utf-8")
    write(
        directory,
        quiz_sql="-- Did well.\nSELECT user_id FROM quiz_finished WHERE points > 3",
        feet_yaml=rule("feet", "{attribute: shoe_size, is: {at_least: 42}}"),
    )
    # when, then
    assert [one.name for one in load_segments(directory)] == ["feet", "quiz"]
    assert load_segment(directory / "quiz.sql").description == "Did well."


@pytest.mark.parametrize(
    ("files", "place", "message"),
    [
        ({}, "segments:1:", "there is no segment definition here"),
        ({"a_yaml": RECENT}, "a.yaml:1:", "the segment is named 'recent', its file 'a.yaml'"),
        ({"recent_yaml": "name: ["}, "recent.yaml:", "not valid YAML"),
        ({"recent_json": "{"}, "recent.json:", "not valid YAML"),
        ({"recent_yaml": RECENT.replace("within: 7d", "withn: 7d")}, "recent.yaml:5:", "Extra inputs"),
        ({"recent_yaml": RECENT.replace("7d", "0d")}, "recent.yaml:5:", "greater than 0"),
        ({"recent_yaml": RECENT.replace("7d", "401d")}, "recent.yaml:5:", "less than or equal to"),
        ({"recent_yaml": RECENT.replace("order_", "ordr_")}, "recent.yaml:4:", "Did you mean 'order_completed'?"),
        ({"recent_yaml": RECENT + "  where:\n    currency: GBP\n    totl: 5\n"}, "recent.yaml:8:", "'total'"),
        # SQL
        ({"recent_sql": QUERY}, "recent.sql:1:", "nothing says what the segment means to people"),
        ({"recent_sql": f"-- d\n{QUERY}\n  LIMIT 5"}, "recent.sql:3:9:", "LIMIT is not available"),
        ({"recent_sql": f"-- d\n{QUERY};\nDROP TABLE purchases"}, "recent.sql:3:1:", "a segment is one statement"),
        ({"recent_sql": f"-- {'d' * 501}\n{QUERY}"}, "recent.sql:1:", "at most 500 characters"),
        ({"Recent_sql": f"-- d\n{QUERY}"}, "Recent.sql:1:", "name: String should match"),
        ({"recent_sql": "-- d\n"}, "recent.sql:1:1:", "there is no query"),
        # All of them
        ({"recent_yaml": RECENT, "recent_sql": f"-- d\n{QUERY}"}, "recent.yaml:1:", "'recent' is in recent.sql too"),
        ({"recent_yaml": RECENT, "b_yaml": rule("b", "not:\n    segment: recnt")}, "b.yaml:5:",
         "Did you mean 'recent'?"),
        (
            {"b_sql": "-- d\nSELECT user_id FROM segments\nWHERE segment = 'zzz'"},
            "b.sql:3:",
            "there is no segment 'zzz'",
        ),
        ({"b_yaml": rule("b", "segment: b")}, "b.yaml:4:", "circle: b → b"),
        (
            {
                "a_yaml": rule("a", "segment: b"),
                "b_yaml": rule("b", "any: [{event: page_viewed}, {segment: c}]"),
                "c_sql": "-- d\nSELECT user_id FROM segments\nWHERE segment = 'a'",
            },
            ":",
            "segments refer to each other in a circle: ",
        ),
        (
            {"a_yaml": rule("a", "{event: product_viewed, distinct: product_id, within: 400d, at_least: 100}")},
            "a.yaml:4:",
            "its estimate",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_file_and_line(directory: Path, files: dict[str, str], place: str, message: str) -> None:
    # given
    write(directory, **files)
    # when
    with pytest.raises(DefinitionError) as caught:
        load_segments(directory)
    # then
    assert place in str(caught.value)
    assert message in str(caught.value)


def test_a_circle_is_told_in_its_order(directory: Path) -> None:
    # given
    write(directory, a_yaml=rule("a", "segment: b"), b_yaml=rule("b", "segment: c"), c_yaml=rule("c", "segment: a"))
    # when
    with pytest.raises(DefinitionError) as caught:
        load_segments(directory)
    # then
    told = caught.value.message.partition("circle: ")[2].rstrip(".").split(" → ")
    assert told[0] == told[-1]
    assert all({"a": "b", "b": "c", "c": "a"}[one] == other for one, other in pairwise(told))


def test_a_mistake_in_the_declarations_is_named(directory: Path) -> None:
    # given
    write(directory, recent_yaml=RECENT)
    (directory.parent / "events.yaml").write_text("events:\n  quiz:\n    points: integer\n", encoding="utf-8")
    # when, then
    with pytest.raises(DefinitionError, match=r"events\.yaml:3: "):
        load_segments(directory)


def test_a_file_that_is_no_text_is_refused(directory: Path) -> None:
    (directory / "a.sql").write_bytes(b"\xff\xfe")
    with pytest.raises(DefinitionError, match="no text in UTF-8"):
        load_segments(directory)


def test_a_text_of_comments_alone_is_told_from_a_query_in_no_time() -> None:
    with pytest.raises(DefinitionError):
        read_segment("/**/ " * 5_000 + "-- \n" * 5_000 + "name: x", Path("-"))


@pytest.mark.parametrize("query", [QUERY, f"\n/* d */ {QUERY.lower()}", f"(({QUERY}))", f"-- Bought.\n{QUERY}"])
def test_a_query_by_itself_needs_no_file(query: str) -> None:
    # when
    segment = read_segment(query, Path("-"))
    # then
    assert segment.rule == read_segment(RECENT, Path("-")).rule


def test_without_a_parser_of_sql_the_other_files_are_read(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setitem(sys.modules, "mailtailor.segments.sql", None)
    monkeypatch.delattr(mailtailor.segments, "sql", raising=False)
    write(directory, recent_yaml=RECENT)
    assert load_segments(directory)
    write(directory, b_sql=f"-- d\n{QUERY}")
    # when, then
    with pytest.raises(DefinitionError, match=r"pip install 'mailtailor\[sql\]'"):
        load_segments(directory)


def test_the_shipped_query_waits_for_the_second_day() -> None:
    # when
    segment = load_segment(SHIPPED / "browse_abandoners_sql.sql")
    # then
    assert isinstance(segment.rule.all[0], LastOlderThan)  # type: ignore[union-attr]
