"""Exceptions from the AwsSolutions rules of cdk-nag."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Acknowledgment, Validations

if TYPE_CHECKING:
    from constructs import IConstruct


def accept(construct: IConstruct, rule: str, reason: str) -> None:
    """Accept that `construct` departs from `rule`, for a `reason` that a reviewer can judge."""
    Validations.of(construct).acknowledge(Acknowledgment(id=rule, reason=reason))
