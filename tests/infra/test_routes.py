"""Routes: what can be asked, how often, and within which time it is answered."""

from __future__ import annotations

import json

from tests.infra.template import Template, reference

BEHIND_HTTP_API_S = 29
"""An HTTP API gives up after 30 seconds."""


def test_every_function_behind_the_api_answers_before_the_api_gives_up(everything: Template) -> None:
    integrations = everything.of_type("AWS::ApiGatewayV2::Integration")
    for integration in integrations:
        function = everything.one(reference(integration.properties["IntegrationUri"]))
        assert function.properties["Timeout"] <= BEHIND_HTTP_API_S, str(function)
        assert integration.properties["PayloadFormatVersion"] == "2.0"


def test_the_routes_are_the_public_contract(everything: Template) -> None:
    routes = {route.properties["RouteKey"] for route in everything.of_type("AWS::ApiGatewayV2::Route")}
    assert routes == {
        "GET /o/{proxy+}",
        "HEAD /o/{proxy+}",
        "GET /c/{proxy+}",
        "HEAD /c/{proxy+}",
        "POST /v1/{call}",
        "POST /webhooks/{source}",
        "GET /webhooks/{source}",
        "GET /content/{block}",
        "HEAD /content/{block}",
        "GET /image/{proxy+}",
        "HEAD /image/{proxy+}",
        "GET /admin/campaigns",
        "GET /admin/campaigns/{campaign}",
        "POST /admin/instrument",
        "GET /admin/profiles/{profile_id}/segments/{segment}",
        "GET /admin/profiles/{profile_id}/segments/{segment}/flips",
        "POST /admin/blocks/{block}/preview",
        "POST /admin/blocks/{block}/coverage",
        "GET /admin/blocks",
        "PUT /admin/blocks/{block}",
        "GET /admin/blocks/{block}/versions",
        "POST /admin/blocks/{block}/publish",
        "POST /admin/blocks/{block}/rollback",
    }


def test_what_anybody_can_send_without_a_signed_token_is_throttled(everything: Template) -> None:
    # The others need no limit here: they keep concurrency of their own, and the CDN answers for them beyond it.
    [stage] = everything.of_type("AWS::ApiGatewayV2::Stage")
    limits = stage.properties["RouteSettings"]
    routes = {route.properties["RouteKey"] for route in everything.of_type("AWS::ApiGatewayV2::Route")}
    managed = {route for route in routes if route.partition(" ")[2].startswith("/admin")}
    assert (
        limits.keys()
        == {
            "POST /v1/{call}",
            "POST /webhooks/{source}",
            "GET /webhooks/{source}",
        }
        | managed
    )
    assert all(limits[route]["ThrottlingRateLimit"] <= 50 for route in managed)
    for limit in limits.values():
        assert 0 < limit["ThrottlingRateLimit"] <= 1_000
        assert 0 < limit["ThrottlingBurstLimit"] <= 2_000


def test_the_access_log_tells_no_one_apart(everything: Template) -> None:
    [stage] = everything.of_type("AWS::ApiGatewayV2::Stage")
    logged = json.loads(stage.properties["AccessLogSettings"]["Format"])
    assert set(logged.values()) == {
        "$context.requestId",
        "$context.routeKey",
        "$context.status",
        "$context.responseLatency",
        "$context.integrationErrorMessage",
    }
