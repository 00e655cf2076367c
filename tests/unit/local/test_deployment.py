from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from infra.local import deployment
from infra.local.deployment import DeploymentFailed

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_s3 import S3Client

BUCKET = "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"
RESOLVED = "cdk-hnb659fds-assets-000000000000-us-east-1"


def _stack(name: str, dependencies: list[str]) -> dict[str, Any]:
    return {
        "type": "aws:cloudformation:stack",
        "properties": {
            "templateFile": f"{name}.template.json",
            "stackTemplateAssetObjectUrl": f"s3://{BUCKET}/{name}.json",
        },
        "displayName": name,
        "dependencies": [*dependencies, f"{name}.assets"],
    }


@pytest.fixture
def assembly(tmp_path: Path) -> Path:
    """What `cdk synth` writes for two stacks; the one named first needs the other."""
    for name in ("App", "Data"):
        template: dict[str, Any] = {"Parameters": {"Size": {}}, "Resources": {"A": {}, "B": {}}}
        (tmp_path / f"{name}.template.json").write_text(json.dumps(template))
        destination = {"current": {"bucketName": BUCKET, "objectKey": f"{name}.json"}}
        code = {"current": {"bucketName": BUCKET, "objectKey": "0123abc.zip"}}
        files = {
            "template": {"source": {"path": f"{name}.template.json", "packaging": "file"}, "destinations": destination},
            "code": {"source": {"path": "asset.0123abc", "packaging": "zip"}, "destinations": code},
        }
        (tmp_path / f"{name}.assets.json").write_text(json.dumps({"files": files}))
    (tmp_path / "asset.0123abc" / "below").mkdir(parents=True)
    (tmp_path / "asset.0123abc" / "handler.py").write_text("handler = 1")
    (tmp_path / "asset.0123abc" / "below" / "data").write_text("x")
    artifacts = {
        "App": _stack("App", ["Data"]),
        "App.assets": {"type": "cdk:asset-manifest", "properties": {"file": "App.assets.json"}},
        "Data": _stack("Data", []),
        "Data.assets": {"type": "cdk:asset-manifest", "properties": {"file": "Data.assets.json"}},
        "Tree": {"type": "cdk:tree", "properties": {"file": "tree.json"}},
    }
    (tmp_path / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    return tmp_path


@pytest.fixture
def store() -> Iterator[S3Client]:
    with mock_aws():
        yield boto3.client("s3", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")


@pytest.fixture
def cloudformation() -> CloudFormationClient:
    return boto3.client(
        "cloudformation", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )


def test_a_stack_comes_after_those_it_depends_on(assembly: Path) -> None:
    # when
    stacks = deployment.stacks(assembly)
    # then
    assert [stack.name for stack in stacks] == ["Data", "App"]
    assert [stack.resources for stack in stacks] == [2, 2]


def test_templates_and_code_go_where_the_manifest_says(assembly: Path, store: S3Client) -> None:
    # given
    app = deployment.stacks(assembly)[1]
    # when
    deployment.upload(store, app, lambda _: None)
    # then
    keys = {entry["Key"] for entry in store.list_objects_v2(Bucket=RESOLVED)["Contents"]}
    assert keys == {"App.json", "0123abc.zip"}
    assert app.template_url == f"https://s3.us-east-1.amazonaws.com/{RESOLVED}/App.json"


def test_a_directory_is_uploaded_as_an_archive_of_its_files(assembly: Path, store: S3Client) -> None:
    # when
    deployment.upload(store, deployment.stacks(assembly)[1], lambda _: None)
    # then
    archive = zipfile.ZipFile(io.BytesIO(store.get_object(Bucket=RESOLVED, Key="0123abc.zip")["Body"].read()))
    assert {"handler.py", "below/data"} <= set(archive.namelist())


def test_what_is_there_already_is_not_uploaded_again(assembly: Path, store: S3Client) -> None:
    # given
    app = deployment.stacks(assembly)[1]
    deployment.upload(store, app, lambda _: None)
    store.put_object(Bucket=RESOLVED, Key="0123abc.zip", Body=b"as it was")
    # when
    deployment.upload(store, app, lambda _: None)
    # then
    assert store.get_object(Bucket=RESOLVED, Key="0123abc.zip")["Body"].read() == b"as it was"


def test_a_failure_names_the_resource_that_failed_first_and_why(
    assembly: Path, cloudformation: CloudFormationClient
) -> None:
    # given
    app = deployment.stacks(assembly)[1]
    stack = {"StackName": "App", "StackStatus": "ROLLBACK_COMPLETE", "CreationTime": "2026-11-24T00:00:00Z"}
    events = [
        _event("Api", "AWS::ApiGatewayV2::Api", "Resource creation cancelled"),
        _event("Table", "AWS::DynamoDB::Table", "No such key type"),
    ]
    with Stubber(cloudformation) as stub:
        stub.add_client_error("describe_stacks", "ValidationError")
        stub.add_response("create_stack", {"StackId": "arn:App"})
        stub.add_response("describe_stacks", {"Stacks": [stack]})
        stub.add_response("describe_stack_events", {"StackEvents": events})
        # when
        with pytest.raises(DeploymentFailed) as raised:
            deployment.deploy(cloudformation, app, {"Size": "2"}, lambda _: None)
    # then
    assert str(raised.value) == "App is ROLLBACK_COMPLETE: Table (AWS::DynamoDB::Table): No such key type."


def test_a_stack_gets_the_parameters_that_it_declares_and_tells_its_outputs(
    assembly: Path, cloudformation: CloudFormationClient
) -> None:
    # given
    app = deployment.stacks(assembly)[1]
    stack = {"StackName": "App", "StackStatus": "CREATE_COMPLETE", "CreationTime": "2026-11-24T00:00:00Z"}
    with Stubber(cloudformation) as stub:
        stub.add_client_error("describe_stacks", "ValidationError")
        stub.add_response(
            "create_stack",
            {"StackId": "arn:App"},
            {
                "StackName": "App",
                "TemplateURL": app.template_url,
                "Parameters": [{"ParameterKey": "Size", "ParameterValue": "2"}],
                "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
            },
        )
        outputs = [{"OutputKey": "ApiUrl", "OutputValue": "https://api"}]
        stub.add_response("describe_stacks", {"Stacks": [stack | {"Outputs": outputs}]})
        # when
        told = deployment.deploy(cloudformation, app, {"Size": "2", "Other": "x"}, lambda _: None)
    # then
    assert told == {"ApiUrl": "https://api"}


def _event(resource: str, kind: str, reason: str) -> dict[str, str]:
    return {
        "StackId": "arn:App",
        "EventId": resource,
        "StackName": "App",
        "Timestamp": "2026-11-24T00:00:00Z",
        "LogicalResourceId": resource,
        "ResourceType": kind,
        "ResourceStatus": "CREATE_FAILED",
        "ResourceStatusReason": reason,
    }
