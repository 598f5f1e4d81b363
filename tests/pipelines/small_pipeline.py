"""Small pipelines for tests of the exports."""

from pathlib import Path
from typing import Any

import yaml

from model.pipelines.pipeline_file import read_pipeline
from model.pipelines.steps import Pipeline

NOTEBOOK = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}\n'


def write_pipeline(folder: Path, steps: list[dict[str, Any]], **keys: Any) -> Pipeline:
    """Write pipeline.yaml and an empty notebook for each step; the notebook's name is that of the step."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for step in steps:
        notebook = step.get("notebook", f"{step['name']}.ipynb")
        (folder / notebook).write_text(NOTEBOOK)
        written.append({"notebook": notebook, **step})
    content = {"name": "small", "image": "docker.io/owner/image:1", **keys, "steps": written}
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return read_pipeline(folder / "pipeline.yaml")
