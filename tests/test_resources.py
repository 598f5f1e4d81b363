"""Processor and memory limits of a container, instead of the totals of the machine."""

import os
from pathlib import Path

import pytest

from model.resources import available_memory, available_processors, spare_memory

GIB = 2**30


@pytest.fixture(autouse=True)
def _visible(monkeypatch):
    monkeypatch.delenv("NOMAD_CPU_CORES", raising=False)
    monkeypatch.delenv("NOMAD_MEMORY_LIMIT", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(16)))


def test_without_limits_all_allowed_processors_count(tmp_path):
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


def test_an_invalid_cgroup_file_is_no_limit(tmp_path):
    (tmp_path / "cpu.max").write_text("garbage")
    assert available_processors(tmp_path) == 16


@pytest.fixture
def machine(tmp_path) -> Path:
    """A machine of 16 GiB, 10 of them free; this process takes 256 pages."""
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(f"MemTotal:       {16 * GIB // 1024} kB\nMemAvailable:   {10 * GIB // 1024} kB\n")
    (proc / "self" / "statm").write_text("9999 256 3 4 5 6 7\n")
    return proc


def test_without_limits_the_memory_of_the_machine_counts(tmp_path, machine):
    assert available_memory(tmp_path, machine) == 16 * GIB
    assert spare_memory(tmp_path, machine) == 10 * GIB


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("max", 16 * GIB), (str(4 * GIB), 4 * GIB), (str(64 * GIB), 16 * GIB), ("garbage", 16 * GIB)],
)
def test_the_memory_limit_of_a_cgroup_of_version_2_counts(tmp_path, machine, limit, expected):
    (tmp_path / "memory.max").write_text(limit + "\n")
    assert available_memory(tmp_path, machine) == expected


def test_available_memory_of_a_cgroup_of_version_2_includes_its_file_cache(tmp_path, machine):
    (tmp_path / "memory.max").write_text(str(4 * GIB))
    (tmp_path / "memory.current").write_text(str(3 * GIB))
    (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {GIB}\nactive_file 5\n")
    assert spare_memory(tmp_path, machine) == 2 * GIB


def test_a_cgroup_of_version_1_counts(tmp_path, machine):
    folder = tmp_path / "memory"
    folder.mkdir()
    (folder / "memory.limit_in_bytes").write_text("9223372036854771712")
    (folder / "memory.usage_in_bytes").write_text(str(3 * GIB))
    (folder / "memory.stat").write_text(f"cache 7\ntotal_inactive_file {GIB}\n")
    assert (available_memory(tmp_path, machine), spare_memory(tmp_path, machine)) == (16 * GIB, 10 * GIB)
    (folder / "memory.limit_in_bytes").write_text(str(3 * GIB))
    assert (available_memory(tmp_path, machine), spare_memory(tmp_path, machine)) == (3 * GIB, GIB)


def test_usage_above_the_limit_leaves_zero_memory(tmp_path, machine):
    (tmp_path / "memory.max").write_text(str(GIB))
    (tmp_path / "memory.current").write_text(str(2 * GIB))
    assert spare_memory(tmp_path, machine) == 0


@pytest.mark.parametrize(("text", "expected"), [("2048", 2 * GIB), ("", 16 * GIB), ("lots", 16 * GIB), ("0", 16 * GIB)])
def test_the_memory_that_nomad_reserved_counts(tmp_path, machine, monkeypatch, text, expected):
    monkeypatch.setenv("NOMAD_MEMORY_LIMIT", text)
    assert available_memory(tmp_path, machine) == expected
    own = 256 * os.sysconf("SC_PAGE_SIZE") if expected == 2 * GIB else expected - 10 * GIB
    assert spare_memory(tmp_path, machine) == expected - own


def test_the_memory_of_this_machine_is_found():
    assert 0 < spare_memory() <= available_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
