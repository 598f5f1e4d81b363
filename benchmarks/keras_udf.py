"""Features by Keras in a pandas UDF of Spark, as notebooks write it: `python -m benchmarks.keras_udf`.

The photos are rows of a table with their content. Each task builds the network and sets the weights that were sent to
it, decodes photo by photo, and predicts the photos of each Arrow batch at once.
"""

import argparse
import io
from collections.abc import Iterator

import numpy as np
import pandas
from PIL import Image
from pyspark.sql import SparkSession
from pyspark.sql.functions import col, pandas_udf

from model.backbones import find_backbone
from model.networks.pretrained import build_backbone

NETWORK, SIZE = "EfficientNetLite0", 224
ROWS_OF_BATCH = "1024"


def main() -> None:
    """Write the features of the photos in a folder as Parquet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos")
    parser.add_argument("out")
    parser.add_argument("--master", default="local[2]")
    parser.add_argument("--partitions", type=int, default=24)
    options = parser.parse_args()
    session = SparkSession.builder.master(options.master).config("spark.ui.enabled", "false").getOrCreate()
    session.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", ROWS_OF_BATCH)
    weights = session.sparkContext.broadcast(build_backbone(find_backbone(NETWORK), SIZE, "imagenet").get_weights())

    @pandas_udf("array<float>")
    def featurize(contents: Iterator[pandas.Series]) -> Iterator[pandas.Series]:
        import keras

        network = build_backbone(find_backbone(NETWORK), SIZE, "none")
        network.set_weights(weights.value)
        pooled = keras.layers.GlobalAveragePooling2D()(network.output)
        pooling = keras.Model(network.input, pooled)
        for some in contents:
            yield pandas.Series(list(pooling.predict(np.stack([decoded(content) for content in some]), verbose=0)))

    photos = session.read.format("binaryFile").option("recursiveFileLookup", "true").load(options.photos)
    features = photos.repartition(options.partitions).select(col("path"), featurize("content").alias("features"))
    features.write.mode("overwrite").parquet(options.out)


def decoded(content: bytes) -> np.ndarray:
    """Pixels uint8 (size, size, 3) of a photo."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB").resize((SIZE, SIZE)))


if __name__ == "__main__":
    main()
