"""How far the features of a training have come: the features themselves are in a cache that all trainings share."""

import json
from pathlib import Path

from model import durable

FEATURES_KEPT = "features_kept.json"


class FeaturesKept:
    """The most images that have had their features kept, for each way of making them, in a file of the training.

    The file changes when that number grows, and so not where a cache that goes with the machine is filled anew.
    """

    def __init__(self, work_directory: Path) -> None:
        self._path = work_directory / FEATURES_KEPT

    def __call__(self, made: str, images: int) -> None:
        """Now so many images have features made in this way.

        Raises:
            OSError: it cannot be written down.
        """
        most = self._read()
        if images > most.get(made, 0):
            durable.write_json(self._path, most | {made: images})

    def _read(self) -> dict[str, int]:
        try:
            most: dict[str, int] = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return most
