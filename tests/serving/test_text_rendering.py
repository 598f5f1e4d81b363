"""Any name is drawn: within its width, by a font that has it, or as its code; right-to-left the right way round."""

import unicodedata

import numpy as np
import pytest
from PIL import Image

from model.serving import text_rendering
from model.serving.text_rendering import draw_text, shorten, text_width
from model.shown import one_line, printable
from tests.test_shown import HOSTILE


@pytest.fixture(autouse=True)
def packaged_fonts_only(monkeypatch):
    """Hide the fonts of the system, so that the tests do not depend on the machine."""
    caches = (text_rendering._system_fonts, text_rendering._font_of, text_rendering._log_missing)
    monkeypatch.setattr(text_rendering, "_SYSTEM_FONT_FOLDERS", ())
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def _drawn(text: str, width: int = 300, **how: object) -> np.ndarray:
    """Mask of drawn pixels: bool (60, width + 200)."""
    canvas = Image.new("RGB", (width + 200, 60), "white")
    place = (100 + width if how.get("align") == "right" else 100, 40)
    draw_text(canvas, place, text, 20, width, **how)
    return np.asarray(canvas.convert("L")) < 128


@pytest.mark.parametrize("align", ["left", "right"])
@pytest.mark.parametrize(
    "text", ["name", "a" * 300, "سمكة القرش " * 20, "鱼" * 100, "a\nb\tc\0", "$x$ <b>", "e\u0301\u200d"]
)
def test_a_line_stays_within_its_width(text, align):
    ink = np.flatnonzero(_drawn(text, align=align).any(axis=0))
    assert len(ink) and ink[0] >= 98 and ink[-1] <= 402


def test_empty_text_draws_nothing():
    assert not _drawn("").any()


def test_a_long_name_is_shortened_in_the_middle():
    assert shorten("abcdefghij", lambda text: len(text) <= 5) == "ab…ij"
    assert shorten("abc", lambda text: True) == "abc"
    assert shorten("abc", lambda text: False) == "…"


def test_missing_glyphs_are_replaced_by_code_or_name_and_logged_once(caplog):
    assert text_width("鱼类 x", 20) == text_width("[U+9C7C U+7C7B] x", 20)
    assert text_width("🐟!", 20) == text_width("[fish]!", 20)
    assert np.array_equal(_drawn("👨\u200d🔬"), _drawn("[man microscope]"))
    text_width("鱼类 x", 20)
    assert [record.message.count("U+9C7C") for record in caplog.records if "U+9C7C" in record.message] == [1]


@pytest.mark.parametrize("char", HOSTILE)
def test_an_invisible_character_is_drawn_as_its_code(char: str) -> None:
    shown = one_line(f"a{char}b")
    assert text_width(f"a{char}b", 20) == text_width(shown, 20)
    assert shown == "a b" if char.isspace() else shown == printable(f"a{char}b")
    assert np.array_equal(_drawn(f"\u0642{char}\u0637\u0629"), _drawn(one_line(f"\u0642{char}\u0637\u0629")))


def test_a_control_of_the_direction_does_not_turn_a_name_round() -> None:
    assert np.array_equal(_drawn("fish\u202egpj.exe"), _drawn("fish\\u202egpj.exe"))
    assert np.array_equal(_drawn("\u202e\u0633\u0645\u0643"), _drawn("\\u202e\u0633\u0645\u0643"))


def test_arabic_is_joined_and_written_from_right_to_left():
    shown = text_rendering._in_visual_order("سمك")
    # Initial seen at the right, medial meem, final kaf at the left.
    assert [unicodedata.name(char) for char in shown] == [
        "ARABIC LETTER KAF FINAL FORM",
        "ARABIC LETTER MEEM MEDIAL FORM",
        "ARABIC LETTER SEEN INITIAL FORM",
    ]
    assert text_rendering._in_visual_order("fish 鱼") == "fish 鱼"
    seen_first = _drawn("س" + "\N{ARABIC LETTER ALEF}" * 8)
    columns = np.flatnonzero(seen_first.any(axis=0))
    left, right = np.array_split(seen_first[:, columns[0] : columns[-1] + 1], 2, axis=1)
    # The alefs are tall, the seen is low and wide.
    assert left[:28].sum() > right[:28].sum()


def test_system_fonts_provide_missing_glyphs(monkeypatch, tmp_path):
    """A font with a single character, made here, is found and used for that one only."""
    path = tmp_path / "deep" / "fish.ttf"
    path.parent.mkdir()
    _write_font(path, "鱼")
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    monkeypatch.setattr(text_rendering, "_SYSTEM_FONT_FOLDERS", (str(tmp_path),))
    text_rendering._system_fonts.cache_clear()
    text_rendering._font_of.cache_clear()
    runs = list(text_rendering._runs("a鱼b", bold=False))
    assert [(run.text, run.font.name) for run in runs] == [
        ("a", "DejaVuSans.ttf"),
        ("鱼", "fish.ttf"),
        ("b", "DejaVuSans.ttf"),
    ]
    assert _drawn("鱼").sum() > 100


def _write_font(path, character: str) -> None:
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for point in [(100, 700), (900, 700), (900, 0)]:
        pen.lineTo(point)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "fish"])
    builder.setupCharacterMap({ord(character): "fish"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "fish": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (500, 0), "fish": (1000, 100)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Fish", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
