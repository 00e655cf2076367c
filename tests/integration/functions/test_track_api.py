from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.track_api import handler as track_api
from functions.track_api.handler import Dependencies, connect
from mailtailor.aws.secrets import Secret
from mailtailor.aws.startup import prepared
from mailtailor.aws.token_keys import TokenKeys
from mailtailor.profiles.identity import IdentityKind, Pseudonymizer
from mailtailor.tracking.tokens import Keyring, Purpose, RecipientToken, StitchToken, sign_recipient, sign_stitch
from tests.integration.functions.intake_engine import NOW, WRITE_KEY, Context, Engine, engine, http_event

BROWSER_KEY = "the-browser-key"
BASIC = f"Basic {base64.b64encode(f'{WRITE_KEY}:'.encode()).decode()}"
TOKENS = {"active": "k1", "k1": "the secret key of these tests, long"}
KEYRING = Keyring.from_secret(TOKENS)
FOREIGN = Keyring.from_secret({"active": "k1", "k1": "somebody else's key, and as long"})
RECIPIENT = "AAECAwQFBgcICQoLDA0ODw"
BROWSER = Pseudonymizer(b"a pepper").pseudonym(IdentityKind.ANONYMOUS_ID, "browser")
PAGE = {"type": "page", "anonymousId": "browser", "messageId": "p1"}
TRACK = {"userId": "42", "event": "Product Viewed", "messageId": "m1", "properties": {"product_id": "85123A"}}


@pytest.fixture(scope="module")
def world() -> Iterator[Engine]:
    with pytest.MonkeyPatch.context() as patch, engine(patch) as running:
        running.secrets.create_secret(Name="tokens", SecretString=json.dumps(TOKENS))
        patch.setenv("TOKENS_SECRET_ID", "tokens")
        keys = TokenKeys(Secret(client=running.secrets, secret_id="tokens", clock=lambda: running.now[0]))
        patch.setattr(track_api, "dependencies", lambda: Dependencies(running.intake, keys))
        yield running


@pytest.fixture(autouse=True)
def _as_at_first(world: Engine) -> None:
    world.queued()
    for key in list(world.intake.parked.listed()):
        world.intake.parked.remove(key)
    world.set_keys(write_key=WRITE_KEY, browser_key=BROWSER_KEY)
    world.now[0] += 600_000


def call(name: str, body: Any, method: str = "POST", **headers: str) -> tuple[int, dict[str, Any]]:
    raw = body if isinstance(body, bytes | str) else json.dumps(body)
    response = track_api.handler(http_event(method, f"/v1/{name}", raw, **headers), Context())
    return response["statusCode"], json.loads(response["body"] or "{}")


@pytest.mark.parametrize(
    ("body_key", "headers"),
    [
        ({"writeKey": WRITE_KEY}, {}),
        ({}, {"authorization": BASIC}),
        ({}, {"Authorization": f"Bearer {WRITE_KEY}"}),
    ],
)
def test_a_call_with_the_write_key_in_any_of_its_places_is_queued(
    world: Engine, body_key: dict[str, str], headers: dict[str, str]
) -> None:
    # when
    status, answer = call("track", {**TRACK, **body_key}, **headers)

    # then
    [event] = world.queued()
    assert (status, answer) == (200, {"success": True})
    assert (event.id, event.type, event.received_at) == ("segment:m1", "product_viewed", world.now[0])
    assert event.identities[0].id == Pseudonymizer(b"a pepper").pseudonym(IdentityKind.USER_ID, "42")


def test_a_gzip_body_is_a_body(world: Engine) -> None:
    # when
    status, _ = call("track", gzip.compress(json.dumps(TRACK).encode()), authorization=BASIC, content_encoding="gzip")

    # then
    assert status == 200
    assert len(world.queued()) == 1


@pytest.mark.parametrize("key", [None, "", "wrong", "wröng", "\ud800", WRITE_KEY + " ", 7])
def test_a_wrong_write_key_is_refused_and_nothing_is_queued(world: Engine, key: object) -> None:
    # when
    status, answer = call("track", {**TRACK, "writeKey": key})

    # then
    assert (status, answer["code"], bool(answer["message"])) == (401, "Unauthorized", True)
    assert world.queued() == []


def test_an_empty_key_in_the_secret_opens_nothing(world: Engine) -> None:
    # given
    world.set_keys(shopify="only this")
    world.now[0] += 600_000

    # then
    assert call("track", {**TRACK, "writeKey": ""})[0] == 401
    assert call("track", TRACK, authorization="Basic Og==")[0] == 401


def test_a_rotated_key_is_good_within_seconds_and_the_old_one_while_it_stands_beside(world: Engine) -> None:
    # given a function that has read the secret
    call("track", {**TRACK, "writeKey": WRITE_KEY})
    world.set_keys(write_key=f"new-key {WRITE_KEY}")
    world.now[0] += 11_000

    # then
    assert call("track", {**TRACK, "writeKey": "new-key"})[0] == 200
    assert call("track", {**TRACK, "writeKey": WRITE_KEY})[0] == 200


def test_one_bad_event_of_a_batch_is_reported_and_the_others_are_queued(
    world: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    batch = [
        {"type": "track", **TRACK},
        {"type": "identify", "userId": "42", "traits": {"Ann Example": {"secret": 1}}},
        {"type": "page", "anonymousId": "a", "messageId": "m2"},
    ]

    # when
    status, answer = call("batch", {"batch": batch, "writeKey": WRITE_KEY})

    # then
    assert status == 200
    assert answer["accepted"] == 2
    assert [(rejection["index"], rejection["code"]) for rejection in answer["rejected"]] == [(1, "BadField")]
    assert answer["rejected"][0]["message"].startswith("traits.Ann Example must be text")
    assert {event.id for event in world.queued()} == {"segment:m1", "segment:m2"}
    log = capsys.readouterr().out
    assert "Ann Example" not in log
    assert '"EventsRejected"' in log


def test_a_batch_as_large_as_may_be_is_taken_whole(world: Engine) -> None:
    # given
    batch = [
        {"type": "track", "event": "A", "userId": str(number), "messageId": str(number)} for number in range(2_500)
    ]

    # when
    status, answer = call("batch", {"batch": batch, "writeKey": WRITE_KEY})

    # then
    assert (status, answer) == (200, {"success": True})
    assert len({event.id for event in world.queued()}) == 2_500


@pytest.mark.parametrize("name", ["teleport", "", "track/extra", "../v1"])
def test_an_unknown_call_is_not_found(name: str) -> None:
    assert call(name, {**TRACK, "writeKey": WRITE_KEY})[0] == 404


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", {}),
        (b"{", {}),
        (b"\xff\xfe", {}),
        (b'{"a": NaN}', {}),
        (b"[" * 400_000, {}),
        (b" " * 512_001, {}),
        (b"1f8b", {"content_encoding": "gzip"}),
        (gzip.compress(bytes(50_000_000), mtime=0), {"content_encoding": "gzip"}),
        (b"{}", {"content_encoding": "br"}),
        (json.dumps({**TRACK, "properties": {"x": "y" * 33_000}}).encode(), {}),
        (json.dumps({**TRACK, "event": 7.5}).encode(), {}),
        (json.dumps({"batch": {}}).encode(), {}),
        (json.dumps({"batch": [{}] * 2_501}).encode(), {}),
    ],
)
def test_what_cannot_be_used_is_a_400_with_code_and_message(
    world: Engine, body: bytes, headers: dict[str, str]
) -> None:
    # when
    status, answer = call("batch" if b"batch" in body else "track", body, authorization=BASIC, **headers)

    # then
    assert status == 400
    assert answer["code"]
    assert answer["message"]
    assert world.queued() == []


def test_a_body_that_says_it_is_base64_and_is_not_is_a_400() -> None:
    # given
    event = {**http_event("POST", "/v1/track", "%%%"), "isBase64Encoded": True}

    # then
    assert track_api.handler(event, Context())["statusCode"] == 400


def test_a_queue_that_fails_is_a_503_that_says_when_to_come_back(
    world: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr(world.intake.events.queue, "_url", world.url + "-gone")

    # when
    response = track_api.handler(http_event("POST", "/v1/track", json.dumps(TRACK), authorization=BASIC), Context())

    # then
    assert response["statusCode"] == 503
    assert int(response["headers"]["retry-after"]) > 0
    assert json.loads(response["body"]).keys() >= {"code", "message"}


def test_the_function_composes_itself_from_its_environment(world: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(track_api, "dependencies", prepared(connect))

    # then
    assert call("track", {**TRACK, "writeKey": WRITE_KEY})[0] == 200
    assert world.queued()[0].received_at < NOW


def stitch(at: int, keyring: Keyring = KEYRING) -> dict[str, Any]:
    """Return the context of a call from the page to which a click led `at` an instant."""
    return {"mailtailor": {"stitch": sign_stitch(keyring, StitchToken(RECIPIENT, at, b"a nonce here"))}}


def test_a_browser_that_brings_the_token_of_a_click_is_stitched_before_its_own_event(world: Engine) -> None:
    # when
    status, answer = call("page", {**PAGE, "context": stitch(world.now[0] - 600_000)}, authorization=BASIC)
    # then
    stitched, viewed = world.queued()
    assert (status, answer) == (200, {"success": True})
    assert (stitched.type, stitched.source, stitched.profile_id) == ("browser_stitched", "mailtailor", RECIPIENT)
    assert [(identity.kind, identity.id) for identity in stitched.identities] == [("anonymous_id", BROWSER)]
    assert stitched.properties == {"nonce": "YSBub25jZSBoZXJl", "expires_at": world.now[0]}
    assert (viewed.type, viewed.profile_id) == ("page_viewed", None)


def test_all_calls_that_bring_one_token_say_the_same(world: Engine) -> None:
    # given
    context = stitch(world.now[0])
    batch = [{**PAGE, "messageId": "p1"}, {**PAGE, "messageId": "p2"}]
    # when
    call("batch", {"batch": batch, "context": context}, authorization=BASIC)
    call("page", {**PAGE, "context": context}, authorization=BASIC)
    # then
    stitches = {event.id for event in world.queued() if event.type == "browser_stitched"}
    assert stitches == {f"stitch:YSBub25jZSBoZXJl:{BROWSER}"}


@pytest.mark.parametrize(
    "who",
    [
        {"userId": "42"},
        {"context": {"traits": {"email": "ann@shop.example"}}},
        {"context": {"consent": {"categoryPreferences": {"tracking": False}}}},
    ],
)
def test_who_is_named_or_refuses_is_not_stitched(
    world: Engine, capsys: pytest.CaptureFixture[str], who: dict[str, Any]
) -> None:
    # given
    context = {**stitch(world.now[0]), **who.get("context", {})}
    # when
    status, _ = call("page", {**PAGE, **who, "context": context}, authorization=BASIC)
    # then
    assert status == 200
    assert len(world.queued()) == 1
    assert "StitchesRefused" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (stitch(NOW)["mailtailor"]["stitch"], "expired"),
        (stitch(NOW * 2, FOREIGN)["mailtailor"]["stitch"], "signature"),
        (sign_recipient(KEYRING, RecipientToken(RECIPIENT, Purpose.TRACK)), "signature"),
        ("no token!", "encoding"),
        ("", "length"),
        (7, "length"),
        (None, "length"),
    ],
)
def test_a_bad_token_is_counted_with_its_reason_and_the_call_is_taken(
    world: Engine, capsys: pytest.CaptureFixture[str], token: object, reason: str
) -> None:
    # when
    status, _ = call("page", {**PAGE, "context": {"mailtailor": {"stitch": token}}}, authorization=BASIC)
    # then
    printed = capsys.readouterr().out
    assert status == 200
    assert [event.type for event in world.queued()] == ["page_viewed"]
    assert '"StitchesRefused":[1.0]' in printed
    assert f'"reason":"{reason}"' in printed


@pytest.mark.parametrize("ours", [None, 7, "x", [], {}, {"other": 1}])
def test_anything_else_in_our_part_of_the_context_means_nothing(world: Engine, ours: object) -> None:
    assert call("page", {**PAGE, "context": {"mailtailor": ours}}, authorization=BASIC)[0] == 200
    assert len(world.queued()) == 1


def test_keys_that_cannot_be_read_cost_the_stitch_and_not_the_call(
    world: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    keys = TokenKeys(Secret(client=world.secrets, secret_id="gone", clock=lambda: world.now[0]))
    monkeypatch.setattr(track_api, "dependencies", lambda: Dependencies(world.intake, keys))
    # then
    assert call("page", {**PAGE, "context": stitch(world.now[0])}, authorization=BASIC)[0] == 200
    assert len(world.queued()) == 1
    assert '"reason":"unavailable"' in capsys.readouterr().out


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=8), values, max_size=3),
    max_leaves=15,
)
FIELDS = st.sampled_from(["userId", "event", "type", "batch", "traits", "properties", "context", "timestamp", "sentAt"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(st.sampled_from(["identify", "track", "page", "batch"]), JSON | st.dictionaries(FIELDS, JSON))
def test_no_body_is_ever_our_fault(name: str, body: Any) -> None:
    # when
    status, _ = call(name, json.dumps(body), authorization=BASIC)

    # then
    assert status < 500


def test_a_browser_s_key_is_good_and_has_less_authority(world: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    # given
    said = {
        "userId": "42",
        "anonymousId": "browser",
        "traits": {"email": "ann@example.com", "firstName": "Ann"},
        "context": {"consent": {"categoryPreferences": {"tracking": True}}},
    }
    # when
    assert call("i", {**said, "writeKey": BROWSER_KEY})[0] == 200
    # then
    [event] = world.queued()
    assert [identity.kind for identity in event.identities] == [IdentityKind.USER_ID, IdentityKind.ANONYMOUS_ID]
    assert (event.attributes, event.consent) == ({"web_first_name": "Ann"}, {})
    assert '"BrowserLimits"' in capsys.readouterr().out


@pytest.mark.parametrize("name", ["alias", "a", "batch"])
def test_an_alias_with_a_browser_s_key_is_rejected_in_a_200_and_not_kept(world: Engine, name: str) -> None:
    # given
    alias = {"type": "alias", "userId": "42", "previousId": "p"}
    # when
    status, answer = call(name, {**alias, "batch": [alias], "writeKey": BROWSER_KEY})
    # then
    assert (status, answer["accepted"]) == (200, 0)
    assert [(rejected["index"], rejected["code"]) for rejected in answer["rejected"]] == [(0, "NotAllowed")]
    assert (world.queued(), world.parked()) == ([], [])


def test_a_browser_that_refuses_is_neither_watched_nor_found_out_by_a_click(world: Engine) -> None:
    # given
    refusing = {**stitch(world.now[0]), "consent": {"categoryPreferences": {"tracking": False}}}
    # then
    assert call("p", {**PAGE, "context": refusing, "writeKey": BROWSER_KEY}) == (200, {"success": True})
    assert world.queued() == []


def test_a_browser_s_key_may_bring_the_token_of_a_click(world: Engine) -> None:
    # when
    call("p", {**PAGE, "context": stitch(world.now[0]), "writeKey": BROWSER_KEY})
    # then
    assert [event.type for event in world.queued()] == ["browser_stitched", "page_viewed"]


def test_a_browser_key_that_is_not_set_opens_nothing(world: Engine) -> None:
    # given
    world.set_keys(write_key=WRITE_KEY)
    world.now[0] += 600_000
    # then
    assert call("page", {**PAGE, "writeKey": ""})[0] == 401
    assert call("page", {**PAGE, "writeKey": BROWSER_KEY})[0] == 401


def test_an_event_of_a_batch_that_cannot_be_used_is_parked_with_what_its_batch_shared(world: Engine) -> None:
    # given
    batch = {"writeKey": WRITE_KEY, "context": {"locale": "en-GB"}, "batch": [PAGE, {"type": "page"}]}
    # when
    status, answer = call("batch", batch)
    # then
    assert (status, answer["accepted"], answer["rejected"][0]["index"]) == (200, 1, 1)
    [parked] = world.parked()
    assert parked.source == "segment"
    assert parked.items[0].item == {
        "payload": {"type": "page"},
        "shared": {"context": {"locale": "en-GB"}, "sentAt": None},
        "authority": "server",
    }


def test_a_single_call_that_cannot_be_used_is_refused_and_not_parked(world: Engine) -> None:
    # given
    before = len(world.parked())
    # then
    assert call("page", {"writeKey": WRITE_KEY})[0] == 400
    assert len(world.parked()) == before


def test_a_browser_sends_text_without_asking_first(world: Engine) -> None:
    # when: as analytics.js does, whose content type needs no preflight
    status, _ = call("t", {**TRACK, "writeKey": BROWSER_KEY}, content_type="text/plain")
    # then
    assert status == 200
    assert [event.type for event in world.queued()] == ["product_viewed"]
