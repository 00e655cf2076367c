"""What CloudWatch has of a queue, minute by minute."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from mailtailor.events.watermark import Minute, QueueHistory
from mailtailor.instant import MINUTE, SECOND, Instant, from_datetime, to_datetime

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef

OLDEST: Final = "ApproximateAgeOfOldestMessage"
WAITING: Final = "ApproximateNumberOfMessagesVisible"
IN_WORK: Final = "ApproximateNumberOfMessagesNotVisible"


def histories(
    client: CloudWatchClient, queues: dict[str, int], *, now: Instant, lookback: int
) -> dict[str, QueueHistory]:
    """Return what each queue said in the `lookback` until now.

    Parameters
    ----------
    client
        CloudWatch.
    queues
        Names of queues, with how long a message that is being tried is hidden in each.
    now, lookback
        The time to ask about.
    """
    asked = {
        f"q{index}": (queue, metric)
        for index, (queue, metric) in enumerate((queue, metric) for queue in queues for metric in _METRICS)
    }
    queries: list[MetricDataQueryTypeDef] = [
        {
            "Id": name,
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/SQS",
                    "MetricName": metric,
                    "Dimensions": [{"Name": "QueueName", "Value": queue}],
                },
                "Period": MINUTE // SECOND,
                "Stat": "Maximum",
            },
        }
        for name, (queue, metric) in asked.items()
    ]
    said: dict[tuple[str, str], dict[Instant, float]] = defaultdict(dict)
    start = (now - lookback) // MINUTE * MINUTE
    pages = client.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, StartTime=to_datetime(start), EndTime=to_datetime(now)
    )
    for page in pages:
        for result in page["MetricDataResults"]:
            points = zip(result["Timestamps"], result["Values"], strict=True)
            said[asked[result["Id"]]].update({from_datetime(at): value for at, value in points})
    return {
        queue: QueueHistory(_minutes(*(said[queue, metric] for metric in _METRICS)), hidden)
        for queue, hidden in queues.items()
    }


_METRICS: Final = (OLDEST, WAITING, IN_WORK)


def _minutes(
    oldest: dict[Instant, float], waiting: dict[Instant, float], in_work: dict[Instant, float]
) -> dict[Instant, Minute]:
    return {
        start: Minute(
            oldest=round(oldest[start] * SECOND) if start in oldest else None,
            messages=round(waiting[start] + in_work[start]) if start in waiting and start in in_work else None,
        )
        for start in oldest.keys() | waiting.keys() | in_work.keys()
    }
