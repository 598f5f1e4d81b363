"""Citation of the project: the same version everywhere, and the fields that each format requires."""

import json

import yaml

import model
from tests.support.command import ROOT


def test_citation_and_zenodo_name_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    zenodo = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
    assert {"title", "upload_type", "description", "creators"} <= set(zenodo)
    assert citation["version"] == zenodo["version"] == model.__version__
    assert citation["license"] == zenodo["license"] == "Apache-2.0"
