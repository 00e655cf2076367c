"""Structured logs and EMF metrics, made once a function.

Every log line is JSON with the correlation id of the request or message. Nothing personal is logged: profile ids
are pseudonyms, tokens and addresses stay out.
"""

from __future__ import annotations

import warnings

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

logger = Logger()
metrics = Metrics()

# A request with nothing to count is the usual one.
warnings.filterwarnings("ignore", message="No application metrics to publish")


def count(name: str, value: int = 1, *, reason: str = "") -> None:
    """Add `value` to the metric `name`, unless it is zero.

    A `reason` goes beside the metric into the log, where it can be searched; as a dimension it would split the metric.
    """
    if value:
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)
    if value and reason:
        metrics.add_metadata(key="reason", value=reason)


def seconds(name: str, value: float) -> None:
    """Note a duration under the metric `name`."""
    metrics.add_metric(name=name, unit=MetricUnit.Seconds, value=value)
