"""The HTTP API that all public routes have behind them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

import jsii
from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_logs as logs
from aws_cdk.aws_apigatewayv2_authorizers import HttpUserPoolAuthorizer
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration
from constructs import Construct

from infra.constructs.administrators import Administrators
from infra.constructs.exceptions import accept
from infra.constructs.function import JobFunction

# No address, path or query: they would tell who opened what, or carry the very token that opens it.
_ACCESS_LOG: Final = {
    "requestId": "$context.requestId",
    "routeKey": "$context.routeKey",
    "status": "$context.status",
    "latency": "$context.responseLatency",
    "integrationError": "$context.integrationErrorMessage",
}


GET: Final = (apigatewayv2.HttpMethod.GET, apigatewayv2.HttpMethod.HEAD)
"""What is fetched may be asked about first."""
POST: Final = (apigatewayv2.HttpMethod.POST,)

THROTTLE: Final = {"ThrottlingRateLimit": 500, "ThrottlingBurstLimit": 1000}
"""Requests a second on a throttled route; every SDK and provider sends again after a 429."""
ADMIN_THROTTLE: Final = {"ThrottlingRateLimit": 20, "ThrottlingBurstLimit": 40}
"""Requests a second on a route of people who manage the system; it also slows who guesses."""


class PublicApi(Construct):
    """An HTTP API whose every route is one job.

    Parameters
    ----------
    administrators
        Who may use the routes that ask for a token.
    """

    def __init__(self, scope: Construct, construct_id: str, *, administrators: Administrators) -> None:
        super().__init__(scope, construct_id)
        # The API checks signature, issuer, audience and time of a token by itself (a JWT authorizer); no function is
        # called without a good one.
        self._only_administrators = HttpUserPoolAuthorizer(
            "Administrators", administrators, user_pool_clients=[administrators.client]
        )
        self.api = apigatewayv2.HttpApi(
            self,
            "Api",
            description="Mailtailor",
            create_default_stage=False,
            # Web pages of any origin may call the tracking API, which asks for a key; the API answers preflights by
            # itself. No route knows cookies, so a page gains nothing elsewhere that a server would not get too.
            cors_preflight=apigatewayv2.CorsPreflightOptions(
                allow_origins=["*"],
                allow_methods=[apigatewayv2.CorsHttpMethod.POST],
                # analytics-next counts its tries in a header; not admitted, no call of it would ever be sent again.
                allow_headers=["authorization", "content-encoding", "content-type", "x-retry-count"],
                max_age=Duration.days(1),
            ),
        )
        log = logs.LogGroup(
            self, "AccessLog", retention=logs.RetentionDays.ONE_MONTH, removal_policy=RemovalPolicy.DESTROY
        )
        self._stage = apigatewayv2.HttpStage(
            self,
            "Stage",
            http_api=self.api,
            stage_name="$default",
            auto_deploy=True,
            access_log_settings=_AccessLog(log),
        )
        self._limits: dict[str, Mapping[str, int]] = {}

    @property
    def domain(self) -> str:
        """The API's host name."""
        stack = Stack.of(self)
        return f"{self.api.api_id}.execute-api.{stack.region}.{stack.url_suffix}"

    def route(
        self,
        path: str,
        methods: Sequence[apigatewayv2.HttpMethod],
        *,
        job: JobFunction,
        unauthenticated_because: str,
        throttled: bool = False,
    ) -> None:
        """Send `methods` on `path` to `job`, which checks by itself who asks, as the reason says.

        A job without concurrency of its own should be `throttled`, or a flood of requests that it refuses would take
        all of the account's. Routes behind the CDN must not be: it answers for a 503, but not for a 429.
        """
        routes = self._add(path, methods, job)
        for route in routes:
            accept(route, "AwsSolutions-APIG4", unauthenticated_because)
        if throttled:
            self._throttle(path, methods, routes, THROTTLE)

    def admin_route(self, path: str, methods: Sequence[apigatewayv2.HttpMethod], *, job: JobFunction) -> None:
        """Send `methods` on `path` to `job` for administrators alone: anybody else gets a 401 from the API."""
        routes = self._add(path, methods, job, self._only_administrators)
        self._throttle(path, methods, routes, ADMIN_THROTTLE)

    def _add(
        self,
        path: str,
        methods: Sequence[apigatewayv2.HttpMethod],
        job: JobFunction,
        authorizer: apigatewayv2.IHttpRouteAuthorizer | None = None,
    ) -> list[apigatewayv2.HttpRoute]:
        return self.api.add_routes(
            path=path,
            methods=list(methods),
            integration=HttpLambdaIntegration(
                job.job.construct_id, job.function, timeout=Duration.seconds(job.job.timeout)
            ),
            authorizer=authorizer,
        )

    def _throttle(
        self,
        path: str,
        methods: Sequence[apigatewayv2.HttpMethod],
        routes: Sequence[apigatewayv2.HttpRoute],
        limit: Mapping[str, int],
    ) -> None:
        self._limits |= {f"{method.value} {path}": limit for method in methods}
        stage = self._stage.node.default_child
        assert isinstance(stage, apigatewayv2.CfnStage)  # noqa: S101 - for the type checker
        stage.route_settings = self._limits
        # Settings can only be made for routes that exist.
        self._stage.node.add_dependency(*routes)


@jsii.implements(apigatewayv2.IAccessLogSettings)
class _AccessLog:
    def __init__(self, log: logs.LogGroup) -> None:
        self._destination = apigatewayv2.LogGroupLogDestination(log)

    @property
    def destination(self) -> apigatewayv2.IAccessLogDestination:
        return self._destination

    @property
    def format(self) -> apigateway.AccessLogFormat:
        return apigateway.AccessLogFormat.custom(json.dumps(_ACCESS_LOG))
