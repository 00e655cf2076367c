"""Queues and streams: what is on its way is neither lost, nor read by others, nor tried at the wrong time."""

from __future__ import annotations

import json

import pytest

from mailtailor.events.watermark import UNSEEN_TRIES
from tests.infra.template import Template, reference


def test_every_queue_has_dead_letters_that_are_kept_as_long_as_sqs_can(everything: Template) -> None:
    dead_letters = everything.dead_letters()
    for queue in everything.of_type("AWS::SQS::Queue"):
        if queue.id in dead_letters:
            assert queue.properties["MessageRetentionPeriod"] == 14 * 24 * 3600, str(queue)
        else:
            tries = {"EspQueue": 30, "WakeUpsQueue": 12}.get(queue.id[:-8], 5)
            assert queue.properties["RedrivePolicy"]["maxReceiveCount"] == tries, str(queue)


def test_every_queue_is_encrypted_and_refuses_plain_http(everything: Template) -> None:
    secured = everything.secured("AWS::SQS::QueuePolicy", "Queues")
    for queue in everything.of_type("AWS::SQS::Queue"):
        assert queue.properties["SqsManagedSseEnabled"] is True, str(queue)
        assert queue.id in secured, str(queue)
        assert queue.deletion_policy == "Retain", str(queue)


def test_every_queue_source_answers_in_parts_is_limited_and_never_overlaps_its_consumer(everything: Template) -> None:
    queues = {queue.id: queue for queue in everything.of_type("AWS::SQS::Queue")}
    consumed = set()
    for source in everything.of_type("AWS::Lambda::EventSourceMapping"):
        properties = source.properties
        assert properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"], str(source)
        queue = queues.get(reference(properties["EventSourceArn"]))
        if queue is None:
            continue
        consumed.add(queue.id)
        consumer = everything.one(reference(properties["FunctionName"]))
        window = properties.get("MaximumBatchingWindowInSeconds", 0)
        assert properties["ScalingConfig"]["MaximumConcurrency"], str(source)
        assert queue.properties["VisibilityTimeout"] >= 6 * consumer.properties["Timeout"] + window, str(queue)
        assert properties["BatchSize"] <= 10 or window, f"{source}: SQS gives more than ten only with a window"
    assert consumed == queues.keys() - everything.dead_letters()


def test_the_numbers_of_processors_are_the_operators(app_stack: Template) -> None:
    limits = [
        source.properties["ScalingConfig"]["MaximumConcurrency"]
        for source in app_stack.of_type("AWS::Lambda::EventSourceMapping")
        if "ScalingConfig" in source.properties
    ]
    for name in ("ProcessorConcurrency", "WakeUpConcurrency"):
        assert {"Ref": name} in limits
        assert app_stack.document["Parameters"][name]["MinValue"] == 2
    clock = app_stack.functions()["segment_clock"].properties["Environment"]["Variables"]
    assert clock["WAKE_UPS_A_SECOND"] == {"Ref": "WakeUpsPerSecond"}


@pytest.mark.parametrize(("source", "marked"), [("FromProfiles", "flipped"), ("FromDecisions", "logged")])
def test_a_stream_is_read_from_its_start_in_order_and_loses_nothing(
    everything: Template, source: str, marked: str
) -> None:
    streams = {
        each.id: each.properties
        for each in everything.of_type("AWS::Lambda::EventSourceMapping")
        if "StartingPosition" in each.properties
    }
    [properties] = [each for id_, each in streams.items() if id_.startswith(source)]
    assert len(streams) == 2
    assert properties["StartingPosition"] == "TRIM_HORIZON"
    assert properties["BisectBatchOnFunctionError"] is True
    assert properties["MaximumRetryAttempts"] == 100
    assert reference(properties["DestinationConfig"]["OnFailure"]["Destination"]) in everything.dead_letters()
    patterns = [json.loads(each["Pattern"]) for each in properties["FilterCriteria"]["Filters"]]
    assert patterns == [{"dynamodb": {"NewImage": {marked: {"BOOL": [{"exists": True}]}}}}]


def test_the_watermark_knows_how_long_messages_are_hidden_and_how_often_tried(everything: Template) -> None:
    # given
    settings = everything.functions()["archive_watermark"].properties["Environment"]["Variables"]
    queues = {queue.id: queue for queue in everything.of_type("AWS::SQS::Queue")}
    for name in ("EVENTS", "ARCHIVE"):
        # when
        queue = queues[reference(settings[f"{name}_QUEUE"])]
        # then
        assert int(settings[f"{name}_VISIBILITY_SECONDS"]) == queue.properties["VisibilityTimeout"]
        assert queue.properties["RedrivePolicy"]["maxReceiveCount"] == 2 + UNSEEN_TRIES
        assert "DelaySeconds" not in queue.properties


def test_wake_ups_outlive_an_hour_in_which_the_table_cannot_be_written(everything: Template) -> None:
    # given
    [queue] = {
        reference(source.properties["EventSourceArn"])
        for source in everything.of_type("AWS::Lambda::EventSourceMapping")
        if reference(source.properties["FunctionName"]) == everything.functions()["wake_processor"].id
    }
    tries = everything.one(queue).properties["RedrivePolicy"]["maxReceiveCount"]
    # when each try is followed by the least pause that `aws.batches` makes
    pauses = [min(900, 2 << min(count, 10)) for count in range(1, tries)]
    # then
    assert sum(pauses) >= 3_600


def test_recomputing_ends_before_what_is_corrected_meanwhile_can_have_been_rebuilt(everything: Template) -> None:
    # given
    rebuilder = everything.functions()["profile_rebuilder"].properties["Environment"]["Variables"]
    recompute = everything.functions()["segment_recompute"].properties
    [rebuilds] = {
        reference(source.properties["EventSourceArn"])
        for source in everything.of_type("AWS::Lambda::EventSourceMapping")
        if reference(source.properties["FunctionName"]) == everything.functions()["profile_rebuilder"].id
    }
    # then
    assert everything.one(rebuilds).properties["DelaySeconds"] >= recompute["Timeout"]
    assert rebuilder["BURSTS"] == recompute["Environment"]["Variables"]["BURSTS"]
