"""CSV as ESPs write and read it: row by row, never a whole file in memory."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Final, Protocol

import typer

from mailtailor.errors import BadInput, MailtailorError, NotFound

BOM: Final = "\ufeff"
_DELIMITERS: Final = ",;\t"
_RUNS_IN_A_SPREADSHEET: Final = re.compile(r"[=@\uff1d\uff20\t\r\n]|[+\-\uff0b\uff0d](?![\d ().-]*$)")


class Writer(Protocol):
    """What `csv.writer` returns."""

    def writerow(self, row: Sequence[str], /) -> object:
        """Write a row."""


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file, open.

    Attributes
    ----------
    header
        The names of its columns.
    rows
        Its other rows, each as long as the header; empty lines are left out. Raises `BadInput` as `opened` does.
    delimiter
        What parts its cells: a comma, a semicolon or a tab.
    bom
        Whether it begins with a byte order mark, as Excel wants it.
    size, position
        Bytes of the file, and a function that tells how many of them are read.
    """

    header: tuple[str, ...]
    rows: Iterator[list[str]]
    delimiter: str
    bom: bool
    size: int
    position: Callable[[], int]


def may_run(cell: str) -> bool:
    """Return whether a spreadsheet may take `cell` for a formula; numbers with a sign, as of telephones, are none.

    Full-width signs count as the plain ones, to which spreadsheets bring them. Source: OWASP, "CSV Injection".
    """
    return _RUNS_IN_A_SPREADSHEET.match(cell) is not None


@contextmanager
def opened(path: Path) -> Iterator[Table]:
    """Open a CSV file to read.

    Raises
    ------
    NotFound
        If there is no such file.
    BadInput
        If it is empty, not UTF-8, names a column twice, has a row of another length, or is no file at all.
    """
    try:
        with path.open("rb") as raw, io.TextIOWrapper(raw, encoding="utf-8", newline="") as file, _readable(path):
            first = file.readline()
            if not first.strip(BOM + "\r\n"):
                raise BadInput(f"{path} is empty.", "Its first line must name the columns.")
            file.seek(0)
            bom = first.startswith(BOM)
            file.read(int(bom))
            delimiter = max(_DELIMITERS, key=first.count)
            rows = _rows(path, csv.reader(file, delimiter=delimiter, strict=True))
            header = next(rows)
            if twice := sorted({name for name in header if header.count(name) > 1}):
                raise BadInput(f"{path} has more than one column {twice[0]!r}.", "Give each column a name of its own.")
            yield Table(tuple(header), rows, delimiter, bom, path.stat().st_size, raw.tell)
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.") from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error


def _rows(path: Path, reader: Iterator[list[str]]) -> Iterator[list[str]]:
    width = 0
    with _readable(path):
        for number, row in enumerate(reader, 1):
            if not row:
                continue
            width = width or len(row)
            if len(row) != width:
                raise BadInput(
                    f"Row {number:,} of {path} has {len(row)} cells and the first one {width}.",
                    "Put cells that contain the delimiter in double quotes.",
                )
            yield row


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8.", "Export or save it as CSV in UTF-8.") from error
    except csv.Error as error:
        raise BadInput(f"{path} is no CSV file: {error}.") from error


@contextmanager
def created(path: Path | None, *, delimiter: str = ",", bom: bool = False) -> Iterator[Writer]:
    """Write a CSV file, or to standard output; the file appears when it is complete, readable for its owner only.

    Raises
    ------
    MailtailorError
        If it cannot be written.
    """
    if path is None:
        out = io.TextIOWrapper(typer.get_binary_stream("stdout"), encoding="utf-8", newline="")
        try:
            yield _writer(out, delimiter, bom=bom)
        finally:
            out.flush()
            out.detach()
        return
    if path.is_dir():
        raise MailtailorError(f"{path} is a directory.", "Name a file.")
    try:
        with NamedTemporaryFile(
            "w", encoding="utf-8", newline="", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            part = Path(file.name)
            try:
                yield _writer(file, delimiter, bom=bom)
            except BaseException:
                part.unlink()
                raise
        part.replace(path)
    except OSError as error:
        raise MailtailorError(
            f"{path} cannot be written: {error.strerror or os.strerror(error.errno or 0)}."
        ) from error


def _writer(file: IO[str], delimiter: str, *, bom: bool) -> Writer:
    file.write(BOM if bom else "")
    return csv.writer(file, delimiter=delimiter)
