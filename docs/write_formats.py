"""Write docs/formats.md from model/dataset/formats.py and the limits of the decoder. Run it after changing them."""

from pathlib import Path

from model import durable
from model.dataset.decoders.dicom import MAX_INFLATED
from model.dataset.decoders.jpeg_header import MAX_SEGMENTS
from model.dataset.formats import FORMATS, RAW_SUFFIXES, UNSUPPORTED, Format
from model.dataset.image_limits import MAX_DECODING_BYTES, MAX_PARTS, MAX_SCANS, MAX_SIDE

PAGE = Path(__file__).with_name("formats.md")
INTRODUCTION = """\
# Image formats

Written by `docs/write_formats.py` from `model/dataset/formats.py`; do not edit.

A file is recognised by its content, whatever its suffix. Training, evaluation and prediction use the same decoder. EXIF
orientation is applied, and transparency becomes white. Metadata that are damaged or too long are left out, and do not
affect the photo.

## Formats that are read

| format | suffixes | what is read |
|---|---|---|
"""
_MEGABYTES = MAX_DECODING_BYTES / 1e6
NOT_READ = f"""
## Formats that are not read

A whole file of another format or kind is refused as `not supported`, with its name and what to do; a file is called
damaged only if its pixels are incomplete. Images of such formats are listed in `rejected.csv` and in the answer of a
prediction: none is skipped in silence. Camera raw files that are TIFFs
({", ".join(f"`{suffix}`" for suffix in RAW_SUFFIXES)}) are named by their maker; their small
preview is never taken for the photo.

| format | what to do |
|---|---|
"""
LIMITS = f"""
## Limits

The header states how much memory decoding takes; it is read before any pixel is decoded. An image that takes more than
{_MEGABYTES:.0f} MB is refused, with its size. The threads of a process share this limit: many large photos
at the same time take no more memory than one. What fits, for the usual input of a network:

| format | largest photo |
|---|---|
| baseline JPEG, JPEG 2000 | hundreds of megapixels: decoded at a fraction of its scale |
| progressive JPEG | about {_MEGABYTES / 3.1:.0f} megapixels, with the usual chroma subsampling |
| PNG, BMP or WebP in RGB | about {_MEGABYTES / 4.1:.0f} megapixels |
| PNG with transparency | about {_MEGABYTES / 8.1:.0f} megapixels |
| TIFF of 16 bits | about {_MEGABYTES / 4.1:.0f} megapixels in gray, {_MEGABYTES / 10.1:.0f} in RGB |
| HEIC | about {_MEGABYTES / 7.1:.0f} megapixels |
| AVIF | about {_MEGABYTES / 11.6:.0f} megapixels |

No side may have more than {MAX_SIDE:,} pixels, no progressive JPEG more than {MAX_SCANS} scans, no JPEG more than
{MAX_SEGMENTS:,} segments before its pixels or between its scans, and no file of another format more than {MAX_PARTS:,}
chunks, boxes or strips. A deflated DICOM file may become {MAX_INFLATED / 1e6:,.0f} MB. Of EXIF, the first block counts.
Tests: `tests/dataset/test_image_limits.py`, `tests/dataset/test_photo_headers.py`.

JPEG, PNG, WebP, GIF, BMP and binary PPM, and TIFF with a short directory and without files of other formats inside, are
decoded at once if their pixels are few and plainly coded. Large photos of these formats are decoded in a child process,
within `TOPGRAFT_PHOTO_SECONDS`; of all other photos, the header is read in it, too. Test:
`tests/dataset/test_photos_in_child_processes.py`.
"""


def formats_page() -> str:
    """The whole page, as Markdown."""
    rows = dict.fromkeys((item.kind, item.advice) for item in UNSUPPORTED if item.advice)
    unsupported = (f"| {kind.split(' ', 1)[1]} | {advice} |\n" for kind, advice in sorted(rows, key=_name))
    return INTRODUCTION + "".join(map(_row, FORMATS)) + NOT_READ + "".join(unsupported) + LIMITS


def _row(item: Format) -> str:
    return f"| {item.name} | {' '.join(f'`{suffix}`' for suffix in item.suffixes)} | {item.scope} |\n"


def _name(row: tuple[str, str]) -> str:
    return row[0].split(" ", 1)[1].lower()


if __name__ == "__main__":
    durable.write_text(PAGE, formats_page())
