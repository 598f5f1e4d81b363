"""Principal components by moments: equal to those of scikit-learn, and written next to the parts."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image
from sklearn.decomposition import PCA

from model.errors import ConfigError, DatasetError
from model.scale import pca_chart
from model.scale.featurize import FeaturizeResult
from model.scale.moments import Moments, principal_components
from tests.scale.test_featurize import bytes_of, rows_of

Run = Callable[..., FeaturizeResult]


def random_features(count: int, width: int) -> np.ndarray:
    """Features as those of a network: positive, correlated, and with a mean much larger than their deviation."""
    rng = np.random.default_rng(1)
    mixed = rng.normal(size=(count, 12)) @ rng.normal(size=(12, width)) + 0.3 * rng.normal(size=(count, width))
    return np.maximum(0.1 * mixed + 2, 0).astype(np.float32)


def moments_of(features: np.ndarray, rows: int) -> Moments:
    """Moments of features that are added in parts of so many rows."""
    together = Moments.empty(features.shape[1])
    for start in range(0, len(features), rows):
        part = Moments.empty(features.shape[1])
        part.add(features[start : start + rows])
        together.merge(Moments.from_bytes(part.to_bytes()))
    return together


@pytest.mark.parametrize("rows", [100, 2500])
def test_the_components_are_those_of_scikit_learn(rows: int) -> None:
    features = random_features(2500, 64)
    found = principal_components(moments_of(features, rows), 8)
    expected = PCA(8, svd_solver="full").fit(features.astype(np.float64))
    signs = np.sign((found.components * expected.components_).sum(axis=1))
    np.testing.assert_allclose(found.components * signs[:, None], expected.components_, atol=1e-5)
    np.testing.assert_allclose(found.mean, expected.mean_, atol=1e-5)
    np.testing.assert_allclose(found.variance, expected.explained_variance_, rtol=1e-5)
    np.testing.assert_allclose(found.ratio, expected.explained_variance_ratio_, rtol=1e-5)
    np.testing.assert_allclose(found.project(features) * signs, expected.transform(features), atol=1e-4)
    assert (found.components[np.arange(8), np.abs(found.components).argmax(axis=1)] > 0).all()


def test_components_need_two_photos() -> None:
    with pytest.raises(DatasetError, match="two photos or more for principal components, found 0"):
        principal_components(Moments.empty(3), 1)
    same = principal_components(moments_of(np.ones((5, 3), np.float32), 5), 2)
    assert np.isfinite(same.ratio).all() and same.variance.max() < 1e-9


def test_components_are_written_next_to_the_parts(run: Run, photos: Path, tmp_path: Path) -> None:
    (photos / "red" / "empty.jpg").write_bytes(b"")
    result = run(components=2)
    out = tmp_path / "out"
    rows = rows_of(out)
    features = np.array([row["features"] for row in rows if row["features"]], np.float64)
    expected = PCA(2).fit(features)
    stored = np.load(out / "pca.npz")
    np.testing.assert_allclose(stored["explained_variance"], expected.explained_variance_, rtol=1e-4)
    np.testing.assert_allclose(result.pca, expected.explained_variance_ratio_, rtol=1e-4)
    found = rows_of(out / "pca")
    assert [row["path"] for row in found] == [row["path"] for row in rows]
    assert [row["pca"] is None for row in found] == [row["error"] is not None for row in rows]
    coordinates = np.array([row["pca"] for row in found if row["pca"]])
    np.testing.assert_allclose(coordinates, (features - stored["mean"]) @ stored["components"].T, atol=1e-4)
    assert Image.open(out / "pca.png").size == (1000, 640)
    table = pyarrow.parquet.read_table(out / "pca" / "part-00000.parquet")
    assert table.column_names == ["path", "label", "split", "pca"]
    assert not (out / "_moments").exists() and (out / "pca" / "_SUCCESS").exists()


def test_the_classes_of_the_chart_have_markers_of_their_own() -> None:
    classes = [f"class {number:02}" for number in range(30)]
    markers = [pca_chart._marker(name, classes) for name in [*classes[:20], None, classes[20]]]
    assert len(set(markers)) == 22
    assert {pca_chart._marker(name, classes) for name in classes[20:]} == {markers[-1]}


def test_photos_without_a_class_are_in_the_legend_of_the_chart(run: Run, photos: Path, tmp_path: Path) -> None:
    run(components=2)
    labelled = (tmp_path / "out" / "pca.png").read_bytes()
    (tmp_path / "list.txt").write_text(
        "".join(f"{path}\t{'' if path.name == '0.jpg' else path.parent.name}\n" for path in photos.rglob("*.jpg"))
    )
    run(source=tmp_path / "list.txt", out=tmp_path / "some", components=2)
    rows = [row["label"] for row in rows_of(tmp_path / "some")]
    assert None in rows and "red" in rows
    # The third row of the legend, below those of two classes.
    entry = (784, 100, 850, 115)
    images = [Image.open(io.BytesIO(content)) for content in (labelled, (tmp_path / "some" / "pca.png").read_bytes())]
    assert [len(image.convert("L").crop(entry).getcolors() or []) > 1 for image in images] == [False, True]


def test_components_are_written_again_only_where_they_change(run: Run, tmp_path: Path) -> None:
    run()
    run(components=2)
    before = bytes_of(tmp_path / "out")
    part = tmp_path / "out" / "pca" / "part-00001.parquet"
    part.unlink()
    assert run(components=2).written == 0
    assert bytes_of(tmp_path / "out") == before
    assert len(run(components=1).pca) == 1
    assert len(rows_of(tmp_path / "out" / "pca")[0]["pca"]) == 1
    run(overwrite=True)
    assert not (tmp_path / "out" / "pca").exists() and not (tmp_path / "out" / "pca.npz").exists()


def test_more_components_than_features_are_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pca: expected at most 3 components, received 4"):
        run(components=4)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("count", [2, 10, 1500])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_equal_photos_have_no_variance_to_explain(count: int, scale: float) -> None:
    features = np.maximum(np.random.default_rng(0).normal(scale=scale, size=256), 0).astype(np.float32)
    found = principal_components(moments_of(np.repeat(features[None], count, axis=0), 1024), 4)
    assert found.ratio.tolist() == [0, 0, 0, 0]
    # Photos that differ little: no more than all of the variance is explained.
    difference = 1e-2 * scale * np.linspace(-1, 1, count, dtype=np.float32)[:, None]
    close = principal_components(moments_of(features + difference, 1024), 4)
    assert 0 < close.ratio.sum() <= 1 + 1e-12
