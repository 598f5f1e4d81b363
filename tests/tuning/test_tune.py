"""Search for a backbone and options: within its time limit, without test images, deterministic."""

import dataclasses
import json
import math
import time
from pathlib import Path

import numpy as np
import pytest

from model.backbones import BACKBONES
from model.bundle_files import REPORT, TUNING
from model.config import TrainConfig
from model.dataset.prepare import Verdict, prepare_dataset
from model.dataset.training_data import TrainingData
from model.errors import ConfigError, WeightsError
from model.evaluation.paired import PairedMetric, ScoredPredictions
from model.networks.keras_weights import ready_backbones, weights_directory, weights_file
from model.networks.pretrained import build_backbone
from model.registry import find_bundle
from model.results import Sample, no_progress
from model.runs.process import run_training
from model.runs.resumption import finished
from model.training_result import Tuning
from model.tuning import pool
from model.tuning.candidates import GRID, proposals
from model.tuning.choice import choose, choose_best
from model.tuning.pool import NoTimeError, Pool
from model.tuning.search import tune
from model.tuning.trials import MeasuredBackbone, Trial, Trials

SECONDS = 16
QUICK = TrainConfig(
    tune_minutes=SECONDS / 60,
    tune_backbones="EfficientNetLite0",
    image_size=64,
    resize="pad",
    augmented_views=1,
    epochs=15,
    folds=0,
)


class Interruption(KeyboardInterrupt):
    """Raised by a test to stop a search."""


@pytest.fixture(scope="module")
def verdict(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    return prepare_dataset(shapes, QUICK, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def data(verdict: Verdict) -> TrainingData:
    return verdict.training_data


@pytest.fixture(scope="module")
def tuned(data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tuning, Trials, float]:
    """A tuning, its trials, and the seconds that it took."""
    work = tmp_path_factory.mktemp("tuned")
    tune(data, dataclasses.replace(QUICK, tune_minutes=0.05), tmp_path_factory.mktemp("warm-up"), no_progress)
    started = time.monotonic()
    tuning = tune(data, QUICK, work, no_progress)
    return tuning, Trials(work / "tune"), time.monotonic() - started


@pytest.mark.slow
def test_the_search_uses_and_keeps_its_time_limit(tuned):
    tuning, trials, seconds = tuned
    slowest = max(trial.seconds for trial in trials.done)
    assert 0.5 * SECONDS < seconds < 1.05 * SECONDS + slowest
    assert tuning.trials == len(trials.done) > 5


@pytest.mark.slow
def test_the_chosen_options_are_at_least_as_good_as_the_defaults(tuned):
    tuning, trials, _ = tuned
    plain = trials.done[0]
    [chosen] = [trial for trial in trials.done if _is(trial, tuning.config)]
    assert plain.changes == {} and chosen.value <= plain.value


@pytest.mark.slow
def test_options_set_by_the_user_are_kept_and_the_others_searched(tuned):
    tuning, trials, _ = tuned
    changed = {name for trial in trials.done for name in trial.changes}
    assert {"augmentation", "l2", "learning_rate"} < changed <= {"augmentation", *GRID} - {"imbalance"}
    assert (tuning.config.resize, tuning.config.image_size, tuning.config.epochs) == ("pad", 64, 15)


@pytest.mark.slow
def test_the_table_has_metrics_and_cost_of_each_backbone(tuned):
    [row] = tuned[0].rows
    assert row.backbone == "EfficientNetLite0" and row.chosen and row.trials == tuned[0].trials
    assert row.accuracy_interval[0] <= row.accuracy <= row.accuracy_interval[1]
    assert row.macro_f1_interval[0] <= row.macro_f1 <= row.macro_f1_interval[1]
    assert row.latency_ms > 0 and 5 < row.size_mb < 50
    assert json.loads(json.dumps(tuned[0].to_json()))["reason"]


@pytest.mark.slow
def test_no_candidate_is_tried_twice(tuned):
    tried = [json.dumps(trial.changes, sort_keys=True) for trial in tuned[1].done]
    assert len(set(tried)) == len(tried)


@pytest.mark.slow
def test_test_images_are_never_used_and_the_search_is_deterministic(verdict, tuned, tmp_path):
    dataset = verdict.dataset
    poisoned = tuple(Sample(Path("/nowhere"), test.name, (test.label + 1) % 3) for test in dataset.test)
    assert poisoned
    other_verdict = dataclasses.replace(verdict, dataset=dataclasses.replace(dataset, test=poisoned))

    def stop(_phase: str, _done: int, _total: int, /, **metrics: float) -> None:
        if metrics["trials"] == 8:
            raise Interruption

    with pytest.raises(Interruption):
        tune(other_verdict.training_data, dataclasses.replace(QUICK, tune_minutes=5), tmp_path, stop)
    again, first = Trials(tmp_path / "tune").done, tuned[1].done
    of_head = [trial for trial in again if trial.asked is not None]
    assert of_head, "there was no time for what is compared"
    by_changes = {json.dumps(trial.changes): trial for trial in first}
    same = [
        (trial, by_changes[json.dumps(trial.changes)]) for trial in again if json.dumps(trial.changes) in by_changes
    ]
    assert len(same) > 3
    assert all(one.value == other.value for one, other in same)


@pytest.mark.slow
def test_an_interrupted_search_is_resumed_with_its_trials_and_the_time_left(data, tuned, tmp_path):
    def stop(_phase: str, _done: int, _total: int, /, **metrics: float) -> None:
        if metrics["trials"] == 5:
            raise Interruption

    with pytest.raises(Interruption):
        tune(data, QUICK, tmp_path, stop)
    before = Trials(tmp_path / "tune")
    assert len(before.done) == 5 and not before.finished
    started = time.monotonic()
    tune(data, QUICK, tmp_path, no_progress)
    assert time.monotonic() - started < SECONDS - before.seconds + 2
    after = Trials(tmp_path / "tune")
    assert [trial.seconds for trial in after.done[:5]] == [trial.seconds for trial in before.done]
    uninterrupted = tuned[1].done
    common = min(len(after.done), len(uninterrupted))
    assert [trial.changes for trial in after.done[:common]] == [trial.changes for trial in uninterrupted[:common]]
    assert common > 5


@pytest.mark.slow
def test_a_finished_search_is_not_repeated(data, tuned, tmp_path):
    config = dataclasses.replace(QUICK, tune_minutes=0.05)
    first = tune(data, config, tmp_path, no_progress)
    started = time.monotonic()
    assert tune(data, config, tmp_path, no_progress) == first
    assert time.monotonic() - started < 1


def test_an_unusable_backbone_is_skipped_with_the_reason(data, tmp_path):
    config = dataclasses.replace(QUICK, tune_minutes=0.05, tune_backbones="InceptionV3,EfficientNetLite0")
    tuning = tune(data, config, tmp_path, no_progress)
    assert [row.backbone for row in tuning.rows] == ["EfficientNetLite0"]
    assert "image_size" in tuning.left_out["InceptionV3"]
    with pytest.raises(ConfigError, match="InceptionV3: backbone InceptionV3 with image_size 64"):
        tune(data, dataclasses.replace(config, tune_backbones="InceptionV3"), tmp_path / "alone", no_progress)


def test_a_backbone_whose_features_take_too_long_is_not_started(data, tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "is_converted", lambda backbone, size: False)
    config = dataclasses.replace(QUICK, tune_minutes=0.05, tune_backbones="EfficientNetLite0,EfficientNetLite2")
    tuning = tune(data, config, tmp_path, no_progress)
    assert [row.backbone for row in tuning.rows] == ["EfficientNetLite0"]
    assert "would take about" in tuning.left_out["EfficientNetLite2"]


def test_an_extraction_that_will_exceed_the_time_is_cancelled_early(data):
    candidate = dataclasses.replace(
        QUICK, backbone="EfficientNetLite0", augmentation="noise(0.37)", augmented_views=100, seed=1234
    )
    started = time.monotonic()
    with pytest.raises(NoTimeError, match="its features would take"):
        Pool(data, 0, lambda: None).make_features(candidate, 3.0)
    assert time.monotonic() - started < 5


def test_many_images_are_subsampled_with_every_class(verdict, monkeypatch):
    monkeypatch.setattr(pool, "MAX_IMAGES", 12)
    part = Pool(verdict.training_data, 0, lambda: None)
    assert len(part.data.source) <= 12 and set(part.data.labels) == {0, 1, 2}
    assert not {sample.name for sample in part.data.source} & {sample.name for sample in verdict.dataset.test}


def _trial(labels: np.ndarray, right: float, changes: dict, seed: int) -> Trial:
    """A trial with correct predictions for a fraction of the images, drawn with the seed."""
    is_right = np.random.default_rng(seed).permutation(len(labels)) < right * len(labels)
    answers = np.where(is_right, labels, (labels + 1) % 3)
    predictions = ScoredPredictions(np.where(is_right, 0.1, 2.0).astype(np.float32), answers[None].astype(np.int16))
    return Trial(changes, _metric(labels).cost(predictions), predictions, 1.0)


def _metric(labels: np.ndarray) -> PairedMetric:
    return PairedMetric(labels, 3, "val_loss", np.ones(len(labels)))


@pytest.mark.parametrize(
    ("plain", "others", "expected"),
    [
        (0.80, {"mixup": 0.801, "l2": 0.79}, {}),
        (0.60, {"mixup": 0.90, "l2": 0.70}, {"mixup": 0.90}),
        (0.90, {"mixup": 0.70, "l2": 0.60}, {}),
    ],
    ids=["equal within noise", "clearly better", "clearly worse"],
)
def test_the_default_options_are_kept_unless_others_are_significantly_better(plain, others, expected):
    labels = np.arange(600) % 3
    trials = [_trial(labels, plain, {}, 0)]
    trials += [_trial(labels, right, {name: right}, seed) for seed, (name, right) in enumerate(others.items(), 1)]
    assert choose(trials, trials[0], _metric(labels), {}, 0).trial.changes == expected


def test_the_smallest_model_of_equally_good_candidates_is_chosen():
    labels = np.arange(600) % 3
    sizes = {"small": MeasuredBackbone(9.0, 5.0), "large": MeasuredBackbone(1.0, 50.0)}
    trials = [_trial(labels, 0.5, {}, 0)]
    trials += [_trial(labels, 0.9, {"backbone": name}, 1) for name in ("large", "small")]
    trials.append(_trial(labels, 0.901, {"backbone": "small", "mixup": 0.1}, 1))
    assert choose(trials, trials[0], _metric(labels), sizes, 0).trial.changes == {"backbone": "small"}


def test_of_two_backbones_the_better_is_chosen_also_within_noise():
    labels = np.arange(600) % 3
    pair, worse = ({"backbone": "pair"}, {"backbone": "worse"})
    trials = [_trial(labels, 0.80, {}, 0), _trial(labels, 0.805, pair, 1), _trial(labels, 0.7, worse, 2)]
    choice = choose_best(trials, trials[0], _metric(labels), 0)
    assert choice.trial.changes == pair and "with a standard error of" in choice.reason
    kept = choose_best([trials[0], trials[2]], trials[0], _metric(labels), 0)
    assert kept.trial is trials[0] and "the default one has the best" in kept.reason


def test_a_candidate_that_diverged_is_not_chosen():
    labels = np.arange(60) % 3
    lost = ScoredPredictions(np.full(60, np.inf, np.float32), np.zeros((1, 60), np.int16))
    trials = [_trial(labels, 0.5, {}, 0), Trial({"learning_rate": 3.0}, math.inf, lost, 1.0)]
    assert choose(trials, trials[0], _metric(labels), {}, 0).trial is trials[0]


def test_the_sampler_proposes_every_candidate_once(tmp_path):
    labels = np.arange(60) % 3
    trials = Trials(tmp_path / "tune")
    trials.done = [_trial(labels, 0.5, {}, 0), _trial(labels, 0.6, {"resize": "crop"}, 0)]
    for asked, changes in proposals(trials, TrainConfig(), ["mixup", "label_smoothing"]):
        trials.done.append(dataclasses.replace(_trial(labels, 0.5, changes, asked), asked=asked))
    tried = {json.dumps(trial.changes, sort_keys=True) for trial in trials.done}
    assert len(tried) == len(trials.done) == 2 * len(GRID["mixup"]) * len(GRID["label_smoothing"])


def test_backbones_with_local_weights_are_tried_smallest_first(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    weights_directory().mkdir()
    for name, size in (("VGG16", 30), ("MobileNetV3Small", 10), ("EfficientNetV2B0", 20)):
        weights_file(BACKBONES[name]).write_bytes(bytes(size))
    names = [backbone.name for backbone in ready_backbones()]
    assert names[:4] == ["EfficientNetLite0", "EfficientNetLite1", "EfficientNetLite2", "EfficientNetLite0And2"]
    assert names[4:] == ["MobileNetV3Small", "EfficientNetV2B0", "VGG16"]


# Builds a network of each kind of file name, to hear which file Keras asks for.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV3Small", "EfficientNetV2B0", "ConvNeXtTiny", "VGG16"])
def test_keras_reads_the_weights_from_the_checked_folder(name, tmp_path, monkeypatch):
    def refuse(*_arguments, **_options):
        from urllib.error import URLError

        raise URLError("no network")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", refuse)
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        build_backbone(BACKBONES[name], BACKBONES[name].image_size, "imagenet")
    assert str(weights_file(BACKBONES[name])) in caught.value.message


# A whole training in a child process, as the service runs it.
@pytest.mark.slow
def test_a_training_with_tune_minutes_uses_the_choice_and_keeps_the_table(workspace, shapes):
    config = dataclasses.replace(QUICK, dataset=str(shapes), name="m", auto_resume=True)
    result = run_training(config, workspace)
    bundle = find_bundle(workspace, "m")
    bundle.verify()
    assert TUNING in bundle.manifest.files
    stored = json.loads((bundle.directory / TUNING).read_text())
    assert result.tuning is not None and result.tuning.to_json() == stored
    [chosen] = [row for row in stored["rows"] if row["chosen"]]
    trained = bundle.manifest.train_config
    assert bundle.manifest.backbone == chosen["backbone"]
    assert chosen["options"].items() <= trained.items() and trained["tune_minutes"] is None
    again = finished(config, workspace)
    assert again is not None and again.tuning == result.tuning
    assert "Hyperparameter search" in (bundle.directory / REPORT).read_text(encoding="utf-8")


def _is(trial: Trial, config: TrainConfig) -> bool:
    names = {"augmentation", *GRID}
    plain = dataclasses.asdict(QUICK)
    return all(getattr(config, name) == trial.changes.get(name, plain[name]) for name in names)
