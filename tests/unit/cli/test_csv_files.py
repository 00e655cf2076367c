from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.errors import BadInput, MailtailorError, NotFound
from mailtailor_cli import csv_files


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def read(path: Path) -> list[list[str]]:
    with csv_files.opened(path) as table:
        return [list(table.header), *table.rows]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"a,b\r\n1,2\r\n", [["a", "b"], ["1", "2"]]),
        (b"a;b\n1,5;2\n", [["a", "b"], ["1,5", "2"]]),
        (b"a\tb\n1\t\n", [["a", "b"], ["1", ""]]),
        (b'a,b\n"x, y","line\nbreak"\n', [["a", "b"], ["x, y", "line\nbreak"]]),
        (b"a\n1\n\n2\n", [["a"], ["1"], ["2"]]),
        (b"a,b", [["a", "b"]]),
        ("\ufeffä,b\n1,2\n".encode(), [["ä", "b"], ["1", "2"]]),
    ],
)
def test_files_of_any_usual_form_are_read(tmp_path: Path, content: bytes, rows: list[list[str]]) -> None:
    assert read(written(tmp_path / "in.csv", content)) == rows


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf\r\n", "is empty"),
        (b"a,b,a\n", "more than one column 'a'"),
        (b"a,b\n1,2,3\n", "Row 2 of"),
        (b"a,b\n1\n", "has 1 cells and the first one 2"),
        (b"name\nGr\xfc\xdfe\n", "is not UTF-8"),
        (b"a,b\n" + b"x," * 3 + b"\n", "Row 2"),
        (b"a\n" + b"x" * 200_000 + b"\n", "is no CSV file"),
        (b'a,b\n1,"2"3\n', "is no CSV file"),
        ("a\nb\n".encode("utf-16"), "is not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        read(written(tmp_path / "in.csv", content))


def test_a_missing_file_and_a_directory_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="There is no file"):
        read(tmp_path / "none.csv")
    with pytest.raises(BadInput, match="cannot be read"):
        read(tmp_path)


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=20)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=5), st.sampled_from(",;\t"), st.booleans())
def test_what_is_written_is_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], delimiter: str, bom: bool
) -> None:
    # given
    path = tmp_path_factory.mktemp("csv") / "out.csv"
    table = [["first", "second"], *rows]
    # when
    with csv_files.created(path, delimiter=delimiter, bom=bom) as writer:
        for row in table:
            writer.writerow(row)
    # then
    assert read(path) == table


def test_a_file_appears_when_it_is_complete_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    # given a file with tokens of before
    path = written(tmp_path / "out.csv", b"before")
    # when
    with csv_files.created(path) as writer:
        writer.writerow(["now"])
        assert path.read_bytes() == b"before"
    # then
    assert path.read_bytes() == b"now\r\n"
    assert path.stat().st_mode & 0o077 == 0


def test_nothing_remains_of_a_file_that_was_not_completed(tmp_path: Path) -> None:
    # given
    def half() -> None:
        with csv_files.created(tmp_path / "out.csv") as writer:
            writer.writerow(["half"])
            raise BadInput("no")

    # when
    with pytest.raises(BadInput):
        half()
    # then
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_refused_in_a_sentence(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "out.csv"):
        with pytest.raises(MailtailorError), csv_files.created(path):
            pass


@pytest.mark.parametrize("cell", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3+cmd", "\t=1", "\r=1", "\n=1"])
def test_a_spreadsheet_may_run_it(cell: str) -> None:
    assert csv_files.may_run(cell)


@pytest.mark.parametrize("cell", ["\uff1d1+1", "\uff20SUM(A1)", "\uff0bcmd|' /C calc'!A0", "\uff0d2+cmd"])
def test_a_spreadsheet_may_run_what_begins_with_a_full_width_sign(cell: str) -> None:
    assert csv_files.may_run(cell)


@pytest.mark.parametrize("cell", ["", "anna", "+49 30 1234567", "+49 (30) 123-45", "-7.5", "1=1"])
def test_a_spreadsheet_takes_it_for_text_or_a_number(cell: str) -> None:
    assert not csv_files.may_run(cell)
