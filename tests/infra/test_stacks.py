"""What holds of both stacks as wholes: their names, outputs and links."""

from __future__ import annotations

from tests.infra.template import Template, text


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
