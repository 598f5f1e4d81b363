"""Comparison of two models with class lists that may differ: by kind of photo and by class."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from model.evaluation.comparison.gate import Gate, Photos
from model.evaluation.comparison.result import ClassDifference, ModelAnswers, Pair, Row
from model.evaluation.comparison.statistics import paired_difference, sign_test
from model.evaluation.significance import holm
from model.measurements import fraction_interval


@dataclasses.dataclass(frozen=True, eq=False)
class NamedAnswers:
    """A model of a comparison: its name, its classes in label order, and its predictions."""

    name: str
    classes: tuple[str, ...]
    answers: ModelAnswers


def compare_pair(
    base: NamedAnswers, new: NamedAnswers, true_of: Sequence[str], groups: np.ndarray | None, gate: Gate
) -> Pair:
    """Compare a new model with a base model on the same photos; classes are matched by name.

    A prediction is incorrect where the model does not know the class of the photo.

    Args:
        true_of: true class of each photo; photos of classes that neither model knows are not compared.
        groups: int (n,), the group of each photo; None if all are independent.
        gate: metric, photos and limit.

    Returns:
        The pair; its p-value is not yet corrected for the number of new models.
    """
    names = tuple(dict.fromkeys((*base.classes, *new.classes)))
    index = {name: number for number, name in enumerate(names)}
    # A class that neither model knows is a number that no prediction has.
    labels = np.array([index.get(name, len(names)) for name in true_of], int)
    predicted = [np.array([index[name] for name in model.answers.predicted], int) for model in (base, new)]
    masks = _photos(true_of, base.classes, new.classes)
    rows: dict[Photos, Row] = {}
    for kind, mask in masks.items():
        if mask.any():
            of_kind = None if groups is None else groups[mask]
            chosen, base_chosen, new_chosen = labels[mask], predicted[0][mask], predicted[1][mask]
            difference = paired_difference(chosen, base_chosen, new_chosen, len(names), gate.metric, of_kind)
            unknown = [None if found is None else int(found[mask].sum()) for found in _unknown(base, new)]
            rows[kind] = Row(difference, *unknown)
    per_class = _per_class(names, (set(base.classes), set(new.classes)), labels, predicted, groups)
    p_value = rows[gate.on].difference.p_value if gate.on in rows else 1.0
    return Pair(base.name, new.name, rows, per_class, p_value, gate)


def corrected(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """The pairs with p-values corrected for their number."""
    p_values = holm([pair.p_value for pair in pairs])
    return tuple(dataclasses.replace(pair, p_value=value) for pair, value in zip(pairs, p_values, strict=True))


def _unknown(*models: NamedAnswers) -> list[np.ndarray | None]:
    return [model.answers.unknown for model in models]


def _photos(true_of: Sequence[str], base: Sequence[str], new: Sequence[str]) -> Mapping[Photos, np.ndarray]:
    in_base, in_new = (np.array([name in set_of for name in true_of], bool) for set_of in (set(base), set(new)))
    kinds: dict[Photos, np.ndarray] = {"shared": in_base & in_new, "new": ~in_base & in_new, "base": in_base & ~in_new}
    # Where both models know all classes, all photos are the shared ones.
    return kinds | {"all": in_base | in_new}


def _per_class(
    names: Sequence[str],
    known: tuple[set[str], set[str]],
    labels: np.ndarray,
    predicted: Sequence[np.ndarray],
    groups: np.ndarray | None,
) -> tuple[ClassDifference, ...]:
    found, tested = [], []
    for label, name in enumerate(names):
        mask = labels == label
        images = int(mask.sum())
        if not images:
            continue
        correct = [(values == labels) & mask for values in predicted]
        fixed, broken = int((correct[1] & ~correct[0]).sum()), int((correct[0] & ~correct[1]).sum())
        hits = [int(one.sum()) if name in classes else None for classes, one in zip(known, correct, strict=True)]
        recalls = [None if count is None else count / images for count in hits]
        limits = [None if count is None else fraction_interval(count, images) for count in hits]
        found.append(ClassDifference(name, images, recalls[0], limits[0], recalls[1], limits[1], fixed, broken, None))
        if all(name in classes for classes in known):
            of_class = None if groups is None else groups[mask]
            p_value = sign_test(labels[mask], predicted[0][mask], predicted[1][mask], of_class)
            tested.append((len(found) - 1, p_value))
    for (row, _), p_value in zip(tested, holm([value for _, value in tested]), strict=True):
        found[row] = dataclasses.replace(found[row], p_value=p_value)
    return tuple(found)
