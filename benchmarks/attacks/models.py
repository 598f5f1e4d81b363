"""Hostile models and archives: imported by the service, put among its models, or uploaded."""

import functools
import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import requests

from benchmarks.attacks.target import PATIENCE, Target, Trick
from model.bundle import open_bundle, write_manifest
from model.bundle_files import MANIFEST, ONNX_MODEL, TRAINING_FEATURES
from model.runs import LOCK
from tests.support.files import zipped
from tests.support.hostile_archives import HOSTILE_ARCHIVES
from tests.support.hostile_networks import (
    HOSTILE_ARRAYS,
    HOSTILE_CONFIGURATIONS,
    HOSTILE_GRAPHS,
    HOSTILE_WEIGHTS,
    describe,
    weights,
)
from tests.support.odd_manifests import FILES, VALUES
from tests.support.small_model import write_model, write_small_model

# Of HDF5, for a configuration.
_MAX_ATTRIBUTE = 60_000
_ODD = "odd"
_COLOURS = np.random.default_rng(0).uniform(0, 255, (20, 3))


def imported_models() -> list[Trick]:
    """Hostile models of all formats, imported by the service."""
    short = {name: row for name, row in HOSTILE_CONFIGURATIONS.items() if len(row[0]) <= _MAX_ATTRIBUTE}
    return [
        *(Trick(f"graph: {spoil.__name__}", functools.partial(_graph, spoil)) for spoil in HOSTILE_GRAPHS),
        *(
            Trick(f"arrays: {name}", functools.partial(_arrays, content))
            for name, (content, _) in HOSTILE_ARRAYS.items()
        ),
        *(Trick(f"weights: {spoil.__name__}", functools.partial(_weights, spoil)) for spoil in HOSTILE_WEIGHTS),
        *(
            Trick(f"configuration: {name}", functools.partial(_configuration, text))
            for name, (text, _) in short.items()
        ),
    ]


def odd_manifests() -> list[Trick]:
    """Manifests with odd values, and files that are none, among the models of the service."""
    return [
        *(
            Trick(
                f"{field} = {str(value)[:60]} ({type(value).__name__})",
                functools.partial(_manifest, _with_value(field, value)),
            )
            for field, value in VALUES
        ),
        *(Trick(name, functools.partial(_manifest, spoil)) for name, spoil in FILES.items()),
    ]


def archives() -> list[Trick]:
    """Hostile archives: zips uploaded to predict, all others imported as models."""
    nested = functools.partial(_uploaded, lambda: zipped({"a.zip": zipped({"b.zip": zipped({"c.jpg": b"x"})})}))
    return [
        *(
            Trick(name, functools.partial(_uploaded if name.startswith("zip") else _imported_archive, make))
            for name, (make, _) in HOSTILE_ARCHIVES.items()
        ),
        Trick("zip: zips in zips", nested),
        Trick("zip: ten thousand empty files", functools.partial(_uploaded, _many_files)),
    ]


def _graph(spoil: Callable[[onnx.ModelProto], None], target: Target) -> str:
    def write(directory: Path) -> None:
        write_small_model(directory)
        manifest = open_bundle(directory).manifest
        graph = onnx.load(directory / ONNX_MODEL)
        spoil(graph)
        (directory / ONNX_MODEL).write_bytes(graph.SerializeToString())
        write_manifest(directory, manifest)

    return _refused_import(target, write)


def _arrays(content: bytes, target: Target) -> str:
    def write(directory: Path) -> None:
        write_small_model(directory, learned_colours=_COLOURS)
        manifest = open_bundle(directory).manifest
        (directory / TRAINING_FEATURES).write_bytes(content)
        write_manifest(directory, manifest)

    return _refused_import(target, write)


def _weights(spoil: Callable[[Any], None], target: Target) -> str:
    def write(directory: Path) -> None:
        _write_foreign_folder(directory)
        with weights(directory / "ckpts" / "final_model.h5", describe(units=4)) as file:
            spoil(file)

    return _refused_import(target, write)


def _configuration(text: str, target: Target) -> str:
    def write(directory: Path) -> None:
        _write_foreign_folder(directory)
        weights(directory / "ckpts" / "final_model.h5", text).close()

    return _refused_import(target, write)


def _write_foreign_folder(directory: Path) -> None:
    # It loads TensorFlow.
    from tests.support.imgclas_models import write_folder

    write_folder(directory, None)


def _imported_archive(make: Callable[[], bytes], target: Target) -> str:
    return _refused_import(target, lambda path: path.write_bytes(make()))


def _refused_import(target: Target, write: Callable[[Path], object]) -> str:
    """Let the service import what `write` makes in data/; it must be refused, and nothing be left."""
    source = target.server.home / "data" / "hostile"
    write(source)
    before = _models(target)
    try:
        answer = requests.post(f"{target.server.url}/train/", params={"import_from": "hostile"}, timeout=PATIENCE)
        if answer.status_code != 200:
            return "" if answer.status_code in range(400, 500) else f"status {answer.status_code}"
        ended = target.server.wait_for_training(answer.json()["uuid"])
    finally:
        shutil.rmtree(source) if source.is_dir() else source.unlink()
    if ended["status"] != "error":
        return f"expected an error, the import is {ended['status']}"
    if re.search("Traceback|internal error", str(ended["message"])):
        return f"expected a refusal, received {ended['message']}"
    left = _models(target) - before
    return f"left in models/: {sorted(left)}" if left else ""


def _models(target: Target) -> set[str]:
    found = {path.relative_to(target.models).as_posix() for path in target.models.glob("*/*")}
    return found - {f".running/{LOCK}"}


def _with_value(field: str, value: Any) -> Callable[[Path], object]:
    return lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))


def _manifest(spoil: Callable[[Path], object], target: Target) -> str:
    """Put a model with the manifest among those of the service: it is one line, and the other is used."""
    directory = target.models / _ODD
    write_model(directory)
    try:
        spoil(directory / MANIFEST)
        start = time.monotonic()
        answer = requests.get(f"{target.server.url}/", timeout=PATIENCE)
        seconds = time.monotonic() - start
        if answer.status_code != 200:
            return f"expected status 200 of the list of models, received {answer.status_code}"
        if not target.is_well():
            return "the other model is not used"
        listed = requests.post(
            f"{target.server.url}/predict/", params={"model": _ODD}, files={"image": b"x"}, timeout=PATIENCE
        )
        # 503: the operator must restore or remove the model.
        if listed.status_code != 503:
            return f"expected status 503 of the odd model, received {listed.status_code}"
        return "" if seconds < 10 else f"the list of models took {seconds:.1f} s"
    finally:
        shutil.rmtree(directory)


def _uploaded(make: Callable[[], bytes], target: Target) -> str:
    answer = target.post(make(), "a.zip")
    if answer.status_code in range(400, 500):
        return ""
    # A member that is no photo, or damaged, is an error beside the others.
    if answer.status_code == 200 and all("error" in one for one in answer.json()["predictions"]):
        return ""
    return f"expected status 4xx or an error for each file, received {answer.status_code}: {answer.text[:200]}"


def _many_files() -> bytes:
    return zipped({f"{number}.jpg": b"" for number in range(10_000)})
