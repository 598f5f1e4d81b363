"""Manifests, and steps that doit skips."""

import os
from pathlib import Path
from typing import Any

import pytest

from model.errors import ConfigError, StepError
from model.pipelines import unchanged
from model.pipelines.manifests import Manifests
from model.pipelines.unchanged import require_extra, run_if_changed

pytest.importorskip("doit", reason="the extra `test` installs doit")


class Step:
    """A step that copies its input, and counts its runs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs, self.fails = folder, 0, False
        (folder / "in").write_text("1")

    def __call__(self, settings: Any = None, is_forced: bool = False) -> bool:
        return run_if_changed(
            "copy",
            [self.folder / "in"],
            {"n": settings},
            is_forced,
            self.outputs,
            self.copy,
            self.folder / "state.json",
        )

    def outputs(self) -> str | None:
        path = self.folder / "out"
        return path.read_text() if path.exists() else None

    def copy(self) -> None:
        self.runs += 1
        if self.fails:
            raise StepError("disk full")
        (self.folder / "out").write_text((self.folder / "in").read_text())


def test_a_step_runs_again_only_when_something_changed(tmp_path: Path) -> None:
    step = Step(tmp_path)
    assert step() and not step()
    os.utime(tmp_path / "in", (1, 1))
    assert not step()
    (tmp_path / "in").write_text("22")
    assert step() and not step()
    assert step(settings=5) and not step(settings=5)
    assert step(settings=5, is_forced=True) and not step(settings=5)
    (tmp_path / "out").write_text("changed by hand")
    assert step(settings=5) and not step(settings=5)
    (tmp_path / "out").unlink()
    assert step(settings=5) and not step(settings=5)
    assert step.runs == 6


def test_a_step_that_failed_runs_again_and_its_error_is_raised(tmp_path: Path) -> None:
    step = Step(tmp_path)
    step.fails = True
    for _ in range(2):
        with pytest.raises(StepError, match="disk full"):
            step()
    step.fails = False
    assert step() and not step() and step.runs == 3


@pytest.mark.parametrize("content", ["", '{"copy"', "[]", '{"copy": 3}'])
def test_a_damaged_state_runs_the_step_again(tmp_path: Path, content: str) -> None:
    step = Step(tmp_path)
    step()
    (tmp_path / "state.json").write_text(content)
    assert step() and not step()


def test_settings_of_doit_in_the_current_folder_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.doit]\nbackend = 'nonsense'\n")
    monkeypatch.chdir(tmp_path)
    assert Step(tmp_path)()


def test_a_manifest_changes_with_names_and_content_only(tmp_path: Path) -> None:
    folder, own = tmp_path / "a b", tmp_path / "manifests"
    (folder / "inside").mkdir(parents=True)
    own.mkdir()
    (folder / "inside" / "x").write_text("1")
    first = Manifests(own).write(folder).read_text()
    os.utime(folder / "inside" / "x", (1, 1))
    assert Manifests(own).write(folder).read_text() == first
    (folder / "inside" / "x").write_text("2")
    second = Manifests(own).write(folder).read_text()
    (folder / "inside" / "x").rename(folder / "y")
    third = Manifests(own).write(folder).read_text()
    assert len({first, second, third}) == 3
    assert Manifests(own).content(folder).files == 1


def test_a_checksum_is_computed_again_only_for_a_file_that_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, read = tmp_path / "manifests", []
    own.mkdir()
    monkeypatch.setattr("model.pipelines.manifests.file_sha256", lambda path: read.append(path.name) or "0" * 64)
    for name in ("x", "y"):
        (tmp_path / name).write_text(name)
    for name in ("x", "y", "x"):
        Manifests(own).write(tmp_path / name)
    assert read == ["x", "y"]
    (tmp_path / "x").write_text("longer")
    (own / "checksums.json").write_text((own / "checksums.json").read_text())
    Manifests(own).write(tmp_path / "x")
    assert read == ["x", "y", "x"]
    (own / "checksums.json").write_text('{"broken": ')
    Manifests(own).write(tmp_path / "y")
    assert read[-1] == "y"


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unchanged, "_PACKAGES", ("doit", "no_such_package"))
    with pytest.raises(
        ConfigError, match=r'requires no_such_package. Install them: pip install "topgraft\[pipelines\]"'
    ):
        require_extra()
