"""Photos in files, folders, zips and lists of paths, and their predictions."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from model.config import PredictConfig
from model.dataset.image_files import is_image_member
from model.dataset.images import read_content
from model.errors import ArchiveError, ImageError
from model.files.archive_limits import DATASET_LIMITS
from model.files.archives import count_zip_files, iter_zip_images
from model.files.browsing import name_some
from model.reading import without_number
from model.results import Prediction, Progress, no_progress
from model.serving.photo_files import find_photo_files, is_zip
from model.serving.predictor import Predictor
from model.shown import printable

log = logging.getLogger(__name__)


class Photos:
    """The photos in files, folders, zips and lists, read one after another: pairs of name and content.

    Attributes:
        answered: name -> number of its predictions so far; as many photos of this name are skipped.
        unreadable: after the iteration, the files that could not be opened, with the errors.
        passed_over: after the iteration, names of the files and folders that are no photos: hidden or made by a system,
            or without the content and the suffix of an image.
    """

    def __init__(self, paths: Sequence[Path], name_of: Callable[[Path], str] = str) -> None:
        self._name_of = name_of
        self._files, self._others = find_photo_files(paths)
        self.answered: Counter[str] = Counter()
        self.unreadable: list[Prediction] = []
        self.passed_over: list[str] = []

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Read the photos in the order given, those of a folder by name."""
        self.unreadable.clear()
        self.passed_over = [printable(self._name_of(path)) for path in self._others]
        self._left = self.answered.copy()
        for path in self._files:
            # A name that is not UTF-8 could not be written to any answer.
            name = printable(self._name_of(path))
            try:
                if is_zip(path):
                    yield from self._zipped(path, name)
                elif not self._has_answer(name):
                    yield name, read_content(path)
            except (ArchiveError, ImageError) as error:
                self._leave_out(name, error.message)
            except OSError as error:
                self._leave_out(name, without_number(error))

    def __len__(self) -> int:
        """Estimated number of photos; those in a zip are counted by its table of contents."""
        return sum(count_zip_files(path) or 1 if is_zip(path) else 1 for path in self._files)

    def _zipped(self, path: Path, name: str) -> Iterator[tuple[str, bytes]]:
        photos = iter_zip_images(
            path,
            DATASET_LIMITS,
            lambda entry, reason: self._leave_out(f"{name}/{entry}", reason),
            on_hidden=lambda entry: self.passed_over.append(f"{name}/{entry}"),
        )
        for entry, content in photos:
            if not is_image_member(entry, content):
                self.passed_over.append(f"{name}/{entry}")
            elif not self._has_answer(f"{name}/{entry}"):
                yield f"{name}/{entry}", content

    def _leave_out(self, name: str, reason: str) -> None:
        if not self._has_answer(name):
            self.unreadable.append(Prediction(image=name, error=reason))

    def _has_answer(self, name: str) -> bool:
        self._left[name] -= 1
        return self._left[name] >= 0


def predict_photos(
    predictor: Predictor, photos: Photos, config: PredictConfig, progress: Progress = no_progress
) -> Iterator[Prediction]:
    """Classify the photos without a prediction; unreadable images have an error, and files that cannot be opened
    come last."""
    start, before = time.monotonic(), photos.answered.total()
    total = len(photos)
    for done, prediction in enumerate(predictor.predict_stream(photos, config), before + 1):
        yield prediction
        rate = (done - before) / max(time.monotonic() - start, 1e-9)
        progress("predict", done, max(done, total), images_per_second=rate)
    yield from photos.unreadable
    if photos.passed_over:
        log.info(
            "passed over %d files and folders that are not photos: %s",
            len(photos.passed_over),
            name_some(photos.passed_over),
        )


def refuse_unreadable(predictions: Sequence[Prediction]) -> None:
    """Check that at least one photo could be read.

    Raises:
        ImageError: no photo could be read; the message lists all errors.
    """
    if all(item.error is not None for item in predictions):
        listed = "".join(f"\n  {item.image}: {item.error}" for item in predictions)
        raise ImageError(
            f"expected at least one photo, found none that can be read.{listed or ' The folders hold no photos.'}"
        )
