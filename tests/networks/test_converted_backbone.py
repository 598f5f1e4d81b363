"""The cache of converted backbones: each is converted by one process, and the others wait for it."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from model.backbones import find_backbone
from model.files.checksums import with_checksum
from model.locks import exclusive
from model.networks.converted_backbone import backbone_cache, converted_backbone
from tests.support.command import ROOT

NAME, SIZE, GRAPH = "EfficientNetLite0", 97, b"a graph that another process has converted"


def test_a_backbone_that_another_process_converts_is_not_converted_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TOPGRAFT_CACHE", str(tmp_path))
    backbone_cache().mkdir()
    found: list[bytes] = []
    is_waiting = threading.Event()
    caplog.handler.addFilter(lambda _record: is_waiting.set() or True)
    backbone = find_backbone(NAME)
    converting = threading.Thread(target=lambda: found.append(converted_backbone(backbone, SIZE)))
    with exclusive(backbone_cache() / f"{backbone.key}-{SIZE}-v3.lock", ""):
        converting.start()
        assert is_waiting.wait(20) and found == []
        (backbone_cache() / f"{backbone.key}-{SIZE}-v3.checked-onnx").write_bytes(with_checksum(GRAPH))
    converting.join(20)
    assert found == [GRAPH]


def test_a_cache_that_cannot_be_written_to_is_no_reason_to_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of the cache is a file; the content of the cache is therefore never found."""
    (tmp_path / "cache").write_bytes(b"")
    monkeypatch.setenv("TOPGRAFT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ValueError, match="the conversion began"):
        monkeypatch.setattr("model.networks.converted_backbone.import_tensorflow", _begin)
        converted_backbone(find_backbone(NAME), SIZE)


def _begin() -> None:
    raise ValueError("the conversion began")


_CONVERSION = """
import hashlib, sys
from tests.support.tiny_network import REPLACED, use_tiny_network

use_tiny_network()
from model.backbones import find_backbone
from model.networks.onnx_export import convert_backbone
from model.networks.pretrained import build_backbone

for _ in range(int(sys.argv[1])):
    graph = convert_backbone(build_backbone(find_backbone(REPLACED), 32, "none", seed=1))
print(hashlib.sha256(graph.SerializeToString()).hexdigest())
"""


@pytest.mark.slow
def test_a_backbone_has_one_checksum_wherever_it_was_converted() -> None:
    """In processes that order sets of texts differently, and number names differently."""
    found = {
        subprocess.run(
            [sys.executable, "-c", _CONVERSION, str(number)],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": str(number)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for number in (1, 2)
    }
    assert len(found) == 1 and len(found.pop()) == 65
