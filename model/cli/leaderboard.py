"""`topgraft models --leaderboard`: the models of each dataset, the most accurate first."""

import dataclasses
from collections.abc import Sequence

from model.bundle import Bundle
from model.bundle_files import served_network
from model.errors import ModelDamagedError
from model.leaderboard import FINGERPRINT_SHOWN, Entry, leaderboards
from model.measurements import photos_measured, with_interval
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
    intact: dict[str, Ranked] = {}
    entries, damaged = [], []
    for name in model_names(workspace):
        try:
            bundle = find_bundle(workspace, name)
            intact[name] = ranked = _ranked(bundle)
        except ModelDamagedError as error:
            damaged.append(Ranked(name, problem=error.message))
            continue
        dataset = bundle.manifest.dataset
        fingerprint = str(dataset.get("fingerprint") or "")[:FINGERPRINT_SHOWN]
        entries.append(Entry(name, str(dataset.get("path") or ""), fingerprint, ranked.accuracy))
    found = []
    for board in leaderboards(entries):
        shown = f"{board.dataset} ({board.fingerprint})" if board.fingerprint else board.dataset
        found += [dataclasses.replace(intact[name], dataset=shown) for name in board.models]
    return found + damaged


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
        count = f" of {photos_measured(model.images or 0, model.measured_by)}"
        accuracy = f"accuracy {with_interval(model.accuracy, model.interval, count)}"
    energy = energy_in_words(model.energy_joules)
    seconds = "" if model.seconds is None else f", trained in {model.seconds:,.1f} s (energy: {energy})"
    cost = f"{model.megabytes or 0:.1f} MB, {model.ms_per_photo or 0:.1f} ms per photo"
    return f"{accuracy}, {model.backbone}{seconds}, {cost}"


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
