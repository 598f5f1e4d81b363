"""`topgraft suggest-labels`: classes of a model as suggestions in a project of Label Studio."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from model import durable
from model.errors import DatasetError
from model.files.browsing import name_some
from model.labels.candidates import MADE_BY, Candidate, candidate_of
from model.labels.controls import Control, choose_control
from model.labels.crops import CropOptions
from model.labels.server import LabelStudio
from model.labels.server_photos import ServerPhotos
from model.labels.server_predictions import TASKS_PER_PAGE, Stored, replace_predictions, stored_predictions
from model.labels.suggestions import NoSuggestion, Suggestion, suggest
from model.labels.suspected import SuspectedLabels
from model.results import Progress, no_progress
from model.serving.predictor import Predictor

PHASE = "suggest_labels"
SUSPECTED = ":suspected-label-error"
"""End of the model version of suggestions for labels that are suspected to be wrong."""


@dataclasses.dataclass(frozen=True)
class SuggestOptions:
    """Options of suggestions.

    Attributes:
        crops: how boxes are cut out.
        control: name of the labelling control; empty if the project has one.
        most: maximum number of suggestions; 0 for all.
        suspected: labels of annotated tasks that may be wrong.
    """

    crops: CropOptions = dataclasses.field(default_factory=CropOptions)
    control: str = ""
    most: int = 0
    suspected: SuspectedLabels = dataclasses.field(default_factory=SuspectedLabels)


@dataclasses.dataclass(frozen=True)
class LabelSuggestions:
    """Result of suggesting labels.

    Attributes:
        project: address of the project.
        model: name of the model; `model_version`: name of its predictions in the project.
        control: name of the control that they label.
        tasks: number of tasks in the project; `annotated`: of those with an annotation.
        suggestions: suspected labels first, then by score, the lowest first.
        left_out: tasks, boxes and suspected labels without a suggestion, with the reason.
        omitted: number of suggestions that the maximum number left out.
        corrected: images with suspected labels that the dataset no longer has.
        new, unchanged, removed: numbers of predictions that were sent, were there already, and were removed.
        warnings: sentences about the project.
    """

    project: str
    model: str
    model_version: str
    control: str
    tasks: int
    annotated: int
    suggestions: tuple[Suggestion, ...]
    left_out: tuple[NoSuggestion, ...]
    omitted: int
    corrected: tuple[str, ...]
    new: int
    unchanged: int
    removed: int
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        converted: dict[str, Any] = durable.to_json(dataclasses.asdict(self))
        for suggestion in converted["suggestions"]:
            del suggestion["result"]
        return converted


def suggest_labels(
    server: LabelStudio,
    project: int,
    predictor: Predictor,
    options: SuggestOptions,
    progress: Progress = no_progress,
) -> LabelSuggestions:
    """Send classes of a model to a project as predictions, which annotators accept or change.

    Tasks that are not annotated get one: the class of the photo or of each box in it. So do tasks with suspected
    labels. Nothing is sent before all photos are classified. Our former predictions are replaced, and the project shows
    the new ones first.

    Args:
        project: number of the project.
        progress: called with the phases `suggest_labels` and `send_suggestions`.

    Raises:
        DatasetError: the project has no usable control, no tasks, no boxes to classify, or no photo that can be read.
        StorageError: the server does not answer, refuses the token, or has stored something else.
    """
    content = server.project(project)
    address = f"{server.url}/projects/{project}"
    classes = predictor.bundle.manifest.classes
    try:
        control = choose_control(content, options.control, classes)
    except DatasetError as error:
        raise DatasetError(f"{address}: {error.message}") from error
    tasks = _Tasks(server, project, control, options.suspected)
    results = []
    for result in suggest(tasks.candidates(), ServerPhotos(server), predictor, control, options.crops):
        results.append(result)
        progress(PHASE, len(results), max(len(results), int(content.get("task_number") or 0) - tasks.annotated))
    suggestions = [one for one in results if isinstance(one, Suggestion)]
    left_out = tuple(one for one in results if isinstance(one, NoSuggestion)) + tasks.missing()
    _refuse_unusable(address, tasks.count, suggestions, left_out)
    suggestions.sort(key=lambda one: (not one.given, one.score, one.task))
    kept = suggestions[: options.most or None]
    version = MADE_BY + predictor.bundle.name
    sent = {
        version: [one for one in kept if not one.given],
        version + SUSPECTED: [one for one in kept if one.given],
    }
    shown = version if sent[version] or not kept else version + SUSPECTED
    replaced = replace_predictions(server, project, sent, shown, tasks.stored, progress)
    return LabelSuggestions(
        project=address,
        model=predictor.bundle.name,
        model_version=version,
        control=control.name,
        tasks=tasks.count,
        annotated=tasks.annotated,
        suggestions=tuple(kept),
        left_out=left_out,
        omitted=len(suggestions) - len(kept),
        corrected=options.suspected.missing,
        new=replaced.new,
        unchanged=replaced.unchanged,
        removed=replaced.removed,
        warnings=(*_warnings(content, control, classes), *_hidden(sent)),
    )


class _Tasks:
    """The tasks of a project, read page by page.

    Attributes:
        count: number of tasks that were read; `annotated`: of those with an annotation and no suspected label.
        stored: our predictions in them.
    """

    def __init__(self, server: LabelStudio, project: int, control: Control, suspected: SuspectedLabels) -> None:
        self.server, self.project, self.control = server, project, control
        self.count = self.annotated = 0
        self.stored: Stored = {}
        self._suspected = dict(suspected.by_task)

    def candidates(self) -> Iterator[Candidate]:
        """Tasks that get a suggestion."""
        for page in self.server.pages(self.project, "all", TASKS_PER_PAGE):
            self.stored |= stored_predictions(page)
            for task in page:
                self.count += 1
                candidate = candidate_of(task, self.control, self._suspected.pop(int(task["id"]), ()))
                if candidate is None:
                    self.annotated += 1
                else:
                    yield candidate

    def missing(self) -> tuple[NoSuggestion, ...]:
        """Tasks with suspected labels that the project does not have."""
        reason = "expected the task of a suspected label in the project, found none"
        return tuple(NoSuggestion(task, reason) for task in sorted(self._suspected))


def _refuse_unusable(
    address: str, tasks: int, suggestions: Iterable[Suggestion], left_out: tuple[NoSuggestion, ...]
) -> None:
    """Raise an error if there are no tasks, or if none of those without a label can get a suggestion."""
    if not tasks:
        raise DatasetError(f"{address}: expected tasks, found none: the project is empty. Import photos into it")
    if left_out and not suggestions:
        reasons = name_some(list(dict.fromkeys(one.reason for one in left_out)), 3)
        raise DatasetError(
            f"{address}: expected tasks that can get a suggestion, found {len(left_out):,} that cannot, such as task "
            f"{left_out[0].task}: {reasons}"
        )


def _hidden(sent: Mapping[str, list[Suggestion]]) -> Iterator[str]:
    """A warning if a model version is sent that the project does not show, because it shows one."""
    if all(sent.values()):
        first, second = sent
        yield (
            f"the project shows the suggestions of {first}: to see those for suspected labels, choose {second} in "
            "Settings > Annotation of the project"
        )


def _warnings(project: Mapping[str, Any], control: Control, classes: Iterable[str]) -> Iterator[str]:
    unknown = sorted(set(control.labels) - set(classes))
    if unknown:
        yield f"the model does not know, and never suggests, these labels of the project: {name_some(unknown)}"
    if project.get("show_collab_predictions") is False:
        yield (
            "the project hides predictions from annotators: switch on Settings > Annotation > Use predictions to "
            "prelabel tasks"
        )
