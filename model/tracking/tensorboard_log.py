"""A training for TensorBoard, written as it goes on; without TensorFlow.

    logs/head/, logs/fine_tune/   curves: the numbers of each epoch, learning rate and images per second
    logs/pictures/                what the augmentation makes of images; confusion matrix and surest errors of the
                                  validation images; the features of images for the projector

Pictures are drawn as often as costs at most a twentieth of the time, and once at the end of each phase.
"""

import dataclasses
import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from model.results import Dataset, labels_of
from model.tracking.epoch_figures import Thumbnails, draw_confusion_matrix, draw_surest_errors
from model.tracking.projector import write_projector
from model.training.epochs import Epoch

PICTURES = "pictures"
_SHARE_OF_TIME = 1 / 20
# What the first pictures are taken to cost.
_FIRST_SECONDS = 0.3


class TensorBoardLog:
    """A `model.training.journal.Journal` in files that TensorBoard shows while they grow."""

    def __init__(self, directory: Path, dataset: Dataset, resize: str) -> None:
        """Args:
        directory: logs/ of the model; what is there of an earlier run is superseded.
        resize: how images become square.
        """
        self._directory, self._dataset = directory, dataset
        self._thumbnails = Thumbnails(resize)
        self._labels = labels_of(dataset.val)
        self._curves: dict[str, _Curves] = {}
        self._pictures = _EventFile(directory / PICTURES)
        self._undrawn: tuple[Epoch, np.ndarray] | None = None
        self._started, self._spent, self._last_cost = time.perf_counter(), 0.0, _FIRST_SECONDS

    def views(self, contact_sheet: Image.Image) -> None:
        """Show what the augmentation makes of images."""
        self._pictures.add_pictures(0, {"augmentation": contact_sheet})

    def epoch(self, row: Epoch, val_logits: np.ndarray | None) -> None:
        """See `model.training.journal.Journal`."""
        if row.phase not in self._curves:
            self._draw()
            self._curves[row.phase] = _Curves(self._directory / row.phase, len(self._dataset.train))
        if self._curves[row.phase].add(row) and val_logits is not None:
            self._undrawn = row, val_logits
            elapsed = time.perf_counter() - self._started
            if self._spent + self._last_cost <= _SHARE_OF_TIME * elapsed:
                self._draw()

    def features(self, features: np.ndarray) -> None:
        """See `model.training.journal.Journal`."""
        write_projector(self._directory / PICTURES, features, self._dataset, self._thumbnails)

    def finish(self, history: Sequence[Epoch]) -> None:
        """Close the files, with the curves of `history`: of several heads side by side, another may have won."""
        self._draw()
        self._pictures.close()
        for phase, curves in self._curves.items():
            curves.finish([row for row in history if row.phase == phase])

    def _draw(self) -> None:
        if self._undrawn is None:
            return
        started = time.perf_counter()
        row, logits = self._undrawn
        matrix = draw_confusion_matrix(logits.argmax(axis=-1), self._labels, self._dataset.classes)
        errors = draw_surest_errors(logits, self._dataset.val, self._dataset.classes, self._thumbnails)
        pictures = {"confusion_matrix": matrix, "surest_errors": errors}
        self._pictures.add_pictures(row.epoch, {f"{name}/{row.phase}": one for name, one in pictures.items()})
        self._undrawn = None
        self._last_cost = time.perf_counter() - started
        self._spent += self._last_cost


class _Curves:
    """The numbers of the epochs of one phase."""

    def __init__(self, directory: Path, images: int) -> None:
        self._directory, self._images = directory, images
        self._file = _EventFile(directory)
        self._rows: list[Epoch] = []
        self._times: list[float] = []

    def add(self, row: Epoch) -> bool:
        """Write it down, unless it was told before; whether it was not."""
        if len(self._rows) >= row.epoch:
            return False
        self._rows.append(row)
        self._times.append(time.time())
        self._file.add_scalars(row.epoch, self._values(row), self._times[-1])
        return True

    def finish(self, rows: Sequence[Epoch]) -> None:
        self._file.close()
        if list(rows) == self._rows:
            return
        file = _EventFile(self._directory)
        for row, moment in zip(rows, self._times, strict=False):
            file.add_scalars(row.epoch, self._values(row), moment)
        file.close()

    def _values(self, row: Epoch) -> dict[str, float]:
        values = dataclasses.asdict(row)
        del values["phase"], values["epoch"]
        return values | {"images_per_second": self._images / row.seconds if row.seconds else 0.0}


class _EventFile:
    """A file of TensorBoard's events, alone in its folder: others there are removed."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        for superseded in directory.glob("events.out.tfevents.*"):
            superseded.unlink()
        self._stream = open(directory / f"events.out.tfevents.{time.time_ns()}.topgraft", "xb")  # noqa: SIM115
        self._writer = RecordWriter(self._stream)
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def add_scalars(self, step: int, values: Mapping[str, float], moment: float) -> None:
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        self._write(Event(wall_time=moment, step=step, summary=summary))

    def add_pictures(self, step: int, pictures: Mapping[str, Image.Image]) -> None:
        summary = Summary(value=[Summary.Value(tag=tag, image=_encoded(one)) for tag, one in pictures.items()])
        self._write(Event(wall_time=time.time(), step=step, summary=summary))

    def close(self) -> None:
        self._stream.close()

    def _write(self, event: Event) -> None:
        self._writer.write(event.SerializeToString())
        self._writer.flush()


def _encoded(picture: Image.Image) -> Summary.Image:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return Summary.Image(
        height=picture.height, width=picture.width, colorspace=3, encoded_image_string=stream.getvalue()
    )
