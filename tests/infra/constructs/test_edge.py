"""What a recipient gets when nothing behind the CDN answers."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from typing import Any

import pytest

from infra.constructs.edge import answering_code
from infra.fallbacks import FALLBACKS
from mailtailor.tracking import pixel
from tests.infra.template import Template, reference

MAX_FUNCTION_BYTES = 10 * 1024
"""https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html"""
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
"""https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html"""


def _answer(uri: str, method: str = "GET") -> dict[str, Any]:
    """Run the edge function as CloudFront does."""
    event = {"version": "1.0", "request": {"method": method, "uri": uri}}
    script = f"{answering_code(FALLBACKS)}\nprocess.stdout.write(JSON.stringify(handler({json.dumps(event)})))"
    done = subprocess.run([os.environ["JSII_NODE"], "-e", script], check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize(
    ("uri", "content_type", "body"),
    [
        ("/o/mailing/recipient.gif", "image/gif", pixel.GIF),
        ("/content/hero", "text/html; charset=utf-8", b""),
        ("/content/hero.html", "text/html; charset=utf-8", b""),
        ("/content/hero,footer.json", "application/json; charset=utf-8", b"{}"),
        ("/content/hero.txt", "text/plain; charset=utf-8", b""),
    ],
)
def test_each_route_has_its_static_answer(uri: str, content_type: str, body: bytes) -> None:
    # when
    answer = _answer(uri)
    # then
    assert answer["statusCode"] == 200
    assert answer["headers"]["content-type"]["value"] == content_type
    assert answer["headers"]["cache-control"]["value"] == "no-store"
    assert base64.b64decode(answer["body"]["data"]) == body


def test_a_click_gets_a_page_that_tries_the_same_link_again() -> None:
    # when
    answer = _answer("/c/link/recipient")
    # then
    page = base64.b64decode(answer["body"]["data"]).decode()
    assert answer["statusCode"] == 200
    assert '<a href="">Try again</a>' in page


def test_a_probe_gets_no_body() -> None:
    assert "body" not in _answer("/o/mailing/recipient.gif", "HEAD")


def test_a_path_of_no_route_is_not_found() -> None:
    assert _answer("/webhooks/shopify")["statusCode"] == 404


def test_the_function_fits_the_limit_of_cloudfront() -> None:
    assert len(answering_code(FALLBACKS).encode()) <= MAX_FUNCTION_BYTES


def test_every_public_route_fails_over_to_the_static_answers(app_stack: Template) -> None:
    # given
    distributions = app_stack.of_type("AWS::CloudFront::Distribution")
    [edge] = [each for each in distributions if "CacheBehaviors" in each.properties["DistributionConfig"]]
    [static] = [each for each in distributions if each is not edge]
    config = edge.properties["DistributionConfig"]
    groups = {group["Id"]: group for group in config["OriginGroups"]["Items"]}
    origins = {origin["Id"]: origin for origin in config["Origins"]}
    # then
    assert {each["PathPattern"] for each in config["CacheBehaviors"]} == {"/o/*", "/c/*", "/image/*", "/content/*"}
    for behavior in config["CacheBehaviors"]:
        group = groups[behavior["TargetOriginId"]]
        primary, fallback = (origins[member["OriginId"]] for member in group["Members"]["Items"])
        assert group["FailoverCriteria"]["StatusCodes"]["Items"] == [500, 502, 503, 504]
        assert primary["ConnectionAttempts"] == 1
        assert primary["CustomOriginConfig"]["OriginReadTimeout"] <= 5
        assert reference(fallback["DomainName"]) == static.id


def test_an_esp_has_an_answer_before_it_gives_up(app_stack: Template) -> None:
    # given: Braze leaves out what takes two seconds
    [config] = _edge(app_stack)
    [content] = [each for each in config["CacheBehaviors"] if each["PathPattern"] == "/content/*"]
    groups = {group["Id"]: group for group in config["OriginGroups"]["Items"]}
    [primary, _] = groups[content["TargetOriginId"]]["Members"]["Items"]
    [origin] = [each for each in config["Origins"] if each["Id"] == primary["OriginId"]]
    # then
    assert (origin["ConnectionTimeout"], origin["CustomOriginConfig"]["OriginReadTimeout"]) == (1, 1)


def test_content_alone_is_cached_and_only_for_those_who_ask_for_the_very_same(app_stack: Template) -> None:
    # given
    [config] = _edge(app_stack)
    policies = {each["PathPattern"]: each["CachePolicyId"] for each in config["CacheBehaviors"]}
    [kept] = app_stack.of_type("AWS::CloudFront::CachePolicy")
    key = kept.properties["CachePolicyConfig"]["ParametersInCacheKeyAndForwardedToOrigin"]
    # then
    assert reference(policies.pop("/content/*")) == kept.id
    assert set(policies.values()) == {CACHING_DISABLED}
    assert (key["QueryStringsConfig"], key["CookiesConfig"]) == (
        {"QueryStringBehavior": "all"},
        {"CookieBehavior": "none"},
    )
    assert key["HeadersConfig"] == {"HeaderBehavior": "whitelist", "Headers": ["Authorization"]}
    # then: what does not say how long it may be kept is not
    assert [kept.properties["CachePolicyConfig"][name] for name in ("MinTTL", "DefaultTTL")] == [0, 0]


def _edge(app_stack: Template) -> list[dict[str, Any]]:
    configs = [each.properties["DistributionConfig"] for each in app_stack.of_type("AWS::CloudFront::Distribution")]
    return [config for config in configs if "CacheBehaviors" in config]


def test_nothing_is_redirected_or_fetched_in_the_clear(app_stack: Template) -> None:
    for distribution in app_stack.of_type("AWS::CloudFront::Distribution"):
        config = distribution.properties["DistributionConfig"]
        assert config["PriceClass"] == "PriceClass_100"
        assert config["DefaultCacheBehavior"]["CachePolicyId"] == CACHING_DISABLED
        for behavior in [config["DefaultCacheBehavior"], *config.get("CacheBehaviors", [])]:
            assert behavior["ViewerProtocolPolicy"] == "https-only"
            assert behavior["AllowedMethods"] == ["GET", "HEAD"]
        for origin in config["Origins"]:
            assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
            assert origin["CustomOriginConfig"]["OriginSSLProtocols"] == ["TLSv1.2"]
