"""Text on pictures, in any script that a font of this machine has.

Each character is drawn by the first font that has it: DejaVu Sans, which comes with matplotlib, then the fonts of the
system. Arabic letters are joined and right-to-left text is put in the order of reading from left to right (Unicode
Standard Annex 9) before anything is drawn, so that no library of the system is needed. A character that no font
has is shown as its code or, a symbol, by its name, never as an empty box.
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

Colour = tuple[int, int, int]
Align = Literal["left", "right"]

ELLIPSIS = "…"
_FONT_DIRECTORIES = ("/usr/local/share/fonts", "/usr/share/fonts", "~/.local/share/fonts", "~/.fonts")
_FONT_SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
# Broad and plain ones first, by what their files are called; all others follow.
_PREFERRED = ("notosanscjk", "wqy-microhei", "wqy", "droidsansfallback", "notosans-", "dejavusans", "notosans")
_COLOURED = "coloremoji"
# Bitmaps of Noto Color Emoji come in this size alone.
_COLOURED_SIZE = 109
_FIRST_EMOJI = 0x1F000
_RIGHT_TO_LEFT = ("R", "AL")

log = logging.getLogger(__name__)


class _Piece(NamedTuple):
    """Neighbouring characters, in the order in which they are drawn, that one font has."""

    text: str
    font: Path


def draw_text(
    picture: Image.Image,
    place: tuple[float, float],
    text: str,
    size: int,
    most_width: float,
    colour: Colour = (0, 0, 0),
    bold: bool = False,
    align: Align = "left",
) -> None:
    """Draw one line of text, shortened in its middle to fit.

    Args:
        picture: RGB; drawn on.
        place: (x, y) of the left or right end of the line on which the letters stand, in pixels.
        text: line breaks and other control characters count as spaces.
        size: of the font in pixels.
        most_width: in pixels.
        align: whether the text begins or ends at `place`.
    """
    shown = _printable(shorten(text, lambda candidate: text_width(candidate, size, bold) <= most_width))
    x, y = place
    pieces = list(_pieces(shown, bold))
    if align == "right":
        x -= sum(_width(piece, size) for piece in pieces)
    for piece in pieces:
        _draw_piece(picture, (x, y), piece, size, colour)
        x += _width(piece, size)


def text_width(text: str, size: int, bold: bool = False) -> float:
    """The width in pixels of one line of text as `draw_text` draws it, if nothing is left out."""
    return sum(_width(piece, size) for piece in _pieces(_printable(text), bold))


def shorten(text: str, fits: Callable[[str], bool]) -> str:
    """The text, or as much of both its ends with an ellipsis between as fits."""
    if fits(text):
        return text
    shortest, longest = 0, len(text) - 1
    while shortest < longest:
        middle = (shortest + longest + 1) // 2
        if fits(_without_middle(text, middle)):
            shortest = middle
        else:
            longest = middle - 1
    return _without_middle(text, shortest)


def _without_middle(text: str, kept: int) -> str:
    head = kept - kept // 2
    return text[:head] + ELLIPSIS + text[len(text) - kept // 2 :]


def _printable(text: str) -> str:
    """The text on one line, in characters that there are fonts for."""
    on_one_line = " ".join("".join(" " if unicodedata.category(char) == "Cc" else char for char in text).split())
    groups = [(missing, tuple(chars)) for missing, chars in itertools.groupby(on_one_line, _is_missing)]
    return "".join(_escape(chars) if missing else "".join(chars) for missing, chars in groups)


def _is_missing(char: str) -> bool:
    return not _is_invisible(char) and _font_with(char, bold=False) is None


def _is_invisible(char: str) -> bool:
    """Whether a character has no shape of its own: joiners, directions, selectors of a variant."""
    return unicodedata.category(char) == "Cf" or 0xFE00 <= ord(char) <= 0xFE0F


def _escape(chars: tuple[str, ...]) -> str:
    _tell_missing(chars)
    return f"[{' '.join(_name(char) for char in chars)}]"


def _name(char: str) -> str:
    if unicodedata.category(char) == "So":
        return unicodedata.name(char, f"U+{ord(char):04X}").lower()
    return f"U+{ord(char):04X}"


@functools.lru_cache(maxsize=1024)
def _tell_missing(chars: tuple[str, ...]) -> None:
    """Say once what cannot be drawn."""
    log.warning(
        "no font of this machine has %s: shown by its code. Install one, such as the Debian packages "
        "fonts-wqy-microhei (Chinese, Japanese, Korean), fonts-noto-color-emoji or fonts-noto-core (other scripts)",
        " ".join(f"U+{ord(char):04X}" for char in chars),
    )


def _pieces(text: str, bold: bool) -> Iterator[_Piece]:
    """Printable text in the order of drawing, divided by font."""
    fonts: list[Path] = []
    ordered = _in_visual_order(text)
    for char in ordered:
        found = None if _is_invisible(char) else _font_with(char, bold)
        fonts.append(found or (fonts[-1] if fonts else _dejavu(bold)))
    pairs = zip(ordered, fonts, strict=True)
    for font, group in itertools.groupby(pairs, lambda pair: pair[1]):
        yield _Piece("".join(char for char, _ in group), font)


def _in_visual_order(text: str) -> str:
    """Arabic joined, and what is written from right to left reversed."""
    if not _has_right_to_left(text):
        return text
    from arabic_reshaper import reshape
    from bidi.algorithm import get_display

    return str(get_display(reshape(text)))


def _has_right_to_left(text: str) -> bool:
    return any(unicodedata.bidirectional(char) in _RIGHT_TO_LEFT for char in text)


def _width(piece: _Piece, size: int) -> float:
    if _is_coloured(piece.font):
        return _loaded(piece.font, _COLOURED_SIZE, False).getlength(piece.text) * size / _COLOURED_SIZE
    return _loaded(piece.font, size, _has_right_to_left(piece.text)).getlength(piece.text)


def _draw_piece(picture: Image.Image, place: tuple[float, float], piece: _Piece, size: int, colour: Colour) -> None:
    if not _is_coloured(piece.font):
        font = _loaded(piece.font, size, _has_right_to_left(piece.text))
        ImageDraw.Draw(picture).text(place, piece.text, colour, font, anchor="ls")
        return
    font = _loaded(piece.font, _COLOURED_SIZE, False)
    ascent, descent = font.getmetrics()
    large = Image.new("RGBA", (max(1, round(font.getlength(piece.text))), ascent + descent))
    ImageDraw.Draw(large).text((0, ascent), piece.text, font=font, anchor="ls", embedded_color=True)
    scale = size / _COLOURED_SIZE
    small = large.resize((max(1, round(large.width * scale)), max(1, round(large.height * scale))))
    picture.paste(small, (round(place[0]), round(place[1] - ascent * scale)), small)


@functools.lru_cache(maxsize=256)
def _loaded(font: Path, size: int, reversed_already: bool) -> ImageFont.FreeTypeFont:
    # Raqm would reverse right-to-left text a second time; for other scripts it joins letters where it is there.
    engine = ImageFont.Layout.BASIC if reversed_already else None
    return ImageFont.truetype(str(font), size, layout_engine=engine)


def _is_coloured(font: Path) -> bool:
    return _COLOURED in font.name.lower()


@functools.lru_cache(maxsize=8192)
def _font_with(char: str, bold: bool) -> Path | None:
    """The first font that has a character and can be drawn with; None where there is none."""
    fonts = (_dejavu(bold), *_system_fonts())
    if ord(char) >= _FIRST_EMOJI:
        fonts = tuple(sorted(fonts, key=lambda font: not _is_coloured(font)))
    return next((font for font in fonts if _has(font, char)), None)


def _dejavu(bold: bool) -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")


@functools.cache
def _system_fonts() -> tuple[Path, ...]:
    """Font files of this machine, the most useful first."""
    found = [
        Path(directory) / name
        for root in _FONT_DIRECTORIES
        for directory, _, names in os.walk(os.path.expanduser(root))
        for name in names
        if name.lower().endswith(_FONT_SUFFIXES)
    ]
    return tuple(sorted(found, key=_preference))


def _preference(font: Path) -> tuple[int, bool, str]:
    name = font.name.lower()
    rank = next((place for place, start in enumerate(_PREFERRED) if name.startswith(start)), len(_PREFERRED))
    return rank, any(style in name for style in ("bold", "italic", "oblique", "light", "thin", "mono")), str(font)


def _has(font: Path, char: str) -> bool:
    has_character = _characters(font)
    return has_character is not None and has_character(ord(char)) != 0


@functools.lru_cache(maxsize=512)
def _characters(font: Path) -> Callable[[int], int] | None:
    """From a code to the number of its glyph in a font, 0 where it has none; None where it cannot be used."""
    from matplotlib.ft2font import FT2Font

    try:
        _loaded(font, _COLOURED_SIZE if _is_coloured(font) else 16, False)
        return FT2Font(str(font)).get_char_index
    except (OSError, RuntimeError, ValueError) as error:
        log.info("the font %s cannot be used: %s", font, error)
        return None
