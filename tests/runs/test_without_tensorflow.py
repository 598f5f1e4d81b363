"""A training whose backbone stays frozen loads neither Keras nor TensorFlow, by whichever face it is started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model.backbones import BACKBONES
from model.export.keras_template import keras_template
from model.networks.converted_backbone import converted_backbone
from model.registry import find_bundle
from model.workspace import Workspace

LITE0 = BACKBONES["EfficientNetLite0"]
SIZE = 96
FACES = {
    "command": "from model.cli import main; main(['train', '--dataset', {dataset!r}, '--image-size', '{size}'])",
    "DEEPaaS": "import api; api.train(dataset={dataset!r}, image_size={size}, fine_tune='auto')",
    "Python": "import topgraft; topgraft.train({dataset!r}, image_size={size}, precision='int8')",
}
# In place of the library: it leaves a file, and cannot be imported.
REFUSES = "import pathlib\npathlib.Path({marker!r}).touch()\nraise ImportError('a frozen head needs no such library')\n"


def _without_keras(folder: Path) -> dict[str, str]:
    """Environment in which Keras and TensorFlow cannot be imported; an attempt leaves a file `loaded`."""
    for library in ("tensorflow", "keras", "tf2onnx"):
        (folder / library).mkdir(parents=True)
        (folder / library / "__init__.py").write_text(REFUSES.format(marker=str(folder / "loaded")))
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


@pytest.mark.slow
@pytest.mark.parametrize("face", FACES)
def test_a_frozen_head_is_trained_without_tensorflow(face: str, workspace: Workspace, shapes: Path, tmp_path: Path):
    keras_template(LITE0, SIZE, converted_backbone(LITE0, SIZE))
    environment = _without_keras(tmp_path / "blocked") | {"TOPGRAFT_HOME": str(workspace.root)}
    code = FACES[face].format(dataset=str(shapes), size=SIZE)
    loaded = "; import sys; print(sorted({'tensorflow', 'keras', 'tf2onnx'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code + loaded], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "[]" and not (tmp_path / "blocked" / "loaded").exists()
    bundle = find_bundle(workspace, "latest")
    bundle.verify()
    assert bundle.manifest.engine == "onnx" and bundle.manifest.parity["max_difference"] < 1e-5
