"""`topgraft predict`: what a model says of photos in files, folders and zips."""

import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model import durable
from model.cli.options import (
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
from model.errors import ArchiveError, ImageError
from model.results import Prediction, Progress, no_progress

if TYPE_CHECKING:
    from model.serving.predictor import Predictor

TABLE_FORMATS = (".csv", ".json", ".jsonl")
PICTURE_FORMATS = (".png",)


@click.command()
@click.argument("model", metavar="MODEL")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@config_options(PredictConfig, only=[name for name in options_of(PredictConfig) if name != "model"])
@config_file_option
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"Write the predictions to this file: {', '.join(TABLE_FORMATS)}.",
)
@click.option(
    "--picture",
    metavar="FILE.png",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the first answer: the photo, where the model looked, and the likeliest classes.",
)
@json_option
@workspace_option
def predict(
    model: str,
    paths: tuple[Path, ...],
    config_file: Path | None,
    output: Path | None,
    picture: Path | None,
    as_json: bool,
    **typed: Any,
) -> None:
    """Classify photos: files, folders and .zip files of them.

    MODEL is the name of a trained model, or latest. Photos that cannot be read are listed; the
    exit status is 3 when none can.
    """
    check_output_file("--output", output, TABLE_FORMATS)
    check_output_file("--picture", picture, PICTURE_FORMATS)
    config = resolve(PredictConfig, typed | {"model": model}, config_file)
    workspace = current_workspace()
    photos = Photos(paths)
    from model.serving.predictor import find_predictor

    predictor = find_predictor(workspace, config.model)
    with progress_display() as progress:
        predictions = predict_photos(predictor, photos, config, progress)
    _refuse_if_none_was_read(predictions)
    answer = {
        "status": "OK",
        "model": predictor.bundle.name,
        "unknown_judged_by": list(predictor.judged_by),
        "predictions": [item.to_json() for item in predictions],
    }
    if output is not None:
        write_predictions(output, answer, predictions)
        click.echo(f"Wrote {len(predictions)} predictions to {output}", err=True)
    if picture is not None:
        durable.write_bytes(picture, draw_first_answer(predictor, Photos(paths), config))
        click.echo(f"Drew the first answer to {picture}", err=True)
    for failed in predictions:
        if failed.error is not None:
            click.echo(f"Not read: {failed.image}: {failed.error}", err=True)
    if as_json:
        print_json(answer)
    elif output is None:
        click.echo("\n".join(prediction_line(item) for item in predictions if item.error is None))


class Photos:
    """The photos in files, folders and zips, read one after another: pairs of name and content.

    Attributes:
        unreadable: after the iteration, the files that could not be opened, and why.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [file for path in paths for file in _files_of(path)]
        self.unreadable: list[Prediction] = []

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Read the photos in the order given, those of a folder by name."""
        from model.dataset.browsing import printable
        from model.dataset.images import read_content

        self.unreadable.clear()
        for path in self._files:
            # A name that is not UTF-8 could not be written to any answer.
            name = printable(str(path))
            try:
                if path.suffix.lower() == ".zip":
                    yield from self._zipped(path, name)
                else:
                    yield name, read_content(path)
            except (ArchiveError, ImageError) as error:
                self._leave_out(name, error.message)
            except OSError as error:
                self._leave_out(name, error.strerror or str(error))

    def __len__(self) -> int:
        """How many photos there seem to be: those in a zip are counted by its own table."""
        return sum(_entries(path) if path.suffix.lower() == ".zip" else 1 for path in self._files)

    def _zipped(self, path: Path, name: str) -> Iterator[tuple[str, bytes]]:
        from model.dataset.archives import DATASET_LIMITS, iter_zip_images

        photos = iter_zip_images(path, DATASET_LIMITS, lambda entry, why: self._leave_out(f"{name}/{entry}", why))
        yield from ((f"{name}/{entry}", content) for entry, content in photos)

    def _leave_out(self, name: str, why: str) -> None:
        self.unreadable.append(Prediction(image=name, error=why))


def predict_photos(
    predictor: "Predictor", photos: Photos, config: PredictConfig, progress: Progress = no_progress
) -> list[Prediction]:
    """Classify the photos; those that cannot be read come with an error, files that cannot be opened last."""
    predictions, total = [], len(photos)
    for prediction in predictor.predict(photos, config):
        predictions.append(prediction)
        progress("predict", len(predictions), max(len(predictions), total))
    return predictions + photos.unreadable


def draw_first_answer(predictor: "Predictor", photos: Photos, config: PredictConfig) -> bytes:
    """A PNG of the first photo that can be read, where the model looked, and its likeliest classes."""
    from model.serving.explain import answer_picture

    content, prediction = next(
        (content, prediction)
        for name, content in photos
        for prediction in predictor.predict([(Path(name).name, content)], config)
        if prediction.error is None
    )
    return answer_picture(predictor, content, prediction, config.explain_class)


def write_predictions(path: Path, answer: dict[str, Any], predictions: Sequence[Prediction]) -> None:
    """Write predictions as the file's ending says: a table, the JSON answer, or an object a line."""
    from model.serving.table import predictions_table

    suffix = path.suffix.lower()
    if suffix == ".csv":
        durable.write_csv(path, *predictions_table(predictions))
    elif suffix == ".json":
        durable.write_json(path, answer)
    else:
        lines = [json.dumps(durable.to_json(item), ensure_ascii=False) for item in answer["predictions"]]
        durable.write_text(path, "".join(f"{line}\n" for line in lines))


def prediction_line(prediction: Prediction) -> str:
    """The answer for one image, for a terminal: the three likeliest classes."""
    pairs = list(zip(prediction.labels, prediction.probabilities, strict=True))[:3]
    answer = f"{prediction.image}: " + ", ".join(f"{label} {format_share(value)}" for label, value in pairs)
    unknown = f"  (unknown: {prediction.unknown_explanation})" if prediction.unknown else ""
    alike = ", ".join(f"{near.image} ({near.label}) {near.distance:.3f}" for near in prediction.neighbours or ())
    return answer + unknown + (f"\n  most alike: {alike}" if alike else "")


def _files_of(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    from model.dataset.images import IMAGE_SUFFIXES

    suffixes = IMAGE_SUFFIXES | {".zip"}
    return sorted(file for file in path.rglob("*") if file.suffix.lower() in suffixes and file.is_file())


def _entries(path: Path) -> int:
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(not entry.is_dir() for entry in archive.infolist())
    except (OSError, zipfile.BadZipFile):
        return 1


def _refuse_if_none_was_read(predictions: Sequence[Prediction]) -> None:
    if all(item.error is not None for item in predictions):
        listed = "".join(f"\n  {item.image}: {item.error}" for item in predictions)
        raise ImageError(
            f"expected at least one photo, found none that can be read.{listed or ' The folders hold no photos.'}"
        )
