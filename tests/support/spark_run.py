"""Program that featurizes photos on Spark, in an environment without the other packages of Topgraft.

It prints `started` when Spark is ready, and the result as JSON. It also computes features of the photos as rows of a
table, by the function for notebooks, and writes predictions to `OUT-scores` if there is a model.
"""

import json
import logging
import pickle
import sys
from pathlib import Path

from model.results import InputSpec
from model.scale.chunk_run import RunOptions
from model.scale.featurize import featurize
from model.scale.network import Network
from model.scale.notebook import featurize_udf
from model.scale.photo_scoring import score_photos
from model.scale.source import SplitOptions
from model.scale.spark import spark_engine


def main(source: str, out: str, master: str, graph: str, scorer: str, *settings: str) -> int:
    """Featurize with the network in a file, in chunks of three photos, and predict by a pickled `PhotoScorer`."""
    import os

    arguments = " ".join(f"--conf {setting}" for setting in settings)
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"{arguments} pyspark-shell"
    logging.basicConfig(level=logging.WARNING)
    spec = InputSpec.square(32)
    network = Network("colour", Path(graph).read_bytes(), spec)
    with spark_engine(master) as engine:
        print("started", flush=True)
        splits = SplitOptions(0.2, 0.2, 1)
        result = featurize(source, out, network, splits, max_photos=3, engine=engine)
        if scorer:
            model = pickle.loads(Path(scorer).read_bytes())
            score_photos(source, f"{out}-scores", model, RunOptions(splits, max_photos=3, engine=engine))
        # Spark reads object stores by connectors of its own.
        rows = {} if "://" in source else _rows_of_table(source, network)
    print(json.dumps(vars(result) | {"table": rows}), flush=True)
    return 0


def _rows_of_table(source: str, network: Network) -> dict[str, int]:
    """Photos as rows of a table: their number, and those with an error and with features."""
    from pyspark.sql import SparkSession

    extract = featurize_udf(network.graph, network.spec)
    session = SparkSession.getActiveSession()
    photos = session.read.format("binaryFile").option("recursiveFileLookup", "true").load(source)
    found = photos.select("path", "content").mapInArrow(extract, extract.schema).select("error", "features").collect()
    errors = sum(row.error is not None for row in found)
    return {"rows": len(found), "errors": errors, "features": sum(len(row.features or ()) == 3 for row in found)}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
