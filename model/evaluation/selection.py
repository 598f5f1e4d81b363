"""Selection of the images on which a model is evaluated, with their labels in the order of the model's classes."""

import dataclasses
from collections.abc import Collection, Sequence

from model.bundle import Bundle
from model.dataset.prepare import Verdict
from model.errors import DatasetError
from model.evaluation.learned_photos import learned_names
from model.files.browsing import name_some
from model.results import Sample


@dataclasses.dataclass(frozen=True)
class Selection:
    """Images to evaluate a model on.

    Attributes:
        split: their split: test, val, or all.
        samples: with labels in the order of the model's classes, not of the dataset's.
        warnings: sentences that qualify the result.
        others: images of the split whose classes the model does not know; their labels are those of the dataset.
        learned: number of images that were left out because the model learned from images with the same content.
    """

    split: str
    samples: tuple[Sample, ...]
    warnings: tuple[str, ...] = ()
    others: tuple[Sample, ...] = ()
    learned: int = 0


def select_samples(bundle: Bundle, verdict: Verdict) -> Selection:
    """The test split or, if there is none, all images of a dataset that the model was not trained on.

    If the fingerprint is that of the training dataset, the splits of the training are re-created, and the test split
    or else the validation split is selected. Of another dataset, images that the model learned from are left out, as
    far as others remain; they are recognized by their content. Classes are matched by name.

    Args:
        verdict: result of `prepare_dataset` with the seed and fractions of the training.

    Raises:
        DatasetError: the model knows none of the classes of these images.
    """
    dataset, known = verdict.dataset, bundle.manifest.classes
    split, samples, warnings = _split_of(bundle, verdict)
    synthetic = verdict.synthetic_names
    real = tuple(sample for sample in samples if sample.name not in synthetic)
    if len(real) < len(samples):
        warnings = (*warnings, synthetic_left_out(len(samples) - len(real)))
    samples = real
    chosen = tuple(sample for sample in samples if dataset.classes[sample.label] in known)
    others = tuple(sample for sample in samples if dataset.classes[sample.label] not in known)
    if others and not chosen:
        found = sorted({dataset.classes[sample.label] for sample in others})
        raise DatasetError(
            f"expected photos of classes that the model {bundle.name} knows ({name_some(known, 20)}), found only "
            f"photos of {name_some(found, 20)}. Rename the classes, or train a model with them."
        )
    names = _learned_from(bundle, verdict)
    left, others = _without(chosen, names), _without(others, names)
    if chosen and not left:
        remark = "the model learned from all of these photos, so the result is too optimistic"
        return Selection(split, relabel(chosen, dataset.classes, known), (*warnings, remark), others)
    learned = len(samples) - len(left) - len(others)
    return Selection(split, relabel(left, dataset.classes, known), (*warnings, *_remarks(learned)), others, learned)


def synthetic_left_out(number: int) -> str:
    """Warning about synthetic photos that are not measured on."""
    return f"{number:,} synthetic photos are left out: a model is measured on real ones"


def relabel(samples: Sequence[Sample], classes: Sequence[str], known: Sequence[str]) -> tuple[Sample, ...]:
    """Samples with labels in the order of `known` instead of `classes`; all their classes are in both."""
    label_of = {label: known.index(name) for label, name in enumerate(classes) if name in known}
    return tuple(dataclasses.replace(sample, label=label_of[sample.label]) for sample in samples)


def _learned_from(bundle: Bundle, verdict: Verdict) -> frozenset[str]:
    """Names of the images of another dataset that the model learned from; the splits of its own exclude them."""
    if verdict.fingerprint == bundle.manifest.dataset.get("fingerprint"):
        return frozenset()
    return learned_names(bundle, verdict) or frozenset()


def _without(samples: Sequence[Sample], names: Collection[str]) -> tuple[Sample, ...]:
    return tuple(sample for sample in samples if sample.name not in names)


def _remarks(learned: int) -> tuple[str, ...]:
    if not learned:
        return ()
    if learned == 1:
        return ("1 photo is left out: the model learned from a copy of it",)
    return (f"{learned:,} photos are left out: the model learned from copies of them",)


def _split_of(bundle: Bundle, verdict: Verdict) -> tuple[str, tuple[Sample, ...], tuple[str, ...]]:
    """Name of the split to evaluate on, its images, and sentences that qualify the result."""
    dataset = verdict.dataset
    seen = verdict.fingerprint == bundle.manifest.dataset.get("fingerprint")
    if dataset.test and (seen or verdict.has_splits):
        return "test", dataset.test, ()
    if not seen:
        return "all", dataset.samples, ()
    warning = "the model was trained or tuned on these images, so the result is too optimistic"
    if "cross_validation" in bundle.manifest.metrics:
        warning += f": topgraft models show {bundle.name} shows its cross-validated accuracy"
    return "val", dataset.val, (warning,)
