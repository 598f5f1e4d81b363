"""Errors of decoders in words: a file that is damaged, one that is not supported, or a library that is missing."""

from model.dataset.formats import FORMAT_NAMES, SIGNATURE_BYTES, find_format, find_unsupported
from model.errors import ImageError, ImageNotSupportedError, ImageTooLargeError

# What Pillow says of a part that it was built without.
_NOT_BUILT = ("AVIF support not installed", " not available")


def translated_error(content: bytes, error: Exception) -> Exception:
    """The error to raise for an error of a decoder.

    Decoders raise any exception for a damaged file: OSError, SyntaxError, struct.error, IndexError, zlib.error ...

    Args:
        content: the file, or its beginning.
    """
    if isinstance(error, (ImageTooLargeError, MemoryError)):
        return error
    if isinstance(error, ImageError) and error.message.startswith("expected an image"):
        return error
    if isinstance(error, ImageNotSupportedError):
        return ImageNotSupportedError(f"expected an image ({FORMAT_NAMES}), received a file that is {error.message}")
    found = find_format(content)
    if found and _is_missing_library(error):
        return ImageError(
            f"expected an image that this installation decodes, received one in {found.name}, which needs a "
            f"library that cannot be loaded: {error}. Install Topgraft with its dependencies"
        )
    reason = error.message if isinstance(error, ImageError) else str(error) or type(error).__name__
    name = f"{found.name} of {len(content):,} bytes" if found else f"one of {len(content):,} bytes"
    return ImageError(f"expected an image ({FORMAT_NAMES}), received a damaged {name}: {reason}")


def _is_missing_library(error: Exception) -> bool:
    return isinstance(error, ImportError) or (
        isinstance(error, (OSError, SyntaxError)) and str(error).endswith(_NOT_BUILT)
    )


def unknown_error(content: bytes, size: int) -> ImageError:
    """The error for content without the signature of an image, of which `content` is the beginning."""
    expected = f"expected an image ({FORMAT_NAMES})"
    if not content:
        return ImageError(f"{expected}, received an empty file")
    if found := find_unsupported(content[:SIGNATURE_BYTES]):
        advice = f"; {found.advice}" if found.advice else ""
        return ImageNotSupportedError(f"{expected}, received a file that is not supported: {found.kind}{advice}")
    beginning = content[:SIGNATURE_BYTES].decode("utf-8", errors="replace").strip("\ufeff\ufffd")
    if beginning.isprintable() or all(char.isprintable() or char.isspace() for char in beginning):
        return ImageError(f"{expected}, received text beginning with {' '.join(beginning.split())[:40]!r}")
    return ImageError(f"{expected}, received {size:,} bytes beginning with {content[:8].hex(' ')}")
