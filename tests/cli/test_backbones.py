"""`topgraft backbones`: listing, adding and removing networks; weights for a machine without a network."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from model.backbones import BACKBONES
from model.cli.command import main, topgraft
from model.networks.keras_weights import weights_file
from tests.support.feature_networks import CHANNELS, SIZE, convolutional


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPGRAFT_BACKBONES", str(tmp_path / "backbones"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(topgraft, ["backbones", *arguments])


def test_an_added_network_is_listed_until_it_is_removed(tmp_path: Path) -> None:
    (tmp_path / "plants.onnx").write_bytes(convolutional().SerializeToString())
    added = _run("add", f"{tmp_path}/plants.onnx", "--features-output", "pooled", "--license", "CC0-1.0", "--json")
    record = json.loads(added.stdout)
    assert (record["name"], record["image_size"], record["features"]) == ("plants", SIZE, CHANNELS)
    rows = _run("list").stdout.splitlines()
    assert len(rows) == len(BACKBONES) + 2
    assert rows[1].split() == ["EfficientNetLite0", "224", "installed"]
    assert rows[-1].split() == ["plants", str(SIZE), "added", "CC0-1.0"]
    listed = json.loads(_run("list", "--json").stdout)
    assert listed[-1] == record | {"weights": "added"} and listed[0]["weights"] == "installed"
    assert _run("remove", "plants").stdout == "Removed plants\n"
    assert len(_run("list").stdout.splitlines()) == len(BACKBONES) + 1


def test_weights_on_this_machine_are_listed(tmp_path: Path) -> None:
    path = weights_file(BACKBONES["MobileNet"])
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    rows = {row.split()[0]: row for row in _run("list").stdout.splitlines()}
    assert "on this machine" in rows["MobileNet"] and "downloaded on first use" in rows["MobileNetV2"]


def test_installed_weights_need_not_be_fetched() -> None:
    assert _run("fetch", "EfficientNetLite0").stdout == "The weights of EfficientNetLite0 are on this machine\n"


@pytest.mark.slow
def test_weights_that_keras_did_not_publish_are_not_placed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    file = tmp_path / weights_file(BACKBONES["MobileNet"]).name
    file.write_bytes(b"other weights")
    assert main(["backbones", "add", str(file)]) == 5
    assert "expected the weights of MobileNet as Keras publishes them, found others" in capsys.readouterr().err
    assert not weights_file(BACKBONES["MobileNet"]).exists()


def test_a_file_of_weights_under_another_name_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "weights.h5").write_bytes(b"")
    assert main(["backbones", "add", f"{tmp_path}/weights.h5"]) == 2
    assert "'weights.h5': expected a network in ONNX, or weights under the name" in capsys.readouterr().err
