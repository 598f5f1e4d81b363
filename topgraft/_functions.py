"""The functions of `import topgraft`: each loads the options and calls the library."""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Literal

from model import errors, schema
from model.config import DEFAULT_TUNE_MINUTES, LATEST, PREDICT_DEFAULTS, PredictConfig, TrainConfig
from model.dataset import DATASET_OPTIONS
from model.presets import changed_options, train_config
from model.registry import find_bundle
from model.results import Prediction, Progress, no_progress
from model.storage.places import is_remote
from model.training_result import TrainingResult
from model.workspace import Workspace, find_workspace

if TYPE_CHECKING:
    from model.dataset.verdict import Verdict
    from model.evaluation.comparison import Comparison
    from model.evaluation.dataset_evaluation import EvaluationResult
    from model.serving.predictor import Predictor
    from model.training_result import TuningResult

Path = str | os.PathLike[str]


def train(
    dataset: Path = "",
    *,
    config: TrainConfig | None = None,
    workspace: Workspace | Path | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> TrainingResult:
    """Train a model on labelled photos, in this process.

    Args:
        dataset: a folder or archive, a name inside `data/`, or `remote:path`.
        config: options as an object; `dataset` and `options` replace its values.
        workspace: the folder of `data/` and `models/`; by default TOPGRAFT_HOME, else the current directory.
        progress: a callable that is notified of each step as `progress(phase, done, total, **metrics)`.
        options: options of `TrainConfig`, such as `name="pets"` or `epochs=50`.

    Raises:
        ConfigError: an option has a value that cannot be used, or too many trainings run already.
        DatasetError: the dataset cannot be trained on; the message lists all problems.
        TopgraftError: the training failed; no model was written.

    Example:
        >>> result = topgraft.train("photos", name="shapes", image_size=96)
        >>> result.model
        'shapes'
        >>> sorted(result.metrics)
        ['cross_validation', 'val']
    """
    from model.runs import trainer

    return trainer.train(_train_config(dataset, config, options), chosen_workspace(workspace), progress)


def tune(
    dataset: Path = "",
    *,
    minutes: float = DEFAULT_TUNE_MINUTES,
    config: TrainConfig | None = None,
    workspace: Workspace | Path | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> "TuningResult":
    """Search for the best backbone and hyperparameters for a dataset, without training a model.

    To train with the result: `train(**result.options)`. To search and train in one call:
    `train(dataset, tune_minutes=5)`.

    Args:
        dataset: a folder or archive, a name inside `data/`, or `remote:path`.
        minutes: time limit of the search.
        config, options: options of `TrainConfig`; those that differ from their defaults are kept fixed.
        workspace, progress: see `train`.

    Returns:
        The candidates and the choice.

    Raises:
        TopgraftError: as `train`.

    Example:
        >>> best = topgraft.tune("photos", minutes=0.1, tune_backbones="EfficientNetLite0", image_size=96)
        >>> best.tuning.rows[0].backbone
        'EfficientNetLite0'
        >>> best.options["image_size"]
        96
    """
    from model.runs import trainer

    search_config = _train_config(dataset, config, options | {"tune_minutes": minutes})
    return trainer.tune(search_config, chosen_workspace(workspace), progress)


def resume(name: str, *, workspace: Workspace | Path | None = None, progress: Progress = no_progress) -> TrainingResult:
    """Resume an interrupted training, with its original options; the result is the same as without the interruption.

    Args:
        name: the name of the training.
        workspace, progress: see `train`.

    Raises:
        ConfigError: there is no interrupted training of that name; the message lists the existing ones.
        TopgraftError: as `train`.

    Example:
        >>> topgraft.resume("interrupted").model
        'interrupted'
    """
    from model.runs import trainer

    return trainer.resume(name, chosen_workspace(workspace), progress)


def check(
    dataset: Path = "",
    *,
    config: TrainConfig | None = None,
    workspace: Workspace | Path | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> "Verdict":
    """Check a dataset as a training would: decode every image, find problems, split it.

    Args:
        dataset: a folder or archive, a name inside `data/`, or `remote:path`.
        config, options: options of `TrainConfig`, such as `test_fraction=0.2`.
        workspace, progress: see `train`.

    Returns:
        The classes, the splits and the problems; `print` shows them as text. The paths of images from an archive are
        temporary, and no longer valid.

    Raises:
        DatasetError: the dataset cannot be trained on; the message lists all problems.

    Example:
        >>> verdict = topgraft.check("photos")
        >>> verdict.dataset.classes
        ('circle', 'square', 'triangle')
        >>> len(verdict.dataset.train), len(verdict.dataset.val), len(verdict.dataset.test)
        (30, 6, 0)
    """
    from model.dataset.checked import checked_dataset

    dataset_config = _train_config(dataset, config, options)
    with checked_dataset(dataset_config, chosen_workspace(workspace), "topgraft.check", progress) as verdict:
        return verdict


def load(model: str = LATEST, *, workspace: Workspace | Path | None = None) -> "Predictor":
    """Load a trained model. Prediction needs ONNX Runtime only, not TensorFlow.

    Args:
        model: the name of a model, or `latest`.
        workspace: see `train`.

    Raises:
        NothingTrainedError, ModelNotFoundError, ModelDamagedError: the model does not exist or is damaged.

    Example:
        >>> model = topgraft.load("latest")
        >>> prediction = model.predict("photo.jpg")
        >>> prediction.labels[0], prediction.unknown
        ('circle', False)
    """
    from model.serving.predictor import find_predictor

    return find_predictor(chosen_workspace(workspace), model)


def predict(
    model: "str | Predictor",
    paths: Path | Iterable[Path],
    *,
    config: PredictConfig = PREDICT_DEFAULTS,
    workspace: Workspace | Path | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> list[Prediction]:
    """Classify the photos in files and folders, as the command `topgraft predict` does.

    For bytes and for images in memory, see `load` and `Predictor.predict`.

    Args:
        model: the name of a model, `latest`, or a loaded model.
        paths: one or several paths, or `remote:path`, of photos, folders, .zip files, and .txt files with a path on
            each line.
        config, options: options of `PredictConfig`, such as `top_k=3`.
        workspace, progress: see `train`.

    Returns:
        A prediction for each photo; a photo that cannot be read has its `error` set.

    Raises:
        ImageError: no photo can be read.
        ConfigError, ModelError, StorageError: an option, the model or remote storage cannot be used.

    Example:
        >>> predictions = topgraft.predict("latest", ["photo.jpg", "other.jpg"], top_k=1)
        >>> [prediction.image for prediction in predictions]
        ['photo.jpg', 'other.jpg']
    """
    from model.serving.photos import Photos, predict_photos, refuse_unreadable
    from model.storage.copies import local_paths

    predictor = load(model, workspace=workspace) if isinstance(model, str) else model
    config = schema.load(PredictConfig, dataclasses.asdict(config), options)
    named = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    user = f"topgraft.predict {predictor.bundle.name}"
    with local_paths([os.fspath(path) for path in named], user, progress) as local:
        predictions = list(predict_photos(predictor, Photos(local.paths, local.name_of), config, progress))
    refuse_unreadable(predictions)
    return predictions


def evaluate(
    model: str = LATEST,
    dataset: Path = "",
    *,
    report: Path | None = None,
    workspace: Workspace | Path | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> "EvaluationResult":
    """Measure a trained model on a labelled dataset.

    The test split is measured, or all images of a dataset without splits. Of the dataset that the model was trained on,
    only images that the model did not learn from are measured. Classes are matched by name; images of classes that the
    model does not know are in `result.others` and in none of the metrics.

    Args:
        model: the name of a model, or `latest`.
        dataset: a folder or archive, a name inside `data/`, or `remote:path`.
        report: HTML file to write the report to, as after a training, or `remote:path`; None for none. All suspected
            label errors are beside it, in a file with the ending `.label_issues.csv`.
        workspace, progress: see `train`.
        options: options of `TrainConfig` that determine how the dataset is read and split, such as `test_fraction=0.2`.

    Raises:
        DatasetError: the dataset cannot be read, or the model knows none of its classes.
        ConfigError, ModelError: an option or the model cannot be used.

    Example:
        >>> result = topgraft.evaluate("latest", "new-photos")
        >>> result.split, result.metrics["images"]
        ('all', 6)
    """
    from model.evaluation.dataset_evaluation import evaluate_on_dataset, report_files

    check_options(options, DATASET_OPTIONS)
    found = chosen_workspace(workspace)
    bundle = find_bundle(found, model)
    with report_files(None if report is None else _where(report)) as files:
        return evaluate_on_dataset(bundle, os.fspath(dataset), found, options, progress, *files)


def compare(
    base: str,
    new: str | Iterable[str],
    dataset: Path = "",
    *,
    metric: str = "accuracy",
    on: Literal["shared", "all"] = "shared",
    max_regression: float | None = None,
    confident: bool = False,
    output: Path | None = None,
    workspace: Workspace | Path | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> "Comparison":
    """Compare one or several new models with a base model on the same photos.

    The photos are those that `evaluate` would choose, without those that one of the models learned from. Classes are
    matched by name.

    Args:
        base: the name of the base model, or `latest`.
        new: the name of a new model, or several names.
        dataset: a folder or archive, a name inside `data/`, or `remote:path`.
        metric: accuracy, balanced_accuracy or macro_f1.
        on: photos of the classes that both models know (`shared`), or `all`.
        max_regression: difference of the metric, in [0, 1], that a new model may lose; `result.is_kept` says whether
            all keep it. None for no limit.
        confident: apply the limit to the lower end of the 95 % interval of the difference.
        output: folder for comparison.html, comparison.json and changed.csv, or `remote:path`; created if it does not
            exist. None for none.
        workspace, progress: see `train`.
        options: options of `TrainConfig` that determine how the dataset is read and split, such as `test_fraction=0.2`.

    Raises:
        ConfigError: two models have no class in common, or an option cannot be used.
        DatasetError: the dataset cannot be read, or no photos are left to compare the models on.
        ModelError: a model cannot be used.

    Example:
        >>> result = topgraft.compare("latest", "latest", "new-photos")
        >>> result.sentences
        ('shapes is shapes itself: there is nothing to compare.',)
        >>> result.best
        'shapes'
    """
    from model.evaluation.comparison import Gate, compare_models
    from model.storage.copies import output_folder

    check_options(options, DATASET_OPTIONS)
    found = chosen_workspace(workspace)
    names = [new] if isinstance(new, str) else list(new)
    gate = Gate(metric, on, max_regression, confident)
    first, others = find_bundle(found, base), [find_bundle(found, name) for name in names]
    with nullcontext() if output is None else output_folder(_where(output), progress) as folder:
        return compare_models(first, others, os.fspath(dataset), found, gate, options, progress, folder)


def check_options(options: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse the first option that is not known."""
    for name in sorted(options.keys() - known):
        raise errors.ConfigError(f"{name}: expected one of the options {', '.join(known)}.")


def _train_config(dataset: Path, config: TrainConfig | None, options: Mapping[str, Any]) -> TrainConfig:
    """Options in order of precedence: `dataset` and `options`, `config`, the preset, the defaults."""
    given = changed_options(dataclasses.asdict(config)) if config is not None else {}
    return train_config(given, options, {"dataset": os.fspath(dataset)})


def _where(path: Path) -> pathlib.Path:
    """Where to write: `remote:path`, or a local path, absolute so that `./a:b` is not taken for a remote one."""
    text = os.fspath(path)
    return pathlib.Path(text) if is_remote(text) else pathlib.Path(text).absolute()


def chosen_workspace(workspace: Workspace | Path | None) -> Workspace:
    """The workspace of an argument of a function: see `train`."""
    return workspace if isinstance(workspace, Workspace) else find_workspace(workspace)
