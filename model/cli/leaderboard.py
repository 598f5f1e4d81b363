"""`topgraft models --leaderboard`: the models of each dataset, the most accurate first."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from model.bundle import Bundle
from model.bundle_files import served_network
from model.errors import ModelDamagedError
from model.measurements import PHOTOS_OF, with_interval
from model.registry import find_bundle, model_names, read_cost
from model.training_cost import energy_in_words
from model.workspace import Workspace


@dataclasses.dataclass(frozen=True)
class Ranked:
    """A model on the leaderboard.

    Attributes:
        dataset: where its dataset was, and the beginning of its fingerprint. Models of one dataset that was in several
            folders name all of them.
        accuracy: of the leading measurement; None if it was not measured.
        interval: 95 % interval of the accuracy.
        images: number of photos it was measured on, and how (`measured_by`).
        seconds: duration of the whole training; None if unknown, as of an imported model.
        energy_joules: of the processors during the training; None if it was not measured.
        megabytes: size of the served network.
        ms_per_photo: median time of one prediction, measured on this machine now, without decoding.
        problem: why the model is damaged; None for an intact one. Of a damaged model, only the name is known.
    """

    name: str
    dataset: str = ""
    backbone: str = ""
    accuracy: float | None = None
    interval: tuple[float, float] | None = None
    images: int | None = None
    measured_by: str = ""
    seconds: float | None = None
    energy_joules: float | None = None
    megabytes: float | None = None
    ms_per_photo: float | None = None
    problem: str | None = None


def leaderboard(workspace: Workspace) -> list[Ranked]:
    """All complete models by dataset, the most accurate first, then the damaged ones."""
    groups: dict[tuple[str, str], list[_Found]] = {}
    damaged = []
    for name in model_names(workspace):
        try:
            bundle = find_bundle(workspace, name)
            found = _Found(str(bundle.manifest.dataset.get("path") or ""), _ranked(bundle))
        except ModelDamagedError as error:
            damaged.append(Ranked(name, problem=error.message))
            continue
        # The fingerprint is that of the photos, whatever folder they are in.
        fingerprint = str(bundle.manifest.dataset.get("fingerprint") or "")[:12]
        groups.setdefault((fingerprint, "" if fingerprint else found.path), []).append(found)
    named = [_named(fingerprint, found) for (fingerprint, _), found in groups.items()]
    return [model for models in sorted(named, key=lambda models: models[0].dataset) for model in models] + damaged


def _named(fingerprint: str, found: list["_Found"]) -> list[Ranked]:
    """The models of one dataset, the most accurate first, with the dataset's name."""
    found = sorted(found, key=lambda one: (-(one.model.accuracy or 0.0), one.model.name))
    paths = ", ".join(dict.fromkeys(one.path for one in found if one.path)) or "unknown dataset"
    dataset = f"{paths} ({fingerprint})" if fingerprint else paths
    return [dataclasses.replace(one.model, dataset=dataset) for one in found]


def leaderboard_lines(models: Sequence[Ranked]) -> list[str]:
    """The leaderboard as text: a heading per dataset, and a line per model; then the damaged models."""
    lines: list[str] = []
    for place, model in enumerate(models):
        if model.problem is not None:
            lines.append(f"damaged: {model.name}: {model.problem}")
            continue
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
    cost = f"{model.megabytes or 0:.1f} MB, {model.ms_per_photo or 0:.1f} ms per photo"
    return f"{accuracy}, {model.backbone}{seconds}, {cost}"


class _Found(NamedTuple):
    """An intact model, and where its dataset was."""

    path: str
    model: Ranked


def _ranked(bundle: Bundle) -> Ranked:
    """The model, without its dataset; raises ModelDamagedError if its network cannot be loaded."""
    from model.evaluation.predicting import milliseconds_of
    from model.serving.predictor import load_predictor

    manifest, cost = bundle.manifest, read_cost(bundle)
    measured = manifest.accuracy
    [milliseconds] = milliseconds_of([load_predictor(bundle)])
    network = manifest.files.get(served_network(manifest.engine))
    return Ranked(
        name=bundle.name,
        backbone=manifest.backbone,
        accuracy=None if measured is None else measured.accuracy,
        interval=None if measured is None else measured.interval,
        images=None if measured is None else measured.images,
        measured_by="" if measured is None else measured.measurement,
        seconds=cost.seconds,
        energy_joules=cost.energy_joules,
        megabytes=0.0 if network is None else network.size / 1e6,
        ms_per_photo=milliseconds,
    )
