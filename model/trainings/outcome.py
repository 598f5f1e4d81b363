"""What a training answers to whoever asked for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model import durable
from model.bundle import Manifest

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
