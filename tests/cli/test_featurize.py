"""`topgraft featurize` from the command line."""

import json
from pathlib import Path

import pyarrow.parquet
import pytest

from model.bundle import open_bundle
from model.cli import main
from model.dataset.images import decode_image
from model.features.extractor import FeatureExtractor
from model.files.checksums import file_sha256
from tests.support.photos import write_photos
from tests.support.small_model import write_small_model


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photos of two classes in the current folder, which is no workspace."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOPGRAFT_HOME", str(tmp_path))
    return write_photos(tmp_path / "photos")


def test_features_are_written_once(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["featurize", "photos", "out", "--image-size", "64", "--chunk", "6", "--json"]
    assert main(command) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["photos"], first["features"], first["parts"], first["written"], first["classes"]) == (
        16,
        1280,
        3,
        3,
        2,
    )
    assert main(command[:-1]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "out: 1,280 features of 16 photos of 2 classes",
        "  3 parts, 0 of them written now",
    ]
    assert "featurize 16/16 images" not in printed.out
    assert main([*command, "--resize", "pad"]) == 2
    assert "resize was 'squash' and is 'pad'" in json.loads(capsys.readouterr().out)["message"]


@pytest.mark.parametrize(
    "command",
    [
        ("featurize", "photos", "out"),
        ("featurize", "s3://bucket/photos", "out"),
        ("train", "--features", "out"),
        ("predict", "small", "--features", "out"),
        ("predict", "small", "photos", "--engine", "local", "--output", "scores"),
    ],
    ids=" ".join,
)
def test_what_to_install_is_stated_where_pyarrow_is_missing(
    command: tuple[str, ...],
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_small_model(photos.parent / "models" / "small")
    (photos.parent / "out").mkdir()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main([*command]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("Error: ") and error.endswith("Run: pip install 'topgraft[parquet]'")
    assert sorted(path.name for path in photos.parent.iterdir() if path.name != "models") == ["out", "photos"]
    assert not list((photos.parent / "out").iterdir())


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (["photos", "photos/out"], "expected OUT to be outside of SOURCE", 2),
        (["none", "out"], "expected a folder of photos", 3),
        (["photos", "out", "--model", "latest", "--backbone", "VGG16"], "--backbone: expected it without --model", 2),
        (["photos", "out", "--model", "latest"], "expected a trained model", 4),
        (["photos", "out", "--chunk", "0"], "Invalid value for '--chunk'", 2),
        (["photos", "out", "--group-pattern", "("], "group_pattern", 2),
    ],
)
def test_wrong_arguments_are_refused(
    photos: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str, status: int
) -> None:
    assert main(["featurize", *arguments]) == status
    assert message.lower() in capsys.readouterr().err.lower()
    assert not Path("out").exists()


def test_the_network_of_a_model_gives_its_own_features(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_small_model(Path("models") / "colours")
    assert main(["featurize", "photos", "out", "--model", "colours", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["features"] == 3
    plan = json.loads(Path("out/plan.json").read_text(encoding="utf-8"))
    bundle = open_bundle(Path("models") / "colours")
    assert (plan["network"], plan["image_size"], plan["resize"]) == ("colours", 8, "squash")
    assert plan["manifest_sha256"] == file_sha256(bundle.directory / "manifest.json")
    assert plan["graph_sha256"] == bundle.manifest.files["model.onnx"].sha256
    [part] = Path("out").glob("part-*")
    row = pyarrow.parquet.read_table(part).to_pylist()[0]
    image = decode_image((photos / row["path"]).read_bytes(), bundle.manifest.input_spec)
    features = FeatureExtractor(bundle.read_file("model.onnx"), bundle.manifest.input_spec)(image[None])[0]
    assert row["features"] == features.tolist()
    manifest = Path("models/colours/manifest.json")
    manifest.write_text(manifest.read_text(encoding="utf-8").replace('"onnx",\n', '"keras",\n'), encoding="utf-8")
    assert main(["featurize", "photos", "out", "--model", "colours"]) == 2
    assert "expected a model in ONNX" in capsys.readouterr().err
