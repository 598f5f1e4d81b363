"""What a training answers to whoever asked for it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model import durable
from model.bundle import Manifest
from model.bundle_files import TUNING

_METRICS = ("images", "accuracy", "accuracy_interval", "macro_f1")


def outcome(manifest: Manifest, path: Path, warnings: Sequence[str], seconds: float) -> dict[str, Any]:
    """status, model (its name), path, metrics of each split, warnings and seconds; all plain JSON."""
    metrics = {
        split: {name: values[name] for name in _METRICS if name in values} for split, values in manifest.metrics.items()
    }
    plain: dict[str, Any] = durable.to_json(
        {
            "status": "done",
            "model": manifest.name,
            "path": path,
            "metrics": metrics,
            "warnings": warnings,
            "seconds": round(seconds, 1),
        }
    )
    return plain


def tuning_in(bundle: Path) -> dict[str, Any]:
    """`tuning` of an answer, from what is in the folder of a model; nothing where there was no tuning."""
    path = bundle / TUNING
    return {"tuning": json.loads(path.read_text(encoding="utf-8"))} if path.is_file() else {}
