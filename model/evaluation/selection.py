"""Which images of a dataset tell how good a model is, and what they are called in the model's classes."""

import dataclasses

from model.bundle import Bundle
from model.dataset.prepare import Verdict
from model.errors import DatasetError
from model.results import Sample


@dataclasses.dataclass(frozen=True)
class Selection:
    """The images to measure a model on.

    Attributes:
        split: where they come from: test, val, or all.
        samples: their labels count the model's classes, not the dataset's.
        warnings: sentences for the reader of the result.
    """

    split: str
    samples: tuple[Sample, ...]
    warnings: tuple[str, ...] = ()


def select_samples(bundle: Bundle, verdict: Verdict) -> Selection:
    """Choose the test split; where there is none, all images of a dataset that the model has not seen.

    A dataset is the one of the training when the fingerprints agree: then the splits made for
    the training are made again, and only images that it did not learn from are chosen, if there are any.

    Args:
        verdict: of `prepare_dataset` with the seed and fractions of the training.

    Raises:
        DatasetError: the dataset has classes that the model does not know.
    """
    dataset = verdict.dataset
    seen = verdict.fingerprint == bundle.manifest.dataset.get("fingerprint")
    if dataset.test and (seen or verdict.has_splits):
        return Selection("test", _relabel(dataset.test, dataset.classes, bundle))
    if seen:
        warning = "the model was trained or tuned on these very images, so the result is better than the model is"
        if "cross_validation" in bundle.manifest.metrics:
            warning += f": topgraft models show {bundle.name} tells what cross-validation found"
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
