"""Times without a server: the bare call of ONNX Runtime, decoding, and a batch through the library."""

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from model.bundle import open_bundle
from model.bundle_files import ONNX_MODEL

BATCHES = (8, 32)
_SINGLE_CALLS = 30


@dataclasses.dataclass(frozen=True)
class Round:
    """Seconds per photo, all measured in the same round.

    Attributes:
        single: median of bare calls with one photo.
        in_batches: seconds of bare calls with batches, by batch size.
        library: seconds of `predict` with encoded photos, including decoding.
    """

    single: float
    in_batches: dict[int, float]
    library: float


@dataclasses.dataclass(frozen=True)
class Bare:
    """Measurements of one network.

    Attributes:
        decoding: median seconds by the name of a photo.
    """

    decoding: dict[str, float]
    rounds: tuple[Round, ...]

    @property
    def network(self) -> float:
        """Seconds of the bare call for one photo."""
        return statistics.median(one.single for one in self.rounds)

    @property
    def best_batch(self) -> int:
        """Batch size with the shortest bare call per photo."""
        return min(BATCHES, key=lambda size: statistics.median(one.in_batches[size] for one in self.rounds))

    @property
    def network_in_batch(self) -> float:
        """Seconds of the bare call for each photo of its best batch."""
        return statistics.median(one.in_batches[self.best_batch] for one in self.rounds)

    @property
    def library_in_batch(self) -> float:
        """Seconds of the library for each photo of a batch, with decoding."""
        return statistics.median(one.library for one in self.rounds)

    @property
    def fraction(self) -> float:
        """Throughput of the library as a fraction of the bare call's, median of the rounds."""
        return statistics.median(one.in_batches[self.best_batch] / one.library for one in self.rounds)

    def reaches(self, fraction: float) -> bool | None:
        """Whether the library reaches this fraction; None if a photo takes longer in a batch than alone, which shows
        other load."""
        return None if self.network_in_batch > self.network else self.fraction >= fraction


def measure(directory: Path, photos: Mapping[str, bytes], in_batch: str, count: int, rounds: int) -> Bare:
    """Measure a model, in this process, with the session that a worker has.

    Args:
        photos: encoded photos by name.
        in_batch: name of the photo that fills the batches.
        count: number of photos per round, for the library and for bare calls each.
    """
    from model.dataset.images import decode_image
    from model.features.onnx_session import IMAGE, PROBABILITIES, open_session
    from model.serving.predictor import load_predictor

    bundle = open_bundle(directory)
    spec = bundle.manifest.input_spec
    session = open_session(directory / ONNX_MODEL)
    predictor = load_predictor(bundle)
    image = decode_image(photos[in_batch], spec)[None]
    batches = {many: np.repeat(image, many, axis=0) for many in BATCHES}
    encoded = [(f"{number}.jpg", photos[in_batch]) for number in range(count)]

    def call(images: np.ndarray) -> None:
        session.run([PROBABILITIES], {IMAGE: images})

    def in_batches(many: int) -> float:
        calls = max(1, count // many)

        def work() -> None:
            for _ in range(calls):
                call(batches[many])

        return _seconds(work) / (calls * many)

    works: dict[object, Callable[[], float]] = {
        "single": lambda: median_seconds(lambda: call(image), _SINGLE_CALLS),
        **{many: functools.partial(in_batches, many) for many in BATCHES},
        "library": lambda: _seconds(lambda: list(predictor.predict_stream(encoded))) / count,
    }
    for images in (image, *batches.values()):
        call(images)
    found = []
    for number in range(rounds):
        # Forwards, then backwards: slow changes of the machine affect all measurements alike.
        order = list(works) if number % 2 == 0 else list(reversed(works))
        taken = {name: works[name]() for name in order}
        found.append(Round(taken["single"], {many: taken[many] for many in BATCHES}, taken["library"]))
    decoding = {
        name: median_seconds(functools.partial(decode_image, photo, spec), 30) for name, photo in photos.items()
    }
    return Bare(decoding, tuple(found))


def median_seconds(work: Callable[[], object], times: int) -> float:
    """Median seconds of some calls, after one warm-up call."""
    work()
    return statistics.median(_seconds(work) for _ in range(times))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
