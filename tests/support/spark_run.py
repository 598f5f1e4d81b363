"""Program that featurizes photos on Spark, in an environment without the other packages of Topgraft.

It prints `started` when Spark is ready, and the result as JSON.
"""

import json
import logging
import sys
from pathlib import Path

from model.results import InputSpec
from model.scale.featurize import featurize
from model.scale.network import Network
from model.scale.source import SplitOptions
from model.scale.spark import spark_engine


def main(source: str, out: str, master: str, graph: str, *settings: str) -> int:
    """Featurize with the network in a file, in chunks of three photos."""
    import os

    arguments = " ".join(f"--conf {setting}" for setting in settings)
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"{arguments} pyspark-shell"
    logging.basicConfig(level=logging.WARNING)
    spec = InputSpec.square(32)
    network = Network("colour", Path(graph).read_bytes(), spec)
    with spark_engine(master) as engine:
        print("started", flush=True)
        result = featurize(source, out, network, SplitOptions(0.2, 0.2, 1), max_photos=3, engine=engine)
    print(json.dumps(vars(result)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
