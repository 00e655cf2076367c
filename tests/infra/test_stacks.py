"""Rules that hold for all resources, whatever is added later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.constructs.monitoring import LOSSES
from infra.jobs import HOT, JOBS
from mailtailor.events.watermark import UNSEEN_TRIES
from tests.infra import sources
from tests.infra.template import Template, reference, text

BEHIND_HTTP_API_S = 29
"""An HTTP API gives up after 30 seconds."""

BURST_SETTINGS = {"BURSTS", "PROVISIONAL_SECONDS"}
LIVE_SETTINGS = {"DEFINITIONS_TABLE", "REFRESH_SECONDS"}
INTAKE_SETTINGS = {"EVENTS_QUEUE_URL", "INTAKE_BUCKET", "IDENTITY_SECRET_ID", "INGEST_SECRET_ID"}
ENVIRONMENT = {
    "open_pixel": {"EVENTS_QUEUE_URL", "TOKENS_SECRET_ID"},
    "click_redirect": {"EVENTS_QUEUE_URL", "TOKENS_SECRET_ID", "FORWARDED_PARAMETERS", "STITCHING"},
    "track_api": INTAKE_SETTINGS | {"TOKENS_SECRET_ID"},
    "webhook_ingest": INTAKE_SETTINGS | {"PUBLIC_URL"},
    "event_processor": {
        "PROFILES_TABLE",
        "INTAKE_BUCKET",
        "WAKE_UPS_QUEUE_URL",
        "ARCHIVE_QUEUE_URL",
        "REBUILDS_QUEUE_URL",
    }
    | LIVE_SETTINGS
    | BURST_SETTINGS,
    "profile_rebuilder": {"PROFILES_TABLE", "ARCHIVE_BUCKET", "ARCHIVE_QUEUE_URL", "WAKE_UPS_QUEUE_URL"}
    | LIVE_SETTINGS
    | BURST_SETTINGS,
    "segment_recompute": {
        "PROFILES_TABLE",
        "CLOCK_TABLE",
        "ARCHIVE_BUCKET",
        "ARCHIVE_QUEUE_URL",
        "WAKE_UPS_QUEUE_URL",
        "REBUILDS_QUEUE_URL",
        "RECOMPUTE_QUEUE_URL",
    }
    | LIVE_SETTINGS
    | BURST_SETTINGS,
    "segment_rollout": {"DEFINITIONS_TABLE", "CLOCK_TABLE", "RECOMPUTE_QUEUE_URL", "SETTLE_SECONDS"},
    "wake_processor": {"PROFILES_TABLE", "WAKE_UPS_QUEUE_URL", "REBUILDS_QUEUE_URL"} | LIVE_SETTINGS,
    "segment_clock": {"PROFILES_TABLE", "CLOCK_TABLE", "WAKE_UPS_QUEUE_URL", "WAKE_UPS_A_SECOND"},
    "membership_publisher": {"ESP_QUEUE_URL", "TRAIL_QUEUE_URL"},
    "esp_sync": {"DELIVERIES_TABLE", "ESP_SECRET_ID", "ESP_WEBHOOK_URL"},
    "dynamic_content": {
        *("PROFILES_TABLE", "DECISIONS_TABLE", "TOKENS_SECRET_ID", "FETCH_SECRET_ID"),
        *("CATALOG_BUCKET", "CONTENT_URL", "AWS_SUFFIX"),
    }
    | LIVE_SETTINGS,
    "open_time_image": set(),
    "event_archiver": {"ARCHIVE_BUCKET", "INTAKE_BUCKET"},
    "flip_archiver": {"ARCHIVE_BUCKET"},
    "decision_archiver": {"ARCHIVE_BUCKET"},
    "segment_reconcile": {"PROFILES_TABLE", "CLOCK_TABLE", "ARCHIVE_BUCKET", "RECONCILE_QUEUE_URL"}
    | BURST_SETTINGS
    | LIVE_SETTINGS,
    "segment_estimate": {"ARCHIVE_BUCKET"} | BURST_SETTINGS,
    "trail_api": {"PROFILES_TABLE", "ARCHIVE_BUCKET"},
    "archive_watermark": {
        "CLOCK_TABLE",
        "EVENTS_QUEUE",
        "ARCHIVE_QUEUE",
        "EVENTS_VISIBILITY_SECONDS",
        "ARCHIVE_VISIBILITY_SECONDS",
    },
    "archive_compactor": {"ARCHIVE_BUCKET", "CLOCK_TABLE"},
    "archive_eraser": {"ARCHIVE_BUCKET", "PROFILES_TABLE"},
    "campaign_report": {"ARCHIVE_BUCKET"},
    "instrument_api": {"TOKENS_SECRET_ID", "OPEN_URL", "CLICK_URL"},
    "profile_api": {"PROFILES_TABLE"} | LIVE_SETTINGS,
    "block_preview": {"PROFILES_TABLE", "CATALOG_BUCKET", "CONTENT_URL"} | LIVE_SETTINGS,
    "block_coverage": {"PROFILES_TABLE", "CATALOG_BUCKET", "CONTENT_URL"} | LIVE_SETTINGS,
    "block_versions": {"CATALOG_BUCKET"} | LIVE_SETTINGS,
}
OF_ALL = {
    *("POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_LOG_LEVEL"),
    "PYDANTIC_DISABLE_PLUGINS",
}

PREFIX_RIGHTS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("s3:PutObject",): (
        "/blocks/*",
        "/decisions/*",
        "/events/*",
        "/flips/*",
        "/mail/*",
        "/large/*",
        "/parked/*",
        "/erased/*",
    ),
    ("s3:GetObject",): ("/blocks/*", "/decisions/*", "/events/*", "/flips/*", "/mail/*", "/large/*"),
    ("s3:DeleteObject",): ("/decisions/*", "/events/*", "/flips/*", "/mail/*"),
}
"""The only rights that end in a wildcard: an archived object's name cannot be known before."""
WITHOUT_RESOURCE = {("cloudwatch:GetMetricData",)}
"""Rights that AWS lets nobody narrow down to a resource."""

ACTION_OF_CALL = {
    "send_message": "sqs:SendMessage",
    "send_message_batch": "sqs:SendMessage",
    "change_message_visibility_batch": "sqs:ChangeMessageVisibility",
    "get_item": "dynamodb:GetItem",
    "batch_get_item": "dynamodb:BatchGetItem",
    "put_item": "dynamodb:PutItem",
    "transact_write_items": "dynamodb:PutItem",
    "update_item": "dynamodb:UpdateItem",
    "query": "dynamodb:Query",
    "scan": "dynamodb:Scan",
    "get_object": "s3:GetObject",
    "put_object": "s3:PutObject",
    "delete_objects": "s3:DeleteObject",
    "get_metric_data": "cloudwatch:GetMetricData",
    "get_secret_value": "secretsmanager:GetSecretValue",
}
ACTIONS_OF_PLATFORM = {
    "logs:CreateLogStream": "the function's log",
    "logs:PutLogEvents": "the function's log",
    "sqs:ReceiveMessage": "event source",
    "sqs:DeleteMessage": "event source",
    "sqs:GetQueueAttributes": "event source",
    "dynamodb:DescribeStream": "event source",
    "dynamodb:GetRecords": "event source",
    "dynamodb:GetShardIterator": "event source",
    "dynamodb:ListStreams": "event source",
    "s3:ListBucket": "without it a missing object reads as a forbidden one",
}


def _dead_letter_ids(everything: Template) -> set[str]:
    redriven = {
        reference(queue.properties["RedrivePolicy"]["deadLetterTargetArn"])
        for queue in everything.of_type("AWS::SQS::Queue")
        if "RedrivePolicy" in queue.properties
    }
    from_streams = {
        reference(source.properties["DestinationConfig"]["OnFailure"]["Destination"])
        for source in everything.of_type("AWS::Lambda::EventSourceMapping")
        if "DestinationConfig" in source.properties
    }
    return redriven | from_streams


def _denies_plain_http(policy: dict[str, Any]) -> bool:
    return any(
        statement["Effect"] == "Deny"
        and statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport") == "false"
        for statement in policy["Statement"]
    )


def _secured(everything: Template, policy_type: str, target: str) -> set[str]:
    """Return the ids of resources of which some policy denies plain HTTP."""
    secured = set()
    for policy in everything.of_type(policy_type):
        if _denies_plain_http(policy.properties["PolicyDocument"]):
            targets = policy.properties[target]
            secured |= {reference(each) for each in (targets if isinstance(targets, list) else [targets])}
    return secured


def _alarmed(everything: Template, metric: str, dimension: str) -> set[str]:
    return {
        reference(each["Value"])
        for alarm in everything.of_type("AWS::CloudWatch::Alarm")
        if alarm.properties["MetricName"] == metric and alarm.properties["AlarmActions"]
        for each in alarm.properties["Dimensions"]
        if each["Name"] == dimension
    }


def test_every_queue_has_dead_letters_that_are_kept_as_long_as_sqs_can(everything: Template) -> None:
    dead_letters = _dead_letter_ids(everything)
    for queue in everything.of_type("AWS::SQS::Queue"):
        if queue.id in dead_letters:
            assert queue.properties["MessageRetentionPeriod"] == 14 * 24 * 3600, str(queue)
        else:
            tries = {"EspQueue": 30, "WakeUpsQueue": 12}.get(queue.id[:-8], 5)
            assert queue.properties["RedrivePolicy"]["maxReceiveCount"] == tries, str(queue)


def test_every_queue_is_encrypted_and_refuses_plain_http(everything: Template) -> None:
    secured = _secured(everything, "AWS::SQS::QueuePolicy", "Queues")
    for queue in everything.of_type("AWS::SQS::Queue"):
        assert queue.properties["SqsManagedSseEnabled"] is True, str(queue)
        assert queue.id in secured, str(queue)
        assert queue.deletion_policy == "Retain", str(queue)


def test_every_queue_source_answers_in_parts_is_limited_and_never_overlaps_its_consumer(everything: Template) -> None:
    queues = {queue.id: queue for queue in everything.of_type("AWS::SQS::Queue")}
    consumed = set()
    for source in everything.of_type("AWS::Lambda::EventSourceMapping"):
        properties = source.properties
        assert properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"], str(source)
        queue = queues.get(reference(properties["EventSourceArn"]))
        if queue is None:
            continue
        consumed.add(queue.id)
        consumer = everything.one(reference(properties["FunctionName"]))
        window = properties.get("MaximumBatchingWindowInSeconds", 0)
        assert properties["ScalingConfig"]["MaximumConcurrency"], str(source)
        assert queue.properties["VisibilityTimeout"] >= 6 * consumer.properties["Timeout"] + window, str(queue)
        assert properties["BatchSize"] <= 10 or window, f"{source}: SQS gives more than ten only with a window"
    assert consumed == queues.keys() - _dead_letter_ids(everything)


def test_the_numbers_of_processors_are_the_operators(app_stack: Template) -> None:
    limits = [
        source.properties["ScalingConfig"]["MaximumConcurrency"]
        for source in app_stack.of_type("AWS::Lambda::EventSourceMapping")
        if "ScalingConfig" in source.properties
    ]
    for name in ("ProcessorConcurrency", "WakeUpConcurrency"):
        assert {"Ref": name} in limits
        assert app_stack.document["Parameters"][name]["MinValue"] == 2
    clock = app_stack.functions()["segment_clock"].properties["Environment"]["Variables"]
    assert clock["WAKE_UPS_A_SECOND"] == {"Ref": "WakeUpsPerSecond"}


@pytest.mark.parametrize(("source", "marked"), [("FromProfiles", "flipped"), ("FromDecisions", "logged")])
def test_a_stream_is_read_from_its_start_in_order_and_loses_nothing(
    everything: Template, source: str, marked: str
) -> None:
    streams = {
        each.id: each.properties
        for each in everything.of_type("AWS::Lambda::EventSourceMapping")
        if "StartingPosition" in each.properties
    }
    [properties] = [each for id_, each in streams.items() if id_.startswith(source)]
    assert len(streams) == 2
    assert properties["StartingPosition"] == "TRIM_HORIZON"
    assert properties["BisectBatchOnFunctionError"] is True
    assert properties["MaximumRetryAttempts"] == 100
    assert reference(properties["DestinationConfig"]["OnFailure"]["Destination"]) in _dead_letter_ids(everything)
    patterns = [json.loads(each["Pattern"]) for each in properties["FilterCriteria"]["Filters"]]
    assert patterns == [{"dynamodb": {"NewImage": {marked: {"BOOL": [{"exists": True}]}}}}]


def test_there_is_one_function_for_each_directory(everything: Template) -> None:
    directories = {handler.parent.name for handler in Path("functions").glob("*/handler.py")}
    assert set(everything.functions()) == directories == {job.name for job in JOBS}


def test_every_function_runs_python_on_arm_with_limits_of_its_own(everything: Template) -> None:
    for job in JOBS:
        properties = everything.functions()[job.name].properties
        assert properties["Runtime"] == "python3.13"
        assert properties["Architectures"] == ["arm64"]
        assert properties["Handler"] == "handler.handler"
        assert (properties["Timeout"], properties["MemorySize"]) == (job.timeout, job.memory)
        assert properties["EphemeralStorage"]["Size"] == job.disk
        assert len(properties["Layers"]) <= 5
        assert properties.get("ReservedConcurrentExecutions") == job.reserved_concurrency


def test_every_function_behind_the_api_answers_before_the_api_gives_up(everything: Template) -> None:
    integrations = everything.of_type("AWS::ApiGatewayV2::Integration")
    for integration in integrations:
        function = everything.one(reference(integration.properties["IntegrationUri"]))
        assert function.properties["Timeout"] <= BEHIND_HTTP_API_S, str(function)
        assert integration.properties["PayloadFormatVersion"] == "2.0"


def test_every_function_has_a_role_and_a_log_of_its_own_that_is_not_kept_for_ever(everything: Template) -> None:
    functions = everything.functions().values()
    roles = [reference(function.properties["Role"]) for function in functions]
    logs = [reference(function.properties["LoggingConfig"]["LogGroup"]) for function in functions]
    assert len(set(roles)) == len(set(logs)) == len(functions)
    for log in everything.of_type("AWS::Logs::LogGroup"):
        assert log.properties["RetentionInDays"] == 30, str(log)


def test_no_right_is_a_wildcard(everything: Template) -> None:
    for statement in everything.statements():
        assert statement.effect == "Allow"
        for action in statement.actions:
            assert "*" not in action, statement
        if statement.actions in WITHOUT_RESOURCE:
            continue
        for resource in statement.resources:
            allowed = tuple(f"}}{prefix}" for prefix in PREFIX_RIGHTS.get(statement.actions, ()))
            assert "*" not in resource or resource.endswith(allowed), statement


def test_no_role_takes_a_policy_that_someone_else_writes(everything: Template) -> None:
    for role in everything.of_type("AWS::IAM::Role"):
        assert "ManagedPolicyArns" not in role.properties, str(role)


@pytest.mark.parametrize("job", [job.name for job in JOBS])
def test_no_function_may_do_what_its_code_never_does(everything: Template, job: str) -> None:
    # given
    role = reference(everything.functions()[job].properties["Role"])
    granted = {
        action for statement in everything.statements() if statement.role == role for action in statement.actions
    }
    # when
    used = {ACTION_OF_CALL[call] for call in sources.calls(job) & ACTION_OF_CALL.keys()}
    # What cannot be read of a stream is put into its queue by Lambda, in the function's name.
    reads_a_stream = "dynamodb:GetRecords" in granted
    # then
    assert granted - ACTIONS_OF_PLATFORM.keys() <= used | ({"sqs:SendMessage"} if reads_a_stream else set())


@pytest.mark.parametrize("job", [job.name for job in JOBS])
def test_every_function_gets_exactly_its_settings_and_reads_them_all(everything: Template, job: str) -> None:
    # given
    given = everything.functions()[job].properties["Environment"]["Variables"].keys() - OF_ALL
    # when
    read = sources.settings(job)
    # then
    assert given == ENVIRONMENT[job]
    assert given <= read.keys()
    assert {name for name, required in read.items() if required} <= given


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_every_function_has_the_layers_its_code_needs_and_no_other(job: Any) -> None:
    imported = sources.imports(job.name)
    assert ("definitions" in job.layers) == ("mailtailor.aws.definitions" in imported)
    assert ("archive" in job.layers) == ("duckdb" in imported)
    assert ("images" in job.layers) == any(name.partition(".")[0] == "PIL" for name in imported)


def test_every_table_survives_mistakes(everything: Template) -> None:
    for table in everything.of_type("AWS::DynamoDB::GlobalTable", "AWS::DynamoDB::Table"):
        assert table.deletion_policy == "Retain", str(table)
        assert table.properties["BillingMode"] == "PAY_PER_REQUEST", str(table)
        assert table.properties["SSESpecification"]["SSEEnabled"] is True, str(table)
        for replica in table.properties["Replicas"]:
            assert replica["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True, str(table)
            assert replica["DeletionProtectionEnabled"] is True, str(table)


def test_the_due_index_holds_keys_only_and_those_who_are_due_only(everything: Template) -> None:
    indexes = [
        index
        for table in everything.of_type("AWS::DynamoDB::GlobalTable")
        for index in table.properties.get("GlobalSecondaryIndexes", [])
    ]
    assert len(indexes) == 1
    assert indexes[0]["Projection"] == {"ProjectionType": "KEYS_ONLY"}
    assert [key["AttributeName"] for key in indexes[0]["KeySchema"]] == ["due_bucket", "due_at"]


def test_every_bucket_is_private_encrypted_and_kept(everything: Template) -> None:
    secured = _secured(everything, "AWS::S3::BucketPolicy", "Bucket")
    for bucket in everything.of_type("AWS::S3::Bucket"):
        assert set(bucket.properties["PublicAccessBlockConfiguration"].values()) == {True}, str(bucket)
        assert bucket.properties["BucketEncryption"], str(bucket)
        assert bucket.id in secured, str(bucket)
        assert bucket.deletion_policy == "Retain", str(bucket)


def test_every_secret_is_generated_and_kept(everything: Template) -> None:
    for secret in everything.of_type("AWS::SecretsManager::Secret"):
        assert secret.properties["GenerateSecretString"]["PasswordLength"] == 64, str(secret)
        assert secret.deletion_policy == "Retain", str(secret)


def test_nothing_has_a_name_that_two_deployments_would_share(everything: Template) -> None:
    names = {
        "AWS::SQS::Queue": "QueueName",
        "AWS::DynamoDB::GlobalTable": "TableName",
        "AWS::S3::Bucket": "BucketName",
        "AWS::Lambda::Function": "FunctionName",
        "AWS::IAM::Role": "RoleName",
        "AWS::SecretsManager::Secret": "Name",
        "AWS::Logs::LogGroup": "LogGroupName",
        "AWS::SNS::Topic": "TopicName",
        "AWS::CloudWatch::Alarm": "AlarmName",
        "AWS::Cognito::UserPool": "UserPoolName",
    }
    for resource in everything.resources:
        assert names.get(resource.type, "-") not in resource.properties, str(resource)


def test_every_dead_letter_and_every_error_raises_an_alarm(everything: Template) -> None:
    functions = {function.id for function in everything.functions().values()}
    queues = {queue.id for queue in everything.of_type("AWS::SQS::Queue")}
    dead_letters = _dead_letter_ids(everything)
    hot = {everything.functions()[job.name].id for job in HOT}
    assert _alarmed(everything, "ApproximateNumberOfMessagesVisible", "QueueName") == dead_letters
    assert _alarmed(everything, "ApproximateAgeOfOldestMessage", "QueueName") == queues - dead_letters
    assert _alarmed(everything, "Errors", "FunctionName") == functions
    assert _alarmed(everything, "Throttles", "FunctionName") == hot
    publisher = everything.functions()["membership_publisher"].id
    assert _alarmed(everything, "IteratorAge", "FunctionName") == {publisher}
    assert _alarmed(everything, "5xx", "ApiId")


MEASURES = {"ArchiveLag", "WakeUpLateness", "ReconciliationsFinished"}
"""What functions tell of themselves that is no loss."""


def test_what_a_function_counts_instead_of_failing_raises_an_alarm(everything: Template) -> None:
    # given
    alarmed = {
        (alarm.properties["Dimensions"][0]["Value"], alarm.properties["MetricName"])
        for alarm in everything.of_type("AWS::CloudWatch::Alarm")
        if alarm.properties.get("Namespace") == "Mailtailor" and alarm.properties["MetricName"] not in MEASURES
    }
    # then
    assert alarmed == {(job.name, loss) for job, losses in LOSSES.items() for loss in losses}
    for job, loss in alarmed:
        assert loss in sources.calls(job), f"{job} counts no {loss}"


def test_alarms_are_told_over_tls_and_kept_encrypted(everything: Template) -> None:
    secured = _secured(everything, "AWS::SNS::TopicPolicy", "Topics")
    for topic in everything.of_type("AWS::SNS::Topic"):
        assert topic.properties["KmsMasterKeyId"], str(topic)
        assert topic.id in secured, str(topic)
    for key in everything.of_type("AWS::KMS::Key"):
        assert key.properties["EnableKeyRotation"] is True, str(key)


def test_only_this_accounts_alarms_are_told(everything: Template) -> None:
    for policy in everything.of_type("AWS::SNS::TopicPolicy"):
        statements = policy.properties["PolicyDocument"]["Statement"]
        admitted = [statement for statement in statements if statement["Effect"] == "Allow"]
        assert admitted, str(policy)
        for statement in admitted:
            account = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
            assert statement["Condition"] == account, str(policy)


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


def test_every_route_of_people_who_manage_the_system_has_the_authorizer_and_no_other_route_has(
    everything: Template,
) -> None:
    # given
    [authorizer] = everything.of_type("AWS::ApiGatewayV2::Authorizer")
    managed = set()
    # when
    for route in everything.of_type("AWS::ApiGatewayV2::Route"):
        path = route.properties["RouteKey"].partition(" ")[2]
        if path.split("/")[1] in {"admin", "studio"}:
            managed.add(path)
            # then
            assert route.properties["AuthorizationType"] == "JWT", str(route)
            assert reference(route.properties["AuthorizerId"]) == authorizer.id, str(route)
        else:
            assert route.properties.get("AuthorizationType", "NONE") == "NONE", str(route)
            assert "AuthorizerId" not in route.properties, str(route)
    assert managed, "no route is managed: the test would pass for nothing"


def test_the_authorizer_takes_the_tokens_of_the_administrators_pool_and_client_alone(everything: Template) -> None:
    [authorizer] = everything.of_type("AWS::ApiGatewayV2::Authorizer")
    [pool] = everything.of_type("AWS::Cognito::UserPool")
    [client] = everything.of_type("AWS::Cognito::UserPoolClient")
    assert authorizer.properties["AuthorizerType"] == "JWT"
    assert authorizer.properties["IdentitySource"] == ["$request.header.Authorization"]
    trusted = authorizer.properties["JwtConfiguration"]
    assert [reference(each) for each in trusted["Audience"]] == [client.id]
    assert text(trusted["Issuer"]) == f"https://cognito-idp.${{AWS::Region}}.amazonaws.com/${{{pool.id}}}"


def test_nobody_becomes_an_administrator_unasked_and_a_deployment_loses_none(everything: Template) -> None:
    [pool] = everything.of_type("AWS::Cognito::UserPool")
    assert pool.properties["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True
    assert pool.properties["DeletionProtection"] == "ACTIVE"
    assert pool.deletion_policy == "Retain"
    policy = pool.properties["Policies"]["PasswordPolicy"]
    assert policy["MinimumLength"] >= 14
    assert all(policy[f"Require{each}"] for each in ("Lowercase", "Uppercase", "Numbers", "Symbols"))
    assert pool.properties["EnabledMfas"] == ["SOFTWARE_TOKEN_MFA"]


def test_a_stolen_token_is_good_for_an_hour_at_most(everything: Template) -> None:
    [client] = everything.of_type("AWS::Cognito::UserPoolClient")
    units = client.properties["TokenValidityUnits"]
    assert (units["AccessToken"], units["IdToken"]) == ("minutes", "minutes")
    assert max(client.properties["AccessTokenValidity"], client.properties["IdTokenValidity"]) <= 60
    assert "ALLOW_USER_PASSWORD_AUTH" not in client.properties["ExplicitAuthFlows"]
    assert client.properties["PreventUserExistenceErrors"] == "ENABLED"


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


def test_clock_and_rollouts_run_each_minute_and_the_archive_is_kept_each_hour(everything: Template) -> None:
    # given
    names = {function.id: name for name, function in everything.functions().items()}
    scheduled = {}
    # when
    for rule in everything.of_type("AWS::Events::Rule"):
        [target] = rule.properties["Targets"]
        scheduled[names[reference(target["Arn"])]] = rule.properties["ScheduleExpression"]
    # then
    assert scheduled == {
        "segment_clock": "rate(1 minute)",
        "segment_rollout": "rate(1 minute)",
        "segment_reconcile": "cron(17 3 * * ? *)",
        "archive_watermark": "rate(5 minutes)",
        "archive_compactor": "rate(1 hour)",
    }


def test_the_watermark_knows_how_long_messages_are_hidden_and_how_often_tried(everything: Template) -> None:
    # given
    settings = everything.functions()["archive_watermark"].properties["Environment"]["Variables"]
    queues = {queue.id: queue for queue in everything.of_type("AWS::SQS::Queue")}
    for name in ("EVENTS", "ARCHIVE"):
        # when
        queue = queues[reference(settings[f"{name}_QUEUE"])]
        # then
        assert int(settings[f"{name}_VISIBILITY_SECONDS"]) == queue.properties["VisibilityTimeout"]
        assert queue.properties["RedrivePolicy"]["maxReceiveCount"] == 2 + UNSEEN_TRIES
        assert "DelaySeconds" not in queue.properties


def test_the_archive_raises_an_alarm_when_its_watermark_stands_still_or_is_not_looked_after(
    everything: Template,
) -> None:
    [alarm] = [
        alarm
        for alarm in everything.of_type("AWS::CloudWatch::Alarm")
        if alarm.properties["MetricName"] == "ArchiveLag"
    ]
    assert alarm.properties["Dimensions"] == [{"Name": "service", "Value": "archive_watermark"}]
    assert alarm.properties["TreatMissingData"] == "breaching"
    assert alarm.properties["AlarmActions"]


def test_members_who_leave_minutes_late_raise_an_alarm(everything: Template) -> None:
    [alarm] = [
        alarm
        for alarm in everything.of_type("AWS::CloudWatch::Alarm")
        if alarm.properties["MetricName"] == "WakeUpLateness"
    ]
    assert alarm.properties["Dimensions"] == [{"Name": "service", "Value": "wake_processor"}]
    assert (alarm.properties["Statistic"], alarm.properties["Threshold"]) == ("Maximum", 180)
    assert alarm.properties["AlarmActions"]


def test_wake_ups_outlive_an_hour_in_which_the_table_cannot_be_written(everything: Template) -> None:
    # given
    [queue] = {
        reference(source.properties["EventSourceArn"])
        for source in everything.of_type("AWS::Lambda::EventSourceMapping")
        if reference(source.properties["FunctionName"]) == everything.functions()["wake_processor"].id
    }
    tries = everything.one(queue).properties["RedrivePolicy"]["maxReceiveCount"]
    # when each try is followed by the least pause that `aws.batches` makes
    pauses = [min(900, 2 << min(count, 10)) for count in range(1, tries)]
    # then
    assert sum(pauses) >= 3_600


def test_who_was_erased_is_known_longer_than_any_message_lives_and_not_for_ever(everything: Template) -> None:
    # given: an event may be a dead letter of both its queues, and be redriven on the last day each time
    longest = 2 * (4 + 14)
    expirations = [
        rule["ExpirationInDays"]
        for bucket in everything.of_type("AWS::S3::Bucket")
        for rule in bucket.properties.get("LifecycleConfiguration", {"Rules": []})["Rules"]
        if rule.get("Prefix") == "erased/"
    ]
    # then
    assert expirations == [90]
    assert longest < 90


def test_recomputing_ends_before_what_is_corrected_meanwhile_can_have_been_rebuilt(everything: Template) -> None:
    # given
    rebuilder = everything.functions()["profile_rebuilder"].properties["Environment"]["Variables"]
    recompute = everything.functions()["segment_recompute"].properties
    [rebuilds] = {
        reference(source.properties["EventSourceArn"])
        for source in everything.of_type("AWS::Lambda::EventSourceMapping")
        if reference(source.properties["FunctionName"]) == everything.functions()["profile_rebuilder"].id
    }
    # then
    assert everything.one(rebuilds).properties["DelaySeconds"] >= recompute["Timeout"]
    assert rebuilder["BURSTS"] == recompute["Environment"]["Variables"]["BURSTS"]


def test_the_outputs_are_what_the_command_line_looks_for(app_stack: Template) -> None:
    queues = ("Events", "WakeUps", "Archive", "Esp", "Trail", "Rebuilds", "Recompute", "Reconcile")
    assert app_stack.document["Outputs"].keys() >= {
        *("ApiUrl", "OpenUrl", "ClickUrl", "ContentUrl", "ProfilesTable", "DeliveriesTable", "ClockTable"),
        *(f"{queue}QueueUrl" for queue in queues),
        *(f"{queue}DlqUrl" for queue in queues),
        *("ArchiveBucket", "CatalogBucket", "SegmentClockFunction", "ArchiveEraserFunction", "ProfileApiFunction"),
        *("TokensSecretId", "IdentitySecretId", "IngestSecretId", "EspSecretId"),
    }


def test_links_lead_to_the_cdn_unless_the_operator_names_a_domain(app_stack: Template) -> None:
    outputs = app_stack.document["Outputs"]
    for name in ("OpenUrl", "ClickUrl", "ContentUrl"):
        condition, cdn, given = outputs[name]["Value"]["Fn::If"]
        assert app_stack.document["Conditions"][condition] == {"Fn::Equals": [{"Ref": "PublicUrl"}, ""]}
        assert text(cdn).startswith("https://${Edge")
        assert given == {"Ref": "PublicUrl"}
