"""Every option of training and prediction: its type, default, meaning and bounds, stated once.

Swagger, the command line, configuration files and the docs are derived from these two classes
(`model.schema`). A value is checked when a configuration is made from the outside, never later.
"""

import dataclasses
import re
from typing import Any

from model.backbones import BACKBONES

RESIZE_MODES = ("squash", "pad", "crop")
WEIGHTS = ("imagenet", "none")
FINE_TUNE_MODES = ("none", "top", "all", "auto")
IMBALANCE = ("none", "class_weights", "sampling", "logit_adjustment")
PRECISIONS = ("float32", "int8")
STOP_ON = ("val_loss", "val_accuracy", "val_macro_f1")
NO_PRESET = "none"
PRESETS = (NO_PRESET, "quick", "balanced", "best", "plankton", "imbalanced")
LATEST = "latest"

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclasses.dataclass(frozen=True)
class OptionInfo:
    """What an option means and may be.

    Attributes:
        help: one or two sentences, shown in Swagger, in `--help` and in the docs.
        minimum, maximum: inclusive bounds of a number, in the option's own unit.
        choices: the only values allowed; None where any is.
    """

    help: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] | None = None


def option(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A dataclass field that carries its own `OptionInfo`."""
    info = OptionInfo(help, minimum, maximum, choices)
    return dataclasses.field(default=default, metadata={"option": info})


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """What a training is asked to do."""

    dataset: str = option(
        "",
        "Folder or archive with the labelled photos: a path, a name inside the data/ folder, or remote:path in a "
        "storage such as rshare:photos. Empty: the data/ folder itself.",
    )
    images_directory: str = option(
        "",
        "Where the paths in dataset_files/ start, when that is not the images/ folder beside it. "
        "Relative to the dataset.",
    )
    name: str = option("", "Name of the new model. Empty: the time of the start, such as 2026-11-21_101500.")
    upload_to: str = option(
        "",
        "Send the model to this folder of a storage when it is trained, such as rshare:models. If that fails the model "
        "stays here, and the result tells the command that sends it. Empty: nowhere.",
    )
    resume: str = option(
        "", "Name of an interrupted training to go on with: its own options are used, and all others here ignored."
    )
    import_from: str = option(
        "",
        "Instead of training, take over the model in this folder or archive, which another Topgraft has exported or "
        "imgclas has trained: a path or remote:path. Of the other options name alone counts.",
    )
    queue: bool = option(
        False, "Wait for its turn when as many trainings run as are allowed, instead of being refused at once."
    )
    auto_resume: bool = option(
        False,
        "Go on by itself when the service, or the same command with the same name, starts again after an interruption.",
    )
    preset: str = option(
        NO_PRESET,
        "Options that go well together; what is set beside it wins. quick: seconds on any machine; balanced: good for "
        "most photos; best: fine-tunes as far as photos and machine allow; plankton: photos through a microscope; "
        "imbalanced: few large classes and many small ones.",
        choices=PRESETS,
    )
    backbone: str = option(
        "EfficientNetLite0",
        "Pretrained network whose features are used. The EfficientNetLite ones are installed with their "
        "weights; the others fetch them once.",
        choices=tuple(BACKBONES),
    )
    weights: str = option(
        "imagenet",
        "Start from ImageNet weights, or from none (random), which trains the backbone too.",
        choices=WEIGHTS,
    )
    image_size: int | None = option(
        None, "Height and width of the images in pixels. Empty: the backbone's own.", minimum=32, maximum=1024
    )
    resize: str = option(
        "squash",
        "How a photo becomes square: squash changes its aspect, pad adds a border, crop takes the centre.",
        choices=RESIZE_MODES,
    )
    tune_minutes: float | None = option(
        None,
        "First try backbones and options for so many minutes, then train the best. An option that is not at its "
        "default stays as it is. Empty: no tuning.",
        minimum=0.05,
        maximum=10_000.0,
    )
    tune_backbones: str = option(
        "",
        "Names of the backbones to try when tuning, with commas between. Empty: those whose weights are on this "
        "machine, or the one in backbone where that is not the default.",
    )
    epochs: int = option(100, "Most epochs for the head; it stops earlier by itself.", minimum=1, maximum=10_000)
    patience: int = option(
        15, "Epochs without improvement of stop_on after which a phase stops.", minimum=1, maximum=10_000
    )
    stop_on: str = option("val_loss", "What makes one epoch better than another.", choices=STOP_ON)
    batch_size: int = option(32, "Images per step.", minimum=1, maximum=4096)
    learning_rate: float = option(1.0, "Learning rate of the head.", minimum=1e-6, maximum=100.0)
    l2: float | None = option(
        None, "Strength of the head's L2 penalty. Empty: the best of several on validation.", minimum=0.0, maximum=10.0
    )
    refit: bool = option(
        True, "Train the final head on training and validation images together, once these have settled its options."
    )
    fine_tune: str = option(
        "none",
        "After the head: top also trains the last block of the backbone, all the whole of it; auto decides by the "
        "number of images and the time there is. Kept only if validation improves beyond chance.",
        choices=FINE_TUNE_MODES,
    )
    fine_tune_epochs: int = option(10, "Most epochs of fine-tuning.", minimum=1, maximum=1000)
    fine_tune_learning_rate: float | None = option(
        None,
        "Highest learning rate of fine-tuning. Empty: 0.0001, or 0.001 with weights none.",
        minimum=1e-8,
        maximum=0.1,
    )
    time_limit_minutes: float | None = option(
        None,
        "End learning after so many minutes, with the best model so far; time before an interruption counts. Checks "
        "of the dataset and features count; a head gets 20 seconds all the same, and what follows (export, report) "
        "comes on top. Empty: no limit.",
        minimum=0.0,
    )
    augmentation: str = option(
        "none",
        "Changed views of the training images to learn from: a preset (none, light, medium, strong, or auto: none "
        "where a head alone is trained; where the backbone is too, strong below 50 images per class, light below 500), "
        "or operations such as flip_lr|rotate(15)|crop(0.8). "
        "No preset flips: add flip_lr or flip_ud where things have no side.",
    )
    augmented_views: int = option(
        4, "How many views of each training image, where there is an augmentation.", minimum=0, maximum=100
    )
    checkpoint_minutes: float = option(
        5.0,
        "Write a checkpoint at least so often, besides one after each epoch of fine-tuning and each fold.",
        minimum=0.0,
        maximum=10_000.0,
    )
    imbalance: str = option(
        "none",
        "How to let every class count the same, however many images it has: class_weights weighs the images, "
        "sampling shows those of small classes more often, logit_adjustment takes the preference for large classes "
        "out of the answers.",
        choices=IMBALANCE,
    )
    label_smoothing: float = option(
        0.0, "Share of the target that goes to all classes alike, against overconfidence.", minimum=0.0, maximum=0.9
    )
    mixup: float = option(
        0.0,
        "Train on mixtures of two images; the larger, the more even they are, such as 0.2. 0: none.",
        minimum=0.0,
        maximum=10.0,
    )
    val_fraction: float = option(
        0.15, "Share of the images for validation, where the dataset has no such split.", minimum=0.05, maximum=0.5
    )
    test_fraction: float = option(
        0.15,
        "Share of the images for the test, where the dataset has no splits at all and there is no cross-validation.",
        minimum=0.0,
        maximum=0.5,
    )
    folds: int | None = option(
        None,
        "Folds of cross-validation, which tells the accuracy of a frozen backbone with its head and needs no test "
        "split. Empty: up to 10 below 20 images per class, unless fine_tune asks for more; else none. 0 or 1: none.",
        minimum=0,
        maximum=100,
    )
    group_pattern: str = option(
        "",
        "Regular expression on an image's path; images whose first group matches the same text never "
        "land in two splits.",
    )
    max_bad_fraction: float = option(
        0.1, "Refuse to train when a larger share of the images cannot be decoded.", minimum=0.0, maximum=1.0
    )
    precision: str = option(
        "float32",
        "Of the network that is served: int8 is a quarter of the size and answers faster on most processors. It is "
        "calibrated on training images, and refused with a warning where more than half a point of validation "
        "accuracy would be lost.",
        choices=PRECISIONS,
    )
    wanted_accuracy: float = option(
        0.95,
        "Share of right answers wanted among those that are sure enough: answers less sure than what keeps it on "
        "validation images are marked unknown.",
        minimum=0.5,
        maximum=1.0,
    )
    seed: int = option(42, "Fixes the splits and every random choice.", minimum=0, maximum=2**31 - 1)


@dataclasses.dataclass(frozen=True)
class PredictConfig:
    """What a prediction is asked to do."""

    model: str = option(LATEST, "Name of the trained model, or latest.")
    top_k: int = option(5, "How many classes to list for each image.", minimum=1, maximum=100)
    neighbours: int = option(
        0, "How many of the most similar training images to name for each image.", minimum=0, maximum=20
    )
    unknown_confidence: float | None = option(
        None,
        "Call an image unknown when its highest probability is below this. Empty: the model's own threshold for the "
        "class, found on validation images. 0: never.",
        minimum=0.0,
        maximum=1.0,
    )
    unknown_distance: float | None = option(
        None,
        "Call an image unknown when its features are farther than this from those of the training images. Empty: the "
        "model's own threshold, found on validation images. 2: never.",
        minimum=0.0,
        maximum=2.0,
    )
    explain_class: str = option(
        "", "In a picture of the answer: the class whose evidence is shown. Empty: the most probable one."
    )


PREDICT_DEFAULTS = PredictConfig()


def options_of(config_class: type) -> dict[str, tuple[dataclasses.Field[Any], OptionInfo]]:
    """The options of a configuration class, in order: name -> (field, what it means)."""
    return {field.name: (field, field.metadata["option"]) for field in dataclasses.fields(config_class)}


def is_model_name(name: str) -> bool:
    """Whether `name` can be a model's: letters, digits, dot, dash, underscore; it names one folder."""
    return _MODEL_NAME.fullmatch(name) is not None and name != LATEST
