"""Features in a notebook of Spark: a function for `DataFrame.mapInArrow`, for photos that are rows of a table.

    photos = spark.read.format("binaryFile").option("pathGlobFilter", "*.jpg").load("s3://bucket/photos")
    network = model_network(find_bundle(find_workspace(), "latest"))
    extract = featurize_udf(network.graph, network.spec)
    features = photos.select("path", "content").mapInArrow(extract, extract.schema)

`topgraft featurize` is faster and can be resumed: no photo passes through Spark there.
"""

import functools
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, cast

from model.features.extractor import FeatureExtractor
from model.results import InputSpec
from model.scale.chunks import Photo
from model.scale.files import File
from model.scale.parts import rows_table
from model.scale.work import rows_of_contents

_COLUMNS = ("path", "features", "width", "height", "sha256", "error")
_SCHEMA = "path string, features array<float>, width int, height int, sha256 string, error string"
# Networks that a worker of Spark keeps for its next tasks.
_MAX_NETWORKS = 2


class ExtractUdf(Protocol):
    """Function of record batches with the columns `path` and `content` to record batches with features.

    Attributes:
        schema: columns of the result, as Spark writes them.
    """

    schema: str

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Features of the photos in the batches."""


def featurize_udf(graph: bytes, spec: InputSpec) -> ExtractUdf:
    """Function for `DataFrame.mapInArrow` that computes the features of photos; its attribute `schema` is the result's.

    The function takes the columns `path` and `content`, as Spark's format `binaryFile` has them. A photo that cannot be
    decoded has an error, and no features.

    Args:
        graph: the network in ONNX, such as `model.scale.network.model_network(bundle).graph`.
        spec: its input, such as `bundle.manifest.input_spec`.
    """

    def extract(batches: Iterable[Any]) -> Iterator[Any]:
        extractor = _extractor(graph, spec)
        for batch in batches:
            paths, contents = (batch.column(batch.schema.get_field_index(name)) for name in ("path", "content"))
            photos = [Photo(File((path or "").encode(), 0, ""), None, "train") for path in paths.to_pylist()]
            rows = list(rows_of_contents(extractor, photos, (content.as_py() or b"" for content in contents)))
            yield from rows_table(rows).select(_COLUMNS).to_batches()

    udf = cast(ExtractUdf, extract)
    udf.schema = _SCHEMA
    return udf


@functools.lru_cache(_MAX_NETWORKS)
def _extractor(graph: bytes, spec: InputSpec) -> FeatureExtractor:
    return FeatureExtractor(graph, spec, threads=1)
