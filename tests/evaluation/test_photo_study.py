"""Neighbours, contact sheets and the map of photos."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from model.evaluation.contact_photos import contact_photos
from model.evaluation.evaluate import evaluate_probabilities
from model.evaluation.photo_map import draw_map, principal_components
from model.evaluation.photo_map_chart import MapPoint, map_chart
from model.evaluation.photo_study import study_photos
from model.evaluation.report.sections import uncertain
from tests.evaluation.study_photos import photo_features
from tests.evaluation.test_report import _content


def test_a_photo_is_not_its_own_neighbour() -> None:
    photos = photo_features(120)
    for row, found in enumerate(photos.neighbours(range(120))):
        assert len(found) == 3 and photos.samples[row].name not in [near.sample.name for near in found]
        assert [near.distance for near in found] == sorted(near.distance for near in found)
        assert all(photos.splits[photos.row_of[near.sample.name]] == "train" for near in found)


def test_photos_of_a_contact_sheet_are_distinct_and_spread() -> None:
    photos = photo_features(120)
    chosen = [photos.row_of[sample.name] for sample in contact_photos(photos, 1)]
    assert len(set(chosen)) == 12 and set(photos.labels[chosen]) == {1}
    of_class = np.flatnonzero(photos.labels == 1)

    def spacing(rows: np.ndarray) -> float:
        far = np.linalg.norm(photos.vectors[rows][:, None] - photos.vectors[rows], axis=2)
        return float((far + 9 * np.eye(len(rows))).min(axis=1).mean())

    random = [spacing(np.random.default_rng(seed).choice(of_class, 12, replace=False)) for seed in range(20)]
    assert spacing(np.array(chosen)) > max(random)
    equal = dataclasses.replace(photos, features=np.ones_like(photos.features))
    assert len(set(contact_photos(equal, 1))) == 12 and contact_photos(photos, 99) == ()


def test_the_map_is_the_same_for_the_same_photos_and_keeps_classes_together() -> None:
    photos = photo_features(150)
    one, other = draw_map(photos, 3), draw_map(photos, 3)
    assert one is not None and other is not None and (one.places == other.places).all()
    assert one.places.min() == 0 and one.places.max() == 1
    far = np.linalg.norm(one.places[:, None] - one.places, axis=2) + 9 * np.eye(150)
    assert (photos.labels[far.argmin(axis=1)] == photos.labels).mean() > 0.95


def test_few_photos_have_no_map_and_equal_ones_do() -> None:
    assert draw_map(photo_features(9)) is None
    for count in (12, 60):
        photos = photo_features(count)
        same = draw_map(dataclasses.replace(photos, features=np.ones_like(photos.features)))
        assert same is not None and np.isfinite(same.places).all()


def test_a_map_of_few_photos_has_their_principal_components() -> None:
    photos = photo_features(30)
    found = draw_map(photos)
    assert found is not None and not found.is_tsne and (found.places.min(), found.places.max()) == (0, 1)
    components = principal_components(photos.whitened, 2)
    for axis in range(2):
        assert np.corrcoef(found.places[:, axis], components[:, axis])[0, 1] > 0.999
    many = draw_map(photo_features(60))
    assert many is not None and many.is_tsne


def test_principal_components_are_those_of_the_singular_values() -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    centred = vectors - vectors.mean(axis=0)
    expected = np.linalg.svd(centred, compute_uv=False)[:3]
    np.testing.assert_allclose(np.linalg.norm(principal_components(vectors, 3), axis=0), expected, rtol=1e-4)


def test_points_of_the_map_are_escaped_and_errors_have_a_ring() -> None:
    points = [MapPoint(0, 0, 0, True, "<script>.png: a", "t1"), MapPoint(1, 1, 9, False, "b.png: b")]
    chart = map_chart(points)
    assert "<script>" not in chart and chart.count('class="ring"') == 1 and chart.count("data-t=") == 1
    assert chart.rindex("ring") > chart.index("b.png")


def test_the_least_confident_photos_are_listed_with_their_neighbours() -> None:
    photos = photo_features(120)
    rows = np.flatnonzero(np.array(photos.splits) != "train")
    samples = [photos.samples[row] for row in rows]
    evaluation = evaluate_probabilities(photos.classes, samples, photos.probabilities[rows])
    study = study_photos(photos, evaluation, errors=[samples[0].name, "gone.png"])
    confidence = evaluation.probabilities.max(axis=1)
    assert confidence[list(study.uncertain)].max() <= np.sort(confidence)[11]
    assert {samples[row].name for row in study.uncertain} | {samples[0].name} == set(study.neighbours)
    assert set(study.contact_sheets) == set(photos.classes) and study.map is not None


def test_a_training_photo_whose_file_is_not_known_is_a_neighbour_by_its_name() -> None:
    photos = photo_features(120)
    whole = photos.neighbours(range(120))
    kept = np.flatnonzero(np.arange(120) // 3 % 2)
    fewer = dataclasses.replace(
        photos,
        samples=tuple(photos.samples[row] for row in kept),
        splits=tuple(photos.splits[row] for row in kept),
        features=photos.features[kept],
        probabilities=photos.probabilities[kept],
    )
    for row, found in zip(kept.tolist(), fewer.neighbours(range(len(kept))), strict=True):
        expected = [(near.sample.name, near.sample.label) for near in whole[row]]
        assert [(near.sample.name, near.sample.label) for near in found] == expected
        assert all(near.sample.path.name == "" for near in found if near.sample.name not in fewer.row_of)


def test_a_photo_that_was_learned_from_is_not_its_own_neighbour_where_a_model_is_evaluated_on_it(
    tmp_path: Path,
) -> None:
    photos = photo_features(120, folder=tmp_path)
    training = {sample.name: dataclasses.replace(sample) for sample in photos.samples}
    for row, found in enumerate(dataclasses.replace(photos, training=training).neighbours(range(120))):
        assert len(found) == 3 and photos.samples[row].name not in [near.sample.name for near in found]


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_the_first_of_equal_classes_is_the_predicted_one_of_an_uncertain_photo(classes: int) -> None:
    photos = photo_features(40, classes)
    probabilities = np.full((40, classes), 1 / classes, np.float32)
    evaluation = evaluate_probabilities(photos.classes, photos.samples, probabilities)
    study = study_photos(photos, evaluation, labels_off="few photos")
    content = dataclasses.replace(_content(photos.classes), evaluations={"test": evaluation}, study=study)
    found = uncertain.values(content)
    assert found is not None
    for photo in found["photos"]:
        assert [name for name, _ in photo["answers"]] == list(photos.classes[:2])
        assert photo["is_correct"] == (photo["true"] == "class0")
