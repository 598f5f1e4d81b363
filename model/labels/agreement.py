"""One label from the annotations of several people: the majority, and how far they agree."""

import dataclasses
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from model.errors import DatasetError
from model.files.browsing import name_some
from model.labels.regions import Annotation, Region, Task
from model.received import quoted

MIN_OVERLAP = 0.5
"""Intersection divided by union from which on boxes of two people are of the same object."""


@dataclasses.dataclass(frozen=True)
class Chosen:
    """A region that counts as a label.

    Attributes:
        annotation: the first annotation that has this label of the object.
        label: the label that most people gave.
    """

    annotation: Annotation
    region: Region
    label: str


@dataclasses.dataclass(frozen=True)
class Disagreement:
    """An object that people labelled differently.

    Attributes:
        task: identifier of the task.
        regions: identifiers of the regions.
        labels: annotator and label of each who labelled it.
        without: annotators of the photo who did not label it.
        outcome: the label that was taken; empty for a tie, which is left out.
    """

    task: str
    regions: tuple[str, ...]
    labels: tuple[tuple[str, str], ...]
    without: tuple[str, ...]
    outcome: str


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Labels of all tasks.

    Attributes:
        chosen: task -> regions that count, in the order of the annotations.
        disagreements: objects that were labelled differently, also those with a majority.
        kappa: Cohen's kappa (Cohen 1960) of all pairs of people, weighted by the number of objects that both labelled;
            None if no two people labelled the same object, or all gave the same label.
        compared: number of pairs of labels that kappa is about.
        annotators: people whose annotations were read, sorted.
        earlier: number of annotations that a later one by the same person replaces.
    """

    chosen: dict[str, tuple[Chosen, ...]]
    disagreements: tuple[Disagreement, ...]
    kappa: float | None
    compared: int
    annotators: tuple[str, ...]
    earlier: int = 0


def agree(tasks: Sequence[Task], annotator: str = "") -> Agreement:
    """Choose the label of each object that most of the people have given who annotated its photo.

    Boxes of different people are of the same object if they overlap by `MIN_OVERLAP`, measured on the upright boxes
    around them. An object with a tie, or that half of the people or fewer have marked, is left out. Of several
    annotations by one person the last one counts.

    Args:
        annotator: the person whose annotations alone are read; empty for all.

    Raises:
        DatasetError: no annotations by this person; the message lists those who annotated.
    """
    people = sorted({annotation.annotator for task in tasks for annotation in task.annotations})
    if annotator and annotator not in people:
        raise DatasetError(f"expected annotations by {quoted(annotator)}, found those by {name_some(people) or 'none'}")
    chosen, disagreements, pairs, earlier = {}, [], [], 0
    for task in tasks:
        by_person = _last_by_person(task, annotator)
        earlier += sum(annotator in ("", one.annotator) for one in task.annotations) - len(by_person)
        objects = _objects(by_person)
        taken = [_choose(task, one, by_person) for one in objects]
        chosen[task.name] = tuple(choice for choice, _ in taken if choice is not None)
        disagreements += [disagreement for _, disagreement in taken if disagreement is not None]
        pairs += [pair for one in objects for pair in _pairs(one)]
    kappa = cohens_kappa(pairs)
    annotators = tuple([annotator] if annotator else people)
    return Agreement(chosen, tuple(disagreements), kappa, len(pairs), annotators, earlier)


def cohens_kappa(pairs: Iterable[tuple[str, str, str, str]]) -> float | None:
    """Cohen's kappa of each pair of people, weighted by the number of their common objects.

    Args:
        pairs: two people, and the label that each gave to one object.
    """
    of_people: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for first, second, label, other in pairs:
        of_people[first, second].append((label, other))
    weighted, total = 0.0, 0
    for labels in of_people.values():
        count = len(labels)
        first_counts, second_counts = Counter(one for one, _ in labels), Counter(other for _, other in labels)
        observed = sum(one == other for one, other in labels) / count
        expected = sum(first_counts[label] * second_counts[label] for label in first_counts) / count**2
        if expected < 1:
            weighted += count * (observed - expected) / (1 - expected)
            total += count
    return weighted / total if total else None


_Object = list[tuple[str, Annotation, Region]]
"""Person, annotation and region of each who marked an object."""


def _last_by_person(task: Task, annotator: str) -> dict[str, Annotation]:
    """Person -> last annotation; an annotation without a name counts as that of one more person."""
    last: dict[str, Annotation] = {}
    for annotation in task.annotations:
        if annotator and annotation.annotator != annotator:
            continue
        person = annotation.annotator or f"annotation {annotation.name}"
        if person not in last or annotation.updated >= last[person].updated:
            last[person] = annotation
    return last


def _objects(by_person: dict[str, Annotation]) -> list[_Object]:
    """The regions of all people, those of the same object together."""
    objects: list[_Object] = []
    for person, annotation in by_person.items():
        for region in annotation.regions:
            best = max(
                (one for one in objects if all(other != person for other, _, _ in one)),
                key=lambda one: _overlap(region, one[0][2]),
                default=None,
            )
            if best is not None and _overlap(region, best[0][2]) >= MIN_OVERLAP:
                best.append((person, annotation, region))
            else:
                objects.append([(person, annotation, region)])
    return objects


def _overlap(first: Region, second: Region) -> float:
    """Intersection divided by union of two regions; 1 for two labels of the whole photo."""
    if first.box is None or second.box is None:
        return float(first.box is second.box)
    size = first.photo_size or second.photo_size or (1, 1)
    one, other = (box.rectangle(*size).outer() for box in (first.box, second.box))
    across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    if across <= 0 or down <= 0:
        return 0.0
    common = across * down
    return common / (one.width * one.height + other.width * other.height - common)


def _choose(task: Task, one: _Object, by_person: dict[str, Annotation]) -> tuple[Chosen | None, Disagreement | None]:
    counts = Counter(region.labels[0] for _, _, region in one)
    (label, most), *others = counts.most_common()
    is_clear = 2 * len(one) > len(by_person) and all(count < most for _, count in others)
    without = tuple(person for person in by_person if all(other != person for other, _, _ in one))
    disagreement = None
    if others or without:
        disagreement = Disagreement(
            task.name,
            tuple(region.name for _, _, region in one),
            tuple((person, region.labels[0]) for person, _, region in one),
            without,
            label if is_clear else "",
        )
    if not is_clear:
        return None, disagreement
    _, annotation, region = next(entry for entry in one if entry[2].labels[0] == label)
    return Chosen(annotation, region, label), disagreement


def _pairs(one: _Object) -> list[tuple[str, str, str, str]]:
    labelled = sorted((person, region.labels[0]) for person, _, region in one)
    return [(first, second, label, other) for (first, label), (second, other) in itertools.combinations(labelled, 2)]
