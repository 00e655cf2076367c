"""A mail to instrument as the command line, Python and the API ask for it: one request, one answer, one path."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from mailtailor.errors import BadInput
from mailtailor.instant import Instant
from mailtailor.tracking.esp_forms import EspForm, esp_form
from mailtailor.tracking.instrument import RECIPIENT_TAG, Link, Mailing, Utm, instrument, instrument_text
from mailtailor.tracking.tokens import Keyring

MAX_PART_BYTES: Final = 1_000_000
"""Ten times what Gmail shows of a mail."""
TOO_LARGE: Final = "too_large"
ESP_INSTANCE: Final = "esp"
"""In place of an instance tag: the one that the ESP documents."""


def _sendable(part: str) -> str:
    if len(part.encode(errors="replace")) > MAX_PART_BYTES:
        raise PydanticCustomError(TOO_LARGE, f"it is larger than {MAX_PART_BYTES:,} bytes")
    return part


Part = Annotated[str, AfterValidator(_sendable)]
Tag = Annotated[str, StringConstraints(max_length=200)]
Address = Annotated[str, StringConstraints(max_length=2_000)]


class InstrumentRequest(BaseModel):
    """What to instrument and how.

    Attributes
    ----------
    html, text
        The parts of the mail, at least one of them.
    campaign
        The mailing's id.
    esp
        The ESP whose merge tags to use; without, the generic one's.
    recipient_tag
        The merge tag of the recipient token, in place of the ESP's.
    instance_tag
        The merge tag of the send's id, or `ESP_INSTANCE` for the ESP's own. Without, all sends of a mailing are one
        message: right unless delivered events name the send too.
    utm
        Campaign parameters by name; false for none.
    honeypot_url
        Where a link leads that no person sees; empty for none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    campaign: str
    html: Part = ""
    text: Part = ""
    esp: str = ""
    recipient_tag: Tag = ""
    instance_tag: Tag = ""
    utm: Annotated[dict[str, Tag], Field(max_length=20)] | Literal[False] = {}
    honeypot_url: Address = ""

    @model_validator(mode="after")
    def _has_a_part(self) -> Self:
        if not self.html.strip() and not self.text.strip():
            raise ValueError("there is neither html nor text")
        return self

    def form(self) -> EspForm | None:
        """Return the ESP's form, None if none is named; raise `BadInput` if it is not known."""
        return esp_form(self.esp) if self.esp else None


class LinkReport(BaseModel):
    """What was done with a link; see `Link`."""

    model_config = ConfigDict(frozen=True)

    position: int
    kind: str
    line: int
    href: str
    destination: str
    tracked: bool
    reason: str

    @classmethod
    def of(cls, link: Link) -> LinkReport:
        """Return the report of `link`."""
        return cls(
            position=link.position,
            kind=link.kind,
            line=link.line,
            href=link.href,
            destination=link.destination,
            tracked=link.tracked,
            reason=link.reason,
        )


class InstrumentResponse(BaseModel):
    """A mail ready for the ESP, and what was done to it.

    Attributes
    ----------
    html, text
        The parts; empty where the request had none.
    pixel
        Whether the open pixel was added.
    links
        Each link of both parts in order, those left as they are included.
    warnings
        What the author should know, a sentence each.
    esp_hint
        Which attribute must hold the recipients' tokens and how to get them there; empty without an ESP.
    """

    model_config = ConfigDict(frozen=True)

    html: str
    text: str
    pixel: bool
    links: tuple[LinkReport, ...]
    warnings: tuple[str, ...]
    esp_hint: str


def read_request(payload: object) -> InstrumentRequest:
    """Return the request that untrusted JSON is; raise `BadInput`, which names the field, if it is none."""
    try:
        return InstrumentRequest.model_validate(payload)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        # Pydantic names the members of a union in brackets too.
        where = ".".join(part for part in fault["loc"] if isinstance(part, str) and "[" not in part) or "The request"
        message = fault["msg"].removeprefix("Value error, ").rstrip(".")
        hint = (
            "Let it name images by their addresses, not contain them."
            if fault["type"] == TOO_LARGE
            else f"It takes {', '.join(InstrumentRequest.model_fields)}."
        )
        raise BadInput(f"{where}: {message}.", hint) from error


def instrument_request(
    request: InstrumentRequest, *, keyring: Keyring, open_url: str, click_url: str, now: Instant
) -> InstrumentResponse:
    """Instrument the parts of a mail, the text's links numbered on from the HTML's.

    Parameters
    ----------
    request
        What to instrument.
    keyring, open_url, click_url, now
        As `Mailing` takes them.

    Raises
    ------
    BadInput
        If the campaign, the ESP, a tag, a campaign parameter or the honeypot's address is not usable.
    """
    form = request.form()
    mailing = Mailing(
        campaign=request.campaign,
        keyring=keyring,
        open_url=open_url,
        click_url=click_url,
        now=now,
        recipient_tag=request.recipient_tag or (form.recipient_tag if form else RECIPIENT_TAG),
        instance_tag=_instance_tag(request, form),
        utm=None if request.utm is False else Utm(request.utm),
        honeypot_url=request.honeypot_url,
    )
    html = instrument(request.html, mailing) if request.html.strip() else None
    links = list(html.links) if html else []
    text = instrument_text(request.text, mailing, first_position=len(links) + 1) if request.text.strip() else None
    if text:
        links += text.links
    return InstrumentResponse(
        html=html.html if html else request.html,
        text=text.text if text else request.text,
        pixel=html.pixel if html else False,
        links=tuple(map(LinkReport.of, links)),
        warnings=(*(html.warnings if html else ()), *(text.warnings if text else ())),
        esp_hint=f"{form.hint}. {form.links}" if form else "",
    )


def _instance_tag(request: InstrumentRequest, form: EspForm | None) -> str:
    if request.instance_tag != ESP_INSTANCE:
        return request.instance_tag
    if form is None or not form.instance_tag:
        who = form.title if form else "Without an ESP, Mailtailor"
        raise BadInput(f"{who} knows no merge tag that differs from send to send.", "Give the tag itself, or none.")
    return form.instance_tag
