"""Device placement and precision: one or several devices train the same network."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.training.fine_tuning.hardware import Gpu, devices, gpus, precision
from model.training.fine_tuning.replicas import OneDevice, balanced

ROOT = Path(__file__).resolve().parent.parent.parent
H200, P100, UNKNOWN = Gpu("GPU:0", (9, 0)), Gpu("GPU:1", (6, 0)), Gpu("GPU:2", (0, 0))


def test_gpus_are_found_with_their_capabilities(monkeypatch):
    import tensorflow as tf

    found = {"a": {"compute_capability": (9, 0)}, "b": {}}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: list(found) if kind == "GPU" else [])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", found.__getitem__)
    assert gpus() == (Gpu("GPU:0", (9, 0)), Gpu("GPU:1", (0, 0)))


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ((), "float32"),
        ((H200,), "mixed_float16"),
        ((H200, H200), "mixed_float16"),
        ((H200, P100), "float32"),
        ((UNKNOWN,), "float32"),
    ],
    ids=str,
)
def test_mixed_precision_is_used_if_every_gpu_benefits(present, expected):
    assert precision(present) == expected


def test_one_gpu_or_one_image_needs_no_sharing():
    assert isinstance(devices((), 32), OneDevice)
    assert isinstance(devices((H200,), 32), OneDevice)
    assert isinstance(devices((H200, P100), 1), OneDevice)


@pytest.mark.parametrize(("images", "parts"), [(8, 2), (7, 2), (5, 3), (3, 3)])
def test_the_mean_loss_of_the_shards_equals_that_of_the_batch(images, parts):
    rng = np.random.default_rng(0)
    weights, losses = rng.uniform(0.5, 1.5, images), rng.uniform(0, 3, images)
    _, _, changed = balanced((losses, losses, weights), parts)
    of_parts = [np.mean(part) for part in np.array_split(losses * changed, parts)]
    assert np.mean(of_parts) == pytest.approx(np.mean(losses * weights))


@pytest.mark.slow
def test_two_devices_split_each_batch_with_the_result_of_one(shapes):
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.training.two_devices", str(shapes)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    results = json.loads(ran.stdout.splitlines()[-1])
    one, two, mixed = (results[name] for name in ("one", "two", "mixed"))
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=1e-4)
    np.testing.assert_allclose(two["logits"], one["logits"], atol=1e-3)
    # A step that overflows is left out, so mixed precision comes to something near.
    assert all(losses[-1] < losses[0] - 0.1 for losses in (one["losses"], mixed["losses"]))
    assert mixed["types"] == ["float32"]
