"""The function for notebooks: features of photos in record batches; `test_spark.py` runs it in Spark."""

import numpy as np
import pyarrow

from model.dataset.images import decode_image
from model.scale.network import Network
from model.scale.notebook import featurize_udf
from tests.scale.conftest import SPEC
from tests.support.photos import photo


def test_batches_of_photos_give_their_features(network: Network) -> None:
    contents = [photo(10), b"no photo", photo(200), None]
    batch = pyarrow.RecordBatch.from_pydict({"path": ["a", "b", "c", "d"], "content": contents, "length": [1, 2, 3, 4]})
    [found] = featurize_udf(network.graph, SPEC)([batch])
    rows = found.to_pylist()
    assert [row["path"] for row in rows] == ["a", "b", "c", "d"]
    assert [row["error"] is None for row in rows] == [True, False, True, False]
    assert rows[1]["features"] is None and "empty file" in rows[3]["error"]
    nameless = pyarrow.RecordBatch.from_pydict({"path": [None, "b"], "content": [photo(10), photo(20)]})
    [found] = featurize_udf(network.graph, SPEC)([nameless])
    assert [row["path"] for row in found.to_pylist()] == ["", "b"]
    np.testing.assert_allclose(rows[2]["features"], decode_image(photo(200), SPEC).mean(axis=(0, 1)), rtol=1e-5)
