"""The network in LitServe: `python -m benchmarks.other_servers.lit PORT WORKERS`."""

import sys
from typing import Any

import litserve
from fastapi import Request

from benchmarks.other_servers.network import load_network


class Classifier(litserve.LitAPI):
    """Answers a form with a photo in its field `image`."""

    def setup(self, device: str) -> None:
        """Load the network in a worker."""
        self.network = load_network()

    def decode_request(self, request: Request) -> bytes:
        """Content of the photo."""
        return bytes(request["image"].file.read())

    def predict(self, content: bytes) -> dict[str, Any]:
        """Classify the photo."""
        return self.network.classify(content)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """The answer as JSON."""
        return output


if __name__ == "__main__":
    server = litserve.LitServer(Classifier(), accelerator="cpu", workers_per_device=int(sys.argv[2]))
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
