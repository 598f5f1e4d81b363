"""Photos to compare models on: those of the test split, or all, that none of the models learned from."""

import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from model.bundle import Bundle
from model.config import TrainConfig
from model.dataset import SPLIT_OPTIONS
from model.dataset.verdict import LEARNED_SPLITS, Verdict
from model.errors import DatasetError
from model.evaluation.learned_photos import is_training_dataset, learned_names, learned_unknown
from model.evaluation.selection import real_photos
from model.results import Sample
from model.shown import counted


@dataclasses.dataclass(frozen=True)
class ComparedPhotos:
    """Photos to compare models on.

    Attributes:
        split: the photos: `test`, `val`, or `all`.
        samples: with labels in the order of the dataset's classes.
        learned: name of a model -> photos of the split that were left out because it learned from them.
        left_out: photos that were left out because a model learned from them, each counted once.
        unknown_classes: photos of classes that no model knows, by class; they are left out.
        warnings: sentences that qualify the result.
        unrecorded: models that were trained on this dataset, and did not record which of its photos they learned from.
    """

    split: str
    samples: tuple[Sample, ...]
    learned: Mapping[str, int]
    left_out: int
    unknown_classes: Mapping[str, int]
    warnings: tuple[str, ...]
    unrecorded: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What was left out, as plain JSON types."""
        return {
            "learned": {"images": self.left_out, "by_model": dict(self.learned)},
            "unknown_classes": {"images": sum(self.unknown_classes.values()), "counts": dict(self.unknown_classes)},
        }


def select_compared(bundles: Sequence[Bundle], verdict: Verdict, config: TrainConfig) -> ComparedPhotos:
    """The photos that `evaluate` would choose, without those that one of the models learned from.

    A photo is recognized by the checksum of its content, whatever its path is; for a model that recorded no checksums,
    by its path in the dataset that the model was trained on; or else by the splits that its options make of it again.
    If all photos were learned from, those are chosen that no model computed its weights from, with a warning.

    Args:
        bundles: the models.
        config: the options that made the splits of `verdict`.

    Raises:
        DatasetError: no photos are left.
    """
    dataset = verdict.dataset
    has_test = bool(verdict.has_splits and dataset.test)
    split = "test" if has_test else "all"
    samples, remarks = real_photos(dataset.test if has_test else dataset.samples, verdict)
    learned = {bundle.name: learned_names(bundle, verdict) for bundle in bundles}
    unrecorded = [bundle for bundle in bundles if learned[bundle.name] is None]
    warnings = [*(learned_unknown(bundle.name) for bundle in unrecorded), *remarks]
    for bundle in unrecorded:
        if _has_splits_of_training(bundle, verdict, config):
            learned[bundle.name] = frozenset(sample.name for part in LEARNED_SPLITS for sample in dataset.split(part))
            warnings.append(f"{bundle.name}: the photos of the splits that its options make again are left out")
    chosen = _without(samples, learned)
    if not chosen:
        learned = {bundle.name: learned_names(bundle, verdict, ("train",)) for bundle in bundles}
        chosen, split = _without(samples, learned), "val"
        warnings.append(
            "a model was trained or tuned on these photos, so its result is too optimistic: compare the models on new "
            "photos"
        )
    if not chosen:
        raise DatasetError(
            f"expected photos that none of the models {', '.join(learned)} was trained on, found none among "
            f"{counted(len(samples), 'photo')}. Compare the models on a dataset with other photos."
        )
    known = {name for bundle in bundles for name in bundle.manifest.classes}
    others = Counter(name for sample in chosen if (name := dataset.classes[sample.label]) not in known)
    return ComparedPhotos(
        split,
        tuple(sample for sample in chosen if dataset.classes[sample.label] in known),
        {name: sum(sample.name in (names or ()) for sample in samples) for name, names in learned.items()},
        len(samples) - len(chosen),
        dict(sorted(others.items())),
        tuple(warnings),
        tuple(bundle.name for bundle in unrecorded if is_training_dataset(bundle, verdict)),
    )


def _has_splits_of_training(bundle: Bundle, verdict: Verdict, config: TrainConfig) -> bool:
    """Whether the splits are those that the training of a model has made: of the same photos, by the same options."""
    manifest = bundle.manifest
    of_training = {name: manifest.train_config.get(name, getattr(config, name)) for name in SPLIT_OPTIONS}
    return (
        is_training_dataset(bundle, verdict)
        and of_training == {name: getattr(config, name) for name in SPLIT_OPTIONS}
        and manifest.dataset.get("folds", 0) == config.folds
    )


def _without(samples: Sequence[Sample], learned: Mapping[str, Collection[str] | None]) -> list[Sample]:
    """The photos that no model learned from, by the photos of each model; None where they are not recorded."""
    return [sample for sample in samples if not any(sample.name in (names or ()) for names in learned.values())]
