"""Selection of the images on which a model is evaluated, with their labels in the order of the model's classes."""

import dataclasses
from collections.abc import Collection, Sequence

from model.bundle import Bundle
from model.dataset.prepare import Verdict
from model.dataset.verdict import LEARNED_SPLITS
from model.errors import DatasetError
from model.evaluation.learned_photos import LearnedFrom, is_training_dataset, learned_names, learned_unknown
from model.files.browsing import name_some
from model.results import Sample, Split


@dataclasses.dataclass(frozen=True)
class Selection:
    """Images to evaluate a model on.

    Attributes:
        split: their split: test, val, or all.
        samples: with labels in the order of the model's classes, not of the dataset's.
        warnings: sentences that qualify the result.
        others: images of the split whose classes the model does not know; their labels are those of the dataset.
        learned: number of images of the split whose content the model learned from; they are left out, unless
            `learned_from` is "all".
        learned_from: which of the images the model learned from.
    """

    split: str
    samples: tuple[Sample, ...]
    warnings: tuple[str, ...] = ()
    others: tuple[Sample, ...] = ()
    learned: int = 0
    learned_from: LearnedFrom = "none"


@dataclasses.dataclass(frozen=True)
class _Candidates:
    """Images of a split, before those that the model learned from are left out.

    Attributes:
        left_out: names of the images to leave out.
        learned_from: which of the remaining images the model learned from.
    """

    split: str
    samples: tuple[Sample, ...]
    left_out: frozenset[str] = frozenset()
    learned_from: LearnedFrom = "none"


def select_samples(bundle: Bundle, verdict: Verdict) -> Selection:
    """The test split or, if there is none, all images of a dataset that the model was not trained on.

    If the fingerprint is that of the training dataset, the splits of the training are re-created, and the test split
    or else the validation split is selected. Images that the model learned from are left out, as far as others remain,
    also where other options make other splits; they are recognized by their content. Classes are matched by name.

    Args:
        verdict: result of `prepare_dataset` with the seed and fractions of the training.

    Raises:
        DatasetError: the model knows none of the classes of these images.
    """
    dataset, known = verdict.dataset, bundle.manifest.classes
    candidates = _candidates(bundle, verdict)
    split, samples, warnings = candidates.split, candidates.samples, _qualifications(bundle, candidates)
    samples, remarks = real_photos(samples, verdict)
    warnings = (*warnings, *remarks)
    chosen = tuple(sample for sample in samples if dataset.classes[sample.label] in known)
    others = tuple(sample for sample in samples if dataset.classes[sample.label] not in known)
    if others and not chosen:
        found = sorted({dataset.classes[sample.label] for sample in others})
        raise DatasetError(
            f"expected photos of classes that the model {bundle.name} knows ({name_some(known, 20)}), found only "
            f"photos of {name_some(found, 20)}. Rename the classes, or train a model with them."
        )
    left, others = _without(chosen, candidates.left_out), _without(others, candidates.left_out)
    learned = len(samples) - len(left) - len(others)
    if chosen and not left:
        remark = "the model learned from all of these photos, so the result is too optimistic"
        all_known = relabel(chosen, dataset.classes, known)
        return Selection(split, all_known, (*warnings, remark), others, learned, "all")
    warnings = (*warnings, *_remarks(learned))
    return Selection(split, relabel(left, dataset.classes, known), warnings, others, learned, candidates.learned_from)


def real_photos(samples: Sequence[Sample], verdict: Verdict) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
    """The photos without synthetic ones, which no model is measured on, and a warning if there are some."""
    real = _without(samples, verdict.synthetic_names)
    number = len(samples) - len(real)
    if not number:
        return real, ()
    return real, (f"{number:,} synthetic photos are left out: a model is measured on real ones",)


def relabel(samples: Sequence[Sample], classes: Sequence[str], known: Sequence[str]) -> tuple[Sample, ...]:
    """Samples with labels in the order of `known` instead of `classes`; all their classes are in both."""
    label_of = {label: known.index(name) for label, name in enumerate(classes) if name in known}
    return tuple(dataclasses.replace(sample, label=label_of[sample.label]) for sample in samples)


def _without(samples: Sequence[Sample], names: Collection[str]) -> tuple[Sample, ...]:
    return tuple(sample for sample in samples if sample.name not in names)


def _remarks(learned: int) -> tuple[str, ...]:
    if not learned:
        return ()
    if learned == 1:
        return ("1 photo is left out: the model learned from it or from a copy",)
    return (f"{learned:,} photos are left out: the model learned from them or from copies",)


def _candidates(bundle: Bundle, verdict: Verdict) -> _Candidates:
    dataset = verdict.dataset
    if is_training_dataset(bundle, verdict):
        return _candidates_of_training(bundle, verdict)
    learned = learned_names(bundle, verdict)
    learned_from: LearnedFrom = "unknown" if learned is None else "none"
    if dataset.test and verdict.has_splits:
        return _Candidates("test", dataset.test, learned or frozenset(), learned_from)
    return _Candidates("all", dataset.samples, learned or frozenset(), learned_from)


def _candidates_of_training(bundle: Bundle, verdict: Verdict) -> _Candidates:
    """Those of the dataset that the model was trained on; options may have made other splits than the training's."""
    dataset = verdict.dataset
    if learned_names(bundle, verdict) is None:
        if dataset.test:
            return _Candidates("test", dataset.test, learned_from="unknown")
        return _Candidates("val", dataset.val, learned_from="tuned")
    sources: tuple[tuple[Split, tuple[Split, ...], LearnedFrom], ...] = (
        ("test", LEARNED_SPLITS, "none"),
        ("val", ("train",), "tuned"),
    )
    for split, splits, learned_from in sources:
        learned = learned_names(bundle, verdict, splits) or frozenset()
        samples = dataset.split(split)
        if _without(samples, learned):
            return _Candidates(split, samples, learned, learned_from)
        others = _without(dataset.samples, learned)
        if samples and others:
            return _Candidates(split, (*samples, *others), learned, learned_from)
    split = "test" if dataset.test else "val"
    samples = dataset.split(split) or dataset.samples
    return _Candidates(split, samples, frozenset(sample.name for sample in samples))


def _qualifications(bundle: Bundle, candidates: _Candidates) -> tuple[str, ...]:
    """Sentences that qualify the result."""
    if candidates.learned_from == "unknown":
        return (learned_unknown(bundle.name),)
    if candidates.learned_from != "tuned":
        return ()
    warning = "the model was trained or tuned on these images, so the result is too optimistic"
    if "cross_validation" in bundle.manifest.metrics:
        warning += f": topgraft models show {bundle.name} shows its cross-validated accuracy"
    return (warning,)
