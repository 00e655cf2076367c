"""Rights, written out: which actions on which resource. The CDK's `grant_*` methods allow more than a job needs."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_iam as iam


def allow(actions: Sequence[str], *resources: str) -> iam.PolicyStatement:
    """Return the right to do `actions`, without wildcards, on `resources` alone."""
    return iam.PolicyStatement(actions=list(actions), resources=list(resources))
