"""Reference features: distances equal those of the full features, neighbours are in order, damage is reported."""

import dataclasses
import tracemalloc

import numpy as np
import pytest

from model.bundle import Bundle, write_manifest
from model.bundle_files import TRAINING_FEATURES
from model.config import PredictConfig
from model.errors import ConfigError, ModelDamagedError
from model.results import Prediction
from model.serving.predictor import Predictor, _reference_features
from model.serving.reference_features import (
    MAX_AXES,
    ReferenceFeatures,
    build_reference_features,
    neighbour_distances,
    read_reference_features,
)
from tests.serving.test_parity import CLASSES, _bundle, _photo, _saved

FEATURES = 40


def _features(images: int, seed: int = 0, features: int = FEATURES) -> np.ndarray:
    return np.random.default_rng(seed).gamma(1.0, size=(images, features)).astype(np.float32)


def _names(images: int) -> list[str]:
    return [f"ä b/{number}.jpg" for number in range(images)]


def _unit(features: np.ndarray, power: float = 1.0) -> np.ndarray:
    raised = features**power
    return raised / np.linalg.norm(raised, axis=1, keepdims=True)


def _whole_distances(one: np.ndarray, other: np.ndarray, power: float = 1.0) -> np.ndarray:
    return np.linalg.norm(_unit(one, power)[:, None] - _unit(other, power)[None], axis=2)


def _unwhitened(reference: ReferenceFeatures, asked: np.ndarray) -> np.ndarray:
    return np.linalg.norm(reference.project(asked)[:, None] - reference.vectors[None], axis=2)


@pytest.mark.parametrize("images", [10, 30, 100])
def test_projected_on_all_axes_vectors_are_as_far_apart_as_the_square_roots_of_features(images):
    features, asked = _features(images, features=10), _features(5, seed=1, features=10)
    reference = build_reference_features(features, np.zeros(images, int), _names(images))
    np.testing.assert_allclose(_unwhitened(reference, asked), _whole_distances(asked, features, 0.5), atol=1e-3)


def test_distances_with_fewer_axes_are_never_larger():
    features, asked = _features(400, features=600), _features(5, seed=1, features=600)
    reference = build_reference_features(features, np.zeros(400, int), _names(400))
    assert reference.axes.shape == (MAX_AXES, 600)
    full, projected = _whole_distances(asked, features, 0.5), _unwhitened(reference, asked)
    assert (projected <= full + 1e-3).all()
    assert np.corrcoef(full.ravel(), projected.ravel())[0, 1] > 0.5
    assert (reference.distances(asked) <= projected + 1e-3).all()


def test_directions_in_which_images_of_a_class_differ_count_less():
    rng = np.random.default_rng(0)
    features = np.full((40, 6), 4.0) + rng.normal(0, 0.01, (40, 6))
    features[:, 0] += rng.uniform(-3, 3, 40)
    features[20:, 1] += 2
    reference = build_reference_features(features.astype(np.float32), np.arange(40) // 20, _names(40))
    base = np.full((1, 6), 4.0, np.float32)
    usual, unusual = base.copy(), base.copy()
    usual[0, 0] += 2
    unusual[0, 2] += 2
    assert np.linalg.norm(_unit(usual, 0.5) - _unit(base, 0.5)) == pytest.approx(
        np.linalg.norm(_unit(unusual, 0.5) - _unit(base, 0.5)), rel=0.05
    )
    assert reference.distances(unusual).min() > 3 * reference.distances(usual).min()


@pytest.mark.parametrize("labels", [np.zeros(3, int), np.arange(3)], ids=["one class", "a class for each"])
def test_a_few_images_have_finite_distances_and_distance_0_from_themselves(labels):
    features = _features(3)
    distances = build_reference_features(features, labels, _names(3)).distances(features)
    assert np.isfinite(distances).all() and np.diag(distances).max() < 0.01 < distances[0, 1] <= 2


def test_negative_features_are_supported():
    features = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    reference = build_reference_features(features, np.zeros(20, int), _names(20))
    distances = reference.distances(-features)
    assert np.isfinite(distances).all() and np.diag(distances).min() > 0.5


def test_a_file_without_a_power_has_the_distances_of_the_features_themselves(tmp_path):
    features, asked = _features(50, features=10), _features(4, seed=1, features=10)
    axes = np.eye(10, dtype=np.float32)
    vectors = np.concatenate([_unit(features), np.zeros((50, 1))], axis=1).astype(np.float32)
    old = ReferenceFeatures(axes, vectors, np.zeros(50, np.int32), tuple(_names(50)))
    old.save(tmp_path / "new.npz")
    with np.load(tmp_path / "new.npz") as arrays:
        np.savez_compressed(tmp_path / "old.npz", **{name: arrays[name] for name in arrays if name != "power"})
    read = read_reference_features((tmp_path / "old.npz").read_bytes())
    np.testing.assert_allclose(read.distances(asked), _whole_distances(asked, features), atol=2e-3)


@pytest.mark.parametrize("power", [0.0, -1.0, 2.0, np.nan])
def test_an_impossible_power_is_refused(tmp_path, power):
    reference = build_reference_features(_features(5), np.zeros(5, int), _names(5))
    dataclasses.replace(reference, power=power).save(tmp_path / "features.npz")
    with pytest.raises(ValueError, match="expected a power above 0"):
        read_reference_features((tmp_path / "features.npz").read_bytes())


def test_saved_reference_features_are_loaded_unchanged(tmp_path):
    reference = build_reference_features(_features(50), np.arange(50) % 3, _names(50))
    reference.save(tmp_path / "features.npz")
    read = read_reference_features((tmp_path / "features.npz").read_bytes())
    assert read.names == reference.names and np.array_equal(read.labels, reference.labels)
    asked = _features(4, seed=1)
    np.testing.assert_allclose(read.distances(asked), reference.distances(asked), atol=1e-3)
    assert np.diag(read.distances(_features(50))).max() < 0.02


def test_saved_reference_features_give_new_images_the_same_small_distances(tmp_path):
    """Of three features nothing is left beside the axes; a distance from the rounding would look like drift."""
    features, asked = (_features(200, seed, features=3) for seed in (0, 1))
    reference = build_reference_features(features, features.argmax(axis=1), _names(200))
    reference.save(tmp_path / "features.npz")
    read = read_reference_features((tmp_path / "features.npz").read_bytes())
    found, expected = (neighbour_distances(one.distances(asked)) for one in (read, reference))
    assert np.median(expected) < 0.05
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_allclose(found.mean(), expected.mean(), rtol=0.01)


def test_a_file_of_an_older_version_has_no_axes_for_drift_detection(tmp_path):
    reference = build_reference_features(_features(50), np.arange(50) % 3, _names(50))
    dataclasses.replace(reference, directions=None).save(tmp_path / "old.npz")
    reference.save(tmp_path / "new.npz")
    old, new = (read_reference_features((tmp_path / name).read_bytes()) for name in ("old.npz", "new.npz"))
    vectors = old.project(_features(4, seed=1))
    assert old.components(vectors) is None
    assert np.array_equal(new.components(vectors), reference.components(vectors))
    assert new.components(vectors).shape == (4, 4 + 2)


def test_sampling_of_many_images_is_deterministic():
    features, names = _features(50), _names(50)
    one, other = (build_reference_features(features, np.arange(50), names, seed=1, limit=20) for _ in range(2))
    assert one.names == other.names and len(one.names) == len(one.vectors) == 20
    assert [names[label] for label in one.labels] == list(one.names)


def test_the_distance_is_to_the_third_nearest_neighbour():
    distances = np.array([[0.4, 0.1, 0.3, 0.2], [1.0, 1.0, 0.5, 0.0]])
    assert neighbour_distances(distances).tolist() == [0.3, 1.0]
    assert neighbour_distances(distances[:, :2]).tolist() == [0.4, 1.0]


def _predictor(tmp_path, images: int = 30, **thresholds: float) -> tuple[Predictor, np.ndarray]:
    """A predictor that gives every image the features of the first training image."""
    features = _features(images)
    reference = build_reference_features(features, np.arange(images) % 2, _names(images))

    def engine(pixels: np.ndarray, *outputs: str) -> list[np.ndarray]:
        values = {"probabilities": np.float32([0.3, 0.7]), "features": features[0]}
        return [np.tile(values[output], (len(pixels), 1)) for output in outputs]

    bundle = _bundle(tmp_path / "m", "squash")
    bundle.manifest.thresholds.update(thresholds)
    return Predictor(bundle, engine, reference), features


def test_neighbours_are_the_nearest_training_images_with_their_classes(tmp_path):
    predictor, features = _predictor(tmp_path, distance=2.0, confidence=0.5)
    [answer] = predictor.predict_stream([("a", _saved(_photo(), "PNG"))], PredictConfig(neighbours=4))
    order = np.argsort(predictor.reference.distances(features[:1])[0])[:4]
    assert [near.image for near in answer.neighbours] == [_names(30)[row] for row in order]
    assert [near.label for near in answer.neighbours] == [CLASSES[row % 2] for row in order]
    assert answer.neighbours[0].distance < 0.01 and answer.distance == answer.neighbours[2].distance
    assert not answer.unknown and predictor.marks == ("unknown", "uncertain")
    assert len(answer.to_json()["neighbours"]) == 4


@pytest.mark.parametrize(
    ("thresholds", "asked", "mark"),
    [
        ({"confidence": 0.6, "distance": 2.0}, {}, ""),
        ({"confidence": 0.8, "distance": 2.0}, {}, "uncertain"),
        ({"confidence": 0.6, "distance": 0.1}, {}, "unknown"),
        ({"confidence": 0.8, "distance": 0.1}, {}, "unknown"),
        ({"confidence": 0.8, "distance": 0.1}, {"uncertain_confidence": 0.0}, "unknown"),
        ({"confidence": 0.8, "distance": 0.1}, {"unknown_distance": 2.0}, "uncertain"),
        ({"confidence": 0.8, "distance": 0.1}, {"uncertain_confidence": 0.0, "unknown_distance": 2.0}, ""),
        ({"confidence": 0.0, "distance": 2.0}, {"uncertain_confidence": 0.9}, "uncertain"),
        ({"confidence": 0.8, "confidence_by_class": {"other": 0.6}}, {}, ""),
        ({"confidence": 0.6, "confidence_by_class": {"other": 0.8}}, {}, "uncertain"),
        ({"confidence": 0.8}, {}, "uncertain"),
        ({"distance": 0.1}, {}, "unknown"),
        ({"confidence": 0.6, "unknown": {"off": "too few photos"}}, {}, ""),
        ({}, {}, ""),
    ],
)
@pytest.mark.parametrize("top_k", [1, 2])
def test_a_prediction_has_at_most_one_mark_and_its_reason(tmp_path, thresholds, asked, mark, top_k):
    predictor, _ = _predictor(tmp_path, **thresholds)
    [answer] = predictor.predict_stream([("a", _saved(_photo(), "PNG"))], PredictConfig(top_k=top_k, **asked))
    assert (answer.unknown, answer.uncertain) == (mark == "unknown", mark == "uncertain")
    described = answer.to_json()
    assert described.get("unknown_reason", "") == ("features" if mark == "unknown" else "")
    assert ("unknown_explanation" in described) == answer.unknown
    assert {"uncertain_explanation", "second"} & described.keys() == (
        {"uncertain_explanation", "second"} if answer.uncertain else set()
    )
    if answer.unknown:
        assert "from the training images is above 0.100" in described["unknown_explanation"]
    if answer.uncertain:
        assert described["uncertain_explanation"].startswith("the probability 0.700 is below 0.")
        assert described["second"] == CLASSES[0] and answer.uncertain_between == f"{CLASSES[1]} or {CLASSES[0]}"
    assert Prediction.from_json(described) == answer


@pytest.mark.parametrize(
    ("thresholds", "marks"),
    [
        ({}, ()),
        ({"confidence": 0.5}, ("uncertain",)),
        ({"distance": 0.5}, ("unknown",)),
        ({"distance": 0.5, "uncertain": {"off": "too few photos"}}, ("unknown",)),
    ],
)
def test_a_model_lists_the_marks_that_it_can_set(tmp_path, thresholds, marks):
    predictor, _ = _predictor(tmp_path, **thresholds)
    assert predictor.marks == marks
    assert predictor.judged_by == (("features",) if "unknown" in marks else ())


@pytest.mark.parametrize("asked", [{"neighbours": 3}, {"unknown_distance": 0.5}])
def test_a_model_without_reference_features_refuses_options_that_need_them(tmp_path, asked):
    predictor, _ = _predictor(tmp_path, confidence=0.5, distance=0.1)
    without = Predictor(predictor.bundle, predictor._engine)
    assert (without.marks, without.judged_by) == (("uncertain",), ())
    [answer] = without.predict_stream([("a", _saved(_photo(), "PNG"))])
    assert answer.distance is None and not answer.unknown
    with pytest.raises(ConfigError, match="expected a model with reference features"):
        next(without.predict_stream([("a", _saved(_photo(), "PNG"))], PredictConfig(**asked)))


def test_a_damaged_reference_features_file_is_a_damaged_model(tmp_path):
    bundle = _bundle(tmp_path / "m", "squash")
    assert _reference_features(bundle) is None
    (bundle.directory / TRAINING_FEATURES).write_bytes(b"no features")
    listed = Bundle(bundle.directory, write_manifest(bundle.directory, bundle.manifest))
    with pytest.raises(ModelDamagedError, match=TRAINING_FEATURES):
        _reference_features(listed)


def test_projecting_many_images_takes_less_memory_than_their_features():
    rng = np.random.default_rng(0)
    reference = build_reference_features(rng.random((20, 256), np.float32), np.arange(20) % 2, [""] * 20)
    features = rng.random((40_000, 256), np.float32)
    tracemalloc.start()
    try:
        vectors = reference.project(features)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < vectors.nbytes + features.nbytes / 2
    assert vectors[-1:] == pytest.approx(reference.project(features[-1:]), abs=1e-5)
