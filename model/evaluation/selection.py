"""Selection of the images on which a model is evaluated, with their labels in the order of the model's classes."""

import dataclasses
from collections.abc import Sequence

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
    samples, learned, remarks = _without_learned(bundle, verdict, samples)
    others = tuple(sample for sample in samples if dataset.classes[sample.label] not in known)
    chosen = relabel([sample for sample in samples if dataset.classes[sample.label] in known], dataset.classes, known)
    if others and not chosen:
        found = sorted({dataset.classes[sample.label] for sample in others})
        raise DatasetError(
            f"expected photos of classes that the model {bundle.name} knows ({name_some(known, 20)}), found only "
            f"photos of {name_some(found, 20)}. Rename the classes, or train a model with them."
        )
    return Selection(split, chosen, (*warnings, *remarks), others, learned)


def synthetic_left_out(number: int) -> str:
    """Warning about synthetic photos that are not measured on."""
    return f"{number:,} synthetic photos are left out: a model is measured on real ones"


def relabel(samples: Sequence[Sample], classes: Sequence[str], known: Sequence[str]) -> tuple[Sample, ...]:
    """Samples with labels in the order of `known` instead of `classes`; all their classes are in both."""
    label_of = {label: known.index(name) for label, name in enumerate(classes) if name in known}
    return tuple(dataclasses.replace(sample, label=label_of[sample.label]) for sample in samples)


def _without_learned(
    bundle: Bundle, verdict: Verdict, samples: tuple[Sample, ...]
) -> tuple[tuple[Sample, ...], int, tuple[str, ...]]:
    """The images without those that the model learned from, the number of these, and a sentence about them."""
    if verdict.fingerprint == bundle.manifest.dataset.get("fingerprint"):
        return samples, 0, ()
    names = learned_names(bundle, verdict) or frozenset()
    left = tuple(sample for sample in samples if sample.name not in names)
    count = len(samples) - len(left)
    if not count:
        return samples, 0, ()
    if not left:
        return samples, 0, ("the model learned from all of these photos, so the result is too optimistic",)
    are = (
        "photo is left out: the model learned from a copy of it"
        if count == 1
        else ("photos are left out: the model learned from copies of them")
    )
    return left, count, (f"{count:,} {are}",)


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
