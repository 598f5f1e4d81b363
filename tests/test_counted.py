"""Numbers of things in messages: one of them is no plural."""

import re

import pytest

from model.cli.leaderboard import Ranked, leaderboard_lines
from model.measurements import MeasuredAccuracy, photos_measured
from model.shown import counted

_ONE = re.compile(r"\b1 [a-z ]*(photos|images|classes|files|predictions)\b")


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, ("0 photos", "0 classes")), (1, ("1 photo", "1 class")), (2000, ("2,000 photos", "2,000 classes"))],
)
def test_things_are_counted(number: int, words: tuple[str, str]) -> None:
    assert (counted(number, "photo"), counted(number, "class")) == words


@pytest.mark.parametrize("images", [0, 1, 2])
def test_measured_photos_are_counted(images: int) -> None:
    texts = [photos_measured(images, measurement) for measurement in ("test", "cross_validation", "val", "other")]
    texts.append(str(MeasuredAccuracy("test", 0.5, (0.1, 0.9), images)))
    texts += leaderboard_lines([Ranked("one", "birds", "Lite0", 0.5, (0.1, 0.9), images, "val")])
    assert not [text for text in texts if _ONE.search(text)]
    assert photos_measured(images, "cross_validation") == f"{counted(images, 'photo')} in cross-validation"
    assert photos_measured(None, "test") == "an unknown number of test photos"
