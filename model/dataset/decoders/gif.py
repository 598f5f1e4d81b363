"""GIF: the first frame. Comments and other extensions before it are left out before decoding."""

from PIL import GifImagePlugin

from model.dataset.decoders.source import ImageSource, pillow_source, stream
from model.dataset.image_limits import MAX_PARTS
from model.errors import ImageError, ImageTooLargeError

_HEADER_BYTES = 13
_EXTENSION, _FRAME = 0x21, 0x2C
_GRAPHIC_CONTROL = 0xF9
# Extensions of this length are left to Pillow, which saves a copy of most files.
_SHORT = 1024
_WORK_PER_PIXEL = 6


def open_gif(content: bytes) -> ImageSource:
    """Read the header of a GIF and of its first frame.

    Raises:
        ImageTooLargeError: more than `MAX_PARTS` blocks before the first frame.
        ImageError: the header is damaged.
    """
    opened = GifImagePlugin.GifImageFile(stream(_from_first_frame(content)))
    # The frame is decoded to indices, then drawn on a canvas.
    return pillow_source("GIF", opened, extra_per_pixel=1, work_per_pixel=_WORK_PER_PIXEL)


def _from_first_frame(content: bytes) -> bytes:
    if len(content) < _HEADER_BYTES:
        raise ImageError("the header is incomplete")
    flags = content[10]
    palette_end = _HEADER_BYTES + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    position = palette_end
    extension, control = 0, b""
    for _ in range(MAX_PARTS):
        if position + 1 >= len(content):
            raise ImageError("the header is incomplete")
        if extension:
            # A sequence of blocks ends with an empty block.
            length = content[position]
            position += 1 + length
            if not length:
                control = content[extension:position] if content[extension + 1] == _GRAPHIC_CONTROL else control
                extension = 0
        elif content[position] == _FRAME:
            is_short = position - palette_end <= _SHORT
            return content if is_short else content[:palette_end] + control + content[position:]
        elif content[position] == _EXTENSION:
            extension, position = position, position + 2
        else:
            raise ImageError("there is no frame after the header")
    raise ImageTooLargeError(f"expected at most {MAX_PARTS:,} blocks before the first frame, received more")
