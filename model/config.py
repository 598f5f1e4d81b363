"""Options of training and prediction: type, default, help text and bounds.

Swagger, the command line, configuration files and the documentation are derived from these two classes by
`model.schema`. Values are validated once, when a configuration is loaded.
"""

import dataclasses
import functools
import re
from typing import Any

from model.backbones import AUTO, BACKBONES, DEFAULT, backbone_names
from model.option import MAX_NAME_LENGTH, MAX_PATH_LENGTH, OptionInfo, option

RESIZE_MODES = ("squash", "pad", "crop")
WEIGHTS = ("imagenet", "none")
FINE_TUNE_MODES = ("none", "top", "all", "auto")
IMBALANCE = ("none", "class_weights", "sampling", "logit_adjustment")
PRECISIONS = ("float32", "int8")
STOP_ON = ("val_loss", "val_accuracy", "val_macro_f1")
NO_PRESET = "none"
PRESETS = (NO_PRESET, "quick", "balanced", "best", "plankton", "imbalanced")
LATEST = "latest"
DEFAULT_CHUNK = 1000
"""Photos of a chunk of `topgraft featurize` and `topgraft predict`."""

ENGINES = ("local", "spark")
"""Engines of `topgraft featurize` and `topgraft predict`."""

NETWORK_OPTIONS = ("backbone", "image_size", "resize", "intensity")
"""Options of `TrainConfig` that a trained model decides itself."""

DEFAULT_TUNE_MINUTES = 5.0

MAX_CROSS_VALIDATED = 3000
"""Images up to which a head on a frozen backbone is cross-validated by default: folds of more take minutes."""

FEW_FOR_A_TEST = 20
"""Images per class below which a dataset is cross-validated by default even with fine_tune = auto."""

OF_PHOTOS = (
    "dataset",
    "images_directory",
    "class_level",
    "table",
    "image_column",
    "label_column",
    "split_column",
    "group_column",
    "backbone",
    "weights",
    "image_size",
    "resize",
    "intensity",
    "tune_minutes",
    "tune_backbones",
    "fine_tune",
    "fine_tune_epochs",
    "fine_tune_learning_rate",
    "augmentation",
    "augmented_views",
    "val_fraction",
    "test_fraction",
    "group_pattern",
    "precision",
)
"""Options of `TrainConfig` that need the photos, or were fixed when the features were computed."""

_MODEL_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_NAME_LENGTH - 1}}}")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Options of a training."""

    dataset: str = option(
        "",
        "Folder or archive of labelled photos: a path, a name inside the data/ folder, or remote:path in a remote "
        "storage, such as rshare:photos. Empty: the data/ folder itself.",
        max_length=MAX_PATH_LENGTH,
    )
    features: str = option(
        "",
        "Features written by topgraft featurize, instead of a dataset: a folder, or a name inside the data/ folder; on "
        "the command line, not in the service, also an address such as s3://bucket/features. Only the head is trained. "
        "Options of the photos and of the backbone are those of the features. Empty: none.",
        max_length=MAX_PATH_LENGTH,
    )
    images_directory: str = option(
        "",
        "Folder that the paths in dataset_files/ or in a table are relative to; itself relative to the dataset. Empty: "
        "images/ for dataset_files/, any folder for a table.",
        max_length=MAX_PATH_LENGTH,
    )
    class_level: int | None = option(
        None,
        "Level of the folders that are the classes: 1 for the folders in the dataset (or in train/), 2 for the folders "
        "in those, and so on. Empty: detected by their names.",
        minimum=1,
        maximum=20,
    )
    table: str = option(
        "",
        "File in the dataset with a row per image (.csv, .tsv, .xlsx), with a column of file names and one of labels. "
        "Empty: found automatically. none: folders are the classes, whatever tables there are.",
        max_length=MAX_PATH_LENGTH,
    )
    image_column: str = option(
        "",
        "Column of the table with the file names. Empty: found by its name and content.",
    )
    label_column: str = option(
        "",
        "Column of the table with the classes. Empty: found by its name and content.",
    )
    split_column: str = option(
        "",
        "Column of the table with train, val or test. Empty: a column with such a name and content, if there is one.",
    )
    group_column: str = option(
        "",
        "Column of the table whose equal values, such as those of a specimen, keep images in one split. Empty: a "
        "column called group, if there is one.",
    )
    name: str = option(
        "", "Name of the new model. Empty: the start time, such as 2026-11-21_101500.", max_length=MAX_NAME_LENGTH
    )
    upload_to: str = option(
        "",
        "Remote folder to upload the trained model to, such as rshare:models. If the upload fails, the model is kept "
        "and the result contains the command that uploads it. Empty: no upload.",
        max_length=MAX_PATH_LENGTH,
    )
    resume: str = option(
        "",
        "Name of an interrupted training to resume. Its original options apply; all others given here are ignored.",
        max_length=MAX_NAME_LENGTH,
    )
    import_from: str = option(
        "",
        "Import a model instead of training: a folder, archive or remote:path written by Topgraft or by imgclas. "
        "Of the other options, only name is used.",
        max_length=MAX_PATH_LENGTH,
    )
    queue: bool = option(False, "Queue the training when the maximum number is already running, instead of failing.")
    auto_resume: bool = option(
        False,
        "Resume automatically after an interruption, when the service restarts or the same command is run again.",
    )
    preset: str = option(
        NO_PRESET,
        "Predefined set of options; options set explicitly take precedence. quick: seconds on any machine; balanced: "
        "good for most photos; best: fine-tunes as far as the dataset and the machine allow; plankton: microscope "
        "photos; imbalanced: a few large classes and many small ones.",
        choices=PRESETS,
    )
    backbone: str = option(
        DEFAULT,
        "Pretrained network that extracts the features. The weights of the EfficientNetLite networks are installed; "
        "those of the others are downloaded on first use. EfficientNetLite0And2: two of them side by side, often "
        "more accurate with few photos, slower. auto: the better of EfficientNetLite0 and EfficientNetLite0And2 in "
        "cross-validation, tried for up to a minute. Networks of your own: topgraft backbones add.",
        choices=(AUTO, *BACKBONES),
        find_choices=backbone_names,
        max_length=MAX_NAME_LENGTH,
    )
    weights: str = option(
        "imagenet",
        "Initial weights: pretrained on ImageNet, or none (random), which trains the backbone as well.",
        choices=WEIGHTS,
    )
    image_size: int | None = option(
        None, "Height and width of the input in pixels. Empty: the default of the backbone.", minimum=32, maximum=1024
    )
    resize: str = option(
        "squash",
        "How photos are made square: squash changes the aspect ratio, pad adds a border, crop keeps the centre.",
        choices=RESIZE_MODES,
    )
    intensity: str = option(
        "auto",
        "Range of the values of photos with more than 8 bits per channel, such as 16-bit TIFFs of a 12-bit camera. "
        "auto: found on the training photos; full: the full range of the type; LOW,HIGH: the values that become black "
        "and white, such as 0,4095. Photos of 8 bits are never changed.",
    )
    tune_minutes: float | None = option(
        None,
        "Minutes to search backbones and hyperparameters before training. Options you set are kept fixed. Empty: no "
        "search.",
        minimum=0.05,
        maximum=10_000.0,
    )
    tune_backbones: str = option(
        "",
        "Backbones to search, separated by commas. Empty: the option backbone if it is set, otherwise all whose "
        "weights are on this machine.",
    )
    epochs: int = option(100, "Maximum epochs for the head (early stopping applies).", minimum=1, maximum=10_000)
    patience: int = option(
        15, "Epochs without improvement of stop_on after which training stops early.", minimum=1, maximum=10_000
    )
    stop_on: str = option("val_loss", "Validation metric that selects the best epoch.", choices=STOP_ON)
    batch_size: int = option(
        32,
        "Images per batch in fine-tuning, and in minibatches of the head (with mixup, with very many classes, or with "
        "features in parts; otherwise an epoch is a step of L-BFGS on all images).",
        minimum=1,
        maximum=4096,
    )
    learning_rate: float = option(
        1.0,
        "Learning rate of the head: the length of its steps, relative to the full step of L-BFGS.",
        minimum=1e-6,
        maximum=100.0,
    )
    l2: float | None = option(
        None,
        "L2 regularization strength of the head. Empty: selected on validation images.",
        minimum=0.0,
        maximum=10.0,
    )
    refit: bool = option(
        True, "Train the final head on training and validation images together, with the selected hyperparameters."
    )
    fine_tune: str = option(
        "none",
        "Fine-tuning after the head is trained. top: also train the last block of the backbone; all: also train the "
        "complete backbone; auto: decide by the number of images and the available time. The result is kept only if "
        "validation improves significantly.",
        choices=FINE_TUNE_MODES,
    )
    fine_tune_epochs: int = option(10, "Maximum epochs of fine-tuning.", minimum=1, maximum=1000)
    fine_tune_learning_rate: float | None = option(
        None,
        "Peak learning rate of fine-tuning. Empty: 0.0001, or 0.001 with weights = none.",
        minimum=1e-8,
        maximum=0.1,
    )
    time_limit_minutes: float | None = option(
        None,
        "Time limit in minutes for checks, features and learning, including the time before an interruption. The best "
        "model so far is kept. The head always gets 20 s; export and report are not included. Empty: no limit.",
        minimum=0.0,
    )
    augmentation: str = option(
        "none",
        "Augmentation of the training images: a preset (none, light, medium, strong, auto) or operations such as "
        "flip_lr|rotate(15)|crop(0.8). auto: none if only the head is trained; otherwise strong below 50 images per "
        "class, light below 500, else none. Presets never flip: add flip_lr or flip_ud if orientation carries no "
        "meaning.",
    )
    augmented_views: int = option(
        4, "Augmented views per training image, if augmentation is enabled.", minimum=0, maximum=100
    )
    checkpoint_minutes: float = option(
        5.0,
        "Maximum minutes between checkpoints (one is also written after each fine-tuning epoch and fold).",
        minimum=0.0,
        maximum=10_000.0,
    )
    imbalance: str = option(
        "none",
        "How to handle class imbalance: class_weights weights the loss, sampling oversamples rare classes, "
        "logit_adjustment removes class priors.",
        choices=IMBALANCE,
    )
    label_smoothing: float = option(
        0.0,
        "Label smoothing: the fraction of the target spread evenly over all classes, to reduce overconfidence.",
        minimum=0.0,
        maximum=0.9,
    )
    mixup: float = option(
        0.0,
        "Mixup alpha (Beta distribution), e.g. 0.2; larger values mix more evenly. 0 disables it.",
        minimum=0.0,
        maximum=10.0,
    )
    val_fraction: float = option(
        0.15,
        "Fraction of the images used for validation, if the dataset has no validation split.",
        minimum=0.05,
        maximum=0.5,
    )
    test_fraction: float = option(
        0.15,
        "Fraction of the images used for testing, if the dataset has no splits and cross-validation is off.",
        minimum=0.0,
        maximum=0.5,
    )
    folds: int | None = option(
        None,
        "Number of cross-validation folds, to estimate the accuracy of a head on a frozen backbone without a test "
        f"split. Empty: up to 10 with at most {MAX_CROSS_VALIDATED:,} images if fine_tune is none, or with fewer than "
        f"{FEW_FOR_A_TEST} images per class if it is auto; otherwise off. 0 or 1: off, with a test split instead.",
        minimum=0,
        maximum=100,
    )
    group_pattern: str = option(
        "",
        "Regular expression applied to the path of each image. Images with the same text in its first capture group, "
        "such as a specimen or sample, are kept in one split.",
    )
    max_bad_fraction: float = option(
        0.1,
        "Maximum fraction of images that cannot be decoded; above it the training is refused.",
        minimum=0.0,
        maximum=1.0,
    )
    precision: str = option(
        "float32",
        "Numeric precision of the served network. int8 has a quarter of the size of float32 and is faster on most "
        "processors. It is calibrated on training images. If validation accuracy drops by more than 0.5 percentage "
        "points, float32 is kept, with a warning.",
        choices=PRECISIONS,
    )
    target_accuracy: float = option(
        0.95,
        "Target accuracy of predictions that are not marked uncertain. The confidence threshold is fitted on "
        "out-of-fold predictions of cross-validation, else on validation images, to reach it.",
        minimum=0.5,
        maximum=1.0,
    )
    seed: int = option(42, "Random seed of the splits and of every random choice.", minimum=0, maximum=2**31 - 1)


@dataclasses.dataclass(frozen=True)
class PredictConfig:
    """Options of a prediction."""

    model: str = option(LATEST, "Name of the trained model, or latest.", max_length=MAX_NAME_LENGTH)
    top_k: int = option(5, "Number of classes returned for each image.", minimum=1, maximum=100)
    neighbours: int = option(
        0, "Number of most similar training images returned for each image.", minimum=0, maximum=20
    )
    uncertain_confidence: float | None = option(
        None,
        "Mark a prediction as uncertain if its highest probability is below this value. Empty: the threshold of the "
        "model. 0 disables the mark.",
        minimum=0.0,
        maximum=1.0,
    )
    unknown_distance: float | None = option(
        None,
        "Mark an image as unknown if its distance from the training images, in feature space, is above this value. "
        "Empty: the threshold of the model. 2 disables the mark.",
        minimum=0.0,
        maximum=2.0,
    )
    explain_class: str = option("", "Class explained by the heat map of the PNG answer. Empty: the most probable one.")


BASIC_OPTIONS: dict[type, tuple[str, ...]] = {
    TrainConfig: ("dataset", "name", "preset", "backbone", "augmentation", "time_limit_minutes")
}
"""Options that come first in forms, in `--help` and in the documentation; all others of the class are advanced."""

RENAMED_OPTIONS = {"wanted_accuracy": "target_accuracy", "unknown_confidence": "uncertain_confidence"}
"""Former names of options -> their names today. They are still accepted, with a deprecation warning."""

PREDICT_DEFAULTS = PredictConfig()


@functools.cache
def options_of(config_class: type) -> dict[str, tuple[dataclasses.Field[Any], OptionInfo]]:
    """Options of a configuration class, the basic ones first: name -> (field, `OptionInfo`)."""
    known = {field.name: field for field in dataclasses.fields(config_class)}
    basic = BASIC_OPTIONS.get(config_class, tuple(known))
    return {
        name: (known[name], dataclasses.replace(known[name].metadata["option"], advanced=name not in basic))
        for name in (*basic, *(name for name in known if name not in basic))
    }


def non_default_options(config: TrainConfig) -> dict[str, Any]:
    """Options of a training that differ from their defaults: name -> value."""
    defaults = TrainConfig()
    return {name: value for name, value in vars(config).items() if value != getattr(defaults, name)}


def is_model_name(name: str) -> bool:
    """Whether `name` is a valid model name: up to 100 letters, digits, dots, dashes and underscores, not `latest`."""
    return _MODEL_NAME.fullmatch(name) is not None and name != LATEST
