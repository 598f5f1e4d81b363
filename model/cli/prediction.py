"""`topgraft predict`: classify photos in files, folders and zips."""

import codecs
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model import durable
from model.bundle_files import MANIFEST
from model.cli.answers import kept_answers, write_answers
from model.cli.options import (
    PathOrRemote,
    check_output_file,
    config_file_option,
    config_options,
    current_workspace,
    json_option,
    resolve,
    workspace_option,
)
from model.cli.output import format_share, print_json, progress_display
from model.config import PredictConfig, options_of
from model.errors import ArchiveError, ConfigError, ImageError
from model.files.checksums import file_sha256
from model.results import Prediction, Progress, no_progress
from model.storage.copies import local_paths, output_file

if TYPE_CHECKING:
    from model.serving.predictor import Predictor

TABLE_FORMATS = (".csv", ".json", ".jsonl", ".parquet")
PICTURE_FORMATS = (".png",)
LIST_SUFFIX = ".txt"


@click.command()
@click.argument("model", metavar="MODEL")
@click.argument("named", metavar="PATH...", nargs=-1, required=True)
@config_options(PredictConfig, only=[name for name in options_of(PredictConfig) if name != "model"])
@config_file_option
@click.option(
    "--output",
    metavar="FILE",
    type=PathOrRemote(dir_okay=False),
    help=f"Write the predictions to this file: {', '.join(TABLE_FORMATS)}.",
)
@click.option(
    "--picture",
    metavar="FILE.png",
    type=PathOrRemote(dir_okay=False),
    help="Draw the first prediction: the photo, its heat map, and the most probable classes.",
)
@json_option
@workspace_option
def predict(
    model: str,
    named: tuple[str, ...],
    config_file: Path | None,
    output: Path | None,
    picture: Path | None,
    as_json: bool,
    **typed: Any,
) -> None:
    """Classify photos: files, folders, .zip files, and .txt files with one path per line.

    MODEL is the name of a trained model, or latest. Photos that cannot be read are listed; the exit
    status is 3 if none can be read. With --output, running the same command again resumes an
    interrupted run. PATH and FILE may be remote:path.
    """
    check_output_file("--output", output, TABLE_FORMATS)
    check_output_file("--picture", picture, PICTURE_FORMATS)
    config = resolve(PredictConfig, typed | {"model": model}, config_file)
    workspace = current_workspace()
    with progress_display() as progress:
        copies = local_paths(named, f"topgraft predict {config.model}", progress)
        paths = click.get_current_context().with_resource(copies)
    photos = Photos(paths.paths, paths.name_of)
    from model.serving.predictor import find_predictor
    from model.serving.table import require_parquet

    if output is not None and output.suffix.lower() == ".parquet":
        require_parquet()
    predictor = find_predictor(workspace, config.model)
    head = {"status": "OK", "model": predictor.bundle.name, "unknown_judged_by": list(predictor.judged_by)}
    if output is not None:
        with output_file(output) as local:
            predictions = predict_to_file(predictor, photos, config, local, head)
        click.echo(f"Wrote {len(predictions)} predictions to {output}", err=True)
    else:
        with progress_display() as progress:
            predictions = list(predict_photos(predictor, photos, config, progress))
        _refuse_if_none_was_read(predictions)
    if picture is not None:
        with output_file(picture) as local:
            durable.write_bytes(local, draw_first_answer(predictor, Photos(paths.paths), config))
        click.echo(f"Drew the first prediction to {picture}", err=True)
    for failed in predictions:
        if failed.error is not None:
            click.echo(f"Not read: {failed.image}: {failed.error}", err=True)
    if as_json:
        print_json(head | {"predictions": [item.to_json() for item in predictions]})
    elif output is None:
        click.echo("\n".join(prediction_line(item) for item in predictions if item.error is None))


class Photos:
    """The photos in files, folders, zips and lists, read one after another: pairs of name and content.

    Attributes:
        answered: how often each name has its answer already: so often it is left out.
        unreadable: after the iteration, the files that could not be opened, and why.
    """

    def __init__(self, paths: Sequence[Path], name_of: Callable[[Path], str] = str) -> None:
        self._name_of = name_of
        self._files = [file for path in paths for file in _files_of(path)]
        self.answered: Counter[str] = Counter()
        self.unreadable: list[Prediction] = []

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Read the photos in the order given, those of a folder by name."""
        from model.dataset.images import read_content
        from model.files.browsing import printable

        self.unreadable.clear()
        self._left = self.answered.copy()
        for path in self._files:
            # A name that is not UTF-8 could not be written to any answer.
            name = printable(self._name_of(path))
            try:
                if path.suffix.lower() == ".zip":
                    yield from self._zipped(path, name)
                elif not self._has_answer(name):
                    yield name, read_content(path)
            except (ArchiveError, ImageError) as error:
                self._leave_out(name, error.message)
            except OSError as error:
                self._leave_out(name, error.strerror or str(error))

    def __len__(self) -> int:
        """How many photos there seem to be: those in a zip are counted by its own table."""
        from model.files.archives import count_zip_files

        return sum(count_zip_files(path) or 1 if path.suffix.lower() == ".zip" else 1 for path in self._files)

    def _zipped(self, path: Path, name: str) -> Iterator[tuple[str, bytes]]:
        from model.files.archive_limits import DATASET_LIMITS
        from model.files.archives import iter_zip_images

        photos = iter_zip_images(path, DATASET_LIMITS, lambda entry, why: self._leave_out(f"{name}/{entry}", why))
        for entry, content in photos:
            if not self._has_answer(f"{name}/{entry}"):
                yield f"{name}/{entry}", content

    def _leave_out(self, name: str, why: str) -> None:
        if not self._has_answer(name):
            self.unreadable.append(Prediction(image=name, error=why))

    def _has_answer(self, name: str) -> bool:
        self._left[name] -= 1
        return self._left[name] >= 0


def predict_photos(
    predictor: "Predictor", photos: Photos, config: PredictConfig, progress: Progress = no_progress
) -> Iterator[Prediction]:
    """Classify the photos that have no answer yet; those that cannot be read come with an error, files that cannot
    be opened last."""
    start, before = time.monotonic(), photos.answered.total()
    total = len(photos)
    for done, prediction in enumerate(predictor.predict_stream(photos, config), before + 1):
        yield prediction
        rate = (done - before) / max(time.monotonic() - start, 1e-9)
        progress("predict", done, max(done, total), images_per_second=rate)
    yield from photos.unreadable


def predict_to_file(
    predictor: "Predictor", photos: Photos, config: PredictConfig, output: Path, head: dict[str, Any]
) -> list[Prediction]:
    """Classify the photos into a file, going on where an interrupted run stopped; return all predictions in it.

    Raises:
        ConfigError: the interrupted run had another model or other options.
        ImageError: no photo can be read.
    """
    options = {name: value for name, value in vars(config).items() if name != "model"}
    manifest = file_sha256(predictor.bundle.directory / MANIFEST)
    run = {"model": predictor.bundle.name, "manifest_sha256": manifest, **options}
    with kept_answers(output, run) as answers, progress_display() as progress:
        photos.answered = answers.images.copy()
        for prediction in predict_photos(predictor, photos, config, progress):
            answers.add(prediction)
        predictions = list(answers)
        if any(prediction.error is None for prediction in predictions):
            write_answers(output, answers, head)
    _refuse_if_none_was_read(predictions)
    return predictions


def draw_first_answer(predictor: "Predictor", photos: Photos, config: PredictConfig) -> bytes:
    """Draw the first readable photo with its heat map and most probable classes; return a PNG."""
    from model.serving.prediction_figure import draw_prediction

    content, prediction = next(
        (content, prediction)
        for name, content in photos
        for prediction in predictor.predict_stream([(Path(name).name, content)], config)
        if prediction.error is None
    )
    return draw_prediction(predictor, content, prediction, config.explain_class)


def prediction_line(prediction: Prediction) -> str:
    """Describe one prediction in a line: the three most probable classes, unknown and similar photos."""
    pairs = list(zip(prediction.labels, prediction.probabilities, strict=True))[:3]
    answer = f"{prediction.image}: " + ", ".join(f"{label} {format_share(value)}" for label, value in pairs)
    unknown = f"  (unknown: {prediction.unknown_explanation})" if prediction.unknown else ""
    alike = ", ".join(f"{near.image} ({near.label}) {near.distance:.3f}" for near in prediction.neighbours or ())
    return answer + unknown + (f"\n  most similar: {alike}" if alike else "")


def _files_of(path: Path, lists: tuple[Path, ...] = ()) -> list[Path]:
    """The files that a path stands for; `lists` are those that led to it."""
    if path.suffix.lower() == LIST_SUFFIX and path.is_file():
        own = path.resolve()
        if own in lists:
            raise ConfigError(
                f"{path}: expected a list of photos, received one that leads back to itself. Take its name out of it."
            )
        # Paths are bytes to the system, and may be in any encoding; editors of Windows begin a text with a mark.
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
        lines = [os.fsdecode(line.strip(b"\r")) for line in content.split(b"\n")]
        return [file for line in lines if line.strip() for file in _files_of(path.parent / line, (*lists, own))]
    if not path.is_dir():
        return [path]
    from model.dataset.images import IMAGE_SUFFIXES
    from model.files.browsing import files_below

    suffixes = IMAGE_SUFFIXES | {".zip"}
    return sorted(file for file in files_below(path) if file.suffix.lower() in suffixes and file.is_file())


def _refuse_if_none_was_read(predictions: Sequence[Prediction]) -> None:
    if all(item.error is not None for item in predictions):
        listed = "".join(f"\n  {item.image}: {item.error}" for item in predictions)
        raise ImageError(
            f"expected at least one photo, found none that can be read.{listed or ' The folders hold no photos.'}"
        )
