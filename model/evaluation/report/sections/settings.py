"""Settings: the options of the training, the model, the dataset and the versions."""

from typing import Any

from model.evaluation.report.content import ReportContent
from model.intensity import describe_intensity


def values(content: ReportContent) -> dict[str, Any]:
    """Values of settings.html.jinja: tables of names and values, each with a title."""
    manifest = content.manifest
    tables = [
        ("Training options", manifest.train_config.items()),
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
        ("Dataset", [(name, manifest.dataset.get(name, "")) for name in ("path", "layout", "fingerprint")]),
        ("Versions", manifest.versions.items()),
    ]
    return {"tables": tables}
