"""Content from outside is read up to a limit only: files, streams, members of archives and answers of servers."""

import ast
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.reading import UnreadableError, read_stream
from tests.test_shown import SOURCES

ROOT = Path(__file__).resolve().parent.parent

# Files that this package, the system or this process has written, or whose size was checked before.
OWN = {
    "api/uploads.py": "the size is checked before",
    "api/arguments.py": "aiohttp limits the body",
    "api/temporary.py": "the size is checked before",
    "model/cli/demo.py": "the demo set",
    "model/dataset/decoding_child.py": "from the parent process",
    "model/energy.py": "counters of the system",
    "model/evaluation/report/policy.py": "a file of this package",
    "model/export/keras_template.py": "written by this package",
    "model/features/constant_folding.py": "written by ONNX Runtime in this process",
    "model/files/checksums.py": "checksum files of this package",
    "model/importing/untrusted_backbone.py": "written by a child process",
    "model/labels/import_labels.py": "crops that were written before",
    "model/locks.py": "lock files of this package",
    "model/networks/quantization.py": "written by ONNX Runtime in this process",
    "model/networks/tensorflow_import.py": "messages of TensorFlow",
    "model/networks/torch_weights.py": "files of an installed package",
    "model/pipelines/exports.py": "the exported pipeline",
    "model/pipelines/unchanged.py": "was read with a limit before",
    "model/processes.py": "processes of the system",
    "model/publishing/child_module.py": "files of this package and of a child module",
    "model/publishing/upload.py": "checksum files of this package",
    "model/resources.py": "limits of the system",
    "model/runs/feature_dataset.py": "a word that this package has written",
    "model/scale/worker.py": "from the parent process",
    "model/scratch.py": "processes of the system",
    "model/storage/folder_locks.py": "lock files of this package",
    "model/storage/local.py": "checksum files of this package",
    "model/storage/uploading.py": "checksum files of this package",
    "model/synthesis/synthesize.py": "photos that were written before",
    "model/studio/tasks.py": "between the server and its child process",
    "model/tracking/experiment_tracking.py": "the log of a child process",
    "model/web/static_files.py": "files of this package",
}

ANSWERS = ("answer.content", "answer.text", "answer.json", "response.content", "response.text", "response.json")


def unbounded_reads(path: Path) -> Iterator[int]:
    """Lines of `.read()` without a length, `.read_bytes()`, `.read_text()`, and of the whole content of an answer."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    # `response.content.iter_any()` of aiohttp is a stream.
    streams = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            # Environment variables and readers of other objects have such a method, too.
            owner = ast.unparse(node.func.value).rpartition(".")[2]
            is_stream = owner.islower() and not owner.endswith(("variable", ")"))
            if node.func.attr in ("read_bytes", "read_text") or (
                node.func.attr in ("read", "readall") and not node.args and not node.keywords and is_stream
            ):
                yield node.lineno
        elif isinstance(node, ast.Attribute) and id(node) not in streams and ast.unparse(node) in ANSWERS:
            yield node.lineno


def test_content_is_read_with_a_limit() -> None:
    found = {path.relative_to(ROOT).as_posix(): list(unbounded_reads(path)) for path in SOURCES}
    assert {name: lines for name, lines in found.items() if lines and name not in OWN} == {}
    assert {name for name, lines in found.items() if lines} >= set(OWN), "remove what no longer reads so"


def test_the_check_sees_reads_without_a_limit(tmp_path: Path) -> None:
    lines = ("stream.read()", "x.read_bytes()", "x.read_text(encoding='utf-8')", "answer.content", "LIMIT.read()")
    path = tmp_path / "wrong.py"
    path.write_text("\n".join((*lines, "stream.read(5)")))
    assert sorted(unbounded_reads(path)) == [1, 2, 3, 4]


def test_a_stream_is_read_up_to_its_limit() -> None:
    assert read_stream(io.BytesIO(b"12345"), 5) == b"12345"
    with pytest.raises(UnreadableError, match="at most 5 bytes"):
        read_stream(io.BytesIO(b"123456"), 5)
