"""Comparing trained models on a labelled dataset."""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model.bundle import Bundle
from model.bundle_files import served_network
from model.dataset.checked import checked_dataset
from model.dataset.verdict import Verdict
from model.errors import ConfigError, DatasetError
from model.evaluation.comparison.files import write_files
from model.evaluation.comparison.gate import Gate
from model.evaluation.comparison.pairs import NamedAnswers, compare_pair, corrected
from model.evaluation.comparison.photos import ComparedPhotos, select_compared
from model.evaluation.comparison.result import PHOTOS_IN_WORDS, ComparedModel, Comparison, ModelAnswers
from model.evaluation.dataset_evaluation import evaluation_config
from model.evaluation.learned_photos import records_photos
from model.evaluation.marks import marked_unknown
from model.evaluation.metrics import calibration_error, calibration_error_interval, reliability
from model.evaluation.predicting import (
    ImagePredictions,
    PredictedSamples,
    milliseconds_of,
    predict_samples,
)
from model.files.browsing import name_some
from model.results import Progress, no_progress
from model.serving.predictor import Predictor, load_predictor
from model.shown import counted
from model.storage import is_remote
from model.workspace import Workspace

_TIMED_RUNS = 15
_BINS = 10


def compare_models(
    base: Bundle,
    new: Sequence[Bundle],
    dataset: str,
    workspace: Workspace,
    gate: Gate | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Progress = no_progress,
    output: Path | None = None,
    decide: Callable[[Comparison], str] = lambda comparison: "",
) -> Comparison:
    """Compare one or several new models with a base model on the same photos of a dataset.

    The photos are those that `evaluate` would choose, without those that one of the models learned from. Each is
    decoded once for models with the same input. Classes are matched by name.

    Args:
        dataset: a path, a name inside data/, or `remote:path`.
        gate: metric, photos and limit; by default the accuracy on photos of classes that both models know.
        options: `model.dataset.DATASET_OPTIONS` of `TrainConfig`; the others are those of the first new model, or of
            one that did not record its training photos, so that its splits are made again.
        progress: called with the phases `check` and `evaluate`, in images.
        output: existing folder to write comparison.html, comparison.json and changed.csv to; None for none.
        decide: returns the `decision` of the comparison, which the files state.

    Raises:
        ConfigError: two models have no class in common, or an option has a value that cannot be used.
        DatasetError, ArchiveError, StorageError: the dataset cannot be read, or has no photos to compare the models on.
        ModelDamagedError: a model cannot be loaded.
    """
    gate = gate or Gate()
    place = dataset if is_remote(dataset) else str(workspace.find_dataset(dataset))
    distinct = {bundle.name: bundle for bundle in new}
    same = tuple(name for name, bundle in distinct.items() if is_same_model(base, bundle))
    bundles = [base, *(bundle for name, bundle in distinct.items() if name not in same)]
    if len(bundles) == 1:
        comparison = Comparison(base.name, place, gate, same=same)
        if output is not None:
            write_files(output, comparison, (), ())
        return comparison
    for bundle in bundles[1:]:
        _require_shared_class(base, bundle)
    predictors = [load_predictor(bundle) for bundle in bundles]
    config = evaluation_config(_model_of_the_splits(bundles), dataset, options or {})
    user = f"topgraft compare {base.name}"
    with checked_dataset(config, workspace, user, progress, for_training=False) as verdict:
        photos = select_compared(bundles, verdict, config)
        predicted = predict_samples(predictors, photos.samples, progress)
        comparison = _compared(predictors, predicted, verdict, gate, photos)
        comparison = dataclasses.replace(
            comparison,
            dataset=place,
            photos=photos,
            unreadable=(*verdict.rejected, *predicted.errors),
            warnings=(*verdict.warnings, *photos.warnings),
            same=same,
        )
        comparison = dataclasses.replace(comparison, decision=decide(comparison))
        if output is not None:
            write_files(output, comparison, predictors, predicted.samples)
    return comparison


def _model_of_the_splits(bundles: Sequence[Bundle]) -> Bundle:
    """The model whose options divide the dataset; `bundles` begins with the base model."""
    return next((bundle for bundle in bundles if not records_photos(bundle)), bundles[1])


def is_same_model(base: Bundle, new: Bundle) -> bool:
    """Whether two models are one, or copies with the same files."""
    one, other = base.manifest, new.manifest
    return base.name == new.name or dataclasses.replace(one, name=other.name, created=other.created) == other


def _require_shared_class(base: Bundle, new: Bundle) -> None:
    if not set(base.manifest.classes) & set(new.manifest.classes):
        raise ConfigError(
            f"expected models with a class in common, received {base.name} with "
            f"{name_some(base.manifest.classes, 20)}, and {new.name} with {name_some(new.manifest.classes, 20)}. "
            f"Classes are matched by name: train {new.name} again with the names of {base.name}, or choose another "
            "base model."
        )


def _compared(
    predictors: Sequence[Predictor], predicted: PredictedSamples, verdict: Verdict, gate: Gate, photos: ComparedPhotos
) -> Comparison:
    """The comparison, without what it left out."""
    if not predicted.samples:
        raise DatasetError(_no_photos(predicted, photos, predictors))
    true_of = tuple(verdict.dataset.classes[sample.label] for sample in predicted.samples)
    group_of = np.array([verdict.groups[sample.name] for sample in predicted.samples])
    groups = group_of if len(np.unique(group_of)) < len(group_of) else None
    named = [
        _named(predictor, predictions) for predictor, predictions in zip(predictors, predicted.by_model, strict=True)
    ]
    pairs = corrected([compare_pair(named[0], other, true_of, groups, gate) for other in named[1:]])
    for pair in pairs:
        if gate.on not in pair.rows:
            raise DatasetError(
                f"expected photos {PHOTOS_IN_WORDS[gate.on]}, {pair.base} and {pair.new}; found none among "
                f"{len(true_of)}, of the classes {name_some(sorted(set(true_of)), 20)}. Add photos of these classes, "
                "or compare the models on all photos (--on all)."
            )
    milliseconds = milliseconds_of(predictors, _TIMED_RUNS)
    common = set.intersection(*(set(model.classes) for model in named))
    models = [
        _model(*values, true_of, common) for values in zip(predictors, predicted.by_model, milliseconds, strict=True)
    ]
    return Comparison(
        named[0].name,
        "",
        gate,
        true_of=true_of,
        names=tuple(sample.name for sample in predicted.samples),
        models={model.name: model for model in models},
        answers={model.name: model.answers for model in named},
        pairs=pairs,
        grouped=groups is not None,
    )


def _no_photos(predicted: PredictedSamples, photos: ComparedPhotos, predictors: Sequence[Predictor]) -> str:
    """Message of an error: there is no photo that the models can be compared on, and why."""
    known = sorted({name for predictor in predictors for name in predictor.bundle.manifest.classes})
    found = [f"{counted(len(predicted.errors), 'photo')} that cannot be read"] if predicted.errors else []
    if unknown := photos.unknown_classes:
        classes = name_some([f"{name} ({count})" for name, count in unknown.items()], 20)
        found.append(f"photos of other classes: {classes}")
    return (
        f"expected readable photos of classes that a model knows ({name_some(known, 20)}), found only "
        f"{' and '.join(found)}. Rename the classes, or compare the models on another dataset."
    )


def _named(predictor: Predictor, predictions: ImagePredictions) -> NamedAnswers:
    manifest = predictor.bundle.manifest
    labels = predictions.probabilities.argmax(axis=1)
    answers = ModelAnswers(
        tuple(manifest.classes[label] for label in labels.tolist()),
        predictions.probabilities.max(axis=1),
        marked_unknown(predictions.distances, manifest.thresholds),
    )
    return NamedAnswers(predictor.bundle.name, manifest.classes, answers)


def _model(
    predictor: Predictor,
    predictions: ImagePredictions,
    milliseconds: float,
    true_of: Sequence[str],
    common: Collection[str],
) -> ComparedModel:
    manifest = predictor.bundle.manifest
    label_of = {name: label for label, name in enumerate(manifest.classes)}
    measured = [name in common for name in true_of]
    rows = np.array(measured if any(measured) else [name in label_of for name in true_of], bool)
    labels = np.array([label_of.get(name, -1) for name in true_of])[rows]
    probabilities = predictions.probabilities[rows]
    network = manifest.files.get(served_network(manifest.engine))
    return ComparedModel(
        predictor.bundle.name,
        manifest.backbone,
        manifest.image_size,
        len(manifest.classes),
        (network.size if network else 0) / 1e6,
        milliseconds,
        tuple(reliability(probabilities, labels, _BINS)) if len(labels) else (),
        calibration_error(probabilities, labels) if len(labels) else None,
        calibration_error_interval(probabilities, labels) if len(labels) else None,
    )
