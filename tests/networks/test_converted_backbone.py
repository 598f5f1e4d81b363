"""The cache of converted backbones: each is converted by one process, and the others wait for it."""

import threading
from pathlib import Path

import pytest

from model.backbones import find_backbone
from model.files.checksums import with_checksum
from model.locks import exclusive
from model.networks.converted_backbone import backbone_cache, converted_backbone

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
    with exclusive(backbone_cache() / f"{backbone.key}-{SIZE}-v2.lock", ""):
        converting.start()
        assert is_waiting.wait(20) and found == []
        (backbone_cache() / f"{backbone.key}-{SIZE}-v2.checked-onnx").write_bytes(with_checksum(GRAPH))
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
