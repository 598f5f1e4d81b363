"""Reference features: distances equal those of the full features, neighbours are in order, damage is reported."""

import dataclasses

import numpy as np
import pytest

from model.bundle import Bundle, write_manifest
from model.bundle_files import TRAINING_FEATURES
from model.config import PredictConfig
from model.errors import ConfigError, ModelDamagedError
from model.evaluation.unknown import known_distance
from model.serving.predictor import Predictor, _reference_features
from model.serving.reference_features import (
    MAX_AXES,
    build_reference_features,
    leave_one_out_distances,
    neighbour_distances,
    read_reference_features,
)
from tests.serving.test_parity import CLASSES, _bundle, _photo, _saved

FEATURES = 40


def _features(images: int, seed: int = 0, features: int = FEATURES) -> np.ndarray:
    return np.random.default_rng(seed).gamma(1.0, size=(images, features)).astype(np.float32)


def _names(images: int) -> list[str]:
    return [f"ä b/{number}.jpg" for number in range(images)]


def _whole_distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    one, other = (values / np.linalg.norm(values, axis=1, keepdims=True) for values in (one, other))
    return np.linalg.norm(one[:, None] - other[None], axis=2)


@pytest.mark.parametrize("images", [3, 30, 100])
def test_distances_with_all_axes_equal_those_of_the_features(images):
    features, asked = _features(images, features=10), _features(5, seed=1, features=10)
    reference = build_reference_features(features, np.zeros(images, int), _names(images))
    if images >= 10:
        np.testing.assert_allclose(reference.distances(asked), _whole_distances(asked, features), atol=1e-3)
    np.testing.assert_allclose(reference.distances(features), _whole_distances(features, features), atol=2e-3)


def test_distances_with_fewer_axes_are_never_larger():
    features, asked = _features(400, features=600), _features(5, seed=1, features=600)
    reference = build_reference_features(features, np.zeros(400, int), _names(400))
    assert reference.axes.shape == (MAX_AXES, 600)
    full, projected = _whole_distances(asked, features), reference.distances(asked)
    assert (projected <= full + 1e-3).all()
    assert np.corrcoef(full.ravel(), projected.ravel())[0, 1] > 0.5


def test_saved_reference_features_are_loaded_unchanged(tmp_path):
    reference = build_reference_features(_features(50), np.arange(50) % 3, _names(50))
    reference.save(tmp_path / "features.npz")
    read = read_reference_features((tmp_path / "features.npz").read_bytes())
    assert read.names == reference.names and np.array_equal(read.labels, reference.labels)
    asked = _features(4, seed=1)
    np.testing.assert_allclose(read.distances(asked), reference.distances(asked), atol=1e-3)
    assert np.diag(read.distances(_features(50))).max() < 0.01


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


def test_an_image_does_not_count_among_its_own_neighbours():
    reference = build_reference_features(_features(6), np.zeros(6, int), _names(6))
    expected = np.sort(_whole_distances(_features(6), _features(6)), axis=1)[:, 3]
    np.testing.assert_allclose(leave_one_out_distances(reference), expected, atol=2e-3)


@pytest.mark.parametrize("frozen", [True, False])
def test_few_validation_images_are_supplemented_by_unseen_training_images(frozen):
    reference = build_reference_features(_features(60), np.zeros(60, int), _names(60))
    alike = _features(5)
    threshold = known_distance(reference, alike, frozen)
    of_validation = neighbour_distances(reference.distances(alike)).max()
    assert threshold > of_validation if frozen else threshold == pytest.approx(of_validation)
    many = _features(30)
    assert known_distance(reference, many, frozen) == pytest.approx(
        neighbour_distances(reference.distances(many)).max()
    )


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
    order = np.argsort(_whole_distances(features[:1], features)[0])[:4]
    assert [near.image for near in answer.neighbours] == [_names(30)[row] for row in order]
    assert [near.label for near in answer.neighbours] == [CLASSES[row % 2] for row in order]
    assert answer.neighbours[0].distance < 0.01 and answer.distance == answer.neighbours[2].distance
    assert not answer.unknown and predictor.judged_by == ("confidence", "features")
    assert len(answer.to_json()["neighbours"]) == 4


@pytest.mark.parametrize(
    ("thresholds", "asked", "reason"),
    [
        ({"confidence": 0.6, "distance": 2.0}, {}, ""),
        ({"confidence": 0.8, "distance": 2.0}, {}, "confidence"),
        ({"confidence": 0.6, "distance": 0.1}, {}, "features"),
        ({"confidence": 0.8, "distance": 0.1}, {}, "confidence and features"),
        ({"confidence": 0.8, "distance": 0.1}, {"unknown_confidence": 0.0, "unknown_distance": 2.0}, ""),
        ({"confidence": 0.0, "distance": 2.0}, {"unknown_confidence": 0.9}, "confidence"),
        ({"confidence": 0.8, "confidence_by_class": {"other": 0.6}}, {}, ""),
        ({"confidence": 0.6, "confidence_by_class": {"other": 0.8}}, {}, "confidence"),
        ({}, {}, ""),
    ],
)
def test_unknown_predictions_state_the_reason(tmp_path, thresholds, asked, reason):
    predictor, _ = _predictor(tmp_path, **thresholds)
    [answer] = predictor.predict_stream([("a", _saved(_photo(), "PNG"))], PredictConfig(**asked))
    assert (answer.unknown, answer.unknown_reason) == (bool(reason), reason)
    described = answer.to_json()
    assert ("unknown_explanation" in described) == answer.unknown
    if reason == "features":
        assert "from the training images is above 0.100" in described["unknown_explanation"]


@pytest.mark.parametrize("asked", [{"neighbours": 3}, {"unknown_distance": 0.5}])
def test_a_model_without_reference_features_refuses_options_that_need_them(tmp_path, asked):
    predictor, _ = _predictor(tmp_path, confidence=0.5, distance=0.1)
    without = Predictor(predictor.bundle, predictor._engine)
    assert without.judged_by == ("confidence",)
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
