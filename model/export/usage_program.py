"""The program that shows how an exported model is used: it runs as it is, and needs nothing of Topgraft."""

from pathlib import Path

from model.bundle import Manifest
from model.files.rendering import render

PROGRAM = "predict.py"


def usage_program(manifest: Manifest, form: str, file: str) -> str:
    """A program that classifies photos: `python predict.py PHOTO...`.

    Args:
        form: a key of `model.export.formats.FORMS`.
        file: the name of the model beside the program.
    """
    values = {"form": form, "file": file, "size": manifest.image_size, "resize": manifest.resize}
    return render("predict.py.jinja", values, Path(__file__).with_name("templates"))
