"""Text on figures, in any script that an installed font supports.

Each character is drawn in the first font that has it: DejaVu Sans, which is part of this package, then the fonts of
the system. Arabic letters are joined and right-to-left text is put into visual order (Unicode Standard Annex 9) before
drawing, so that no system library is required. A character that no font has is shown as its code point or, if it is
a symbol, by its name, never as an empty box. Controls of the direction of writing and other characters that are not
visible are shown as their codes, such as `\\u202e`.
"""

import functools
import itertools
import logging
import os
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from model.reading import without_number
from model.shown import one_line, without_middle

Colour = tuple[int, int, int]
Align = Literal["left", "right"]

_PACKAGED_FONTS = Path(__file__).with_name("fonts")
_SYSTEM_FONT_FOLDERS = ("/usr/local/share/fonts", "/usr/share/fonts", "~/.local/share/fonts", "~/.fonts")
_FONT_SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
# Prefixes of file names: fonts of wide coverage and plain style come first, all others follow.
_PREFERRED = ("notosanscjk", "wqy-microhei", "wqy", "droidsansfallback", "notosans-", "dejavusans", "notosans")
_COLOUR_FONT = "coloremoji"
# The bitmaps of Noto Color Emoji have this size only.
_COLOUR_FONT_SIZE = 109
_FIRST_EMOJI = 0x1F000
_RIGHT_TO_LEFT = ("R", "AL")

log = logging.getLogger(__name__)


class _Run(NamedTuple):
    """Neighbouring characters in visual order that share a font."""

    text: str
    font: Path


def draw_text(
    image: Image.Image,
    position: tuple[float, float],
    text: str,
    size: int,
    max_width: float,
    colour: Colour = (0, 0, 0),
    bold: bool = False,
    align: Align = "left",
) -> None:
    """Draw one line of text, shortened in the middle to fit.

    Args:
        image: RGB image to draw on.
        position: (x, y) of the left or right end of the baseline, in pixels.
        text: line breaks count as spaces; characters that are not visible are drawn as their codes.
        size: font size in pixels.
        max_width: in pixels.
        align: whether the text starts or ends at `position`.
    """
    shown = shorten(_drawable(text), lambda candidate: _width(candidate, size, bold) <= max_width)
    x, y = position
    runs = list(_runs(shown, bold))
    if align == "right":
        x -= _width(shown, size, bold)
    for run in runs:
        _draw_run(image, (x, y), run, size, colour)
        x += _run_width(run, size)


def text_width(text: str, size: int, bold: bool = False) -> float:
    """Width in pixels of one line of text as `draw_text` draws it, unshortened."""
    return _width(_drawable(text), size, bold)


def shorten(text: str, fits: Callable[[str], bool]) -> str:
    """The text, or as much of both its ends as fits, with an ellipsis in between."""
    if fits(text):
        return text
    shortest, longest = 0, len(text) - 1
    while shortest < longest:
        middle = (shortest + longest + 1) // 2
        if fits(without_middle(text, middle)):
            shortest = middle
        else:
            longest = middle - 1
    return without_middle(text, shortest)


def _drawable(text: str) -> str:
    """The text on one line, with characters that are not visible, or that no font has, replaced by their codes."""
    groups = [(missing, tuple(chars)) for missing, chars in itertools.groupby(_joined(one_line(text)), _is_missing)]
    return "".join(_escape(chars) if missing else "".join(chars) for missing, chars in groups)


def _joined(text: str) -> Iterator[str]:
    """The characters of a text without joiners and selectors of those that no font has."""
    missing = [False, *map(_is_missing, text), False]
    for place, char in enumerate(text):
        if not (_is_invisible(char) and (missing[place] or missing[place + 2])):
            yield char


def _is_missing(char: str) -> bool:
    return not _is_invisible(char) and _font_of(char, bold=False) is None


def _is_invisible(char: str) -> bool:
    """Whether a character has no glyph: joiners, directional marks, variation selectors."""
    return unicodedata.category(char) == "Cf" or 0xFE00 <= ord(char) <= 0xFE0F


def _escape(chars: tuple[str, ...]) -> str:
    _log_missing(chars)
    return f"[{' '.join(_name(char) for char in chars)}]"


def _name(char: str) -> str:
    if unicodedata.category(char) == "So":
        return unicodedata.name(char, f"U+{ord(char):04X}").lower()
    return f"U+{ord(char):04X}"


@functools.lru_cache(maxsize=1024)
def _log_missing(chars: tuple[str, ...]) -> None:
    """Log characters without a font, once."""
    log.warning(
        "no font of this machine has %s: shown by its code. Install one, such as the Debian packages "
        "fonts-wqy-microhei (Chinese, Japanese, Korean), fonts-noto-color-emoji or fonts-noto-core (other scripts)",
        " ".join(f"U+{ord(char):04X}" for char in chars),
    )


def _runs(text: str, bold: bool) -> Iterator[_Run]:
    """Printable text in visual order, divided by font."""
    fonts: list[Path] = []
    ordered = _in_visual_order(text)
    for char in ordered:
        found = None if _is_invisible(char) else _font_of(char, bold)
        fonts.append(found or (fonts[-1] if fonts else _packaged_font(bold)))
    pairs = zip(ordered, fonts, strict=True)
    for font, group in itertools.groupby(pairs, lambda pair: pair[1]):
        yield _Run("".join(char for char, _ in group), font)


def _in_visual_order(text: str) -> str:
    """Text with Arabic letters joined and right-to-left parts reversed."""
    if not _has_right_to_left(text):
        return text
    from arabic_reshaper import reshape
    from bidi.algorithm import get_display

    return str(get_display(reshape(text)))


def _has_right_to_left(text: str) -> bool:
    return any(unicodedata.bidirectional(char) in _RIGHT_TO_LEFT for char in text)


def _width(drawable: str, size: int, bold: bool) -> float:
    return sum(_run_width(run, size) for run in _runs(drawable, bold))


def _run_width(run: _Run, size: int) -> float:
    if _is_colour_font(run.font):
        return _loaded(run.font, _COLOUR_FONT_SIZE, False).getlength(run.text) * size / _COLOUR_FONT_SIZE
    return _loaded(run.font, size, _has_right_to_left(run.text)).getlength(run.text)


def _draw_run(image: Image.Image, position: tuple[float, float], run: _Run, size: int, colour: Colour) -> None:
    if not _is_colour_font(run.font):
        font = _loaded(run.font, size, _has_right_to_left(run.text))
        ImageDraw.Draw(image).text(position, run.text, colour, font, anchor="ls")
        return
    font = _loaded(run.font, _COLOUR_FONT_SIZE, False)
    ascent, descent = font.getmetrics()
    large = Image.new("RGBA", (max(1, round(font.getlength(run.text))), ascent + descent))
    ImageDraw.Draw(large).text((0, ascent), run.text, font=font, anchor="ls", embedded_color=True)
    scale = size / _COLOUR_FONT_SIZE
    small = large.resize((max(1, round(large.width * scale)), max(1, round(large.height * scale))))
    image.paste(small, (round(position[0]), round(position[1] - ascent * scale)), small)


@functools.lru_cache(maxsize=256)
def _loaded(font: Path, size: int, is_reversed: bool) -> ImageFont.FreeTypeFont:
    # Raqm would reverse right-to-left text a second time; it joins the letters of other scripts, if installed.
    engine = ImageFont.Layout.BASIC if is_reversed else None
    return ImageFont.truetype(str(font), size, layout_engine=engine)


def _is_colour_font(font: Path) -> bool:
    return _COLOUR_FONT in font.name.lower()


@functools.lru_cache(maxsize=8192)
def _font_of(char: str, bold: bool) -> Path | None:
    """The first usable font that has a character, or None."""
    fonts = (_packaged_font(bold), *_system_fonts())
    if ord(char) >= _FIRST_EMOJI:
        fonts = tuple(sorted(fonts, key=lambda font: not _is_colour_font(font)))
    return next((font for font in fonts if _has(font, char)), None)


def _packaged_font(bold: bool) -> Path:
    return _PACKAGED_FONTS / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")


@functools.cache
def _system_fonts() -> tuple[Path, ...]:
    """Font files of this machine, the preferred ones first."""
    found = [
        Path(directory) / name
        for root in _SYSTEM_FONT_FOLDERS
        for directory, _, names in os.walk(os.path.expanduser(root))
        for name in names
        if name.lower().endswith(_FONT_SUFFIXES)
    ]
    return tuple(sorted(found, key=_preference))


def _preference(font: Path) -> tuple[int, bool, str]:
    name = font.name.lower()
    rank = next((index for index, prefix in enumerate(_PREFERRED) if name.startswith(prefix)), len(_PREFERRED))
    return rank, any(style in name for style in ("bold", "italic", "oblique", "light", "thin", "mono")), str(font)


def _has(font: Path, char: str) -> bool:
    glyph_index = _character_map(font)
    return glyph_index is not None and glyph_index(ord(char)) != 0


@functools.lru_cache(maxsize=512)
def _character_map(font: Path) -> Callable[[int], int] | None:
    """Function from a code point to the glyph index in a font (0: no glyph); None for an unusable font."""
    import freetype

    try:
        _loaded(font, _COLOUR_FONT_SIZE if _is_colour_font(font) else 16, False)
        glyph_index: Callable[[int], int] = freetype.Face(str(font)).get_char_index
        return glyph_index
    except (OSError, ValueError, freetype.FT_Exception) as error:
        log.info("the font %s cannot be used: %s", font, without_number(error))
        return None
