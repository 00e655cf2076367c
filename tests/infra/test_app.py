"""The app: what it writes, for which platform, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from infra import app
from infra.constructs import exceptions
from infra.constructs import layer as layer_construct
from infra.jobs import Layer
from mailtailor.errors import BadInput

ACCEPTED = {
    "APIG4": "public routes check who asks by themselves",
    "CFR1": "recipients are everywhere",
    "CFR2": "a firewall is the operator's choice",
    "CFR3": "access logs would keep who opened what",
    "CFR4": "the default certificate decides",
    "COG2": "a second factor is each administrator's choice",
    "COG8": "threat protection costs more a user",
    "IAM5": "an archived object's name cannot be known before",
    "L1": "Python 3.13 is chosen",
    "S1": "one function has access",
    "SMG4": "secrets are rotated together with their other halves",
    "SQS3": "dead letters of a stream",
}
"""The rules of which exceptions are accepted; the reasons in full stand beside the resources."""


@pytest.fixture
def built_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give layers another content, as another platform would."""

    def build(layer: Layer, _platform: object) -> Path:
        directory = tmp_path / "layers" / f"{layer}-of-another-platform"
        (directory / "python").mkdir(parents=True)
        (directory / "python" / "native.so").write_text(f"other machine code of {layer}")
        return directory

    monkeypatch.setattr(layer_construct, "build_layer", build)


@pytest.mark.usefixtures("built_elsewhere")
def test_templates_are_the_same_for_both_platforms(assembly: Path, tmp_path: Path) -> None:
    # when
    app.synthesize(tmp_path / "cdk.out", {"platform": "lambda"})
    # then
    for stack in (app.DATA_STACK, app.APP_STACK):
        name = f"{stack}.template.json"
        assert (tmp_path / "cdk.out" / name).read_bytes() == (assembly / name).read_bytes()


def test_layers_of_another_platform_are_not_taken_from_an_earlier_synthesis(tmp_path: Path) -> None:
    # given
    (tmp_path / "asset.abc" / "python").mkdir(parents=True)
    (tmp_path / "platform").write_text("local")
    # when
    app._forget_other_platform(tmp_path, "lambda")
    # then
    assert not (tmp_path / "asset.abc").exists()
    assert (tmp_path / "platform").read_text() == "lambda"


def test_cdk_nag_has_no_finding_that_is_not_accepted_with_a_reason(assembly: Path) -> None:
    report = json.loads((assembly / "validation-report.json").read_text())
    assert report["pluginReports"] == []


@pytest.mark.usefixtures("built_elsewhere")
def test_without_the_accepted_exceptions_nothing_would_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr(exceptions, "Validations", MagicMock())
    # when
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synthesize(tmp_path / "cdk.out")
    # then
    report = json.loads((tmp_path / "cdk.out" / "validation-report.json").read_text())
    [findings] = report["pluginReports"]
    rules = {each["ruleName"].partition("[")[0] for each in findings["violations"]}
    assert rules == {f"AwsSolutions-{rule}" for rule in ACCEPTED}


def test_an_unknown_platform_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There is no platform 'windows'"):
        app.synthesize(tmp_path, {"platform": "windows"})
