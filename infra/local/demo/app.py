"""The demonstration's routes, in front of the system that they show."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import jinja2
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from infra.local.demo.campaigns import SHOP, sent_at
from infra.local.demo.demonstration import Demonstration
from infra.local.demo.inbox import Recipient
from infra.local.demo.sample import CATEGORIES, Product
from infra.local.system import System
from mailtailor.aws.clock import system_clock
from mailtailor.content.catalog import SYMBOLS
from mailtailor.errors import BadInput, Unauthorized
from mailtailor.instant import HOUR, to_datetime

if TYPE_CHECKING:
    from starlette.requests import Request

HERE: Final = Path(__file__).parent
COOKIE: Final = "mailtailor_recipient"
STEPS: Final = frozenset({"1", "24", "72", "192"})
MAX_BODY: Final = 64_000
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost"})
SHELF: Final = 6

PAGE_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
SAID: Final = {
    "added": "It is in the cart.",
    "ordered": "Thank you for the order.",
    "failed": "That did not work. Please try again.",
}


def routes(system: System) -> list[BaseRoute]:
    """Return the pages of the demonstration of `system`."""
    return routes_of(Demonstration(system))


def routes_of(demonstration: Demonstration) -> list[BaseRoute]:
    """Return the pages of a demonstration."""
    pages = Pages(demonstration)
    return [
        Route("/", pages.start, methods=["GET"]),
        Route("/demo/state", pages.state, methods=["GET"]),
        Route("/demo/clock", pages.move_clock, methods=["POST"]),
        Route("/demo/esp", pages.esp_receives, methods=["POST"]),
        Route("/demo/esp", pages.esp_received, methods=["GET"]),
        Mount("/demo/assets", StaticFiles(directory=HERE / "assets")),
        Route("/inbox/{number}", pages.inbox, methods=["GET"]),
        Route("/inbox/{number}/state/{campaign}", pages.inbox_state, methods=["GET"]),
        Route("/inbox/{number}/mail/{campaign}", pages.mail, methods=["GET"]),
        Route("/inbox/{number}/block/{campaign}", pages.block, methods=["GET"]),
        Route("/inbox/{number}/clicked", pages.clicked, methods=["POST"]),
        Route("/shop", pages.shelves, methods=["GET"]),
        Route("/shop/offers/{offer}", pages.shelves, methods=["GET"]),
        Route("/shop/{product_id}", pages.product, methods=["GET"]),
        Route("/shop/{product_id}", pages.act, methods=["POST"]),
    ]


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(template: str, *, status: int = 200, **values: Any) -> HTMLResponse:  # noqa: ANN401 - a template's variables
    """Return a rendered page."""
    text = _templates().get_template(template).render(shop=SHOP, **values)
    return HTMLResponse(text, status, headers=PAGE_HEADERS)


def price_text(product: Product) -> str:
    """Return a price as people read it."""
    return f"{SYMBOLS['GBP']}{Decimal(str(product.price)):.2f}"


def _own(endpoint: Callable[[Pages, Request], Awaitable[Response]]) -> Callable[[Pages, Request], Awaitable[Response]]:
    """Refuse what another site's page makes a browser send, and what no form of ours is as large as."""

    async def guarded(self: Pages, request: Request) -> Response:
        if not _is_own(request):
            return JSONResponse({"message": "Only the demonstration's own pages may do that."}, 403)
        return await endpoint(self, request)

    return guarded


def _is_own(request: Request) -> bool:
    # By a name that was pointed at this machine, the requests of another site's page are those of the same site.
    if request.url.hostname not in LOOPBACK:
        return False
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    # Older browsers say only this; without both, no browser asks.
    return request.headers.get("origin") in {None, str(request.base_url).rstrip("/")}


async def _form(request: Request) -> dict[str, str]:
    body = await _body(request)
    return {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise BadInput("The body is too large.")
    return body


class Pages:
    """The endpoints.

    Parameters
    ----------
    demonstration
        What they show.
    """

    def __init__(self, demonstration: Demonstration) -> None:
        self._demo = demonstration

    def start(self, _: Request) -> Response:
        """Show whose inboxes there are, the clock, the import and the ESP."""
        state = self._demo.state()
        return page("start.html", recipients=self._demo.recipients, state=state, clock=state["clock"], here="/")

    def state(self, _: Request) -> Response:
        """Return the start page's state as JSON."""
        return JSONResponse(self._demo.state(), headers=PAGE_HEADERS)

    @_own
    async def move_clock(self, request: Request) -> Response:
        """Move the demonstration's clock forward."""
        form = await _form(request)
        if form.get("hours") not in STEPS:
            return JSONResponse({"message": "Time can be moved by 1, 24, 72 or 192 hours."}, 400)
        await run_in_threadpool(self._demo.system.move_clock, int(form["hours"]) * HOUR)
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse(self._demo.clock(), headers=PAGE_HEADERS)
        back = form.get("back", "/")
        return RedirectResponse(back if back.startswith(("/inbox/", "/?")) else "/", 303)

    async def esp_receives(self, request: Request) -> Response:
        """Take a membership change, as an ESP would."""
        try:
            body = await _body(request)
            self._demo.esp.receive(request.headers, body, now=system_clock(), received_at=self._demo.system.now())
        except Unauthorized as error:
            return JSONResponse({"message": error.message}, 401)
        except BadInput as error:
            return JSONResponse({"message": error.message}, 400)
        return Response(status_code=204)

    def esp_received(self, _: Request) -> Response:
        """Return what arrived at the ESP."""
        arrivals = [
            {
                "profile_id": one.profile_id,
                "segment": one.segment,
                "state": "entered" if one.entered else "left",
                "reason": one.reason,
                "at": one.at,
                "received_at": one.received_at,
            }
            for one in self._demo.esp.arrivals()
        ]
        state = {"received": self._demo.esp.received, "counts": self._demo.esp.counts(), "arrivals": arrivals}
        return JSONResponse(state, headers=PAGE_HEADERS)

    def inbox(self, request: Request) -> Response:
        """Show a recipient's mails, one of them opened."""
        recipient = self._recipient(request)
        if recipient is None:
            return _missing("There is no such inbox.")
        wanted = request.query_params.get("letter")
        letter = next((one for one in recipient.letters if one.id == wanted), recipient.letters[0])
        shift = self._demo.shift()
        state = self._demo.inbox(recipient, letter.id)
        answer = page(
            "inbox.html",
            recipient=recipient,
            letter=letter,
            letters=[{"campaign": one, "day": _day(sent_at(one) + shift)} for one in recipient.letters],
            state=state,
            clock=state["clock"],
            here=f"/inbox/{recipient.number}?letter={letter.id}",
        )
        # The redirect leads to the shop without saying who comes, so the browser remembers it.
        answer.set_cookie(COOKIE, str(recipient.number), path="/", httponly=True, samesite="lax")
        return answer

    def inbox_state(self, request: Request) -> Response:
        """Return a recipient's live state as JSON."""
        recipient = self._recipient(request)
        if recipient is None:
            return JSONResponse({"message": "There is no such inbox."}, 404)
        return JSONResponse(self._demo.inbox(recipient, request.path_params["campaign"]), headers=PAGE_HEADERS)

    def mail(self, request: Request) -> Response:
        """Return a mail as it arrives, for a frame of its own."""
        recipient = self._recipient(request)
        mail = self._demo.mail(recipient, request.path_params["campaign"]) if recipient else None
        if mail is None:
            return _missing("There is no such mail.")
        # A mail has inline styles and pictures of the address it was instrumented for, and never a script.
        policy = (
            f"default-src 'none'; img-src 'self' {self._demo.system.base_url} data:; style-src 'unsafe-inline'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
        )
        return HTMLResponse(mail, headers={**PAGE_HEADERS, "content-security-policy": policy})

    def block(self, request: Request) -> Response:
        """Return the content block as a recipient would get it now."""
        recipient = self._recipient(request)
        content = self._demo.content(recipient, request.path_params["campaign"]) if recipient else None
        if content is None:
            return _missing("There is no content.")
        return HTMLResponse(content.html, headers=PAGE_HEADERS)

    @_own
    async def clicked(self, request: Request) -> Response:
        """Start the stop-watch of a click."""
        recipient = self._recipient(request)
        if recipient is not None:
            self._demo.clicked(recipient)
        return Response(status_code=204)

    def shelves(self, request: Request) -> Response:
        """Show the shop's bestsellers."""
        shelves = [
            {"category": category, "products": _priced(self._demo.sample.best_sellers(category)[:SHELF])}
            for category in CATEGORIES
        ]
        return page("shelves.html", shelves=shelves, recipient=self._shopper(request))

    def product(self, request: Request) -> Response:
        """Show a product."""
        product = self._demo.sample.products.get(request.path_params["product_id"])
        if product is None:
            return _missing("The shop has no such product.")
        shopper = self._shopper(request)
        if shopper is not None and "utm_campaign" in request.query_params:
            self._demo.arrived(shopper)
        siblings = [one for one in self._demo.sample.best_sellers(product.category) if one is not product]
        return page(
            "shop.html",
            product=product,
            price=price_text(product),
            more=_priced(siblings[:SHELF]),
            recipient=shopper,
            said=SAID.get(request.query_params.get("said", ""), ""),
        )

    @_own
    async def act(self, request: Request) -> Response:
        """Take what the current recipient does with a product."""
        form = await _form(request)
        product = self._demo.sample.products.get(request.path_params["product_id"])
        recipient, event = self._shopper(request), form.get("event", "")
        if product is None or recipient is None or event not in {"viewed", "added", "ordered"}:
            return JSONResponse({"message": "Nobody is shopping, or there is no such product."}, 400)
        taken = await run_in_threadpool(self._demo.act, recipient, product, event)
        outcome = event if taken else "failed"
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"message": SAID.get(outcome, "")}, 200 if taken else 502, headers=PAGE_HEADERS)
        return RedirectResponse(f"/shop/{product.id}?said={outcome}", 303)

    def _recipient(self, request: Request) -> Recipient | None:
        return self._demo.recipient(request.path_params["number"])

    def _shopper(self, request: Request) -> Recipient | None:
        return self._demo.recipient(request.cookies.get(COOKIE))


def _missing(message: str) -> Response:
    return page("missing.html", status=404, message=message)


def _day(instant: int) -> str:
    moment = to_datetime(instant)
    return f"{moment.day} {moment:%b}"


def _priced(products: tuple[Product, ...] | list[Product]) -> list[dict[str, str]]:
    return [{"id": one.id, "name": one.name, "price_text": price_text(one)} for one in products]
