"""Selection of the images on which a model is evaluated, with their labels in the order of the model's classes."""

import dataclasses

from model.bundle import Bundle
from model.dataset.prepare import Verdict
from model.errors import DatasetError
from model.results import Sample


@dataclasses.dataclass(frozen=True)
class Selection:
    """Images to evaluate a model on.

    Attributes:
        split: their split: test, val, or all.
        samples: with labels in the order of the model's classes, not of the dataset's.
        warnings: sentences that qualify the result.
    """

    split: str
    samples: tuple[Sample, ...]
    warnings: tuple[str, ...] = ()


def select_samples(bundle: Bundle, verdict: Verdict) -> Selection:
    """The test split or, if there is none, all images of a dataset that the model was not trained on.

    If the fingerprint is that of the training dataset, the splits of the training are re-created, and the test split
    or else the validation split is selected.

    Args:
        verdict: result of `prepare_dataset` with the seed and fractions of the training.

    Raises:
        DatasetError: the dataset has classes that the model does not have.
    """
    dataset = verdict.dataset
    seen = verdict.fingerprint == bundle.manifest.dataset.get("fingerprint")
    if dataset.test and (seen or verdict.has_splits):
        return Selection("test", _relabel(dataset.test, dataset.classes, bundle))
    if seen:
        warning = "the model was trained or tuned on these images, so the result is too optimistic"
        if "cross_validation" in bundle.manifest.metrics:
            warning += f": topgraft models show {bundle.name} shows its cross-validated accuracy"
        return Selection("val", _relabel(dataset.val, dataset.classes, bundle), (warning,))
    return Selection("all", _relabel(dataset.samples, dataset.classes, bundle))


def _relabel(samples: tuple[Sample, ...], classes: tuple[str, ...], bundle: Bundle) -> tuple[Sample, ...]:
    known = bundle.manifest.classes
    unknown = [name for name in classes if name not in known]
    if unknown:
        raise DatasetError(
            f"expected only classes that the model {bundle.name} knows ({', '.join(known)}), found others: "
            f"{', '.join(unknown)}. Rename or leave out these classes, or train a model with them."
        )
    label_of = [known.index(name) for name in classes]
    return tuple(dataclasses.replace(sample, label=label_of[sample.label]) for sample in samples)
