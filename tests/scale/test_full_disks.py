"""Disks that are full or read-only: the run ends with the path and a remedy, and the same run completes it later."""

import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model.errors import StorageError, StorageFullError
from model.scale.featurize import FeaturizeResult
from model.scale.local import run_locally
from tests.scale.conftest import in_this_process
from tests.scale.test_featurize import bytes_of
from tests.support.full_disks import small_disk, small_files

Run = Callable[..., FeaturizeResult]
# For the plan, the listing and some of the parts.
ROOM = 24 << 10
ENGINES = {"this process": in_this_process, "a worker": functools.partial(run_locally, workers=1)}


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_a_full_disk_ends_the_run_and_the_same_run_completes_it(
    run: Run, tmp_path: Path, engine: Callable[..., Iterator]
) -> None:
    run(out=tmp_path / "expected", max_photos=2)
    out = tmp_path / "out"
    out.mkdir()
    with small_disk(out, ROOM) as change:
        with pytest.raises(StorageFullError) as full:
            run(max_photos=2, engine=engine)
        assert full.value.message.startswith(f"{out}/part-0000")
        assert full.value.message.endswith(
            ".parquet: No space left on device. Free some space on its disk. Complete parts are kept: run the same "
            "command to resume."
        )
        kept = bytes_of(out)
        assert 2 < len(kept) < 10 and kept.items() < bytes_of(tmp_path / "expected").items()
        change("size=1m")
        assert run(max_photos=2).written == 10 - len(kept)
        assert bytes_of(out) == bytes_of(tmp_path / "expected")


def test_a_temporary_folder_without_space_for_the_listing_is_reported(run: Run) -> None:
    with (
        small_files(1000),
        pytest.raises(StorageFullError, match=f"{tempfile.gettempdir()}: expected .* Free some space, or set TMPDIR"),
    ):
        run()
    assert run().written == 4


def test_a_read_only_disk_is_reported(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with small_disk(tmp_path / "out", ROOM) as change:
        change("ro")
        with pytest.raises(StorageError, match=r"Read-only file system\. Check the disk"):
            run()
