"""The functions of a stack, which capabilities add to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from infra.constructs.function import JobFunction
from infra.jobs import Job, Layer

if TYPE_CHECKING:
    from aws_cdk import Stack
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_lambda as lambda_

    from infra.stacks.data import DataStack


class Functions:
    """Adds functions to a stack, and remembers them.

    Everything is added to the stack itself: a scope between them would change the ids of what is deployed.

    Parameters
    ----------
    stack
        Which has the functions and their triggers.
    data
        What they work with.
    layers
        All layers; each function takes its own.
    live
        The settings of functions that ask which segment definitions rule.
    """

    def __init__(
        self,
        stack: Stack,
        *,
        data: DataStack,
        layers: Mapping[Layer, lambda_.ILayerVersion],
        live: Mapping[str, str],
    ) -> None:
        self.stack = stack
        self.data = data
        self.live = live
        self.added: dict[Job, JobFunction] = {}
        self._layers = layers

    def add(self, job: Job, rights: Sequence[iam.PolicyStatement], **environment: str) -> JobFunction:
        """Add the function that does `job`, with the `rights` and settings it needs."""
        function = JobFunction(
            self.stack, job.construct_id, job=job, layers=self._layers, environment=environment, rights=rights
        )
        self.added[job] = function
        return function
