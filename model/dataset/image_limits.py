"""Limits on the memory and the structure of an image, checked on its header before decoding."""

from model.errors import ImageError, ImageTooLargeError

MAX_SIDE = 65_000
"""Maximum width and height in pixels."""

MAX_SCANS = 100
"""Maximum number of scans of a progressive JPEG; programs write about 10."""

MAX_PARTS = 100_000
"""Maximum number of segments, chunks, boxes or directories of a file."""

MAX_DECODING_BYTES = 320_000_000
"""Maximum memory of decoding, of one image and of all images that the threads of a process decode at the same time.

A worker of the service takes about 250 MB besides: 600 MB in all.
"""

MAX_CONTENT_BYTES = 512 * 1024 * 1024
"""Maximum size of a file with an image, and of all such files that the threads of a process hold at the same time."""

# A baseline JPEG of 24 megapixels takes a quarter of a second on one processor.
QUICK_WORK = 25_000_000
QUICK_BYTES = 32 * 1024 * 1024


def check_content(size: int) -> None:
    """Check the size of a file in bytes.

    Raises:
        ImageTooLargeError: it is more than `MAX_CONTENT_BYTES`.
    """
    if size > MAX_CONTENT_BYTES:
        raise ImageTooLargeError(f"expected an image of at most {MAX_CONTENT_BYTES:,} bytes, received {size:,}")


def check_size(width: int, height: int) -> None:
    """Check the sides of an image.

    Raises:
        ImageTooLargeError: a side is longer than `MAX_SIDE` pixels.
        ImageError: a side has no pixels.
    """
    if max(width, height) > MAX_SIDE:
        raise ImageTooLargeError(f"expected at most {MAX_SIDE:,} pixels a side, received {width:,} x {height:,}")
    if min(width, height) < 1:
        raise ImageError(f"expected at least one pixel, received {width} x {height}")


def check_memory(name: str, width: int, height: int, memory: int, limit: int = MAX_DECODING_BYTES) -> None:
    """Check the memory that decoding takes.

    Raises:
        ImageTooLargeError: it is more than the limit.
    """
    if memory > limit:
        raise ImageTooLargeError(
            f"expected an image that takes at most {limit / 1e6:,.0f} MB to decode, received {name} of "
            f"{width:,} x {height:,} pixels, which takes {memory / 1e6:,.0f} MB: save it smaller"
        )
