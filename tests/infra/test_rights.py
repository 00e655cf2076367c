"""Rights: a function may do what its code does, with what it does it to, and nothing else."""

from __future__ import annotations

import pytest

from infra.jobs import JOBS
from tests.infra import sources
from tests.infra.template import Template, reference

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
