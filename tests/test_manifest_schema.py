"""A damaged or hostile manifest is one line in the list of models, never an error for all."""

import json
from pathlib import Path

import pytest

from model.bundle import open_bundle
from model.bundle_files import MANIFEST
from model.errors import ModelDamagedError
from model.registry import Registry
from model.workspace import Workspace
from tests.support.odd_manifests import FILES, VALUES
from tests.support.small_model import write_model


def assert_one_line(workspace: Workspace) -> None:
    summaries = {model.name: model.summary for model in Registry().models(workspace)}
    assert "problem" not in summaries["whole"] and len(summaries["odd"]["problem"]) < 3000
    json.dumps(summaries, allow_nan=False).encode()
    assert Registry().latest(workspace).name == "whole"
    with pytest.raises(ModelDamagedError):
        open_bundle(workspace.models / "odd")


@pytest.fixture
def odd(workspace: Workspace) -> Path:
    """The manifest of the model `odd`, next to the model `whole`."""
    write_model(workspace.models / "whole")
    return write_model(workspace.models / "odd", created="2026-01-02T00:00:00Z").directory / MANIFEST


def test_odd_values_are_refused(workspace: Workspace, odd: Path) -> None:
    content = json.loads(odd.read_text())
    for field, value in VALUES:
        odd.write_text(json.dumps(content | {field: value}))
        assert_one_line(workspace)
    for field in content.keys() - {"precision", "intensity"}:
        odd.write_text(json.dumps({name: value for name, value in content.items() if name != field}))
        assert_one_line(workspace)


@pytest.mark.parametrize("kind", FILES)
def test_files_that_are_no_manifest_are_refused(workspace: Workspace, odd: Path, kind: str) -> None:
    FILES[kind](odd)
    assert_one_line(workspace)
