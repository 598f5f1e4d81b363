"""Pairs of models with other classes, and the page of a comparison for any content."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.bundle import Bundle, Manifest
from model.errors import ConfigError
from model.evaluation.comparison.gate import Gate
from model.evaluation.comparison.page import _recommendation, render_comparison
from model.evaluation.comparison.pairs import NamedAnswers, compare_pair, corrected
from model.evaluation.comparison.photos import ComparedPhotos
from model.evaluation.comparison.result import ComparedModel, Comparison, ModelAnswers, Pair
from model.evaluation.metrics import ReliabilityBin
from model.features.onnx_session import ACTIVATION_MAP
from model.results import Sample
from model.serving.predictor import Predictor
from tests.support.photos import photo


def answering(name: str, classes: Sequence[str], predicted: Sequence[str]) -> NamedAnswers:
    answers = ModelAnswers(tuple(predicted), np.linspace(0.5, 0.99, len(predicted)), None)
    return NamedAnswers(name, tuple(classes), answers)


def test_classes_are_matched_by_name_in_any_order() -> None:
    true = ["a", "b", "c", "d", "e"]
    base = answering("old", ("c", "a", "b", "d"), ["a", "a", "c", "d", "d"])
    new = answering("new", ("a", "b", "c", "e"), ["a", "b", "b", "a", "e"])
    pair = compare_pair(base, new, true, None, Gate())
    found = {kind: (row.difference.images, row.difference.base, row.difference.new) for kind, row in pair.rows.items()}
    assert found == {
        "shared": (3, pytest.approx(2 / 3), pytest.approx(2 / 3)),
        "new": (1, 0, 1),
        "base": (1, 1, 0),
        "all": (5, 0.6, 0.6),
    }
    recalls = {row.name: (row.base_recall, row.new_recall) for row in pair.per_class}
    assert recalls == {"c": (1, 0), "a": (1, 1), "b": (0, 1), "d": (1, None), "e": (None, 1)}


def test_photos_of_a_class_of_another_new_model_are_not_compared() -> None:
    base, new = answering("old", "ab", ["a", "b", "a"]), answering("new", "ab", ["a", "a", "b"])
    pair = compare_pair(base, new, ["a", "b", "elsewhere"], None, Gate(metric="macro_f1"))
    assert list(pair.rows) == ["shared", "all"]
    assert pair.rows["all"].difference.images == 2


def test_a_macro_metric_decides_by_its_own_interval() -> None:
    true = ["a"] * 90 + ["b"] * 10
    base = answering("old", "ab", ["a"] * 100)
    new = answering("new", "ab", ["a"] * 90 + ["b"] * 10)
    pair = compare_pair(base, new, true, None, Gate(metric="balanced_accuracy"))
    assert (pair.difference.base, pair.difference.new, pair.verdict) == (0.5, 1, "better")
    assert pair.difference.p_value < 0.01


def test_a_few_photos_are_never_enough() -> None:
    pair = compare_pair(answering("old", "ab", "a"), answering("new", "ab", "b"), ["b"], None, Gate(max_regression=0.1))
    assert pair.verdict == "undecided" and pair.is_kept
    assert "1 photo of classes that both models know" in pair.sentence
    assert "to detect 10 points, about" in pair.sentence


def test_a_difference_that_enough_photos_do_not_show_needs_no_more() -> None:
    true = ["a"] * 4000
    predicted = np.where(np.arange(4000) % 100 == 0, "b", "a")
    base = answering("old", "ab", predicted.tolist())
    new = answering("new", "ab", np.roll(predicted, 1).tolist())
    pair = compare_pair(base, new, true, None, Gate())
    assert pair.sentence.endswith("points of accuracy (95 % interval -0.4 to 0.4, p 1).")


def test_a_sentence_states_what_decides_where_the_interval_does_not() -> None:
    # Four photos fixed and none broken: p is 1/8. Their bootstrap excludes zero; the interval does not.
    true, right = ["a"] * 36, ["a"] * 36
    base = answering("old", "ab", [*"bbbb", *right[4:]])
    pair = compare_pair(base, answering("new", "ab", right), true, None, Gate())
    low, high = pair.difference.interval
    assert low < 0 < high and pair.sentence.startswith("No difference") and "p 0.12)" in pair.sentence
    # Fourteen and five: the exact test has p 0.064, and the interval is close to zero.
    base = answering("old", "ab", [*"b" * 14, *right[14:]])
    pair = compare_pair(base, answering("new", "ab", [*right[:31], *"bbbbb"]), true, None, Gate())
    assert pair.verdict == "undecided"
    assert (pair.difference.interval[0] > 0) is ("p 0.064, which decides" in pair.sentence)


def _needed(sentence: str) -> int:
    found = re.search(r"about ([\d,]+) photos are needed", sentence)
    return int(found[1].replace(",", "")) if found else 0


def test_the_photos_needed_count_groups_and_are_those_of_the_accuracy() -> None:
    true = ["a"] * 100
    base = answering("old", "ab", ["b"] * 10 + ["a"] * 90)
    new = answering("new", "ab", ["b"] * 5 + ["a"] * 90 + ["b"] * 5)
    single = compare_pair(base, new, true, None, Gate())
    grouped = compare_pair(base, new, true, np.arange(100) // 5, Gate())
    assert _needed(single.sentence) > 100
    assert _needed(grouped.sentence) == pytest.approx(5 * _needed(single.sentence), rel=0.05)
    for metric in ("balanced_accuracy", "macro_f1"):
        sentence = compare_pair(base, new, true, None, Gate(metric=metric)).sentence
        assert "No difference" in sentence and sentence.endswith(").")


@pytest.mark.parametrize("wrong", [{"metric": "f2"}, {"on": "new"}, {"max_regression": -0.1}, {"confident": True}])
def test_a_gate_without_a_meaning_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        Gate(**wrong)


class _Activation:
    """Engine of a model that only draws heat maps."""

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def __call__(self, images: np.ndarray, output: str) -> list[np.ndarray]:
        assert output == ACTIVATION_MAP
        return [np.ones((len(images), 2, 2, self.classes), np.float32)]


def comparison_of(
    directory: Path, classes: tuple[str, ...], true: Sequence[str], base: Sequence[str], new: Sequence[str]
) -> tuple[Comparison, list[Predictor], list[Sample]]:
    """A comparison of two models with the same classes."""
    named = [answering("old", classes, base), answering("new", classes, new)]
    pairs: tuple[Pair, ...] = corrected([compare_pair(named[0], named[1], true, None, Gate(max_regression=0.02))])
    samples = []
    for number, name in enumerate(true):
        path = directory / f"{number}.jpg"
        path.write_bytes(photo(number % 256))
        samples.append(Sample(path, f"{name}/{number}.jpg", classes.index(name)))
    bins = (ReliabilityBin(0.8, 0.9, len(true), 0.85, 0.8),)
    models = {one.name: ComparedModel(one.name, "Lite0", 224, len(classes), 13.2, 4.1, bins, 0.05) for one in named}
    comparison = Comparison(
        "old",
        "photos",
        Gate(max_regression=0.02),
        ComparedPhotos("test", tuple(samples), {"old": 2, "new": 0}, 2, {"<i>": 3}, ()),
        tuple(true),
        tuple(sample.name for sample in samples),
        models,
        {one.name: one.answers for one in named},
        pairs,
        warnings=("few photos",),
    )
    manifest = Manifest("m", "", {}, classes, "Lite0", 8, "squash", "lite", {}, {}, {}, 1.0, {}, "onnx", {}, {})
    engine = _Activation(len(classes))
    return comparison, [Predictor(Bundle(directory / one.name, manifest), engine) for one in named], samples


STRANGE = ("<script>alert(1)</script>", "x" * 200, "قطة", "🐈")


def test_the_page_is_safe_with_any_class_name_and_loads_nothing(tmp_path: Path) -> None:
    true = list(STRANGE) * 3
    base = [STRANGE[(STRANGE.index(name) + number) % 4] for number, name in enumerate(true)]
    new = [STRANGE[(STRANGE.index(name) + number // 2) % 4] for number, name in enumerate(true)]
    page = render_comparison(*comparison_of(tmp_path, STRANGE, true, base, new))
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert page.count("<script>") == 1
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<link|<iframe", page.replace("data:image/jpeg;base64,//", ""))
    assert "قطة" in page and "🐈" in page


@pytest.mark.parametrize(("base", "new"), [("a", "a"), ("b", "b"), ("a", "b"), ("b", "a")])
@pytest.mark.parametrize("photos", [1, 40])
def test_the_page_is_complete_if_all_predictions_are_correct_or_none(
    tmp_path: Path, base: str, new: str, photos: int
) -> None:
    comparison, predictors, samples = comparison_of(tmp_path, ("a", "b"), ["a"] * photos, base * photos, new * photos)
    page = render_comparison(comparison, predictors, samples)
    assert comparison.sentences[0] in page
    fixed = photos if (base, new) == ("b", "a") else 0
    assert f"{fixed} photo{'s' if fixed != 1 else ''} fixed by new" in page
    assert page.count("<img") == 3 * (min(photos, 8) if base != new else 0)
    kept = "keeps" if base == new or new == "a" else "exceeds"
    assert f"{kept} the limit of -2.0" in page
    assert "few photos." in page and "old: 2, new: 0" in page


def test_the_page_of_a_thousand_classes_folds_most_of_them(tmp_path: Path) -> None:
    classes = tuple(f"class {number}" for number in range(1000))
    page = render_comparison(*comparison_of(tmp_path, classes, classes, classes, (classes[1], *classes[1:])))
    assert "970 more classes" in page and len(page) < 1_000_000
    assert page.index("class 0<") < page.index("<details>")


def test_a_photo_that_is_gone_is_left_out_of_the_page(tmp_path: Path) -> None:
    comparison, predictors, samples = comparison_of(tmp_path, ("a", "b"), ["a"] * 3, "bbb", "aaa")
    samples[0].path.unlink()
    page = render_comparison(comparison, predictors, samples)
    assert page.count("<img") == 6 and "3 photos fixed by new" in page
    assert page.count("1 photo could not be read again.") == 1


def test_the_best_model_keeps_the_limit_and_is_better_beyond_chance(tmp_path: Path) -> None:
    comparison, _, _ = comparison_of(tmp_path, ("a", "b"), ["a"] * 40, "b" * 40, "a" * 40)
    assert comparison.best == "new" and comparison.is_kept
    undecided = dataclasses.replace(
        comparison, pairs=tuple(dataclasses.replace(one, p_value=0.06) for one in comparison.pairs)
    )
    assert undecided.best == "old"


@pytest.mark.parametrize(
    ("base", "new", "recommended"),
    [
        ("b", "a", "Replace old? Yes, by new: it is better beyond chance."),
        ("a", "b", "Replace old? No: old is better beyond chance."),
        ("a", "a", "Replace old? Not by this evidence: no model is better beyond chance."),
    ],
)
def test_the_page_says_whether_to_replace_the_base_model(tmp_path: Path, base: str, new: str, recommended: str) -> None:
    found = comparison_of(tmp_path, ("a", "b"), ["a"] * 40, base * 40, new * 40)
    assert recommended in render_comparison(*found)
    assert found[0].photos is not None
    leaked = dataclasses.replace(
        found[0],
        photos=dataclasses.replace(found[0].photos, split="val", warnings=("seen before",)),
        warnings=("seen before", "few photos"),
    )
    page = " ".join(render_comparison(leaked, *found[1:]).split())
    assert leaked.best == "old" and "Replace old? This cannot be said from these photos" in page
    assert page.index("Replace old?") < page.index("<li>seen before.</li>") < page.index("<h2>The models")
    assert page.count("seen before") == 1 and page.index("<h2>Photos") < page.index("<li>few photos.</li>")
    decided = dataclasses.replace(found[0], decision="new is promoted.")
    assert "Replace old?" not in render_comparison(decided, *found[1:])


def test_the_page_names_each_better_model_that_did_not_record_its_photos(tmp_path: Path) -> None:
    found = comparison_of(tmp_path, ("a", "b"), ["a"] * 40, "b" * 40, "a" * 40)
    assert found[0].photos is not None
    unrecorded = dataclasses.replace(
        found[0],
        photos=dataclasses.replace(found[0].photos, unrecorded=("new", "newer")),
        pairs=(*found[0].pairs, dataclasses.replace(found[0].pairs[0], new="newer")),
    )
    doubts = [f"{name} was trained on this dataset, and did not record which of its" for name in ("new", "newer")]
    assert unrecorded.best == "old" and not unrecorded.doubt("other") and not found[0].doubt("new")
    text = _recommendation(unrecorded)
    assert all(text.count(doubt) == 1 for doubt in doubts) and text.endswith("Compare the models on new photos.")


@pytest.mark.parametrize(
    ("milliseconds", "sentence"),
    [
        (8.2, "beyond chance. It takes 2.0 times as long for a photo: 8.2 ms instead of 4.1 ms."),
        (2.0, "beyond chance. It takes 0.5 times as long for a photo: 2.0 ms instead of 4.1 ms."),
        (4.3, "beyond chance.</b>"),
    ],
)
def test_a_better_model_of_another_speed_is_recommended_with_it(
    tmp_path: Path, milliseconds: float, sentence: str
) -> None:
    comparison, *others = comparison_of(tmp_path, ("a", "b"), ["a"] * 40, "b" * 40, "a" * 40)
    faster = dataclasses.replace(comparison.models["new"], milliseconds=milliseconds, image_size=64)
    page = render_comparison(dataclasses.replace(comparison, models={**comparison.models, "new": faster}), *others)
    assert sentence in page
    assert '<tr><td>input in pixels</td><td class="n">224 by 224</td><td class="n">64 by 64</td></tr>' in page
