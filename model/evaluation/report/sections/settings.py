"""Settings: the command, time and memory of the training; all options, the model, the dataset and the versions."""

import shlex
from collections.abc import Mapping
from typing import Any

from model.evaluation.report.content import ReportContent
from model.intensity import describe_intensity
from model.presets import changed_options
from model.training_cost import energy_in_words

# Options that say where something is, and nothing about the training.
_NAMES = ("dataset", "name", "added_backbone", "upload_to", "resume", "queue", "auto_resume")


def values(content: ReportContent) -> dict[str, Any]:
    """Values of settings.html.jinja: tables of names and values, each with a title."""
    manifest = content.manifest
    tables = [
        ("All training options", manifest.train_config.items()),
        (
            "Model",
            [
                ("backbone", manifest.backbone),
                ("image size", f"{manifest.image_size} by {manifest.image_size} pixels, {manifest.resize}"),
                ("intensity range", describe_intensity(manifest.intensity) or manifest.intensity),
                ("served by", f"ONNX Runtime in {manifest.precision}" if manifest.engine == "onnx" else "Keras"),
                ("temperature", f"{manifest.temperature:.3f}"),
                *((f"parity, {name.replace('_', ' ')}", f"{value:g}") for name, value in manifest.parity.items()),
            ],
        ),
        (
            "Dataset of the training" if content.evaluated else "Dataset",
            [(name, manifest.dataset.get(name, "")) for name in ("path", "layout", "fingerprint")],
        ),
        ("Versions", manifest.versions.items()),
    ]
    study = content.study
    changed = {name: value for name, value in changed_options(manifest.train_config).items() if name not in _NAMES}
    return {
        "tables": tables,
        "has_tsne": study is not None and study.map is not None and study.map.is_tsne,
        "changed": changed,
        "command": _command(manifest.train_config) if manifest.train_config.get("dataset") else "",
        "cost": content.cost,
        "energy": "" if content.cost is None else energy_in_words(content.cost.energy_joules),
        "energy_off": content.energy_off,
    }


def _command(options: Mapping[str, Any]) -> str:
    """The command that trains with the same options; the name of the model is left to the user."""
    words = ["topgraft", "train", "--dataset", str(options["dataset"])]
    for name, value in changed_options(options).items():
        flag = name.replace("_", "-")
        if name in _NAMES or value is None:
            continue
        words += [f"--{'' if value else 'no-'}{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
    return shlex.join(words)
