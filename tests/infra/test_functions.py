"""Functions: each has the code, limits, settings, layers and times that are its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.jobs import JOBS
from tests.infra import sources
from tests.infra.template import Template, reference

BURST_SETTINGS = {"BURSTS", "PROVISIONAL_SECONDS"}
LIVE_SETTINGS = {"DEFINITIONS_TABLE", "REFRESH_SECONDS"}
INTAKE_SETTINGS = {"EVENTS_QUEUE_URL", "INTAKE_BUCKET", "IDENTITY_SECRET_ID", "INGEST_SECRET_ID"}
ENVIRONMENT = {
    "open_pixel": {"EVENTS_QUEUE_URL", "TOKENS_SECRET_ID"},
    "click_redirect": {"EVENTS_QUEUE_URL", "TOKENS_SECRET_ID", "FORWARDED_PARAMETERS", "STITCHING"},
    "track_api": INTAKE_SETTINGS | {"TOKENS_SECRET_ID"},
    "webhook_ingest": INTAKE_SETTINGS | {"PUBLIC_URL"},
    "event_processor": {
        "PROFILES_TABLE",
        "INTAKE_BUCKET",
        "WAKE_UPS_QUEUE_URL",
        "ARCHIVE_QUEUE_URL",
        "REBUILDS_QUEUE_URL",
    }
    | LIVE_SETTINGS
    | BURST_SETTINGS,
    "profile_rebuilder": {"PROFILES_TABLE", "ARCHIVE_BUCKET", "ARCHIVE_QUEUE_URL", "WAKE_UPS_QUEUE_URL"}
    | LIVE_SETTINGS
    | BURST_SETTINGS,
    "segment_recompute": {
        "PROFILES_TABLE",
        "CLOCK_TABLE",
        "ARCHIVE_BUCKET",
        "ARCHIVE_QUEUE_URL",
        "WAKE_UPS_QUEUE_URL",
        "REBUILDS_QUEUE_URL",
        "RECOMPUTE_QUEUE_URL",
    }
    | LIVE_SETTINGS
    | BURST_SETTINGS,
    "segment_rollout": {"DEFINITIONS_TABLE", "CLOCK_TABLE", "RECOMPUTE_QUEUE_URL", "SETTLE_SECONDS"},
    "wake_processor": {"PROFILES_TABLE", "WAKE_UPS_QUEUE_URL", "REBUILDS_QUEUE_URL"} | LIVE_SETTINGS,
    "segment_clock": {"PROFILES_TABLE", "CLOCK_TABLE", "WAKE_UPS_QUEUE_URL", "WAKE_UPS_A_SECOND"},
    "membership_publisher": {"ESP_QUEUE_URL", "TRAIL_QUEUE_URL"},
    "esp_sync": {"DELIVERIES_TABLE", "ESP_SECRET_ID", "ESP_WEBHOOK_URL"},
    "dynamic_content": {
        *("PROFILES_TABLE", "DECISIONS_TABLE", "TOKENS_SECRET_ID", "FETCH_SECRET_ID"),
        *("CATALOG_BUCKET", "CONTENT_URL", "AWS_SUFFIX"),
    }
    | LIVE_SETTINGS,
    "open_time_image": set(),
    "event_archiver": {"ARCHIVE_BUCKET", "INTAKE_BUCKET"},
    "flip_archiver": {"ARCHIVE_BUCKET"},
    "decision_archiver": {"ARCHIVE_BUCKET"},
    "segment_reconcile": {"PROFILES_TABLE", "CLOCK_TABLE", "ARCHIVE_BUCKET", "RECONCILE_QUEUE_URL"}
    | BURST_SETTINGS
    | LIVE_SETTINGS,
    "segment_estimate": {"ARCHIVE_BUCKET"} | BURST_SETTINGS,
    "trail_api": {"PROFILES_TABLE", "ARCHIVE_BUCKET"},
    "archive_watermark": {
        "CLOCK_TABLE",
        "EVENTS_QUEUE",
        "ARCHIVE_QUEUE",
        "EVENTS_VISIBILITY_SECONDS",
        "ARCHIVE_VISIBILITY_SECONDS",
    },
    "archive_compactor": {"ARCHIVE_BUCKET", "CLOCK_TABLE"},
    "archive_eraser": {"ARCHIVE_BUCKET", "PROFILES_TABLE"},
    "campaign_report": {"ARCHIVE_BUCKET"},
    "instrument_api": {"TOKENS_SECRET_ID", "OPEN_URL", "CLICK_URL"},
    "profile_api": {"PROFILES_TABLE"} | LIVE_SETTINGS,
    "block_preview": {"PROFILES_TABLE", "CATALOG_BUCKET", "CONTENT_URL"} | LIVE_SETTINGS,
    "block_coverage": {"PROFILES_TABLE", "CATALOG_BUCKET", "CONTENT_URL"} | LIVE_SETTINGS,
    "block_versions": {"CATALOG_BUCKET"} | LIVE_SETTINGS,
}
OF_ALL = {
    *("POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_LOG_LEVEL"),
    "PYDANTIC_DISABLE_PLUGINS",
}


def test_there_is_one_function_for_each_directory(everything: Template) -> None:
    directories = {handler.parent.name for handler in Path("functions").glob("*/handler.py")}
    assert set(everything.functions()) == directories == {job.name for job in JOBS}


def test_every_function_runs_python_on_arm_with_limits_of_its_own(everything: Template) -> None:
    for job in JOBS:
        properties = everything.functions()[job.name].properties
        assert properties["Runtime"] == "python3.13"
        assert properties["Architectures"] == ["arm64"]
        assert properties["Handler"] == "handler.handler"
        assert (properties["Timeout"], properties["MemorySize"]) == (job.timeout, job.memory)
        assert properties["EphemeralStorage"]["Size"] == job.disk
        assert len(properties["Layers"]) <= 5
        assert properties.get("ReservedConcurrentExecutions") == job.reserved_concurrency


def test_every_function_has_a_role_and_a_log_of_its_own_that_is_not_kept_for_ever(everything: Template) -> None:
    functions = everything.functions().values()
    roles = [reference(function.properties["Role"]) for function in functions]
    logs = [reference(function.properties["LoggingConfig"]["LogGroup"]) for function in functions]
    assert len(set(roles)) == len(set(logs)) == len(functions)
    for log in everything.of_type("AWS::Logs::LogGroup"):
        assert log.properties["RetentionInDays"] == 30, str(log)


@pytest.mark.parametrize("job", [job.name for job in JOBS])
def test_every_function_gets_exactly_its_settings_and_reads_them_all(everything: Template, job: str) -> None:
    # given
    given = everything.functions()[job].properties["Environment"]["Variables"].keys() - OF_ALL
    # when
    read = sources.settings(job)
    # then
    assert given == ENVIRONMENT[job]
    assert given <= read.keys()
    assert {name for name, required in read.items() if required} <= given


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_every_function_has_the_layers_its_code_needs_and_no_other(job: Any) -> None:
    imported = sources.imports(job.name)
    assert ("definitions" in job.layers) == ("mailtailor.aws.definitions" in imported)
    assert ("archive" in job.layers) == ("duckdb" in imported)
    assert ("images" in job.layers) == any(name.partition(".")[0] == "PIL" for name in imported)


def test_clock_and_rollouts_run_each_minute_and_the_archive_is_kept_each_hour(everything: Template) -> None:
    # given
    names = {function.id: name for name, function in everything.functions().items()}
    scheduled = {}
    # when
    for rule in everything.of_type("AWS::Events::Rule"):
        [target] = rule.properties["Targets"]
        scheduled[names[reference(target["Arn"])]] = rule.properties["ScheduleExpression"]
    # then
    assert scheduled == {
        "segment_clock": "rate(1 minute)",
        "segment_rollout": "rate(1 minute)",
        "segment_reconcile": "cron(17 3 * * ? *)",
        "archive_watermark": "rate(5 minutes)",
        "archive_compactor": "rate(1 hour)",
    }
