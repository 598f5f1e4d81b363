"""Reading the photos of a training again after its checks, when some may be gone, changed or unreadable."""

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from model.dataset.pipeline import decoded
from model.dataset.reading import read_photo
from model.errors import ImageError, TopgraftError
from model.results import InputSpec, Sample

_NO_HASHES: Mapping[str, str] = {}
_NO_FILES = "the training had the features of photos and not their files"


class PhotoReader:
    """Reads photos, and leaves out those that are no longer as they were; a lost mount is waited for.

    Attributes:
        missing: name of each photo that was left out -> reason.
    """

    def __init__(self, content_hashes: Mapping[str, str] = _NO_HASHES, has_files: bool = True) -> None:
        """Args:
        content_hashes: name of a photo -> sha256 of its bytes at the start, in hexadecimal; empty: not compared.
        has_files: whether there are files to read; else all photos are left out.
        """
        self._content_hashes, self._has_files = content_hashes, has_files
        self.missing: dict[str, str] = {}

    def read(self, sample: Sample) -> bytes:
        """Read the bytes of a photo.

        Raises:
            ImageError: the photo is missing, unreadable or changed.
            StorageError: the disk or mount stayed unavailable.
        """
        if not self._has_files:
            raise ImageError(_NO_FILES)
        content = read_photo(sample)
        expected = self._content_hashes.get(sample.name)
        if expected and hashlib.sha256(content).hexdigest() != expected:
            raise ImageError("its content has changed since the start of the training")
        return content

    def is_intact(self, sample: Sample) -> bool:
        """Whether a photo can be read and has not changed; otherwise the reason is recorded."""
        try:
            self.read(sample)
        except ImageError as error:
            self.leave_out(sample, error)
            return False
        return True

    def batches(
        self, samples: Sequence[Sample], spec: InputSpec, batch_size: int
    ) -> Iterator[tuple[list[Sample], np.ndarray]]:
        """Samples and their images uint8 (at most batch_size, height, width, 3), of the photos that can be read.

        Raises:
            StorageError: the disk or mount stayed unavailable.
        """
        images = decoded(samples, self.read, spec, on_error=self.leave_out)
        readable = ((sample, image) for sample, image in zip(samples, images, strict=True) if image is not None)
        while batch := list(itertools.islice(readable, batch_size)):
            yield [sample for sample, _ in batch], np.stack([image for _, image in batch])

    def some(self, samples: Sequence[Sample], count: int, spec: InputSpec) -> np.ndarray:
        """Images of at most `count` samples, evenly spread; others take the place of those that cannot be read.

        Returns:
            uint8 (images, height, width, 3); there are fewer than `count` only if no others can be read.
        """
        spread = evenly_spread(samples, count)
        names = {sample.name for sample in spread}
        candidates = itertools.chain(spread, (sample for sample in samples if sample.name not in names))
        found: list[np.ndarray] = []
        while len(found) < count and (chosen := list(itertools.islice(candidates, count - len(found)))):
            found += [image for _, images in self.batches(chosen, spec, count) for image in images]
        return np.stack(found) if found else np.empty((0, *spec.shape), np.uint8)

    def warnings(self, consequence: str) -> tuple[str, ...]:
        """Sentence about the photos that were left out, and the consequence; none if there are none."""
        if not self.missing:
            return ()
        if not self._has_files:
            return (f"{_NO_FILES}: {consequence}",)
        name, reason = next(iter(self.missing.items()))
        photos = "a photo was" if len(self.missing) == 1 else f"{len(self.missing):,} photos were"
        return (f"{photos} gone or changed after the start of the training, such as {name} ({reason}): {consequence}",)

    def leave_out(self, sample: Sample, error: TopgraftError) -> None:
        """Record why a photo was left out."""
        self.missing[sample.name] = error.message


def evenly_spread(samples: Sequence[Sample], number: int) -> list[Sample]:
    """Select at most `number` samples, evenly spread from the first to the last."""
    if not samples:
        return []
    positions = np.unique(np.linspace(0, len(samples) - 1, number).astype(int))
    return [samples[position] for position in positions]
