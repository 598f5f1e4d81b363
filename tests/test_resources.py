"""The processors that a container was given, not those it sees."""

import os

import pytest

from model.resources import available_processors


@pytest.fixture(autouse=True)
def _visible(monkeypatch):
    monkeypatch.delenv("NOMAD_CPU_CORES", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(16)))


def test_without_limits_all_processors_that_it_may_run_on_count(tmp_path):
    assert available_processors(tmp_path) == 16


@pytest.mark.parametrize(
    ("content", "expected"), [("max 100000", 16), ("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1)]
)
def test_the_quota_of_a_cgroup_of_version_2_counts(tmp_path, content, expected):
    (tmp_path / "cpu.max").write_text(content + "\n")
    assert available_processors(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1", 16), ("300000", 3)])
def test_the_quota_of_a_cgroup_of_version_1_counts(tmp_path, quota, expected):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert available_processors(tmp_path) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("4", 4), ("0-3", 4), ("0-2,7", 4), ("3,5", 2), ("", 16), ("many", 16), ("99", 16), ("0", 1)]
)
def test_the_cores_that_nomad_reserved_count(tmp_path, monkeypatch, text, expected):
    monkeypatch.setenv("NOMAD_CPU_CORES", text)
    assert available_processors(tmp_path) == expected


def test_a_file_that_makes_no_sense_is_no_limit(tmp_path):
    (tmp_path / "cpu.max").write_text("garbage")
    assert available_processors(tmp_path) == 16
