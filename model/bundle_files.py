"""Files of a trained model: one table of their paths and of the kind of their content."""

import dataclasses
import re
from typing import Literal

MANIFEST = "manifest.json"
KERAS_MODEL = "model.keras"
ONNX_MODEL = "model.onnx"
TRAINING_FEATURES = "training_features.npz"
HELD_OUT_FEATURES = "held_out_features.npz"
RESULTS = "results.csv"
TRAINING_COST = "training_cost.json"
REPORT = "report.html"
MODEL_CARD = "MODEL_CARD.md"
DATASET_FILES = "dataset_files"
LABEL_ISSUES = f"{DATASET_FILES}/label_issues.csv"
PREDICTIONS = "predictions"
PROVENANCE = "provenance.json"
TUNING = "tuning.json"
LOGS = "logs"
MLFLOW_RUN = "mlflow_run.json"
IMPORTED = "imported.json"
UNLISTED = frozenset({MANIFEST, MLFLOW_RUN, IMPORTED})
"""Files next to those that the manifest lists: the run in MLflow, logged later, and the time of an import."""


def served_network(engine: str) -> str:
    """File of the network that a model of this engine is served with."""
    return ONNX_MODEL if engine == "onnx" else KERAS_MODEL


Content = Literal["keras", "onnx", "arrays", "report", "text", "tensorboard", "tensorboard settings"]
"""Kind of content, which decides how the file of an untrusted model is checked."""


@dataclasses.dataclass(frozen=True)
class BundleFile:
    """A file, or the files of a folder, that the manifest of a model may list.

    Attributes:
        path: as documented: a file, or a folder ending in a slash.
        pattern: regular expression that the whole path of a listed file matches.
        content: kind of its content.
    """

    path: str
    pattern: str
    content: Content


BUNDLE_FILES = (
    BundleFile(KERAS_MODEL, re.escape(KERAS_MODEL), "keras"),
    BundleFile(ONNX_MODEL, re.escape(ONNX_MODEL), "onnx"),
    # Models of other versions may have arrays under other names.
    BundleFile(TRAINING_FEATURES, r"\w+\.npz", "arrays"),
    BundleFile(HELD_OUT_FEATURES, r"\w+\.npz", "arrays"),
    BundleFile(RESULTS, re.escape(RESULTS), "text"),
    BundleFile(TRAINING_COST, re.escape(TRAINING_COST), "text"),
    BundleFile(REPORT, re.escape(REPORT), "report"),
    BundleFile(MODEL_CARD, re.escape(MODEL_CARD), "text"),
    BundleFile(f"{DATASET_FILES}/", rf"{DATASET_FILES}/\w+\.(txt|csv|sha256)", "text"),
    BundleFile(f"{PREDICTIONS}/", rf"{PREDICTIONS}/\w+\.csv", "text"),
    BundleFile(PROVENANCE, re.escape(PROVENANCE), "text"),
    BundleFile(TUNING, re.escape(TUNING), "text"),
    BundleFile(f"{LOGS}/", rf"{LOGS}/([\w.-]+/)*[\w.-]+\.pbtxt", "tensorboard settings"),
    BundleFile(f"{LOGS}/", rf"{LOGS}/([\w.-]+/)*(events\.out\.tfevents\.[\w.-]+|[\w.-]+\.(tsv|jpg))", "tensorboard"),
)


def find_bundle_file(path: str) -> BundleFile | None:
    """Row of the table for a path inside a model; None if no file of a model is called so."""
    return next((row for row in BUNDLE_FILES if re.fullmatch(row.pattern, path)), None)
