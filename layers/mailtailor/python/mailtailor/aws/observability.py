"""Structured logs and EMF metrics, made once a function.

Every log line is JSON with the correlation id of the request or message. Nothing personal is logged: profile ids
are pseudonyms, tokens and addresses stay out.
"""

from __future__ import annotations

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

logger = Logger()
metrics = Metrics()


def count(name: str, value: int = 1) -> None:
    """Add `value` to the metric `name`, unless it is zero."""
    if value:
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)
