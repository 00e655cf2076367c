"""CloudFront in front of what recipients and ESPs fetch, with an answer for when nothing behind it has one.

Each route's origin is a pair: the API, and behind it a second distribution in which a CloudFront Function answers
every request from its own text. When the API fails (500, 502, 503, 504), cannot be reached or takes too long,
CloudFront asks the second one, and the recipient gets a picture, a page or nothing at all instead of an error.

Three other ways were weighed. *Custom error responses* hold for a whole distribution and status, so one route's
fallback would answer another's failure, a webhook's among them; their page needs a bucket and something that fills it,
because no edge function runs while an error page is fetched
(https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/lambda-cloudfront-trigger-events.html).
*A bucket as the second origin* would need one object per sent link. *A Lambda at the edge* costs on every request.
Failover is per route, and for GET and HEAD only, which is all that these routes know
(https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/high_availability_origin_failover.html).
It knows no 429, so the API must not throttle these routes, and the account's own limit must stay out of reach.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from constructs import Construct

from infra.constructs.exceptions import accept
from infra.fallbacks import FALLBACKS, Fallback


class StaticFallbackEdge(Construct):
    """One distribution for all routes that people and ESPs fetch with GET.

    Parameters
    ----------
    api_domain
        The host name of the API.
    fallbacks
        The routes, each with its fallback.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, api_domain: str, fallbacks: Sequence[Fallback] = FALLBACKS
    ) -> None:
        super().__init__(scope, construct_id)
        statics = _StaticAnswers(self, "Static", origin_domain=api_domain, fallbacks=fallbacks)
        as_told = _cache_as_told(self)
        behaviors = {
            # The answers of one prefix share its route.
            f"{fallback.prefix}*": _behavior(
                origins.OriginGroup(
                    primary_origin=_origin(api_domain, patience=fallback.patience),
                    fallback_origin=_origin(statics.distribution.domain_name, patience=fallback.patience),
                    fallback_status_codes=[500, 502, 503, 504],
                ),
                cache=as_told if fallback.cached else cloudfront.CachePolicy.CACHING_DISABLED,
            )
            for fallback in {each.prefix: each for each in fallbacks}.values()
        }
        self.distribution = _distribution(
            self,
            "Edge",
            comment="Mailtailor: opens, clicks and content",
            default=_behavior(_origin(api_domain, patience=5)),
            behaviors=behaviors,
        )

    @property
    def url(self) -> str:
        """Where the routes are, without trailing slash."""
        return f"https://{self.distribution.distribution_domain_name}"


class _StaticAnswers(Construct):
    """A distribution that answers each route's fallback without asking anyone."""

    def __init__(
        self, scope: Construct, construct_id: str, *, origin_domain: str, fallbacks: Sequence[Fallback]
    ) -> None:
        super().__init__(scope, construct_id)
        function = cloudfront.Function(
            self,
            "Answer",
            runtime=cloudfront.FunctionRuntime.JS_2_0,
            code=cloudfront.FunctionCode.from_inline(answering_code(fallbacks)),
        )
        # A distribution must name an origin; the function answers before it would be asked.
        default = _behavior(_origin(origin_domain, patience=1), function=function)
        self.distribution = _distribution(
            self, "Distribution", comment="Mailtailor: answers when the API has none", default=default, behaviors={}
        )


def answering_code(fallbacks: Sequence[Fallback]) -> str:
    """Return the source of the CloudFront Function that answers by path.

    Event and answer: https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-event-structure.html
    """
    answers = [
        {
            "prefix": each.prefix,
            "suffix": each.suffix,
            "type": each.content_type,
            "body": base64.b64encode(each.body).decode(),
        }
        for each in fallbacks
    ]
    return f"""var answers = {json.dumps(answers)};
function handler(event) {{
  var uri = event.request.uri;
  var answer = answers.find(function (each) {{ return uri.startsWith(each.prefix) && uri.endsWith(each.suffix); }});
  if (!answer) return {{ statusCode: 404, statusDescription: 'Not Found' }};
  var response = {{
    statusCode: 200,
    statusDescription: 'OK',
    headers: {{
      'content-type': {{ value: answer.type }},
      'cache-control': {{ value: 'no-store' }},
      'x-robots-tag': {{ value: 'noindex' }}
    }}
  }};
  if (event.request.method !== 'HEAD') response.body = {{ encoding: 'base64', data: answer.body }};
  return response;
}}
"""


def _origin(domain: str, *, patience: int) -> origins.HttpOrigin:
    return origins.HttpOrigin(
        domain,
        protocol_policy=cloudfront.OriginProtocolPolicy.HTTPS_ONLY,
        origin_ssl_protocols=[cloudfront.OriginSslPolicy.TLS_V1_2],
        # One attempt: a recipient who waits is better served by the fallback than by a second wait.
        connection_attempts=1,
        connection_timeout=Duration.seconds(min(patience, 2)),
        read_timeout=Duration.seconds(patience),
    )


def _cache_as_told(scope: Construct) -> cloudfront.CachePolicy:
    """Return the policy by which answers are kept as long as they say, and not at all if they say nothing.

    The key holds what an answer depends on: path, query and who may ask. The last one must be in it to be passed on at
    all (https://repost.aws/knowledge-center/cloudfront-authorization-header), and no ESP sends it for shared blocks.
    """
    return cloudfront.CachePolicy(
        scope,
        "AsTold",
        comment="Mailtailor: as long as an answer says",
        min_ttl=Duration.seconds(0),
        default_ttl=Duration.seconds(0),
        max_ttl=Duration.days(1),
        query_string_behavior=cloudfront.CacheQueryStringBehavior.all(),
        header_behavior=cloudfront.CacheHeaderBehavior.allow_list("Authorization"),
        cookie_behavior=cloudfront.CacheCookieBehavior.none(),
    )


def _behavior(
    origin: cloudfront.IOrigin,
    *,
    function: cloudfront.IFunction | None = None,
    cache: cloudfront.ICachePolicy = cloudfront.CachePolicy.CACHING_DISABLED,
) -> cloudfront.BehaviorOptions:
    # No redirect from http: a client that follows none would lose the pixel or the block, and all our URLs are https.
    associations = [
        cloudfront.FunctionAssociation(function=each, event_type=cloudfront.FunctionEventType.VIEWER_REQUEST)
        for each in ([function] if function else [])
    ]
    return cloudfront.BehaviorOptions(
        origin=origin,
        allowed_methods=cloudfront.AllowedMethods.ALLOW_GET_HEAD,
        viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
        cache_policy=cache,
        origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
        function_associations=associations,
    )


def _distribution(
    scope: Construct,
    construct_id: str,
    *,
    comment: str,
    default: cloudfront.BehaviorOptions,
    behaviors: Mapping[str, cloudfront.BehaviorOptions],
) -> cloudfront.Distribution:
    distribution = cloudfront.Distribution(
        scope,
        construct_id,
        comment=comment,
        default_behavior=default,
        additional_behaviors=dict(behaviors),
        http_version=cloudfront.HttpVersion.HTTP2_AND_3,
        minimum_protocol_version=cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021,
        price_class=cloudfront.PriceClass.PRICE_CLASS_100,
    )
    accept(distribution, "AwsSolutions-CFR1", "Recipients open their mail wherever they are.")
    accept(
        distribution,
        "AwsSolutions-CFR2",
        "Only signed tokens have an effect, and concurrency is limited; a firewall is the operator's choice.",
    )
    accept(
        distribution,
        "AwsSolutions-CFR3",
        "Standard logs keep addresses and whole URLs, hence who opened what; the API logs route, status and latency.",
    )
    accept(
        distribution,
        "AwsSolutions-CFR4",
        "The default certificate of cloudfront.net fixes this setting; with an own domain TLS 1.2 is the least.",
    )
    return distribution
