"""Checkpoints that a crash or a disk has damaged."""

from pathlib import Path

import numpy as np
import pytest

from model.training.checkpoints import Checkpoints


def _save(directory: Path, number: int) -> None:
    Checkpoints(directory).save({"weights": np.full(3, number)}, {"epoch": number})


def _damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def test_of_two_checkpoints_the_intact_one_is_used_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    for number in (1, 2):
        _save(tmp_path, number)
    _damage(tmp_path / "00000002.ckpt")
    found = Checkpoints(tmp_path).latest()
    assert found is not None and found[1] == {"epoch": 1}
    assert "trying the previous one, 00000001.ckpt" in caplog.text


def test_without_an_intact_checkpoint_a_restart_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    _save(tmp_path, 1)
    _damage(tmp_path / "00000001.ckpt")
    assert Checkpoints(tmp_path).latest() is None
    assert "starting again" in caplog.text and "trying" not in caplog.text
