"""The form of the options of a training, and the three choices with what was measured."""

import dataclasses
import json
import subprocess
import sys

import pytest

from model.backbones import find_backbone
from model.bundle import write_manifest
from model.bundle_files import TRAINING_COST
from model.config import TrainConfig
from model.networks.converted_backbone import converted_backbone
from model.presets import measured_path, train_config
from model.studio.choices import CHOICES, choices
from model.studio.preparation import inputs
from model.studio.training_options import GROUPS, NOT_IN_FORM, option_groups
from model.workspace import Workspace
from tests.support.command import ROOT
from tests.support.small_model import write_model


def test_every_option_is_in_one_group() -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted([*grouped, *NOT_IN_FORM]) == sorted(field.name for field in dataclasses.fields(TrainConfig))


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_group_and_choice_has_a_name(language: str) -> None:
    texts = json.loads((ROOT / "model" / "studio" / "static" / "texts" / f"{language}.json").read_text())
    keys = [f"training.group_{group}" for group in GROUPS] + [f"training.choice_{choice}" for choice in CHOICES]
    assert [key for key in keys if key not in texts] == []


def test_every_option_of_the_form_has_a_french_help() -> None:
    texts = json.loads((ROOT / "model" / "studio" / "static" / "texts" / "fr.json").read_text())
    translated = [key.partition(".")[2] for key in texts if key.startswith("option.")]
    assert sorted(translated) == sorted(name for names in GROUPS.values() for name in names)


def test_a_field_has_what_a_form_needs() -> None:
    fields = {field["name"]: field for group in option_groups() for field in group["fields"]}
    size = fields["image_size"]
    assert (size["type"], size["optional"], size["minimum"], size["maximum"]) == ("int", True, 32, 1024)
    assert fields["epochs"]["help"].startswith("Maximum epochs") and not fields["epochs"]["optional"]
    assert "EfficientNetLite0" in fields["backbone"]["choices"]
    assert json.dumps(option_groups())


def test_a_choice_shows_the_benchmark_until_it_was_trained_here(tmp_path) -> None:
    measured = json.loads(measured_path().read_text())
    for row in choices(Workspace(tmp_path), "photos"):
        assert row["here"] is None
        assert row["benchmark"].items() >= measured["choices"][row["name"]].items()


def test_earlier_trainings_count_for_their_dataset_and_their_choice_only(tmp_path) -> None:
    workspace = Workspace(tmp_path)

    def trained(name: str, seconds: float, dataset: str, **options: object) -> None:
        config = dataclasses.asdict(train_config({"preset": "quick", "name": name, **options}))
        bundle = write_model(workspace.models / name, train_config=config, dataset={"path": f"/data/{dataset}"})
        (bundle.directory / TRAINING_COST).write_text(json.dumps({"seconds": seconds}))
        write_manifest(bundle.directory, bundle.manifest)

    trained("a", 4.0, "photos")
    trained("b", 8.0, "photos")
    trained("other-photos", 100.0, "birds")
    trained("other-options", 100.0, "photos", epochs=3)
    found = {row["name"]: row["here"] for row in choices(workspace, "photos")}
    assert (found["quick"]["trainings"], found["quick"]["seconds"]) == (2, 6.0)
    assert found["quick"]["images"] and found["quick"]["measured_by"] in ("test", "cross_validation", "val")
    assert (found["balanced"], found["best"]) == (None, None)


def test_the_backbones_of_the_choices_are_converted_before_the_first_training() -> None:
    assert inputs() == [("EfficientNetLite0", 160), ("EfficientNetLite0", 224)]


def test_nothing_is_converted_twice() -> None:
    """The cache of tests holds both backbones, once a test has trained with them."""
    for name, size in inputs():
        converted_backbone(find_backbone(name), size)
    code = "import sys; from model.studio.preparation import main; main(); print('tensorflow' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
