"""One label from the annotations of several people."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from model.errors import DatasetError
from model.labels.agreement import Agreement, agree, cohens_kappa
from model.labels.regions import Annotation, Box, Region, Task

PLACE, NEARBY, DISTANT = Box(0.1, 0.1, 0.2, 0.2), Box(0.12, 0.1, 0.2, 0.2), Box(0.6, 0.6, 0.2, 0.2)


def labelled(by: str, *regions: tuple[str, Box | None], updated: str = "") -> Annotation:
    return Annotation(
        f"of {by}", by, tuple(Region(f"{by}{at}", (label,), box) for at, (label, box) in enumerate(regions)), updated
    )


def labels(*annotations: Annotation, annotator: str = "") -> tuple[list[str], Agreement]:
    found = agree([Task("1", "a.png", annotations)], annotator)
    return [chosen.label for chosen in found.chosen["1"]], found


def test_the_annotation_of_one_person_counts() -> None:
    chosen, found = labels(labelled("a", ("cat", PLACE), ("dog", DISTANT)))
    assert chosen == ["cat", "dog"]
    assert not found.disagreements and found.kappa is None


def test_the_majority_decides_about_a_photo() -> None:
    chosen, found = labels(labelled("a", ("cat", None)), labelled("b", ("dog", None)), labelled("c", ("cat", None)))
    assert chosen == ["cat"]
    [one] = found.disagreements
    assert one.outcome == "cat" and one.labels == (("a", "cat"), ("b", "dog"), ("c", "cat"))


def test_a_tie_is_left_out() -> None:
    chosen, found = labels(labelled("a", ("cat", None)), labelled("b", ("dog", None)))
    assert chosen == []
    assert found.disagreements[0].outcome == ""


def test_boxes_of_one_object_are_matched_by_their_overlap() -> None:
    chosen, found = labels(
        labelled("a", ("cat", PLACE), ("cat", DISTANT)), labelled("b", ("cat", DISTANT), ("cat", NEARBY))
    )
    assert chosen == ["cat", "cat"]
    assert [one.region.box for one in found.chosen["1"]] == [PLACE, DISTANT]
    assert not found.disagreements


def test_an_object_that_half_of_the_people_marked_is_left_out() -> None:
    chosen, found = labels(labelled("a", ("cat", PLACE), ("cat", DISTANT)), labelled("b", ("cat", NEARBY)))
    assert chosen == ["cat"]
    [one] = found.disagreements
    assert one.without == ("b",) and one.outcome == ""


def test_two_boxes_of_one_person_are_two_objects() -> None:
    chosen, _ = labels(labelled("a", ("cat", PLACE), ("dog", NEARBY)))
    assert chosen == ["cat", "dog"]


def test_the_last_annotation_of_a_person_counts() -> None:
    first, last = labelled("a", ("cat", None), updated="2026-01-01"), labelled("a", ("dog", None), updated="2026-02-01")
    chosen, found = labels(last, first, labelled("b", ("dog", None)), labelled("b", ("dog", None)))
    assert (chosen, found.earlier) == (["dog"], 2)
    assert labels(last, first, *[labelled("b", ("dog", None))] * 2, annotator="a")[1].earlier == 1


def test_one_annotator_can_be_read_alone() -> None:
    both = labelled("a", ("cat", None)), labelled("b", ("dog", None))
    chosen, found = labels(*both, annotator="b")
    assert chosen == ["dog"] and found.annotators == ("b",)
    with pytest.raises(DatasetError, match="expected annotations by 'c', found those by a, b"):
        labels(*both, annotator="c")


def test_annotations_without_a_name_are_of_different_people() -> None:
    both = Annotation("1", "", (Region("r", ("cat",), None),)), Annotation("2", "", (Region("r", ("dog",), None),))
    assert labels(*both)[0] == []


def test_kappa_equals_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    first = rng.choice(["cat", "dog", "bird"], 200)
    second = np.where(rng.random(200) < 0.7, first, rng.choice(["cat", "dog", "bird"], 200))
    pairs = [("a", "b", str(one), str(other)) for one, other in zip(first, second, strict=True)]
    assert cohens_kappa(pairs) == pytest.approx(cohen_kappa_score(first, second))


def test_kappa_is_undefined_if_all_labels_are_the_same() -> None:
    assert cohens_kappa([("a", "b", "cat", "cat")]) is None
    assert cohens_kappa([]) is None
