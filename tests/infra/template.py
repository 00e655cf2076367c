"""A CloudFormation template, as the tests ask it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Resource:
    id: str
    type: str
    properties: dict[str, Any]
    deletion_policy: str

    def __str__(self) -> str:
        return f"{self.id} ({self.type})"


@dataclass(frozen=True)
class Statement:
    """One statement of a role: what a function may do."""

    role: str
    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]


@dataclass(frozen=True)
class Template:
    document: dict[str, Any]

    @classmethod
    def read(cls, assembly: Path, stack: str) -> Template:
        return cls(json.loads((assembly / f"{stack}.template.json").read_text()))

    def with_exports_resolved_in(self, other: Template) -> Template:
        """Return one template of both, in which `other` refers to this one's resources directly."""
        exports = {
            output["Export"]["Name"]: output["Value"]
            for output in self.document["Outputs"].values()
            if "Export" in output
        }
        resources = self.document["Resources"] | _resolved(other.document["Resources"], exports)
        return Template({"Resources": resources})

    @property
    def resources(self) -> list[Resource]:
        return [
            Resource(name, each["Type"], each.get("Properties", {}), each.get("DeletionPolicy", "Delete"))
            for name, each in self.document["Resources"].items()
        ]

    def of_type(self, *types: str) -> list[Resource]:
        found = [resource for resource in self.resources if resource.type in types]
        assert found, f"no resource of type {types}: the test would pass for nothing"
        return found

    def one(self, resource_id: str) -> Resource:
        return next(resource for resource in self.resources if resource.id == resource_id)

    def functions(self) -> dict[str, Resource]:
        """Return the functions by the names of their jobs."""
        return {
            function.properties["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]: function
            for function in self.of_type("AWS::Lambda::Function")
        }

    def dead_letters(self) -> set[str]:
        """Return the ids of queues that take what another queue or a stream gives up."""
        redriven = {
            reference(queue.properties["RedrivePolicy"]["deadLetterTargetArn"])
            for queue in self.of_type("AWS::SQS::Queue")
            if "RedrivePolicy" in queue.properties
        }
        from_streams = {
            reference(source.properties["DestinationConfig"]["OnFailure"]["Destination"])
            for source in self.of_type("AWS::Lambda::EventSourceMapping")
            if "DestinationConfig" in source.properties
        }
        return redriven | from_streams

    def secured(self, policy_type: str, target: str) -> set[str]:
        """Return the ids of resources of which some policy denies plain HTTP."""
        secured = set()
        for policy in self.of_type(policy_type):
            if _denies_plain_http(policy.properties["PolicyDocument"]):
                targets = policy.properties[target]
                secured |= {reference(each) for each in (targets if isinstance(targets, list) else [targets])}
        return secured

    def statements(self) -> Iterator[Statement]:
        """Yield every statement of every role and policy that a function or service acts by."""
        for resource in self.of_type("AWS::IAM::Role", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
            properties = resource.properties
            policies = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
            policies += [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
            for policy in policies:
                for statement in policy["Statement"]:
                    yield Statement(
                        role=resource.id,
                        effect=statement["Effect"],
                        actions=tuple(_listed(statement["Action"])),
                        resources=tuple(text(each) for each in _listed(statement["Resource"])),
                    )


def reference(value: Any) -> str:
    """Return the id of the resource that `value` refers to."""
    if "Ref" in value:
        return str(value["Ref"])
    return str(value["Fn::GetAtt"][0])


def text(value: Any) -> str:
    """Return `value` as one text, with references as `${id}`."""
    if isinstance(value, str):
        return value
    if "Fn::Join" in value:
        separator, parts = value["Fn::Join"]
        return str(separator).join(text(part) for part in parts)
    return f"${{{reference(value)}}}"


def _denies_plain_http(policy: dict[str, Any]) -> bool:
    return any(
        statement["Effect"] == "Deny"
        and statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport") == "false"
        for statement in policy["Statement"]
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _resolved(value: Any, exports: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        if "Fn::ImportValue" in value:
            return exports[value["Fn::ImportValue"]]
        return {key: _resolved(each, exports) for key, each in value.items()}
    if isinstance(value, list):
        return [_resolved(each, exports) for each in value]
    return value
