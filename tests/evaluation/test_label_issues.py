"""Suspected label errors: confident learning as published, and what is written of it."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from model.evaluation.label_issues import check_labels, suspected_labels, write_label_issues
from tests.evaluation.study_photos import photo_features


def test_a_hand_worked_example() -> None:
    # The thresholds are 0.6 and 0.8: the third photo is confidently of class 1, the fourth reaches no threshold.
    probabilities = np.array([[0.9, 0.1], [0.85, 0.15], [0.05, 0.95], [0.6, 0.4], [0.1, 0.9], [0.3, 0.7]])
    labels = np.array([0, 0, 0, 0, 1, 1])
    assert suspected_labels(probabilities, labels).tolist() == [False, False, True, False, False, False]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("classes", [2, 5, 30])
def test_as_cleanlab_by_the_confident_joint(seed: int, classes: int) -> None:
    cleanlab = pytest.importorskip("cleanlab.filter", reason="cleanlab is not installed")
    photos = photo_features(600, classes, wrong=60, seed=seed)
    probabilities = photos.probabilities**0.5
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    expected = cleanlab.find_label_issues(
        photos.labels, probabilities, filter_by="confident_learning", n_jobs=1, min_examples_per_class=0
    )
    assert (suspected_labels(probabilities, photos.labels) == expected).all()


def test_wrong_labels_are_found_and_few_others() -> None:
    photos = photo_features(400, 4, wrong=20)
    found = {photos.row_of[issue.sample.name] for issue in check_labels(photos).issues}
    assert len(found & set(range(20))) >= 12
    assert len(found - set(range(20))) <= 12


def test_an_issue_names_classes_split_and_neighbours() -> None:
    photos = photo_features(120, 3, wrong=6)
    check = check_labels(photos)
    issue = next(one for one in check.issues if one.sample.name == "class1/0.png")
    assert (issue.split, issue.given, issue.suggested) == ("train", "class1", "class0")
    assert issue.neighbours.count("class0") >= 3 and len(issue.neighbours) == 5
    assert check.checked == {"train": 90, "val": 15, "test": 15}
    qualities = [one.quality for one in check.issues]
    assert qualities == sorted(qualities) and 0 <= qualities[0] < 0.5


def test_photos_without_out_of_sample_probabilities_are_not_checked() -> None:
    photos = photo_features(120, 3, wrong=6)
    probabilities = photos.probabilities.copy()
    probabilities[np.array(photos.splits) == "train"] = np.nan
    check = check_labels(dataclasses.replace(photos, probabilities=probabilities))
    assert check.checked == {"val": 15, "test": 15}
    assert all(issue.split != "train" for issue in check.issues)


def test_few_photos_are_not_checked_and_the_reason_is_given() -> None:
    check = check_labels(photo_features(20))
    assert check.issues == () and check.off == "20 photos are too few, at least 30 are needed"


def test_a_class_without_photos_is_never_suggested() -> None:
    probabilities = np.full((40, 3), 1 / 3)
    probabilities[:, 2] = 0.9
    labels = np.arange(40) % 2
    assert not suspected_labels(probabilities / probabilities.sum(axis=1, keepdims=True), labels).any()


def test_the_table_of_label_issues(tmp_path: Path) -> None:
    check = check_labels(photo_features(120, 3, wrong=6))
    write_label_issues(tmp_path / "label_issues.csv", check)
    with (tmp_path / "label_issues.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["image", "split", "given", "suggested", "quality"]
    assert [row["image"] for row in rows] == [issue.sample.name for issue in check.issues]
