"""The report: self-contained, safe with any class name, and complete for any content."""

import dataclasses
import html.parser
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from model.bundle import Manifest
from model.config import TrainConfig
from model.dataset.verdict import Leakage, Rejected
from model.errors import DatasetError
from model.evaluation import charts, report
from model.evaluation.confident_errors import ConfidentError
from model.evaluation.evaluate import Evaluation, evaluate_probabilities
from model.evaluation.report.content import ReportContent
from model.evaluation.report.render import SECTIONS, render_report, write_report
from model.results import Sample
from model.shown import printable
from model.training_cost import TrainingCost
from tests.test_shown import FORBIDDEN, HOSTILE, READABLE

_VOID = {"meta", "img", "input"}


class _Page(html.parser.HTMLParser):
    """Collects the elements and the text of a page, and sees that every element is closed."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _evaluation(classes: Sequence[str], images: int, wrong: int = 0, seed: int = 0) -> Evaluation:
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % len(classes)
    answers = np.where(np.arange(images) < wrong, (labels + 1) % len(classes), labels)
    logits = rng.normal(0, 1, (images, len(classes)))
    logits[np.arange(images), answers] += 9
    exponential = np.exp(logits)
    samples = [Sample(Path(), f"{classes[label]}/{row}.jpg", int(label)) for row, label in enumerate(labels)]
    return evaluate_probabilities(classes, samples, exponential / exponential.sum(axis=1, keepdims=True))


def _content(classes: Sequence[str], images: int = 24, wrong: int = 0) -> ReportContent:
    counts = {"train": dict.fromkeys(classes, 7), "val": dict.fromkeys(classes, 2), "test": dict.fromkeys(classes, 3)}
    manifest = Manifest(
        name="survey",
        created="2026-11-21T10:15:00+00:00",
        versions={"topgraft": "0.1.0"},
        classes=tuple(classes),
        backbone="EfficientNetLite0",
        image_size=224,
        resize="squash",
        scaling="lite",
        train_config=dataclasses.asdict(TrainConfig()),
        dataset={"path": "/photos", "fingerprint": "ab" * 32, "counts": counts, "layout": "a folder per class"},
        metrics={},
        temperature=1.3,
        thresholds={"confidence": 0.5},
        engine="onnx",
        parity={"max_difference": 1e-7},
        files={},
    )
    val, test = _evaluation(classes, images, seed=1), _evaluation(classes, images, wrong)
    return ReportContent(manifest, {"val": val, "test": test}, _history(6), {"test": test.probabilities})


def _history(epochs: int, fine_tuned: int = 0) -> list[dict[str, float | str]]:
    names = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")
    phases = ["head"] * epochs + ["fine_tune"] * fine_tuned
    return [{"phase": phase, "epoch": epoch, **dict.fromkeys(names, 0.5)} for epoch, phase in enumerate(phases, 1)]


def _confident_error(name: str, true: str, predicted: str) -> ConfidentError:
    thumbnail = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    return ConfidentError(name, true, predicted, 0.03, 0.95, thumbnail, thumbnail)


@pytest.mark.parametrize("agree", [True, False, None])
def test_a_disagreement_between_the_maps_of_an_error_is_stated(agree: bool | None, tmp_path: Path) -> None:
    error = _confident_error("a/0.jpg", "a", "b")
    occlusion = None if agree is None else error.overlay
    explained = dataclasses.replace(error, occlusion=occlusion, maps_agree=agree)
    content = dataclasses.replace(_content(("a", "b"), wrong=3), confident_errors=[explained])
    page = render_report(content)
    assert ("The maps disagree" in page) is (agree is False)
    assert ('alt="occlusion map: b"' in page) is (agree is False)
    assert ("(occlusion)" in page) is (agree is not None)


def _everything(classes: Sequence[str]) -> ReportContent:
    return dataclasses.replace(
        _content(classes, wrong=3),
        rejected=[Rejected(f"{classes[0]}/broken.jpg", "expected an image, received a text")] * 30,
        leakage=[Leakage("near", (("train", f"{classes[0]}/1.jpg"), ("test", f"{classes[0]}/2.jpg")))],
        warnings=[f"{classes[0]} has few images"],
        confident_errors=[_confident_error(f"{classes[0]}/0.jpg", classes[0], classes[1])],
        history=_history(5, fine_tuned=3),
    )


def test_the_report_is_one_file_without_external_resources(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, _everything(("a", "b", "c")))
    source = path.read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<link|<iframe", source)
    links = [value or "" for name, value in _Page(source).attributes if name in ("src", "href", "srcset")]
    assert {link.partition(",")[0] for link in links if link[0] != "#"} == {"data:image/jpeg;base64"}
    ids = [value for name, value in _Page(source).attributes if name == "id"]
    assert len(ids) == len(set(ids)) and {link[1:] for link in links if link[0] == "#"} <= set(ids)
    assert path.stat().st_size < 100_000


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a & b's {{ 7 * 7 }}"])
def test_names_of_the_dataset_are_escaped(name: str) -> None:
    page = _Page(render_report(_everything((name, "other", "third"))))
    assert page.tags.count("script") == 1
    assert page.tags.count("img") == 2
    assert not [attribute for attribute, _ in page.attributes if attribute.startswith("on")]
    assert name in page.text
    assert "49" not in page.text.split("lowest first")[1].split("Confusion matrix")[0]


def test_the_report_shows_the_check_of_the_dataset() -> None:
    text = _Page(render_report(_everything(("a", "b", "c")))).text
    assert "30 photos left out" in text
    assert "and 22 more, in dataset_files/rejected.csv" in text
    assert "near duplicates" in " ".join(text.split())
    assert "a has few images" in text
    clean = _Page(render_report(_content(("a", "b", "c")))).text
    assert "All photos could be read" in clean
    assert "left out" not in clean


def test_without_a_test_split_validation_is_shown_with_a_warning() -> None:
    content = _content(("a", "b"))
    without_test = dataclasses.replace(content, evaluations={"val": content.evaluations["val"]}, uncalibrated={})
    text = _Page(render_report(without_test)).text
    assert "There is no test set" in text
    assert "There is no test set" not in _Page(render_report(content)).text
    with pytest.raises(DatasetError, match="received none"):
        render_report(dataclasses.replace(content, evaluations={}))


@pytest.mark.parametrize(
    ("wrong", "sentence"), [(0, "There are no errors"), (1, "1 of 24 test photos is predicted incorrectly")]
)
def test_the_errors_are_shown_if_there_are_any(wrong: int, sentence: str) -> None:
    assert sentence in _Page(render_report(_content(("a", "b", "c"), wrong=wrong))).text


def test_cross_validation_of_many_photos_gives_the_headline_instead_of_a_small_test_set() -> None:
    many, few = _content(("a", "b"), images=200, wrong=5), _content(("a", "b"), images=8)
    evaluations = {"test": few.evaluations["test"], "cross_validation": many.evaluations["test"]}
    text = " ".join(_Page(render_report(dataclasses.replace(few, evaluations=evaluations))).text.split())
    assert "Measured by cross-validation on all 200 photos of the training" in text
    assert "(100.0% of 8 photos" in text
    assert "0 of 8 test photos and 5 of 200 photos in cross-validation are predicted incorrectly" in text


def test_a_report_of_minimal_content() -> None:
    content = _content(("a", "b"), images=1)
    manifest = dataclasses.replace(content.manifest, dataset={}, thresholds={}, parity={}, versions={})
    page = _Page(render_report(ReportContent(manifest, {"val": content.evaluations["val"]})))
    assert "overfitting" not in page.text
    assert "The interval is wide" in page.text


def test_epochs_without_numbers_leave_gaps() -> None:
    history: list[dict[str, float | str | None]] = [{**row} for row in _history(3)]
    history[1].update(val_loss=float("nan"), val_accuracy=None, loss="")
    source = render_report(dataclasses.replace(_content(("a", "b")), history=history))
    assert "nan" not in source.lower()


@pytest.mark.parametrize("classes", [2, 6, 25, 60, 100])
def test_any_number_of_classes_with_long_names_is_shown(classes: int) -> None:
    names = [f"Genus speciosissima {index} var. extraordinaria with a long name" for index in range(classes)]
    page = _Page(render_report(_content(names, images=3 * classes, wrong=classes)))
    assert all(name in page.text for name in names)
    assert page.tags.count("svg") == 4 + (classes > 5) + 4


def test_the_weakest_class_comes_first_and_those_without_images_last() -> None:
    classes = ("alpha", "beta", "gamma")
    rows = [(0, 0), (0, 0), (0, 0), (1, 0), (1, 1)]
    probabilities = np.eye(3)[[answer for _, answer in rows]]
    evaluation = evaluate_probabilities(classes, [Sample(Path(), "x", label) for label, _ in rows], probabilities)
    content = dataclasses.replace(_content(classes), evaluations={"test": evaluation}, uncalibrated={})
    table = _Page(render_report(content)).text.split("lowest first")[1].split("Confusion matrix")[0]
    assert table.index("beta") < table.index("alpha") < table.index("gamma")
    assert "no photos evaluated" in table


def test_a_section_is_a_template_and_a_row_of_the_table() -> None:
    content = _content(("a", "b"))
    templates = Path(report.__path__[0]) / "sections"
    assert {f"{name}.html.jinja" for name, _ in SECTIONS} == {path.name for path in templates.glob("*.jinja")}
    settings = [section for section in SECTIONS if section[0] == "settings"]
    text = _Page(render_report(content, settings)).text
    assert "All training options" in text and "Confusion matrix" not in text
    assert "Settings" not in _Page(render_report(content, [("settings", lambda content: None)])).text


def test_the_settings_have_the_command_with_the_options_that_differ_from_their_defaults() -> None:
    content = _content(("a", "b"))
    options = dataclasses.asdict(
        TrainConfig(dataset="my photos", name="one", backbone="ResNet50", refit=False, l2=0.01)
    )
    manifest = dataclasses.replace(content.manifest, train_config=options)
    changed = dataclasses.replace(
        content, manifest=manifest, cost=TrainingCost(61.4, 1_234_000_000), energy_off="the training was resumed"
    )
    text = " ".join(_Page(render_report(changed)).text.split())
    command = text.partition("topgraft train --dataset 'my photos' ")[2].partition(" The training took")[0]
    assert sorted(command.split(" --")) == ["--backbone ResNet50", "l2 0.01", "no-refit"]
    assert "differ from their defaults: backbone = ResNet50" in text and "name = one" not in command
    assert "took 61 s and at most 1,234 MB of memory, up to this report. Energy: not measured, because" in text
    assert "Energy: not measured, because the training was resumed." in text and "counter" not in text
    measured = dataclasses.replace(changed, cost=TrainingCost(61.4, None, 72_000.0), energy_off="")
    counted = " ".join(_Page(render_report(measured)).text.split())
    assert "Energy: 0.020 kWh, of the processors of this computer with all its programs." in counted
    assert "All options have their default values." in _Page(render_report(content)).text


@pytest.mark.parametrize("name", ["x" * 200, "قارب شراعي", "\N{BUTTERFLY}" * 40, "a\u202eb", "-", " "])
def test_unusual_names_of_classes_are_shown(name: str) -> None:
    page = _Page(render_report(_everything((name, "other", "third"))))
    assert page.text.count(printable(name)) >= 3


@pytest.mark.parametrize(("images", "wrong"), [(1, 0), (1, 1), (30, 30)])
def test_one_photo_and_all_wrong_are_shown(images: int, wrong: int) -> None:
    text = _Page(render_report(_content(("a", "b", "c"), images=images, wrong=wrong))).text
    assert f"{wrong} of {images} test photos" in text or "There are no errors" in text


def test_a_thousand_classes_are_shown_in_a_matrix_of_those_with_the_most_errors() -> None:
    names = [f"species {index}" for index in range(1000)]
    source = render_report(_content(names, images=2000, wrong=300))
    assert len(source) < 5_000_000
    page = _Page(source)
    assert "Of 1,000 classes, the 200 with the most errors are shown" in " ".join(page.text.split())
    assert all(f"species {index}:" in page.text for index in range(1000))


@pytest.mark.parametrize("length", [10, 200])
def test_a_report_of_very_many_photos_lists_the_errors_and_counts_the_others(length: int) -> None:
    found = _evaluation(("a", "b", "c"), images=40_000, wrong=300)
    samples = [dataclasses.replace(sample, name=f"{sample.name:\u00e4>{length}}") for sample in found.samples]
    evaluation = evaluate_probabilities(found.classes, samples, found.probabilities)
    source = render_report(
        dataclasses.replace(_content(("a", "b", "c")), evaluations={"test": evaluation}, uncalibrated={})
    )
    # Thumbnails and figures take the rest of 5 MB.
    assert len(source.encode()) < 1_500_000
    listed = source.count("<li data-c=")
    incorrect = evaluation.probabilities.argmax(axis=1) != evaluation.labels
    assert all(samples[row].name in source for row in np.flatnonzero(incorrect).tolist())
    assert f"{listed:,} of the photos are listed, the errors first; all are in predictions/test.csv." in source
    more = sum(int(count.replace(",", "")) for count in re.findall(r"<li>and ([0-9,]+) more</li>", source))
    assert listed + more == 40_000
    [counts] = re.findall(r'data-correct="([0-9: ]*)"', source)
    assert sum(int(pair.partition(":")[2]) for pair in counts.split()) == more


def test_the_fine_tuning_phase_is_marked() -> None:
    assert "fine-tune" in render_report(_everything(("a", "b", "c")))


def test_long_labels_are_shortened_in_the_middle() -> None:
    assert charts.shorten("short") == "short"
    assert charts.shorten("abcdefghij", 7) == "abc…hij"
    assert len(charts.shorten("x" * 99, 8)) == 8


@pytest.mark.parametrize("name", READABLE.values(), ids=READABLE)
def test_a_name_is_not_shortened_inside_a_joined_character(name: str) -> None:
    for length in range(2, 30):
        shown = charts.shorten(name * 8, length)
        assert len(shown) <= length and shown == printable(shown) and shown.count("…") == (length < 8 * len(name))


def test_a_report_has_visible_characters_only() -> None:
    hostile = tuple(f"a{char}b" for char in HOSTILE)
    source = render_report(_everything((f"{HOSTILE}.jpg", *hostile, *READABLE.values())))
    assert not FORBIDDEN.search(source.replace("\n", ""))
    text = _Page(source).text
    for name in (*hostile, *READABLE.values()):
        assert text.count(printable(name)) >= 3


def test_a_line_is_interrupted_where_a_value_is_missing() -> None:
    points = [(float(x), float(y)) for x, y in ((1, 0.5), (2, 0.6), (3, np.nan), (4, np.inf), (5, 0.7), (6, 0.8))]
    chart = charts.line_chart("loss", [charts.Series("loss", points, charts.BLUE)], "epoch")
    assert [len(line.split()) for line in re.findall(r'<polyline points="([^"]*)"', chart)] == [2, 2]
    single = charts.line_chart("loss", [charts.Series("loss", points[1:4], charts.BLUE)], "epoch")
    assert single.count("<circle") == 1
    assert "<polyline" not in charts.line_chart("loss", [charts.Series("loss", points[2:4], charts.BLUE)], "epoch")


def test_the_confusion_matrix_names_both_classes_of_a_cell() -> None:
    svg = charts.confusion_chart([[3, 1], [0, 0]], ("yeast & co", "alga"))
    assert "1 of 4 yeast &amp; co predicted as alga" in svg
    assert "0 of 0 alga predicted as alga" in svg


def test_a_search_is_shown_with_its_choice_and_the_candidates_not_tried() -> None:
    row = {
        "accuracy": 0.9,
        "accuracy_interval": [0.8, 0.95],
        "macro_f1": 0.88,
        "macro_f1_interval": [0.8, 0.94],
        "loss": 0.31,
        "latency_ms": 5.2,
        "size_mb": 13.5,
    }
    tuning = {
        "trials": 2,
        "images": 24,
        "seconds": 12.4,
        "reason": "Better beyond noise.",
        "rows": [
            {**row, "backbone": "EfficientNetLite0", "options": {}, "chosen": False},
            {**row, "backbone": "EfficientNetLite1", "options": {"resize": "pad", "l2": 0.01}, "chosen": True},
        ],
        "left_out": {"ResNet50": "its features would take about 90 s."},
    }
    page = _Page(render_report(dataclasses.replace(_content("ab"), tuning=tuning)))
    assert "EfficientNetLite1, selected" in page.text and "resize = pad, l2 = 0.01" in page.text
    assert "unchanged" in page.text and "ResNet50 was not evaluated: its features would take about 90 s." in page.text
    assert "Hyperparameter search" not in _Page(render_report(_content("ab"))).text
