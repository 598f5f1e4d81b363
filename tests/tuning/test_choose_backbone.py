"""backbone = auto: the better of two backbones in cross-validation, within its time, and recorded."""

import dataclasses
import json
from pathlib import Path

import pytest

from model.backbones import AUTO, DEFAULT, TRIED_BY_AUTO, find_backbone
from model.bundle_files import REPORT, TUNING
from model.config import TrainConfig
from model.dataset.prepare import prepare_dataset
from model.registry import find_bundle
from model.results import no_progress
from model.runs.trainer import train
from model.scale.network import backbone_network
from model.tuning import search
from model.tuning.search import choose_backbone
from model.workspace import Workspace

QUICK = TrainConfig(backbone=AUTO, image_size=64, epochs=5)


@pytest.mark.slow
def test_both_backbones_are_tried_and_the_better_is_chosen(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MINUTES_TO_CHOOSE_BACKBONE", 30.0)
    tuning = choose_backbone(prepare_dataset(shapes, QUICK, tmp_path).training_data, QUICK, tmp_path, no_progress)
    assert sorted(row.backbone for row in tuning.rows) == sorted(TRIED_BY_AUTO) and not tuning.left_out
    (chosen,) = (row.backbone for row in tuning.rows if row.chosen)
    assert chosen == min(tuning.rows, key=lambda row: row.loss).backbone
    assert tuning.config == dataclasses.replace(QUICK, backbone=chosen)


def test_without_time_the_default_is_chosen_and_all_is_recorded(
    workspace: Workspace, shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MINUTES_TO_CHOOSE_BACKBONE", 1e-6)
    result = train(dataclasses.replace(QUICK, dataset=str(shapes), name="m"), workspace)
    assert result.tuning is not None and result.tuning.left_out.keys() == set(TRIED_BY_AUTO) - {DEFAULT}
    bundle = find_bundle(workspace, "m")
    assert bundle.manifest.backbone == bundle.manifest.train_config["backbone"] == DEFAULT
    assert json.loads((bundle.directory / TUNING).read_text(encoding="utf-8"))["left_out"] == result.tuning.left_out
    page = (bundle.directory / REPORT).read_text(encoding="utf-8")
    assert all(name in page for name in TRIED_BY_AUTO) and f"in {result.tuning.seconds:.0f} s" in page


def test_without_a_choice_auto_is_the_default() -> None:
    assert find_backbone(AUTO).name == DEFAULT == TrainConfig().backbone
    assert backbone_network(QUICK).name == DEFAULT
