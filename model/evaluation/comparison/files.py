"""Files of a comparison: comparison.json, changed.csv and comparison.html."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from model import durable
from model.evaluation.comparison.page import render_comparison
from model.evaluation.comparison.result import Comparison, ModelAnswers
from model.results import Sample
from model.serving.predictor import Predictor
from model.tables import CHANGED_COLUMNS

PAGE = "comparison.html"
RESULT = "comparison.json"
CHANGED = "changed.csv"
FILES = (PAGE, RESULT, CHANGED)


def write_files(
    directory: Path, comparison: Comparison, predictors: Sequence[Predictor], samples: Sequence[Sample]
) -> None:
    """Write the files into an existing folder; the photos are read again and must still be readable.

    All files are written also if nothing was compared, so that none of a former comparison remains.

    Args:
        predictors: the models, the base model first; none if nothing was compared.
        samples: the compared photos, in the order of `comparison.names`.
    """
    durable.write_csv(directory / CHANGED, CHANGED_COLUMNS, changed_rows(comparison))
    durable.write_text(directory / PAGE, render_comparison(comparison, predictors, samples))
    # As described by docs/comparison.schema.json.
    durable.write_json(directory / RESULT, comparison.to_json())


def changed_rows(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    """A row for each photo and new model whose predictions differ, with the columns `CHANGED_COLUMNS`.

    `change` is `fixed` or `broken` if only the new or only the base model is correct, else `other`.
    """
    base = comparison.answers[comparison.base] if comparison.pairs else None
    for pair in comparison.pairs:
        new = comparison.answers[pair.new]
        for row, (name, true) in enumerate(zip(comparison.names, comparison.true_of, strict=True)):
            if base is not None and base.predicted[row] != new.predicted[row]:
                change = change_of(true, base.predicted[row], new.predicted[row])
                yield (name, true, pair.new, change, *_cells(base, row), *_cells(new, row))


def change_of(true: str, base: str, new: str) -> str:
    """`fixed`, `broken` or `other`, of a photo of class `true` for which the models predict different classes."""
    return "fixed" if new == true else "broken" if base == true else "other"


def _cells(answers: ModelAnswers, row: int) -> tuple[str, str, str]:
    unknown = "" if answers.unknown is None else "true" if answers.unknown[row] else "false"
    return answers.predicted[row], f"{answers.confidence[row]:.6f}", unknown
