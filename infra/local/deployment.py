"""Deploys what `cdk synth` wrote, the way `cdk deploy` does: assets into the bucket, stacks through CloudFormation."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from infra.local.system import REGION
from mailtailor.errors import MailtailorError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef, StackTypeDef
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ssm import SSMClient

ACCOUNT: Final = "000000000000"
BOOTSTRAP_VERSION: Final = ("/cdk-bootstrap/hnb659fds/version", "30")
"""What `cdk bootstrap` leaves in an account; each template asks for it."""
DEPLOY_SECONDS: Final = 120


class DeploymentFailed(MailtailorError):
    """A stack could not be created or updated; the message names the resource and the reason."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file or directory that a stack needs in a bucket, under the key that its template names."""

    path: Path
    zipped: bool
    bucket: str
    key: str

    def content(self) -> bytes:
        """Return what is uploaded."""
        if not self.zipped or self.path.is_file():
            return self.path.read_bytes()
        packed = io.BytesIO()
        # The key is of the directory's content, so the archive's own bytes may be whatever is quick to make.
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for file in sorted(self.path.rglob("*")):
                archive.write(file, file.relative_to(self.path))
        return packed.getvalue()


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack to deploy.

    Parameters
    ----------
    name
        Its name.
    template_url
        Where CloudFormation reads the template, once the assets are uploaded.
    parameters
        The names of the parameters that the template declares.
    resources
        How many resources it has.
    assets
        What has to be uploaded before.
    """

    name: str
    template_url: str
    parameters: frozenset[str]
    resources: int
    assets: tuple[Asset, ...]


def stacks(assembly: Path) -> list[Stack]:
    """Return the stacks that `cdk synth` wrote to the directory `assembly`, each after those it depends on."""
    artifacts = json.loads((assembly / "manifest.json").read_text())["artifacts"]
    ordered = TopologicalSorter({name: artifact.get("dependencies", []) for name, artifact in artifacts.items()})
    return [
        _stack(assembly, artifacts[name], artifacts)
        for name in ordered.static_order()
        if artifacts.get(name, {}).get("type") == "aws:cloudformation:stack"
    ]


def _stack(assembly: Path, artifact: Mapping[str, Any], artifacts: Mapping[str, Any]) -> Stack:
    properties = artifact["properties"]
    template = json.loads((assembly / properties["templateFile"]).read_text())
    bucket, _, key = _resolved(properties["stackTemplateAssetObjectUrl"]).removeprefix("s3://").partition("/")
    return Stack(
        name=properties.get("stackName", artifact.get("displayName")),
        template_url=f"https://s3.{REGION}.amazonaws.com/{bucket}/{key}",
        parameters=frozenset(template.get("Parameters", {})),
        resources=len(template["Resources"]),
        assets=tuple(
            asset
            for name in artifact.get("dependencies", [])
            if artifacts[name]["type"] == "cdk:asset-manifest"
            for asset in _assets(assembly, assembly / artifacts[name]["properties"]["file"])
        ),
    )


def _assets(assembly: Path, manifest: Path) -> Iterator[Asset]:
    for file in json.loads(manifest.read_text()).get("files", {}).values():
        for destination in file["destinations"].values():
            yield Asset(
                path=assembly / file["source"]["path"],
                zipped=file["source"].get("packaging") == "zip",
                bucket=_resolved(destination["bucketName"]),
                key=_resolved(destination["objectKey"]),
            )


def _resolved(text: str) -> str:
    return (
        text.replace("${AWS::AccountId}", ACCOUNT).replace("${AWS::Region}", REGION).replace("${AWS::Partition}", "aws")
    )


def bootstrap(parameters: SSMClient) -> None:
    """Leave the mark of `cdk bootstrap`."""
    name, version = BOOTSTRAP_VERSION
    parameters.put_parameter(Name=name, Value=version, Type="String", Overwrite=True)


def upload(store: S3Client, stack: Stack, tell: Callable[[str], None]) -> None:
    """Upload the assets of `stack` that are not there yet."""
    for number, asset in enumerate(stack.assets, start=1):
        tell(f"{stack.name}: asset {number} of {len(stack.assets)}")
        if not _exists(store, asset.bucket):
            store.create_bucket(Bucket=asset.bucket)
        if not _exists(store, asset.bucket, asset.key):
            store.put_object(Bucket=asset.bucket, Key=asset.key, Body=asset.content())


def _exists(store: S3Client, bucket: str, key: str = "") -> bool:
    try:
        if key:
            store.head_object(Bucket=bucket, Key=key)
        else:
            store.head_bucket(Bucket=bucket)
    except ClientError:
        return False
    return True


def deploy(
    cloudformation: CloudFormationClient, stack: Stack, parameters: Mapping[str, str], tell: Callable[[str], None]
) -> dict[str, str]:
    """Create or update `stack` and return its outputs.

    Raises
    ------
    DeploymentFailed
        With the first resource that failed and why.
    """
    given: list[ParameterTypeDef] = [
        {"ParameterKey": name, "ParameterValue": value}
        for name, value in parameters.items()
        if name in stack.parameters
    ]
    apply = cloudformation.update_stack if _describe(cloudformation, stack) else cloudformation.create_stack
    try:
        apply(
            StackName=stack.name,
            TemplateURL=stack.template_url,
            Parameters=given,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
    except ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise DeploymentFailed(f"{stack.name}: {error.response['Error']['Message']}") from error
    return _wait(cloudformation, stack, tell)


def _wait(cloudformation: CloudFormationClient, stack: Stack, tell: Callable[[str], None]) -> dict[str, str]:
    deadline = time.monotonic() + DEPLOY_SECONDS
    while time.monotonic() < deadline:
        described = _describe(cloudformation, stack)
        status = described["StackStatus"] if described else "MISSING"
        if described and status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
            return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
        if not status.endswith("_IN_PROGRESS"):
            raise DeploymentFailed(f"{stack.name} is {status}: {_reason(cloudformation, stack)}.")
        tell(f"{stack.name}: {_done(cloudformation, stack)} of {stack.resources} resources")
        time.sleep(0.2)
    raise DeploymentFailed(f"{stack.name} was not ready within {DEPLOY_SECONDS} seconds.")


def _describe(cloudformation: CloudFormationClient, stack: Stack) -> StackTypeDef | None:
    try:
        return cloudformation.describe_stacks(StackName=stack.name)["Stacks"][0]
    except ClientError:
        return None


def _done(cloudformation: CloudFormationClient, stack: Stack) -> int:
    resources = cloudformation.describe_stack_resources(StackName=stack.name)["StackResources"]
    return sum(resource["ResourceStatus"].endswith("_COMPLETE") for resource in resources)


def _reason(cloudformation: CloudFormationClient, stack: Stack) -> str:
    """Return the first failure: those after it are only its consequences. Events come newest first."""
    failures = [
        f"{event.get('LogicalResourceId')} ({event.get('ResourceType')}): {event.get('ResourceStatusReason')}"
        for event in cloudformation.describe_stack_events(StackName=stack.name)["StackEvents"]
        if event.get("ResourceStatus", "").endswith("_FAILED")
    ]
    return failures[-1] if failures else "no resource says why"
