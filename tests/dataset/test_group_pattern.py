"""Groups by a regular expression, which may take for ever."""

import time

import pytest

from model.config import TrainConfig
from model.dataset.group_pattern import group_keys
from model.errors import ConfigError, DatasetError
from model.schema import load


def test_images_are_grouped_by_the_first_group_of_the_pattern() -> None:
    names = ["cat/plant7_1.jpg", "cat/plant7_2.jpg", "other.jpg", "\udcff7_1.jpg"]
    assert group_keys(r"([a-z]+\d)_", names) == [
        ("group", "plant7"),
        ("group", "plant7"),
        ("name", "other.jpg"),
        ("name", "\udcff7_1.jpg"),
    ]
    assert group_keys(r"other|(plant)", ["other.jpg"]) == [("name", "other.jpg")]


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|a)*$", r"(.*a){25}$", r"(a*)*b", r"((a?){40}a{40})$"])
def test_a_pattern_that_never_ends_is_refused(pattern: str) -> None:
    start = time.monotonic()
    with pytest.raises(DatasetError, match="group_pattern: expected a regular expression that takes at most 1 s"):
        group_keys(pattern, ["a" * 60 + "!" + ".jpg"], seconds=1.0)
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("pattern", ["(", "a{99999999999}()", "(?:" * 5000 + "()" + ")" * 5000, "no group"])
def test_an_invalid_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="group_pattern"):
        load(TrainConfig, {"group_pattern": pattern})
