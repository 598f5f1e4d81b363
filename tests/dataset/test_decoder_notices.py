"""Warnings of decoders about metadata: kept off the terminal of the user, with the pixels unchanged."""

import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from model.dataset.images import decode_image
from tests.support.photos import encoded, random_image

PHOTO = random_image(1)


def exif(*entries: tuple[int, int, int, int]) -> bytes:
    """EXIF block of entries: tag, type, count and value or offset."""
    packed = b"".join(struct.pack("<HHLL", *entry) for entry in entries)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + packed


BLOCKS: Mapping[str, bytes] = {
    "cut": exif((0x010F, 2, 500, 26))[:-4],
    "more entries than bytes": b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
    "data outside the block": exif((0x010F, 2, 500, 90000)) + bytes(4),
    "two orientations": exif((0x0112, 3, 2, 1 | 1 << 16)) + bytes(4),
    "a pointer to nowhere": exif((0x8769, 4, 1, 99999)) + bytes(4),
}
PALETTE = PHOTO.convert("P")
FILES: Mapping[str, bytes] = {
    **{
        f"{name}.{kind}": encoded(PHOTO, kind, exif=block)
        for name, block in BLOCKS.items()
        for kind in ("JPEG", "PNG", "WEBP")
    },
    "transparent palette.PNG": encoded(PALETTE, "PNG", transparency=bytes(256)),
    "transparent palette.GIF": encoded(PALETTE, "GIF", transparency=3),
}
_DECODE_ALL = """
import sys
from pathlib import Path
from model.dataset.images import decode_image, measure_image, open_photo, read_image
from model.results import InputSpec
for path in sorted(Path(sys.argv[1]).iterdir()):
    read_image(path, InputSpec.square(64)), measure_image(path.read_bytes()), open_photo(path.read_bytes())
"""


def test_no_warning_about_metadata_reaches_the_terminal(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    arguments = [sys.executable, "-W", "default", "-c", _DECODE_ALL, str(tmp_path)]
    root = Path(__file__).resolve().parents[2]
    ended = subprocess.run(arguments, cwd=root, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize("name", BLOCKS)
def test_damaged_metadata_changes_no_pixel(name: str) -> None:
    assert np.array_equal(decode_image(FILES[f"{name}.PNG"]), np.asarray(PHOTO))
