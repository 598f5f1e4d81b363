"""The Keras networks predict and train with the JAX backend."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.backbones import BACKBONES
from model.dataset.images import read_image
from model.networks.network import build_classifier
from model.networks.pretrained import build_backbone
from model.results import InputSpec
from model.training.head import random_head

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed: pip install topgraft[test]")
def test_prediction_and_fine_tuning_work_with_jax(shapes, tmp_path):
    head = random_head(1280, 3, 0)
    backbone = build_backbone(BACKBONES["EfficientNetLite0"], 64, "imagenet")
    network = build_classifier(backbone, head.kernel, head.bias, temperature=0.5)
    network.save(tmp_path / "model.keras")
    pixels = np.stack([read_image(path, InputSpec.square(64)) for path in sorted(shapes.rglob("*.jpg"))[::6]])
    np.save(tmp_path / "images.npy", pixels)
    arguments = (tmp_path / "model.keras", tmp_path / "images.npy", shapes, tmp_path)
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.training.on_jax", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found["backend"] == "jax"
    np.testing.assert_allclose(found["probabilities"], network.predict_on_batch(pixels), atol=1e-4)
    first, *_, last = found["losses"]
    assert last < first - 0.1
