"""The function for notebooks: features of photos in record batches, and in Spark."""

import subprocess
from pathlib import Path

import numpy as np
import pyarrow
import pytest

from model.dataset.images import decode_image
from model.scale.network import Network
from model.scale.notebook import featurize_udf
from tests.scale.conftest import SPEC
from tests.scale.test_spark import OLD_VERSION, VERSION
from tests.support.command import ROOT
from tests.support.photos import photo
from tests.support.spark_cluster import spark_environment

PROGRAM = """
import sys
from pathlib import Path
from pyspark.sql import SparkSession
from model.results import InputSpec
from model.scale.notebook import featurize_udf

graph, photos = sys.argv[1:]
spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
extract = featurize_udf(Path(graph).read_bytes(), InputSpec.square(32))
table = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(photos)
rows = table.select("path", "content").mapInArrow(extract, extract.schema).collect()
print("rows", len(rows), sum(row.error is not None for row in rows), sum(len(row.features or ()) for row in rows))
"""


def test_batches_of_photos_give_their_features(network: Network) -> None:
    contents = [photo(10), b"no photo", photo(200), None]
    batch = pyarrow.RecordBatch.from_pydict({"path": ["a", "b", "c", "d"], "content": contents, "length": [1, 2, 3, 4]})
    [found] = featurize_udf(network.graph, SPEC)([batch])
    rows = found.to_pylist()
    assert [row["path"] for row in rows] == ["a", "b", "c", "d"]
    assert [row["error"] is None for row in rows] == [True, False, True, False]
    assert rows[1]["features"] is None and "empty file" in rows[3]["error"]
    np.testing.assert_allclose(rows[2]["features"], decode_image(photo(200), SPEC).mean(axis=(0, 1)), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("version", [OLD_VERSION, VERSION])
def test_photos_of_a_table_of_spark_get_features(network: Network, photos: Path, tmp_path: Path, version: str) -> None:
    (tmp_path / "colour.onnx").write_bytes(network.graph)
    (photos / "red" / "damaged.jpg").write_bytes(b"no photo")
    spark = spark_environment(version)
    ran = subprocess.run(
        [spark.programs / "python", "-c", PROGRAM, tmp_path / "colour.onnx", photos],
        env=spark.variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "rows 17 1 48" in ran.stdout, ran.stderr[-3000:]
