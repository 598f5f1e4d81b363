"""Import of models: contents are unchanged, and nothing in them is executed."""

import dataclasses
import io
import json
import pickle
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from onnx import helper

from model.bundle import Bundle, open_bundle, write_manifest
from model.bundle_files import IMPORTED
from model.errors import ConfigError, FetchError, ModelDamagedError, ModelError, StorageDamagedError
from model.evaluation.report.policy import content_security_policy, safe_beginning
from model.provenance import provenance_of, write_job, write_run
from model.publishing.archive import write_archive
from model.registry import find_bundle, model_names
from model.runs.import_run import import_model
from model.storage.download import download
from model.workspace import Workspace
from tests.support.http_server import Answer, serving


class Touch:
    """A pickle of it creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_an_imported_model_equals_the_exported_one_and_exports_to_the_same_bytes(
    bundle: Bundle, other_workspace: Workspace, tmp_path: Path
) -> None:
    archive = write_archive(bundle, tmp_path / "colours.tar.xz")
    result = import_model(archive.path, other_workspace)
    imported = find_bundle(other_workspace, "colours")
    imported.verify()
    assert result.model == "colours" and result.warnings == ()
    assert write_archive(imported, tmp_path / "again.tar.xz").sha256 == archive.sha256


def test_the_provenance_is_imported(
    bundle: Bundle, other_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOMAD_JOB_ID", "training-job")
    write_job(bundle.directory)
    monkeypatch.delenv("NOMAD_JOB_ID")
    write_manifest(bundle.directory, bundle.manifest)
    write_run(bundle.directory, {"run_id": "0123abcd"})
    import_model(bundle.directory, other_workspace)
    imported = find_bundle(other_workspace, "colours")
    assert provenance_of(imported.directory) == {"mlflow_run": "0123abcd", "nomad_job": "training-job"}


def test_a_url_is_fetched_and_its_sha256_checked(bundle: Bundle, other_workspace: Workspace, tmp_path: Path) -> None:
    archive = write_archive(bundle, tmp_path / "colours.tar.xz")
    with serving({"/s/abc/download": Answer(303, location="/file"), "/file": Answer(200, archive.path)}) as server:
        import_model(f"{server.address}/s/abc/download", other_workspace, "one", archive.sha256)
        with pytest.raises(StorageDamagedError, match="expected content with the sha256"):
            import_model(f"{server.address}/s/abc/download", other_workspace, "two", "0" * 64)
        with pytest.raises(FetchError, match="404"):
            import_model(f"{server.address}/other", other_workspace, "three")
    assert model_names(other_workspace) == ["one"]


def test_an_interrupted_transfer_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.storage.failures.time.sleep", lambda _: None)
    content = np.random.default_rng(0).bytes(400_000)
    with serving({"/file": Answer(200, content, breaks_after=300_000)}) as server:
        download(f"{server.address}/file", tmp_path / "file")
        first, second = (request.headers.get("Range") for request in server.seen)
    assert first is None and second == f"bytes={4 * 65536}-"
    assert (tmp_path / "file").read_bytes() == content


def test_plain_http_from_another_machine_needs_a_sha256(other_workspace: Workspace) -> None:
    with pytest.raises(FetchError, match="expected https"):
        import_model("http://example.org/model.tar.xz", other_workspace)


def test_the_checksum_file_of_an_archive_is_checked(bundle: Bundle, other_workspace: Workspace, tmp_path: Path) -> None:
    archive = write_archive(bundle, tmp_path / "colours.tar.xz")
    (tmp_path / "colours.tar.xz.sha256").write_text(f"{'0' * 64}  colours.tar.xz\n")
    with pytest.raises(ModelDamagedError, match="expected the sha256"):
        import_model(archive.path, other_workspace)
    with pytest.raises(ConfigError, match="64 hexadecimal"):
        import_model(archive.path, other_workspace, sha256="abc")


def rewritten(bundle: Bundle) -> None:
    """The manifest, made to fit the files: as an attacker would."""
    write_manifest(bundle.directory, bundle.manifest)


def with_pickle(bundle: Bundle, trace: Path) -> None:
    (bundle.directory / "training_features.npz").write_bytes(pickle.dumps(Touch(trace)))


def with_pickled_array(bundle: Bundle, trace: Path) -> None:
    np.savez(bundle.directory / "more.npz", names=np.array([Touch(trace)], dtype=object))


def with_program(bundle: Bundle, trace: Path) -> None:
    (bundle.directory / "sitecustomize.py").write_text(f"open({str(trace)!r}, 'w')")


def with_tensor_elsewhere(bundle: Bundle, trace: Path) -> None:
    graph = onnx.load(bundle.directory / "model.onnx")
    tensor = graph.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    tensor.external_data.add(key="location", value="../../../../etc/passwd")
    (bundle.directory / "model.onnx").write_bytes(graph.SerializeToString())


def with_foreign_operator(bundle: Bundle, trace: Path) -> None:
    graph = onnx.load(bundle.directory / "model.onnx")
    graph.graph.node.append(helper.make_node("PyOp", ["image"], ["x"], domain="ai.onnx.contrib"))
    (bundle.directory / "model.onnx").write_bytes(graph.SerializeToString())


def with_lambda(bundle: Bundle, trace: Path) -> None:
    image, place = keras.Input((8, 8, 3)), str(trace)
    layer = keras.layers.Lambda(lambda x: open(place, "w").close() or x)
    keras.Model(image, layer(image)).save(bundle.directory / "model.keras")
    trace.unlink(missing_ok=True)


def with_settings_that_lead_elsewhere(bundle: Bundle, trace: Path) -> None:
    logs = bundle.directory / "logs" / "head"
    logs.mkdir(parents=True)
    (logs / "projector_config.pbtxt").write_text('embeddings { tensor_path: "/etc/passwd" }')


SMUGGLED = {
    with_pickle: "expected arrays of numbers",
    with_pickled_array: "expected arrays of numbers",
    with_program: "sitecustomize",
    with_tensor_elsewhere: "stored in another file",
    with_foreign_operator: r"ai\.onnx\.contrib\.PyOp",
    with_lambda: "Lambda",
    with_settings_that_lead_elsewhere: "a path to another one",
}


@pytest.mark.parametrize("smuggle", SMUGGLED, ids=lambda one: one.__name__)
def test_files_that_could_run_code_are_not_imported(
    bundle: Bundle, other_workspace: Workspace, tmp_path: Path, smuggle: Callable[[Bundle, Path], None]
) -> None:
    trace = tmp_path / "it-ran"
    smuggle(bundle, trace)
    rewritten(bundle)
    archive = write_archive(open_bundle(bundle.directory), tmp_path / "colours.tar.xz")
    with pytest.raises(ModelError, match=SMUGGLED[smuggle]):
        import_model(archive.path, other_workspace)
    assert model_names(other_workspace) == [] and not trace.exists()
    assert [path for path in other_workspace.running.iterdir() if path.is_dir()] == []


def test_a_report_that_could_run_scripts_is_not_imported(
    bundle: Bundle, other_workspace: Workspace, tmp_path: Path
) -> None:
    (bundle.directory / "report.html").write_text("<script>alert(1)</script>")
    rewritten(bundle)
    result = import_model(bundle.directory, other_workspace, "one")
    assert "report.html was left out" in result.warnings[0]
    imported = find_bundle(other_workspace, "one")
    imported.verify()
    assert not (imported.directory / "report.html").exists()


def test_a_report_of_topgraft_is_imported(bundle: Bundle, other_workspace: Workspace) -> None:
    (bundle.directory / "report.html").write_text(safe_beginning() + "<title>report</title>")
    rewritten(bundle)
    assert import_model(bundle.directory, other_workspace).warnings == ()
    assert (other_workspace.models / "colours" / "report.html").is_file()


def test_a_report_of_another_version_is_imported_without_its_script(bundle: Bundle, other_workspace: Workspace) -> None:
    digest = content_security_policy().partition("sha256-")[2].rstrip("'")
    other = (safe_beginning() + "<title>report</title>").replace(digest, "A" * 43 + "=")
    (bundle.directory / "report.html").write_text(other)
    rewritten(bundle)
    import_model(bundle.directory, other_workspace)
    imported = find_bundle(other_workspace, "colours")
    imported.verify()
    assert (imported.directory / "report.html").read_text() == safe_beginning() + "<title>report</title>"


def archive_of(entries: list[tuple[tarfile.TarInfo, bytes]], path: Path) -> Path:
    with tarfile.open(path, "w:xz") as archive:
        for entry, content in entries:
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "colours/../../outside"])
def test_an_archive_with_paths_outside_is_refused(other_workspace: Workspace, tmp_path: Path, name: str) -> None:
    path = archive_of([(tarfile.TarInfo(name), b"x")], tmp_path / "bad.tar.xz")
    with pytest.raises(ModelError, match="outside"):
        import_model(path, other_workspace)
    assert list(tmp_path.rglob("outside")) == []


def test_a_link_in_an_archive_or_a_folder_is_refused(
    bundle: Bundle, other_workspace: Workspace, tmp_path: Path
) -> None:
    link = tarfile.TarInfo("colours/model.onnx")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with pytest.raises(ModelError, match="link"):
        import_model(archive_of([(link, b"")], tmp_path / "bad.tar.xz"), other_workspace)
    (bundle.directory / "model.onnx").unlink()
    (bundle.directory / "model.onnx").symlink_to("/etc/passwd")
    with pytest.raises(ModelError):
        import_model(bundle.directory, other_workspace)


def test_modified_files_and_invalid_manifests_are_refused(
    bundle: Bundle, other_workspace: Workspace, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle.directory, copy)
    content = bytearray((copy / "model.onnx").read_bytes())
    content[-1] ^= 1
    (copy / "model.onnx").write_bytes(content)
    with pytest.raises(ModelDamagedError, match=r"model\.onnx"):
        import_model(copy, other_workspace)
    manifest = json.loads((bundle.directory / "manifest.json").read_text())
    manifest |= {"image_size": 10**9, "classes": ["a", "a"], "temperature": 0}
    (bundle.directory / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match=r"image_size.*temperature"):
        import_model(bundle.directory, other_workspace)


@pytest.mark.parametrize("created", ["9999-12-31T23:59:59+00:00", "tomorrow", "", "9" * 1000])
def test_a_training_time_that_is_none_or_in_the_future_is_refused(
    bundle: Bundle, other_workspace: Workspace, created: str
) -> None:
    write_manifest(bundle.directory, dataclasses.replace(bundle.manifest, created=created))
    with pytest.raises(ModelError, match="created: expected a time"):
        import_model(bundle.directory, other_workspace)


def test_the_time_of_an_import_is_that_of_this_machine(bundle: Bundle, other_workspace: Workspace) -> None:
    (bundle.directory / IMPORTED).write_text('{"time": "2001-01-01"}')
    import_model(bundle.directory, other_workspace)
    recorded = json.loads((other_workspace.models / "colours" / IMPORTED).read_text())["time"]
    assert recorded[:10] >= "2026"
