"""`topgraft models --leaderboard`: the models of each dataset, the most accurate first."""

import dataclasses
import statistics
import time

from model.bundle import Bundle
from model.bundle_files import KERAS_MODEL, ONNX_MODEL
from model.errors import ModelDamagedError
from model.measurements import PHOTOS_OF, with_interval
from model.registry import find_bundle, model_names, read_cost
from model.training_cost import energy_in_words
from model.workspace import Workspace

_TIMED_RUNS = 5


@dataclasses.dataclass(frozen=True)
class Ranked:
    """A model on the leaderboard.

    Attributes:
        dataset: where its dataset was, and the beginning of its fingerprint.
        accuracy: of the leading measurement; None if it was not measured.
        interval: 95 % interval of the accuracy.
        images: number of photos it was measured on, and how (`measured_by`).
        seconds: duration of the whole training; None if unknown, as of an imported model.
        energy_joules: of the processors during the training; None if it was not measured.
        megabytes: size of the served network.
        ms_per_photo: median time of one prediction on this machine, without decoding; None if it cannot be loaded.
    """

    name: str
    dataset: str
    backbone: str
    accuracy: float | None
    interval: tuple[float, float] | None
    images: int | None
    measured_by: str
    seconds: float | None
    energy_joules: float | None
    megabytes: float
    ms_per_photo: float | None


def leaderboard(workspace: Workspace) -> list[Ranked]:
    """All complete models by dataset, the most accurate first; damaged ones are left out."""
    found = []
    for name in model_names(workspace):
        try:
            found.append(_ranked(find_bundle(workspace, name)))
        except ModelDamagedError:
            continue
    return sorted(found, key=lambda model: (model.dataset, -(model.accuracy or 0.0), model.name))


def leaderboard_lines(models: list[Ranked]) -> list[str]:
    """The leaderboard as text: a heading per dataset, and a line per model."""
    lines: list[str] = []
    for place, model in enumerate(models):
        if place == 0 or models[place - 1].dataset != model.dataset:
            lines.append(model.dataset)
        lines.append(f"  {model.name}: {_described(model)}")
    return lines


def _described(model: Ranked) -> str:
    accuracy = "accuracy not measured"
    if model.accuracy is not None:
        count = f" of {model.images or 0:,} {PHOTOS_OF.get(model.measured_by, 'photos')}"
        accuracy = f"accuracy {with_interval(model.accuracy, model.interval, count)}"
    energy = energy_in_words(model.energy_joules)
    seconds = "" if model.seconds is None else f", trained in {model.seconds:,.1f} s (energy: {energy})"
    speed = "" if model.ms_per_photo is None else f", {model.ms_per_photo:.1f} ms per photo"
    return f"{accuracy}, {model.backbone}{seconds}, {model.megabytes:.1f} MB{speed}"


def _ranked(bundle: Bundle) -> Ranked:
    manifest, cost = bundle.manifest, read_cost(bundle)
    measured = manifest.accuracy
    fingerprint = str(manifest.dataset.get("fingerprint", ""))[:12]
    network = manifest.files.get(ONNX_MODEL if manifest.engine == "onnx" else KERAS_MODEL)
    return Ranked(
        name=bundle.name,
        dataset=f"{manifest.dataset.get('path') or 'unknown dataset'}{f' ({fingerprint})' if fingerprint else ''}",
        backbone=manifest.backbone,
        accuracy=None if measured is None else measured.accuracy,
        interval=None if measured is None else measured.interval,
        images=None if measured is None else measured.images,
        measured_by="" if measured is None else measured.measurement,
        seconds=cost.seconds,
        energy_joules=cost.energy_joules,
        megabytes=0.0 if network is None else network.size / 1e6,
        ms_per_photo=_ms_per_photo(bundle),
    )


def _ms_per_photo(bundle: Bundle) -> float | None:
    import numpy as np

    from model.serving.predictor import load_predictor

    try:
        predictor = load_predictor(bundle)
    except ModelDamagedError:
        return None
    photo = np.full((1, *predictor.spec.shape), 127, np.uint8)
    predictor.probabilities(photo)
    durations = []
    for _ in range(_TIMED_RUNS):
        started = time.perf_counter()
        predictor.probabilities(photo)
        durations.append(time.perf_counter() - started)
    return 1000 * statistics.median(durations)
