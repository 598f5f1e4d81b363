"""A checksum file lists the previous and the new checksum while the file that it is of is replaced."""

from pathlib import Path

import pytest

from model.files.checksums import replaced_checksum_file

PREVIOUS, NEW = b"0" * 64 + b"  model.tar.xz\n", b"1" * 64 + b"  model.tar.xz\n"
STATES = {"none before": None, "one before": PREVIOUS}


@pytest.fixture(params=STATES)
def checksum(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "model.tar.xz.sha256"
    previous = STATES[request.param]
    if previous is not None:
        path.write_bytes(previous)
    return path


def test_both_checksums_are_listed_until_the_file_is_replaced(checksum: Path) -> None:
    previous = checksum.read_bytes() if checksum.exists() else b""
    with replaced_checksum_file(checksum, NEW):
        assert checksum.read_bytes() == previous + NEW
    assert checksum.read_bytes() == NEW


@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()])
def test_the_previous_checksum_file_is_restored_after_an_error(checksum: Path, error: BaseException) -> None:
    previous = checksum.read_bytes() if checksum.exists() else None
    with pytest.raises(type(error)), replaced_checksum_file(checksum, NEW):
        raise error
    assert (checksum.read_bytes() if checksum.exists() else None) == previous
