"""What the tasks of the studio do, in their child processes: imports, exports, comparisons, predictions, publishing.

Each function takes the workspace, a `Progress` and plain JSON types, and returns plain JSON types. Importing this
module loads nothing heavy.
"""

import dataclasses
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from model import durable, environment
from model.bundle import Bundle
from model.registry import find_bundle
from model.results import Progress
from model.studio.files import ARCHIVE, download_path
from model.workspace import Workspace

if TYPE_CHECKING:
    from model.curation.changes import Applied

EXPORT = "export"
"""Phase of a download, in steps: export, pack."""

STEP = "step"
"""Phase of publishing: the number of the step that runs."""


def make_download(workspace: Workspace, progress: Progress, model: str, form: str) -> dict[str, Any]:
    """Write the file of a download, if it does not exist yet."""
    bundle = find_bundle(workspace, model)
    path = download_path(workspace, bundle, form)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        progress(EXPORT, 0, 2)
        if form == ARCHIVE:
            from model.publishing.archive import write_archive

            write_archive(bundle, path)
        else:
            _export_and_pack(bundle, form, path, progress)
        progress(EXPORT, 2, 2)
    return {"file": path.name, "bytes": path.stat().st_size}


def _export_and_pack(bundle: Bundle, form: str, path: Path, progress: Progress) -> None:
    """Export a model to a folder, and pack it into a zip, whose content does not shrink further."""
    from model.export.formats import export_form

    folder = path.parent / f"{bundle.name}-{form}"
    # Left by a task that was killed.
    shutil.rmtree(folder, ignore_errors=True)
    export_form(bundle, form, folder)
    progress(EXPORT, 1, 2)

    def pack(stream: IO[bytes]) -> None:
        with zipfile.ZipFile(stream, "w") as archive:
            for file in sorted(item for item in folder.rglob("*") if item.is_file()):
                archive.write(file, f"{folder.name}/{file.relative_to(folder).as_posix()}")

    durable.replace_file(path, pack)
    shutil.rmtree(folder)


def compare(workspace: Workspace, progress: Progress, base: str, new: str, dataset: str) -> dict[str, Any]:
    """Compare a new model with a base model on a dataset, and write the files of the comparison."""
    from model.evaluation.comparison import compare_models
    from model.storage.copies import output_folder

    first, second = find_bundle(workspace, base), find_bundle(workspace, new)
    folder = workspace.comparison_folder(first.name, [second.name])
    with output_folder(folder, progress) as local:
        comparison = compare_models(first, [second], dataset, workspace, progress=progress, output=local)
    verdicts = [pair.verdict for pair in comparison.pairs]
    return {
        "base": first.name,
        "new": second.name,
        "sentences": list(comparison.sentences),
        "verdict": verdicts[0] if verdicts else "same",
        "has_page": bool(verdicts),
        "warnings": list(comparison.warnings),
    }


def predict_photos(
    workspace: Workspace, progress: Progress, model: str, photos: list[list[str]], output: str
) -> dict[str, Any]:
    """Append predictions of photos to a file with a JSON object on each line.

    Args:
        photos: name and path of each photo.
        output: the file.
    """
    from model.config import PredictConfig
    from model.serving.predictor import find_predictor

    predictor = find_predictor(workspace, model)
    config = PredictConfig(model=model, top_k=min(100, len(predictor.bundle.manifest.classes)))
    images = ((name, Path(path)) for name, path in photos)
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    with open(output, "ab") as stream:
        # The line that a killed task was writing.
        stream.write(b"\n")
        for number, prediction in enumerate(predictor.predict_stream(images, config), start=1):
            stream.write(json.dumps(durable.to_json(prediction.to_json())).encode() + b"\n")
            stream.flush()
            progress("predict", number, len(photos))
        os.fsync(stream.fileno())
    return {"photos": len(photos)}


def plan_publication(workspace: Workspace, progress: Progress, model: str, options: Mapping[str, Any]) -> list[str]:
    """Descriptions of the steps of publishing, after the checks that can be made before."""
    from model.publishing.publish import plan

    return plan(find_bundle(workspace, model), workspace, _publish_options(options))


def publish_model(workspace: Workspace, progress: Progress, model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Publish a model as `topgraft publish` does."""
    from model.publishing.publish import STEPS, publish

    def report_step(number: int) -> None:
        progress(STEP, number, len(STEPS))

    bundle = find_bundle(workspace, model)
    publication = publish(bundle, workspace, _publish_options(options), progress, report_step)
    answer: dict[str, Any] = durable.to_json(dataclasses.asdict(publication))
    return answer


def _publish_options(options: Mapping[str, Any]) -> Any:
    """Options of publishing from those of the page; the password of a link is not among them."""
    from model.publishing.card import About
    from model.publishing.child_options import ChildOptions
    from model.publishing.publish import PublishOptions

    about = About(*(options.get(name, "") for name in ("title", "author", "license", "summary")))
    return PublishOptions(options["to"], ChildOptions(about), expires=options.get("expires", ""))


def import_photos(
    workspace: Workspace, progress: Progress, dataset: str, source: str, by: str, after: int
) -> dict[str, Any]:
    """Copy a dataset of `data/`, an archive, `remote:path` or labels into a dataset of `data/`.

    Args:
        after: number of changes that the dataset has now, for `end_import`.
    """
    from model.curation.imports import import_dataset

    limit = environment.STUDIO_MAX_BYTES.read()
    return _import_result(import_dataset(workspace.data / dataset, source, workspace, by, limit, progress))


def end_import(workspace: Workspace, dataset: str, source: str, by: str, after: int) -> dict[str, Any] | None:
    """The result of an import that was cancelled too late; None if it has changed nothing."""
    from model.curation import imports

    made = imports.end_import(workspace.data / dataset, source, after)
    return None if made is None else _import_result(made)


def _import_result(applied: "Applied") -> dict[str, Any]:
    counts = {"photos": len(applied.photos), "same": applied.entry.details["same"], "missing": len(applied.missing)}
    return counts | {"number": applied.entry.number}


WORK: dict[str, Callable[..., Any]] = {
    "import": import_photos,
    "download": make_download,
    "compare": compare,
    "predict": predict_photos,
    "plan": plan_publication,
    "publish": publish_model,
}

ENDS: dict[str, Callable[..., Any]] = {"import": end_import}
"""Work that can be cancelled, and what is left to do then: its result if it was complete, otherwise None."""
