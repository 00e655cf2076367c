"""The routes of people who manage the system: closed without a good token, at work with one."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from infra.local import start
from infra.local.system import System
from mailtailor_cli import segments
from mailtailor_cli.admin import sign_in
from mailtailor_cli.connection import Connection
from mailtailor_cli.main import app
from tests.e2e.people import Recipient, until

MAIL = {"campaign": "spring", "html": '<body><a href="https://shop.example/lamp?a=1">Lamp</a></body>'}
WHY = f"/admin/profiles/{'A' * 22}/segments/recent_purchasers"
ROUTES = (
    ("GET", "/admin/campaigns"),
    ("GET", "/admin/campaigns/spring"),
    ("POST", "/admin/instrument"),
    ("GET", WHY),
)


@pytest.fixture(scope="module")
def token(system: System) -> str:
    running = Connection("the test system", system.outputs, _client_of(system))
    return sign_in(running, start.ADMINISTRATOR, system.admin_password)


def _client_of(system: System) -> dict[str, str]:
    return {
        "endpoint_url": system.endpoint_url,
        "region_name": "us-east-1",
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
    }


def ask(system: System, method: str, path: str, authorization: str | None = None) -> httpx.Response:
    headers = {} if authorization is None else {"authorization": authorization}
    return httpx.request(method, f"{system.base_url}{path}", headers=headers, json=MAIL, timeout=30)


def encoded(part: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def decoded(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "==="))


def forgeries(token: str) -> dict[str, str]:
    """Return tokens that are good but for one thing."""
    header, claims, signature = token.split(".")
    later = {**decoded(claims), "exp": decoded(claims)["exp"] + 3_600}
    other = "A" if signature[0] != "A" else "B"
    return {
        "no signature": f"{header}.{claims}.",
        "another signature": f"{header}.{claims}.{other}{signature[1:]}",
        "a longer life": f"{header}.{encoded(later)}.{signature}",
        "no algorithm": f"{encoded({**decoded(header), 'alg': 'none'})}.{claims}.",
        "another key": f"{encoded({**decoded(header), 'kid': 'mine'})}.{claims}.{signature}",
        "two parts": f"{header}.{claims}",
        "no token": "x",
    }


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_a_token_no_function_is_asked(system: System, method: str, path: str) -> None:
    answer = ask(system, method, path)
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_forged_token_is_no_token(system: System, token: str, method: str, path: str) -> None:
    answers = {why: ask(system, method, path, f"Bearer {forged}") for why, forged in forgeries(token).items()}
    assert {why: answer.status_code for why, answer in answers.items()} == dict.fromkeys(answers, 401)


def test_a_token_for_somebody_elses_client_is_no_token(system: System) -> None:
    # given
    cognito, pool = system.client("cognito-idp"), system.outputs["UserPoolId"]
    flows = ["ALLOW_ADMIN_USER_PASSWORD_AUTH"]
    made = cognito.create_user_pool_client(UserPoolId=pool, ClientName="other", ExplicitAuthFlows=flows)
    outputs = {**system.outputs, "UserPoolClientId": made["UserPoolClient"]["ClientId"]}
    other = sign_in(Connection("x", outputs, _client_of(system)), start.ADMINISTRATOR, system.admin_password)
    # when
    answer = ask(system, "GET", "/admin/campaigns", f"Bearer {other}")
    # then
    assert answer.status_code == 401


def test_a_token_whose_time_is_over_is_no_token(system: System) -> None:
    # given
    cognito = system.client("cognito-idp")
    client = {"UserPoolId": system.outputs["UserPoolId"], "ClientId": system.outputs["UserPoolClientId"]}
    flows = cognito.describe_user_pool_client(**client)["UserPoolClient"]["ExplicitAuthFlows"]
    short = {"AccessTokenValidity": 2, "TokenValidityUnits": {"AccessToken": "seconds"}}
    usual = {"AccessTokenValidity": 60, "TokenValidityUnits": {"AccessToken": "minutes"}}
    cognito.update_user_pool_client(**client, **short, ExplicitAuthFlows=flows)
    running = Connection("the test system", system.outputs, _client_of(system))
    try:
        brief = sign_in(running, start.ADMINISTRATOR, system.admin_password)
    finally:
        cognito.update_user_pool_client(**client, **usual, ExplicitAuthFlows=flows)
    # when
    until(lambda: time.time() >= decoded(brief.split(".")[1])["exp"] + 0.1)
    # then
    assert ask(system, "GET", "/admin/campaigns", f"Bearer {brief}").status_code == 401


@pytest.mark.parametrize("path", ["//admin/instrument", "/%61dmin/instrument", "/x/../admin/instrument"])
def test_no_other_spelling_of_the_path_goes_round_the_authorizer(system: System, path: str) -> None:
    assert ask(system, "POST", path).status_code in {401, 404}


def test_with_a_token_a_mail_is_instrumented_and_its_link_leads_where_it_led(system: System, token: str) -> None:
    # when
    answer = ask(system, "POST", "/admin/instrument", f"Bearer {token}")
    # then
    assert answer.status_code == 200
    [url] = re.findall(r'href="([^"]+)"', answer.json()["html"])
    assert url.startswith(f"{system.base_url}/c/")
    click = httpx.get(url, timeout=30)
    assert click.status_code == 302
    assert click.headers["location"].startswith("https://shop.example/lamp?a=1")


def test_with_a_token_campaigns_are_told(system: System, token: str) -> None:
    answer = ask(system, "GET", "/admin/campaigns", f"Bearer {token}")
    assert answer.status_code == 200
    assert "campaigns" in answer.json()


def test_with_a_token_it_is_told_why_somebody_is_in_a_segment(
    system: System, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    recipient = Recipient(system).introduce()
    recipient.send([recipient.track("Order Completed", order_id="o", total=5, products=[])])
    path = f"/admin/profiles/{recipient.profile_id}/segments/recent_purchasers"
    # when
    told = until(
        lambda: ask(system, "GET", path, f"Bearer {token}").json(), accept=lambda told: told["stored"]["since"]
    )
    # then
    assert (told["member"], told["condition"]["says"]) == (True, "they have bought in the last 7 days")
    assert told["condition"]["evidence"].startswith("the last purchase was on ")
    assert told["until"] == told["stored"]["valid_until"]
    # and the command tells it without a token
    running = Connection("the test system", system.outputs, _client_of(system))
    monkeypatch.setattr(segments, "connect", lambda _where: running)
    printed = CliRunner().invoke(app, ["segments", "why", recipient.profile_id, "recent_purchasers"])
    assert "✓ they have bought in the last 7 days" in printed.output
    # and of what there is not, a sentence
    unknown = ask(system, "GET", WHY, f"Bearer {token}")
    assert (unknown.status_code, unknown.json()["message"]) == (404, "There is no profile of this id.")


def test_an_open_time_image_is_drawn_for_everybody(system: System) -> None:
    answer = httpx.get(f"{system.base_url}/image/winter_sale/anybody.gif", timeout=30)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert 1_000 < len(answer.content) <= 60 * 1024
