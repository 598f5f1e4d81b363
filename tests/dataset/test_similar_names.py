"""Classes whose names look alike."""

from pathlib import Path

import pytest

from model.config import TrainConfig
from model.dataset.prepare import prepare_dataset
from model.dataset.similar_names import similar_classes
from tests.support.photos import write_image

PAIRS = {
    "case": ("Cat", "cat"),
    "case of other letters": ("\u00c4pfel", "\u00e4pfel"),
    "sharp s": ("Stra\u00dfe", "STRASSE"),
    "composition": ("Caf\u00e9", "Cafe\u0301"),
    "space at the end": ("cat", "cat\u00a0"),
    "two spaces": ("red cat", "red  cat"),
    "joined by underscores": ("red cat", "red_cat"),
    "joined by hyphens": ("red-cat", "red cat"),
    "full width": ("\uff43\uff41\uff54", "cat"),
    "ideographic space": ("red\u3000cat", "red cat"),
    "invisible character": ("ca\u200bt", "cat"),
    "ligature": ("\ufb01sh", "fish"),
    "Cyrillic letters": ("\u0441\u0430t", "cat"),
    "Greek letters": ("c\u03b1t", "cat"),
}
DIFFERENT = [("cat", "cats"), ("a1", "a2"), ("\u00fcber", "uber"), ("\u732b", "\u72ac"), ("10", "1 0")]


@pytest.mark.parametrize("kind", PAIRS)
def test_names_that_look_alike_are_reported_with_both_names(kind: str) -> None:
    [warning] = similar_classes(["other", *PAIRS[kind]])
    assert all(ascii(name) in warning for name in PAIRS[kind]) and "other" not in warning


@pytest.mark.parametrize("names", DIFFERENT)
def test_other_names_are_not_reported(names: tuple[str, str]) -> None:
    assert similar_classes(names) == []


def test_many_pairs_are_counted() -> None:
    names = [name for number in range(8) for name in (f"class {number}", f"Class {number}")]
    [warning] = similar_classes(names)
    assert warning.count("'Class ") == 5 and "and 3 more" in warning


def test_a_check_reports_them(tmp_path: Path) -> None:
    for label, name in enumerate(("Cat", "cat", "dog")):
        for index in range(4):
            write_image(tmp_path / "photos" / name / f"{index}.jpg", "red", 10 * label + index)
    verdict = prepare_dataset(tmp_path / "photos", TrainConfig(), tmp_path)
    assert any("'Cat' and 'cat'" in warning for warning in verdict.warnings)
