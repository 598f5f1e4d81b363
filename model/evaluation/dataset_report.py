"""Report of a trained model on another dataset: the page that a training writes, with the values of the evaluation."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model import bundle_files
from model.bundle import Bundle
from model.dataset.rereading import PhotoReader
from model.dataset.verdict import Rejected
from model.errors import ConfigError, ModelDamagedError
from model.evaluation.confident_errors import find_confident_errors
from model.evaluation.evaluate import Evaluation
from model.evaluation.report.content import ReportContent
from model.evaluation.report.render import with_thumbnails, write_report
from model.measurements import Measurement
from model.reading import UnreadableError, parse_json, unreadable
from model.serving.predictor import Predictor
from model.tables import read_rows
from model.training_result import Tuning


def write_dataset_report(
    path: Path,
    predictor: Predictor,
    evaluation: Evaluation,
    split: str,
    unreadable: Sequence[Rejected],
    warnings: Sequence[str],
) -> None:
    """Write the report of a model that was evaluated on a dataset; the images must still be readable.

    Args:
        split: the images: `test`, `val` or `all`; those of `val` also selected the options, which the report says.
        unreadable: images that could not be read, and why.
        warnings: sentences about the dataset and the selection of images.
    """
    measurement: Measurement = "val" if split == "val" else "test"
    evaluations = {measurement: evaluation}
    bundle, photos = predictor.bundle, PhotoReader()
    content = ReportContent(
        bundle.manifest,
        evaluations,
        read_history(bundle),
        rejected=unreadable,
        warnings=warnings,
        confident_errors=find_confident_errors(evaluations, predictor, photos=photos),
        tuning=_tuning(bundle),
    )
    write_report(path, with_thumbnails(content, photos))


def read_history(bundle: Bundle) -> list[dict[str, Any]]:
    """Rows of results.csv; none for a model without this file, such as an imported one."""
    if bundle_files.RESULTS not in bundle.manifest.files:
        return []
    content = bundle.read_file(bundle_files.RESULTS)
    try:
        with unreadable():
            return list(read_rows(io.StringIO(content.decode(), newline="")))
    except UnreadableError as error:
        raise ModelDamagedError(f"{bundle.directory / bundle_files.RESULTS}: expected a table, {error}") from error


def _tuning(bundle: Bundle) -> dict[str, Any] | None:
    """Content of tuning.json; None without a search."""
    if bundle_files.TUNING not in bundle.manifest.files:
        return None
    content = bundle.read_file(bundle_files.TUNING)
    try:
        with unreadable():
            return Tuning.from_json(parse_json(content)).to_json()
    except (ConfigError, UnreadableError) as error:
        raise ModelDamagedError(f"{bundle.directory / bundle_files.TUNING}: expected a search, {error}") from error
