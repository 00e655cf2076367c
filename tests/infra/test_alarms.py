"""Alarms: whatever is lost, late or failing is told, and to nobody else."""

from __future__ import annotations

from infra.constructs.monitoring import LOSSES
from infra.jobs import HOT
from tests.infra import sources
from tests.infra.template import Template, reference

MEASURES = {"ArchiveLag", "WakeUpLateness", "ReconciliationsFinished"}
"""What functions tell of themselves that is no loss."""


def _alarmed(everything: Template, metric: str, dimension: str) -> set[str]:
    return {
        reference(each["Value"])
        for alarm in everything.of_type("AWS::CloudWatch::Alarm")
        if alarm.properties["MetricName"] == metric and alarm.properties["AlarmActions"]
        for each in alarm.properties["Dimensions"]
        if each["Name"] == dimension
    }


def test_every_dead_letter_and_every_error_raises_an_alarm(everything: Template) -> None:
    functions = {function.id for function in everything.functions().values()}
    queues = {queue.id for queue in everything.of_type("AWS::SQS::Queue")}
    dead_letters = everything.dead_letters()
    hot = {everything.functions()[job.name].id for job in HOT}
    assert _alarmed(everything, "ApproximateNumberOfMessagesVisible", "QueueName") == dead_letters
    assert _alarmed(everything, "ApproximateAgeOfOldestMessage", "QueueName") == queues - dead_letters
    assert _alarmed(everything, "Errors", "FunctionName") == functions
    assert _alarmed(everything, "Throttles", "FunctionName") == hot
    publisher = everything.functions()["membership_publisher"].id
    assert _alarmed(everything, "IteratorAge", "FunctionName") == {publisher}
    assert _alarmed(everything, "5xx", "ApiId")


def test_what_a_function_counts_instead_of_failing_raises_an_alarm(everything: Template) -> None:
    # given
    alarmed = {
        (alarm.properties["Dimensions"][0]["Value"], alarm.properties["MetricName"])
        for alarm in everything.of_type("AWS::CloudWatch::Alarm")
        if alarm.properties.get("Namespace") == "Mailtailor" and alarm.properties["MetricName"] not in MEASURES
    }
    # then
    assert alarmed == {(job.name, loss) for job, losses in LOSSES.items() for loss in losses}
    for job, loss in alarmed:
        assert loss in sources.calls(job), f"{job} counts no {loss}"


def test_alarms_are_told_over_tls_and_kept_encrypted(everything: Template) -> None:
    secured = everything.secured("AWS::SNS::TopicPolicy", "Topics")
    for topic in everything.of_type("AWS::SNS::Topic"):
        assert topic.properties["KmsMasterKeyId"], str(topic)
        assert topic.id in secured, str(topic)
    for key in everything.of_type("AWS::KMS::Key"):
        assert key.properties["EnableKeyRotation"] is True, str(key)


def test_only_this_accounts_alarms_are_told(everything: Template) -> None:
    for policy in everything.of_type("AWS::SNS::TopicPolicy"):
        statements = policy.properties["PolicyDocument"]["Statement"]
        admitted = [statement for statement in statements if statement["Effect"] == "Allow"]
        assert admitted, str(policy)
        for statement in admitted:
            account = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
            assert statement["Condition"] == account, str(policy)


def test_the_archive_raises_an_alarm_when_its_watermark_stands_still_or_is_not_looked_after(
    everything: Template,
) -> None:
    [alarm] = [
        alarm
        for alarm in everything.of_type("AWS::CloudWatch::Alarm")
        if alarm.properties["MetricName"] == "ArchiveLag"
    ]
    assert alarm.properties["Dimensions"] == [{"Name": "service", "Value": "archive_watermark"}]
    assert alarm.properties["TreatMissingData"] == "breaching"
    assert alarm.properties["AlarmActions"]


def test_members_who_leave_minutes_late_raise_an_alarm(everything: Template) -> None:
    [alarm] = [
        alarm
        for alarm in everything.of_type("AWS::CloudWatch::Alarm")
        if alarm.properties["MetricName"] == "WakeUpLateness"
    ]
    assert alarm.properties["Dimensions"] == [{"Name": "service", "Value": "wake_processor"}]
    assert (alarm.properties["Statistic"], alarm.properties["Threshold"]) == ("Maximum", 180)
    assert alarm.properties["AlarmActions"]
