"""Energy by the counters of RAPL, in folders like those of Linux."""

from pathlib import Path

import pytest

from model.energy import EnergyMeter
from model.results import no_progress
from model.runs import cost_meter
from model.training_cost import TrainingCost, energy_in_words


def write_zone(powercap: Path, zone: str, name: str, microjoules: int, highest: int = 10_000_000) -> Path:
    folder = powercap / zone
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in (("name", name), ("energy_uj", microjoules), ("max_energy_range_uj", highest)):
        (folder / file).write_text(f"{content}\n")
    return folder / "energy_uj"


def test_all_packages_are_added_without_their_parts(tmp_path: Path) -> None:
    first = write_zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    part = write_zone(tmp_path, "intel-rapl:0:0", "core", 500_000)
    second = write_zone(tmp_path, "intel-rapl:1", "package-1", 0)
    whole = write_zone(tmp_path, "intel-rapl:2", "psys", 0)
    meter = EnergyMeter(tmp_path)
    assert meter.joules == 0
    for counter, value in ((first, 3_000_000), (part, 2_000_000), (second, 500_000), (whole, 9_000_000)):
        counter.write_text(str(value))
    assert meter.joules == pytest.approx(2.5)


def test_a_counter_that_returned_to_zero_is_continued(tmp_path: Path) -> None:
    counter = write_zone(tmp_path, "intel-rapl:0", "package-0", 9_000_000)
    meter = EnergyMeter(tmp_path)
    counter.write_text("999999")
    meter.update()
    counter.write_text("2999999")
    assert meter.joules == pytest.approx(4.0)


def test_energy_is_unknown_where_a_counter_cannot_be_read(tmp_path: Path) -> None:
    assert EnergyMeter(tmp_path / "none").joules is None
    counter = write_zone(tmp_path, "intel-rapl:0", "package-0", 0)
    meter = EnergyMeter(tmp_path)
    counter.unlink()
    assert meter.joules is None and EnergyMeter(tmp_path).joules is None
    assert energy_in_words(None) == "not measured"


@pytest.mark.parametrize(
    ("counted", "seconds_before", "reason"),
    [
        (True, 0.0, ""),
        (True, 5.0, "the training was resumed"),
        (False, 0.0, "the system shows no counter of it to this program"),
        (False, 5.0, "the system shows no counter of it to this program"),
    ],
)
def test_energy_that_is_not_measured_has_one_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: bool, seconds_before: float, reason: str
) -> None:
    if counted:
        write_zone(tmp_path, "intel-rapl:0", "package-0", 0)
    monkeypatch.setattr(cost_meter, "EnergyMeter", lambda: EnergyMeter(tmp_path))
    meter = cost_meter.CostMeter(no_progress, seconds_before)
    assert meter.energy_off == reason
    assert meter.cost().energy_joules == (None if reason else 0)


def test_strange_contents_of_the_file_are_unknown() -> None:
    strange = {"seconds": True, "peak_memory_bytes": "5", "energy_joules": float("inf"), "other": 1}
    assert TrainingCost.from_json(strange) == TrainingCost.from_json([1]) == TrainingCost()
    cost = TrainingCost(61.5, 1000, None, 12.5)
    assert TrainingCost.from_json(cost.to_json()) == cost
