"""Small notebooks and pipelines of them."""

import json
from collections.abc import Iterable
from pathlib import Path


def write_notebook(path: Path, parameters: str, *cells: str) -> Path:
    """A notebook with a cell of parameters and cells of code."""
    rows = [(parameters, ["parameters"]), *((cell, []) for cell in cells)]
    content = {
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{number}",
                "metadata": {"tags": tags},
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
            for number, (source, tags) in enumerate(rows)
        ],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_pipeline_file(folder: Path, parameters: Iterable[str], steps: Iterable[str]) -> Path:
    """pipeline.yaml with lines of parameters and of steps, each in braces."""
    lines = ["name: small", "image: docker.io/owner/image:1", "parameters:", *(f"  {line}" for line in parameters)]
    lines += ["steps:", *(f"  - {{{line}}}" for line in steps)]
    path = folder / "pipeline.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
