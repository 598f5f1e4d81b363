"""Resizing of decoded pixels to the input of a network, with few copies of a large image.

An image that is not RGB is resized channel by channel, so that there is never a second copy of all channels.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageChops

from model.dataset.decoders.source import SWAPPING_ORIENTATIONS, Pixels, Size
from model.results import InputSpec

# Most backbones scale this gray to zero.
PADDING = (127, 127, 127)

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def smallest_size(size: Size, orientation: int, spec: InputSpec) -> Size:
    """Size in pixels, as stored, that an image must have at least before it is resized to the input of a network."""
    target = _target(orientation, spec)
    return target if spec.resize == "squash" else _scaled(size, target, covering=spec.resize == "crop")


def fit_pixels(pixels: Pixels, orientation: int, spec: InputSpec) -> np.ndarray:
    """Resize pixels of 8 bits to the input of a network, and turn them upright.

    Transparent parts become white.

    Returns:
        uint8 RGB of the shape of `spec`, writable.
    """
    target = _target(orientation, spec)
    if (rgb := _direct(pixels)) is not None:
        fitted = _rgb(_fit(rgb, target, spec.resize))
    else:
        # `map` keeps no channel while the next one is made.
        channels = list(map(lambda channel: _fit(channel, target, spec.resize), _channels(pixels)))
        fitted = Image.merge("RGB", channels * (3 // len(channels)))
    return np.array(_turned(fitted, orientation))


def full_pixels(pixels: Pixels, orientation: int) -> np.ndarray:
    """Pixels of 8 bits as uint8 RGB of their own size, upright and writable. Transparent parts become white."""
    if (rgb := _direct(pixels)) is not None:
        image = _rgb(rgb)
    else:
        channels = list(_channels(pixels))
        image = Image.merge("RGB", channels * (3 // len(channels)))
    return np.array(_turned(image, orientation))


def transparent_image(pixels: Pixels, orientation: int) -> Image.Image:
    """Pixels of 8 bits as an RGBA image of their own size, upright; opaque if the file has no opacity."""
    color = pixels.color
    if isinstance(color, Image.Image):
        return _turned(color.convert("RGBA"), orientation)
    colors = color if color.ndim == 3 else np.repeat(color[..., None], 3, axis=2)
    alpha = np.full(colors.shape[:2], 255, np.uint8) if pixels.alpha is None else pixels.alpha
    if pixels.is_premultiplied:
        scale = 255 / np.maximum(alpha, 1).astype(np.float32)
        colors = np.minimum(np.rint(colors * scale[..., None]), 255).astype(np.uint8)
    return _turned(Image.fromarray(np.dstack([colors, alpha])), orientation)


def _direct(pixels: Pixels) -> Image.Image | None:
    """The image, if Pillow resizes it without further copies."""
    color = pixels.color
    if isinstance(color, Image.Image):
        if color.mode in ("L", "RGB") and not color.has_transparency_data:
            return color
        if color.has_transparency_data:
            return None
        return color.convert("L" if color.mode == "1" else "RGB")
    return Image.fromarray(np.ascontiguousarray(color)) if color.ndim == 2 and pixels.alpha is None else None


def _rgb(image: Image.Image) -> Image.Image:
    # `convert` copies an image of the same mode.
    return image if image.mode == "RGB" else image.convert("RGB")


def _channels(pixels: Pixels) -> Iterator[Image.Image]:
    """Channels in mode L, one after another, over white; one for gray, otherwise three."""
    color = pixels.color
    if isinstance(color, np.ndarray):
        alpha = None if pixels.alpha is None else Image.fromarray(np.ascontiguousarray(pixels.alpha))
        for index in range(1 if color.ndim == 2 else 3):
            values = color if color.ndim == 2 else color[..., index]
            yield _over_white(Image.fromarray(np.ascontiguousarray(values)), alpha, pixels.is_premultiplied)
        return
    layer = color if color.mode in ("RGBA", "LA") else color.convert("RGBA")
    alpha = layer.getchannel("A")
    for band in layer.getbands()[:-1]:
        yield _over_white(layer.getchannel(band), alpha, is_premultiplied=False)


def _over_white(channel: Image.Image, alpha: Image.Image | None, is_premultiplied: bool) -> Image.Image:
    if alpha is None:
        return channel
    transparency = ImageChops.invert(alpha)
    if is_premultiplied:
        return ImageChops.add(channel, transparency)
    channel = channel.copy() if channel.readonly else channel
    channel.paste(255, mask=transparency)
    return channel


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    method = _UPRIGHT.get(orientation)
    return image if method is None else image.transpose(method)


def _target(orientation: int, spec: InputSpec) -> Size:
    """Width and height of the input, as they are before the image is turned upright."""
    return spec.size if orientation in SWAPPING_ORIENTATIONS else (spec.width, spec.height)


def _fit(image: Image.Image, target: Size, resize: str) -> Image.Image:
    if resize == "squash":
        return image.resize(target, Image.Resampling.BILINEAR)
    if resize == "pad":
        return _pad(image, target)
    return _crop(image, target)


def _pad(image: Image.Image, target: Size) -> Image.Image:
    inner = image.resize(_scaled(image.size, target, covering=False), Image.Resampling.BILINEAR)
    canvas = Image.new(image.mode, target, PADDING if image.mode == "RGB" else PADDING[0])
    canvas.paste(inner, ((target[0] - inner.width) // 2, (target[1] - inner.height) // 2))
    return canvas


def _crop(image: Image.Image, target: Size) -> Image.Image:
    scale = max(target[0] / image.width, target[1] / image.height)
    width, height = min(image.width, target[0] / scale), min(image.height, target[1] / scale)
    left, top = (image.width - width) / 2, (image.height - height) / 2
    box = (left, top, min(image.width, left + width), min(image.height, top + height))
    return image.resize(target, Image.Resampling.BILINEAR, box=box)


def _scaled(size: Size, target: Size, covering: bool) -> Size:
    ratios = (target[0] / size[0], target[1] / size[1])
    scale = max(ratios) if covering else min(ratios)
    width, height = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    return (width, height) if covering else (min(width, target[0]), min(height, target[1]))
