"""Example program of an exported model: it runs as it is, without Topgraft."""

from pathlib import Path

from model.bundle import Manifest
from model.files.rendering import render
from model.intensity import IntensityRange

PROGRAM = "predict.py"


def usage_program(manifest: Manifest, form: str, file: str) -> str:
    """Source of a program that classifies photos: `python predict.py PHOTO...`.

    Args:
        form: key of `model.export.formats.FORMS`.
        file: name of the model file or folder, next to the program.
    """
    intensity = manifest.intensity if isinstance(manifest.intensity, IntensityRange) else None
    values = {
        "form": form,
        "file": file,
        "size": manifest.image_size,
        "resize": manifest.resize,
        "intensity": intensity,
    }
    return render("predict.py.jinja", values, Path(__file__).with_name("templates"))
