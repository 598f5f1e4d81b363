"""`topgraft monitor`: all models, one model, JSON, and reset."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from model.bundle import FEATURE_SCALE, open_bundle
from model.cli.command import main, topgraft
from model.provenance import utc_today
from model.results import Prediction
from model.serving.held_out_features import read_held_out
from model.usage.drift_check import drift_of_last_days
from model.usage.record import Record
from model.usage.store import NO_MODEL, ModelVersion, UsageStore, days_before, model_version
from model.workspace import Workspace
from tests.support.small_model import write_small_model

CLASSES = ("[red]", "绿色", "blue")
# The distance, three axes of the features, and two between the three classes.
NUMBERS = 6


def monitor(home: Path, *arguments: str) -> Result:
    ran = CliRunner().invoke(topgraft, ["monitor", "--workspace", str(home), *arguments], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran


def record_of(count: int, shift: float = 0.0) -> Record:
    """Photos of the first class, at some place among the model's."""
    record = Record()
    for distance, *components in np.random.default_rng(count).normal(0.1 + shift, 0.02, (count, NUMBERS)).tolist():
        prediction = Prediction("a", CLASSES[:2], (0.9, 0.1), distance=distance, components=tuple(components))
        record.add_prediction(prediction)
        record.add_answer("json", 0.008, is_zip=False)
    return record


@pytest.fixture
def home(tmp_path: Path) -> Path:
    colours = np.random.default_rng(0).integers(0, 256, (80, 3))
    write_small_model(tmp_path / "models" / "small", CLASSES, learned_colours=colours)
    write_small_model(tmp_path / "models" / "unused", CLASSES)
    return tmp_path


@pytest.fixture
def small(home: Path) -> ModelVersion:
    return model_version("small", open_bundle(home / "models" / "small").manifest)


@pytest.fixture
def store(home: Path) -> UsageStore:
    return UsageStore(Workspace(home))


@pytest.fixture
def used(store: UsageStore, small: ModelVersion) -> None:
    """Two days of use, and one too long ago."""
    store.add(small, days_before(utc_today(), 20), record_of(7))
    store.add(small, days_before(utc_today(), 1), record_of(10))
    latest = record_of(60, shift=0.5)
    latest.add_error(415)
    store.add(small, utc_today(), latest)
    refused = Record()
    refused.add_error(404)
    store.add(NO_MODEL, utc_today(), refused)


def test_without_counts_it_states_how_to_enable_them(home: Path) -> None:
    assert "TOPGRAFT_MONITOR=1" in monitor(home).stdout
    assert json.loads(monitor(home, "--json").stdout)["models"] == []


@pytest.mark.usefixtures("used")
def test_all_models_are_shown_with_one_line_each(home: Path) -> None:
    lines = monitor(home).stdout.splitlines()
    [line] = [line for line in lines if line.startswith("small")]
    assert line.split()[1] == "70" and "drift (effect" in line
    assert not any(line.startswith("unused") for line in lines)
    assert any("404 1" in line for line in lines)


@pytest.mark.usefixtures("used")
def test_all_statistics_of_one_model_are_shown(home: Path) -> None:
    table = monitor(home, "small").stdout
    for expected in (
        "70 photos",
        "[red]",
        "绿色",
        "0.90 to 0.95",
        "json",
        "Drift: drift:",
        days_before(utc_today(), 20),
    ):
        assert expected in table, expected
    summary = json.loads(monitor(home, "small", "--json").stdout)
    assert summary["photos"] == 70 and summary["days"] == 7
    assert summary["classes"][0]["class"] == "[red]" and summary["classes"][0]["share"] == 1.0
    assert summary["latency_ms"]["json"]["p50"] == pytest.approx(8, rel=0.1)
    assert [row["drift"]["verdict"] for row in summary["by_day"]] == ["too few photos", "too few photos", "drift"]
    assert summary["drift"]["p_value"] < 0.01 and summary["drift"]["effect"] > 0.5
    assert json.loads(monitor(home, "small", "--days", "30", "--json").stdout)["photos"] == 77


def test_drift_on_the_latest_day_is_shown_if_all_days_together_have_none(
    home: Path, store: UsageStore, small: ModelVersion
) -> None:
    write = UsageStore(Workspace(home)).add
    held_out = read_held_out(open_bundle(home / "models" / "small"))
    assert held_out is not None
    usual = Record()
    # Each a little off, so that they are different photos.
    for row in np.concatenate([held_out / FEATURE_SCALE + number * 2e-4 for number in range(10)]).tolist():
        usual.add_prediction(Prediction("a", CLASSES, (0.9, 0.1, 0.0), distance=row[0], components=tuple(row[1:])))
    write(small, days_before(utc_today(), 1), usual)
    write(small, utc_today(), record_of(60, shift=0.5))
    summary = json.loads(monitor(home, "small", "--json").stdout)
    assert (summary["drift"]["verdict"], summary["by_day"][-1]["drift"]["verdict"]) == ("no drift seen", "drift")
    assert f"On {utc_today()} alone: drift: " in monitor(home, "small").stdout
    assert f"; drift on {utc_today()}" in monitor(home).stdout
    assert drift_of_last_days(held_out, store.days(small))["latest_day"]["verdict"] == "drift"


@pytest.mark.usefixtures("used")
def test_a_model_without_reference_features_is_not_judged(home: Path, store: UsageStore) -> None:
    unused = model_version("unused", open_bundle(home / "models" / "unused").manifest)
    store.add(unused, utc_today(), record_of(60))
    assert json.loads(monitor(home, "unused", "--json").stdout)["drift"]["verdict"] == "not judged"
    assert {model["name"] for model in json.loads(monitor(home, "--json").stdout)["models"]} == {"small", "unused"}


@pytest.mark.usefixtures("used")
def test_reset_requires_confirmation(home: Path, store: UsageStore, small: ModelVersion) -> None:
    assert main(["monitor", "--workspace", str(home), "--reset"]) == 2
    assert main(["monitor", "--workspace", str(home), "nosuch", "--reset", "--yes"]) == 4
    assert main(["monitor", "--workspace", str(home), "../models", "--reset", "--yes"]) == 4
    assert store.days(small)
    assert json.loads(monitor(home, "small", "--reset", "--yes", "--json").stdout) == {"reset": "small"}
    assert store.days(small) == {} and store.days(NO_MODEL)
    monitor(home, "--reset", "--yes")
    assert store.days(NO_MODEL) == {}
