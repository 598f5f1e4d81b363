"""Predictions saved to disk as they are computed, and converted to the requested file format at the end.

Until then they are in `OUTPUT.part`: one line with the model and options of the run, then a JSON object per image.
"""

import contextlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from model import durable
from model.cli.output import print_line
from model.errors import ConfigError
from model.locks import lock
from model.reading import UnreadableError, describe, parse_json, unreadable
from model.received import quoted
from model.results import Prediction
from model.shown import counted, printable_json

_SECONDS_BETWEEN_SYNCS = 5.0
# 100,000 classes with long names, and similar photos.
_MAX_LINE_BYTES = 64 * 1024**2
_UNGUARDED = "Do not write the same output from two commands at the same time."


class SavedPredictions:
    """Saved predictions of a run, including those of earlier interrupted runs.

    Attributes:
        images: number of saved predictions per image name.
    """

    def __init__(self, path: Path, stream: IO[bytes], run: dict[str, Any]) -> None:
        """Read the saved predictions; an incomplete last line is removed.

        Args:
            path: path of the file, for messages.
            stream: the file, open for reading and appending.
            run: model and options of this run, as plain JSON types.

        Raises:
            ConfigError: the file belongs to a run with another model or other options.
        """
        self._path = path
        self._stream = stream
        self._synced_at = time.monotonic()
        self.images: Counter[str] = Counter()
        end = 0
        for line in self._whole_lines():
            if end == 0:
                self._check_run(line, run)
            else:
                self.images[self._prediction(line).image] += 1
            end += len(line)
        stream.truncate(end)
        if end == 0:
            self._write(run)

    def add(self, prediction: Prediction) -> None:
        """Save one prediction."""
        self.images[prediction.image] += 1
        self._write(prediction.to_json())
        if time.monotonic() - self._synced_at > _SECONDS_BETWEEN_SYNCS:
            os.fsync(self._stream.fileno())
            self._synced_at = time.monotonic()

    def __len__(self) -> int:
        """Number of saved predictions."""
        return self.images.total()

    def __iter__(self) -> Iterator[Prediction]:
        """Read the saved predictions back, one at a time."""
        lines = self._whole_lines()
        next(lines)
        for line in lines:
            yield self._prediction(line)

    def _write(self, content: dict[str, Any]) -> None:
        self._stream.seek(0, os.SEEK_END)
        self._stream.write(json.dumps(durable.to_json(content)).encode() + b"\n")
        self._stream.flush()

    def _whole_lines(self) -> Iterator[bytes]:
        self._stream.seek(0)
        while (line := self._stream.readline(_MAX_LINE_BYTES)).endswith(b"\n"):
            yield line
        if len(line) == _MAX_LINE_BYTES:
            raise self._unusable(f"a line of more than {_MAX_LINE_BYTES:,} bytes")

    def _prediction(self, line: bytes) -> Prediction:
        try:
            return Prediction.from_json(parse_json(line, file_names=True))
        except UnreadableError as error:
            raise self._unusable(describe(error)) from error

    def _unusable(self, received: str) -> ConfigError:
        return ConfigError(
            f"{self._path}: expected the predictions of an interrupted run, received: {received}. Remove this file."
        )

    def _check_run(self, line: bytes, run: dict[str, Any]) -> None:
        try:
            with unreadable():
                before = dict(parse_json(line, file_names=True))
        except UnreadableError as error:
            raise self._unusable(describe(error)) from error
        run = durable.to_json(run)
        differing = sorted(name for name in {*before, *run} if before.get(name) != run.get(name))
        if differing:
            changed = "; ".join(
                f"{quoted(name)[1:-1]} was {quoted(before.get(name))}, is {quoted(run.get(name))}" for name in differing
            )
            raise ConfigError(
                f"{self._path}: expected the same model and options as those of the interrupted run, received others: "
                f"{changed}. Use the original ones, or remove this file to start over."
            )


@contextlib.contextmanager
def saved_predictions(output: Path, run: dict[str, Any]) -> Iterator[SavedPredictions]:
    """Saved predictions of the run that writes `output`; the file is deleted at the end unless the run is interrupted.

    Raises:
        ConfigError: another process is writing the file, or see `SavedPredictions`.
    """
    path = output.with_name(f"{output.name}.part")
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path}: expected a file, or none, found a folder, a pipe or a device. Remove it.")
    with open(path, "a+b") as stream:
        try:
            lock(stream, path, _UNGUARDED)
        except BlockingIOError as error:
            raise ConfigError(
                f"{path}: another command is writing it. Wait until it ends, or choose another file."
            ) from error
        predictions = SavedPredictions(path, stream, run)
        if len(predictions):
            print_line(f"Resuming after {counted(len(predictions), 'prediction')} in {path}", err=True)
        try:
            yield predictions
        except BaseException:
            saved = f"{counted(len(predictions), 'prediction')} {'is' if len(predictions) == 1 else 'are'} saved"
            print_line(
                f"{saved} in {path}. Run the same command again to resume.",
                err=True,
            )
            raise
        path.unlink()


def write_predictions(output: Path, predictions: SavedPredictions, head: dict[str, Any]) -> None:
    """Write all predictions in the format of the file's suffix: CSV, JSON, JSON Lines or Parquet.

    Args:
        head: entries of the JSON document besides its predictions.
    """
    from model.serving.table import predictions_table, write_parquet

    suffix = output.suffix.lower()
    if suffix == ".csv":
        durable.write_csv(output, *predictions_table(list(predictions)))
    elif suffix == ".json":
        durable.write_json(output, head | {"predictions": [prediction.to_json() for prediction in predictions]})
    elif suffix == ".parquet":
        durable.replace_file(output, lambda stream: write_parquet(stream, predictions))
    else:
        durable.replace_file(output, lambda stream: stream.writelines(map(_line, predictions)))


def _line(prediction: Prediction) -> bytes:
    document = json.dumps(durable.to_json(prediction.to_json()), ensure_ascii=False)
    return printable_json(document).encode() + b"\n"
