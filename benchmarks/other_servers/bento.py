"""The network in BentoML: `bentoml serve benchmarks.other_servers.bento:Classifier`, with BENCHMARK_WORKERS workers."""

import os
from pathlib import Path
from typing import Any

import bentoml

from benchmarks.other_servers.network import load_network


# No other server here logs each request.
@bentoml.service(workers=int(os.environ["BENCHMARK_WORKERS"]), logging={"access": {"enabled": False}})
class Classifier:
    """Answers a form with a photo in its field `image`."""

    def __init__(self) -> None:
        self.network = load_network()

    @bentoml.api
    def predict(self, image: Path) -> dict[str, Any]:
        """Classify the photo."""
        return self.network.classify(image.read_bytes())
