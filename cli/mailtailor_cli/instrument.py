"""Put tracked links and the open pixel into a mail: `mailtailor instrument`."""

from __future__ import annotations

import codecs
import contextlib
import re
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from mailtailor.errors import BadInput, MailtailorError, NotFound
from mailtailor.tracking.mail_request import InstrumentResponse, LinkReport, instrument_request, read_request
from mailtailor_cli.connection import Where, connect
from mailtailor_cli.keys import keyring

TEXT_SUFFIX: Final = ".txt"
_PRESCANNED: Final = 1_024
_CHARSET: Final = re.compile(rb"""<meta\b[^>]*?\bcharset\s*=\s*["']?([A-Za-z0-9_.:-]+)""", re.IGNORECASE)


def instrument(
    mail: Annotated[Path, typer.Argument(help="The mail, HTML; or its text, if it ends in .txt.")],
    campaign: Annotated[str, typer.Option(help="The campaign's id, as events and reports will name it.")],
    *,
    output: Annotated[Path | None, typer.Option(help="Where to write it; standard output if not given.")] = None,
    text: Annotated[Path | None, typer.Option(help="The mail's plain-text part, UTF-8.")] = None,
    text_output: Annotated[Path | None, typer.Option(help="Where to write the plain-text part.")] = None,
    esp: Annotated[
        str, typer.Option(help="Your ESP: sfmc, braze, hubspot, klaviyo, iterable, mailchimp or generic.")
    ] = "",
    recipient_tag: Annotated[
        str, typer.Option(help="The merge tag that your ESP replaces with the recipient token, if not the ESP's usual.")
    ] = "",
    instance_tag: Annotated[
        str, typer.Option(help="The merge tag of the send's id; 'esp' for the ESP's usual. Without, there is none.")
    ] = "",
    utm: Annotated[list[str] | None, typer.Option(help="A campaign parameter, as utm_source=shop; repeatable.")] = None,
    no_utm: Annotated[bool, typer.Option("--no-utm", help="Add no campaign parameters.")] = False,
    honeypot: Annotated[str, typer.Option(help="Where a link leads that no person sees, to know machines by.")] = "",
    report: Annotated[bool, typer.Option("--report", help="Say what was done with each link.")] = False,
    report_json: Annotated[Path | None, typer.Option(help="Write the report to this file, as JSON.")] = None,
    on: Annotated[Where, typer.Option("--on", help="The system to work on.")] = Where.AUTO,
) -> None:
    """Track the links of a mail, add campaign parameters and the open pixel; nothing else in it changes."""
    if (text is None) != (text_output is None):
        raise BadInput("A plain-text part needs a place to go.", "Give --text and --text-output together.")
    if utm and no_utm:
        raise BadInput("--utm and --no-utm contradict each other.", "Give one of them.")
    alone = mail.suffix.lower() == TEXT_SUFFIX
    if alone and text is not None:
        raise BadInput(f"{mail} and {text} are both plain text.", "Give the HTML part first.")
    html, encoding = read_mail(mail)
    request = read_request(
        {
            "campaign": campaign,
            "text" if alone else "html": html,
            **({"text": read_mail(text)[0]} if text else {}),
            "esp": esp,
            "recipient_tag": recipient_tag,
            "instance_tag": instance_tag,
            "utm": False if no_utm else parameters(utm or ()),
            "honeypot_url": honeypot,
        }
    )
    request.form()
    system = connect(on)
    result = instrument_request(
        request,
        keyring=keyring(system),
        open_url=system.outputs["OpenUrl"],
        click_url=system.outputs["ClickUrl"],
        now=system.clock(),
    )
    write_mail(output, result.text if alone else result.html, encoding)
    if text_output is not None:
        write_mail(text_output, result.text)
    if report_json is not None:
        write_mail(report_json, result.model_dump_json(include={"pixel", "links", "warnings"}, indent=2) + "\n")
    _tell(result, system.name, report=report, html=not alone)


def _tell(result: InstrumentResponse, system: str, *, report: bool, html: bool) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if report:
        for link in result.links:
            console.print(described(link), markup=False)
    for warning in result.warnings:
        console.print(warning, style="yellow", markup=False)
    tracked = sum(link.tracked for link in result.links)
    pixel = ", open pixel added" if result.pixel else ", open pixel was there already" if html else ""
    console.print(f"{tracked} of {len(result.links)} links tracked{pixel}, for {system}.", markup=False)
    if result.esp_hint:
        console.print(result.esp_hint, markup=False)


def parameters(options: list[str] | tuple[str, ...]) -> dict[str, str]:
    """Return campaign parameters from `name=value`; raise `BadInput` if one has another form."""
    found: dict[str, Any] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise BadInput(f"--utm {option!r} has no value.", "Write it as utm_source=shop.")
        found[name] = value
    return found


def read_mail(path: Path) -> tuple[str, str]:
    """Return a mail's text, line ends as they are, and its encoding: UTF-8, or what its `<meta>` says.

    Raises
    ------
    NotFound
        If there is no such file.
    BadInput
        If it is empty, in an encoding that it does not name, or no file at all.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.") from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error
    if not raw.strip():
        raise BadInput(f"{path} is empty.")
    try:
        return raw.decode(), "utf-8"
    except UnicodeDecodeError as error:
        encoding = declared_encoding(raw)
        with contextlib.suppress(UnicodeError, LookupError):
            # Not every encoding gives back the bytes it was read from, and then the mail would be changed.
            if encoding and (mail := raw.decode(encoding)).encode(encoding) == raw:
                return mail, encoding
        raise BadInput(
            f"{path} is not UTF-8 (byte {error.start:,}).", "Save it as UTF-8, and let its <meta charset> say so."
        ) from error


def declared_encoding(html: bytes) -> str:
    """Return the encoding that a mail's `<meta>` names, as browsers read it; empty if it names none that we know.

    Source: HTML Standard, "prescan a byte stream to determine its encoding"; Encoding Standard, "Names and labels".
    """
    said = _CHARSET.search(html[:_PRESCANNED])
    try:
        name = codecs.lookup(said[1].decode()).name if said else ""
    except LookupError:
        return ""
    return "cp1252" if name in {"iso8859-1", "ascii"} else name


def write_mail(path: Path | None, content: str, encoding: str = "utf-8") -> None:
    """Write to a file or standard output, line ends as they are; raise `MailtailorError` if that is not possible."""
    raw = content.encode(encoding, "xmlcharrefreplace")
    if path is None:
        typer.echo(raw, nl=False)
        return
    try:
        path.write_bytes(raw)
    except OSError as error:
        raise MailtailorError(f"{path} cannot be written: {error.strerror}.") from error


def described(link: LinkReport) -> str:
    """Return a line that says what was done with `link`; never cut, so that it can be searched for."""
    done = "tracked" if link.tracked else f"left as it is: {link.reason}"
    return f"{link.position:>3}  {link.kind:<4}  line {link.line:>4}  {link.destination or link.href}  {done}"
