"""Charts as inline SVG: a few kilobytes each, sharp in print, nothing to load.

Colours are those of Okabe and Ito (2008), distinguishable with any colour vision. Nothing is encoded by colour alone: a
dash, a position or a number shows the same. Lengths are in SVG units. All text is escaped here.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from markupsafe import escape

from model.evaluation.metrics import ReliabilityBin
from model.shown import counted, one_line, without_middle

BLUE, ORANGE, GRAY = "#0072B2", "#D55E00", "#7A8288"
_INK, _FAINT = "#39424E", "#E3E7EB"

_MAX_LABEL = 26
_MAX_CELL, _MIN_CELL, _MATRIX_WIDTH = 46.0, 9.0, 900.0
_CLASSES_BETWEEN_GUIDES = 5
# In smaller cells, numbers, and slanted labels above them, are not readable.
_CELL_FOR_COUNTS, _CELL_FOR_SLANT = 17.0, 20.0


class Svg(str):
    """SVG source with all text escaped; a template inserts it verbatim."""

    def __html__(self) -> str:
        return self


@dataclasses.dataclass(frozen=True)
class Series:
    """Line of a chart: points (x, y), interrupted at non-finite ones. One without a name is not in the legend."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: str
    dashed: bool = False
    width: float = 2.0


@dataclasses.dataclass(frozen=True)
class Mark:
    """Vertical line with a label, at `x`."""

    x: float
    label: str


class _Plot:
    """Axes, and the scales from data to SVG coordinates."""

    width, height = 460, 270
    left, right, top, bottom = 50, 22, 30, 42

    def __init__(self, x_range: tuple[float, float], y_range: tuple[float, float], x_label: str, title: str) -> None:
        self.x_range, self.y_range = _widened(x_range), _widened(y_range)
        self.parts: list[str] = []
        self._title = title
        self._text((self.left + self.width - self.right) / 2, self.height - 6, x_label, anchor="middle")

    def project(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x_range[0]) / (self.x_range[1] - self.x_range[0])
        up = (y - self.y_range[0]) / (self.y_range[1] - self.y_range[0])
        inner_width = self.width - self.left - self.right
        inner_height = self.height - self.top - self.bottom
        return self.left + across * inner_width, self.height - self.bottom - up * inner_height

    def grid(self, x_ticks: Sequence[float], y_ticks: Sequence[float], percent: tuple[bool, bool]) -> None:
        for value in y_ticks:
            _, y = self.project(self.x_range[0], value)
            self.parts.append(f'<path d="M{self.left} {y:.1f}H{self.width - self.right}" stroke="{_FAINT}"/>')
            self._text(self.left - 7, y + 4, _tick(value, percent[1]), anchor="end")
        for value in x_ticks:
            x, _ = self.project(value, self.y_range[0])
            self._text(x, self.height - self.bottom + 17, _tick(value, percent[0]), anchor="middle")

    def line(self, series: Series) -> None:
        dash = ' stroke-dasharray="5 4"' if series.dashed else ""
        style = f'stroke="{series.colour}" stroke-width="{series.width:g}"{dash}'
        for is_finite, run in itertools.groupby(series.points, key=lambda point: all(map(math.isfinite, point))):
            if not is_finite:
                continue
            points = [self.project(x, y) for x, y in run]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            self.parts.append(f'<polyline points="{path}" fill="none" stroke-linejoin="round" {style}/>')
            if len(points) == 1:
                self.dot(*points[0], 3, series.colour)

    def dot(self, x: float, y: float, radius: float, colour: str, tooltip: str = "", attributes: str = "") -> None:
        title = f"<title>{escape(tooltip)}</title>" if tooltip else ""
        place = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"'
        self.parts.append(f'<circle {place} fill="{colour}" fill-opacity=".85"{attributes}>{title}</circle>')

    def mark(self, mark: Mark) -> None:
        x, _ = self.project(mark.x, self.y_range[0])
        self.parts.append(
            f'<path d="M{x:.1f} {self.top}V{self.height - self.bottom}" stroke="{GRAY}" stroke-dasharray="2 3"/>'
        )
        near_right_edge = x > self.width * 0.75
        anchor, shift = ("end", -5) if near_right_edge else ("start", 5)
        halo = "paint-order:stroke;stroke:var(--paper,#fff);stroke-width:4px"
        self.parts.append(_text(x + shift, self.height - self.bottom - 6, mark.label, anchor, halo))

    def legend(self, series: Sequence[Series]) -> None:
        x = float(self.left)
        for item in series:
            if not item.name:
                continue
            dash = ' stroke-dasharray="5 4"' if item.dashed else ""
            self.parts.append(f'<path d="M{x:.0f} 13h22" stroke="{item.colour}" stroke-width="2"{dash}/>')
            self._text(x + 28, 17, item.name)
            x += 28 + 6.6 * len(item.name) + 20

    def svg(self) -> Svg:
        return _svg(self.width, self.height, self._title, self.parts)

    def _text(self, x: float, y: float, text: str, anchor: str = "start") -> None:
        self.parts.append(_text(x, y, text, anchor))


def line_chart(
    title: str, series: Sequence[Series], x_label: str, marks: Sequence[Mark] = (), percent: bool = False
) -> Svg:
    """Line chart over a common x, counted from 1.

    Args:
        title: for screen readers.
        percent: y is a fraction, shown in percent, with 1 as its upper limit; otherwise y starts at 0.
    """
    points = [point for item in series for point in item.points if math.isfinite(point[1])]
    last = max((x for x, _ in points), default=1)
    low, high = min((y for _, y in points), default=0), max((y for _, y in points), default=1)
    y_range = (math.floor(low * 10) / 10, 1.0) if percent else (0.0, high * 1.05)
    plot = _Plot((min(1, last), last), y_range, x_label, title)
    plot.grid(_whole_ticks(last), _ticks(*y_range), percent=(False, percent))
    for mark in marks:
        plot.mark(mark)
    for item in series:
        plot.line(item)
    plot.legend(series)
    return plot.svg()


def reliability_diagram(before: Sequence[ReliabilityBin], after: Sequence[ReliabilityBin]) -> Svg:
    """Reliability diagram: accuracy by confidence; the area of a dot is proportional to its number of images.

    A dot of `after` has the limits of its bin as data, by which the script of the report finds its photos.
    """
    plot = _Plot((0, 1), (0, 1), "confidence", "Reliability diagram")
    plot.grid(_ticks(0, 1), _ticks(0, 1), percent=(True, True))
    ideal = Series("ideal", [(0, 0), (1, 1)], GRAY, dashed=True)
    drawn = [ideal]
    plot.line(ideal)
    for name, groups, colour, dashed in (("before", before, ORANGE, True), ("after calibration", after, BLUE, False)):
        if not groups:
            continue
        drawn.append(Series(name, [(group.confidence, group.accuracy) for group in groups], colour, dashed, width=1))
        plot.line(drawn[-1])
        images = sum(group.images for group in groups)
        for group in groups:
            fractions = f"confidence {group.confidence:.0%}, accuracy {group.accuracy:.0%}"
            tooltip = f"{name}: {counted(group.images, 'image')}, {fractions}"
            radius = max(2.5, 13 * math.sqrt(group.images / images))
            limits = f' data-low="{group.low:g}" data-high="{group.high:g}" data-label="{escape(tooltip)}"'
            place = plot.project(group.confidence, group.accuracy)
            plot.dot(*place, radius, colour, tooltip, limits if groups is after else "")
    plot.legend(drawn)
    return plot.svg()


def coverage_chart(probabilities: np.ndarray, labels: np.ndarray, threshold: float | None) -> Svg:
    """Accuracy by coverage: accuracy of the most confident predictions by their fraction; marks a threshold if set.

    A dot at each tenth of the photos has the limits of their confidence as data, by which the script of the report
    finds them.
    """
    confidence = probabilities.max(axis=1)
    series = coverage_series(probabilities, labels)
    y_range = (math.floor(min(accuracy for _, accuracy in series.points) * 10) / 10, 1.0)
    plot = _Plot((0, 1), y_range, "coverage: fraction of photos accepted", "Accuracy by coverage")
    plot.grid(_ticks(0, 1), _ticks(*y_range), percent=(True, True))
    plot.line(series)
    for accepted, lowest in _tenths(confidence):
        accuracy = float((probabilities.argmax(axis=1) == labels)[accepted].mean())
        coverage = float(accepted.mean())
        tooltip = f"coverage {coverage:.0%}: {int(accepted.sum())} photos, accuracy {accuracy:.0%}"
        limits = f' data-low="{lowest}" data-high="1" data-label="{tooltip}" data-heading="{tooltip}"'
        plot.dot(*plot.project(coverage, accuracy), 4, BLUE, tooltip, limits)
    if threshold is not None:
        plot.mark(Mark(float((confidence >= threshold).mean()), "threshold"))
    plot.legend([series])
    return plot.svg()


def _tenths(confidence: np.ndarray) -> Iterator[tuple[np.ndarray, float]]:
    """For each tenth, the accepted predictions, bool (n,), and the confidence that all of them exceed.

    Photos of the same confidence are accepted together, so that there may be fewer than ten.
    """
    confidence = confidence.astype(np.float32)
    ranked = np.sort(confidence)[::-1]
    for lowest in np.unique(ranked[np.arange(1, 11) * len(ranked) // 10 - 1])[::-1]:
        # The next smaller number: the limits of a range exclude the lower one.
        yield confidence >= lowest, float(np.nextafter(lowest, np.float32(-1)))


def coverage_series(probabilities: np.ndarray, labels: np.ndarray) -> Series:
    """Accuracy of the most confident predictions by their fraction; `probabilities` (n, classes), `labels` (n,)."""
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    correct = (probabilities.argmax(axis=1) == labels)[order]
    kept = np.arange(1, len(labels) + 1)
    accuracy = np.cumsum(correct) / kept
    # A few hundred points look the same as thousands; the lowest accuracy is one of them.
    shown = np.unique([*np.linspace(0, len(labels) - 1, 300).astype(int), accuracy.argmin()])
    points = list(zip((kept / len(labels))[shown].tolist(), accuracy[shown].tolist(), strict=True))
    return Series("accuracy of accepted predictions", points, BLUE)


def interval_bar(value: float, low: float, high: float) -> Svg:
    """Number in [0, 1] as a dot on a scale, with its interval as a bar."""
    xs = [6 + 188 * number for number in (low, high, value)]
    return _svg(
        200,
        14,
        f"{value:.1%}, interval {low:.1%} to {high:.1%}",
        [
            f'<path d="M6 7H194" stroke="{_FAINT}" stroke-width="4" stroke-linecap="round"/>',
            f'<path d="M{xs[0]:.1f} 7H{xs[1]:.1f}" stroke="{BLUE}" stroke-opacity=".45" stroke-width="8"/>',
            f'<circle cx="{xs[2]:.1f}" cy="7" r="4.5" fill="{BLUE}"/>',
        ],
    )


def confusion_chart(
    matrix: Sequence[Sequence[int]], classes: Sequence[str], numbers: Sequence[int] | None = None
) -> Svg:
    """Confusion matrix: rows are true classes, columns predicted; darker is a larger fraction of the row.

    Each cell is a link to its photos, `#cell-TRUE-PREDICTED`.

    Args:
        numbers: class indices in the whole matrix, if this is a part of it.
    """
    numbers = range(len(classes)) if numbers is None else numbers
    labels = [shorten(name) for name in classes]
    longest = max(len(label) for label in labels)
    cell = min(_MAX_CELL, max(_MIN_CELL, (_MATRIX_WIDTH - 6 * longest) / len(classes)))
    font = min(12.0, max(6.0, cell * 0.82))
    side, label_space = cell * len(classes), longest * font * 0.56 + 14
    slanted = cell >= _CELL_FOR_SLANT
    top = label_space * (0.72 if slanted else 1.0) + 22
    right = label_space * 0.7 if slanted else 8
    bold = "font-weight:600"
    parts = [_text(label_space, 12, "predicted", style=bold), _text(0, top - 6, "true", style=bold)]
    for index, (label, name) in enumerate(zip(labels, classes, strict=True)):
        middle = (index + 0.5) * cell
        parts.append(_text(label_space - 6, top + middle + font * 0.35, label, "end", f"font-size:{font:.1f}px", name))
        turn = f"translate({label_space + middle + font * 0.3:.1f} {top - 5:.1f}) rotate({-45 if slanted else -90})"
        parts.append(f'<g transform="{turn}">{_text(0, 0, label, "start", f"font-size:{font:.1f}px", name)}</g>')
    parts.append(f'<rect x="{label_space:.1f}" y="{top:.1f}" width="{side:.1f}" height="{side:.1f}" fill="#F5F7F9"/>')
    for index in range(_CLASSES_BETWEEN_GUIDES, len(classes), _CLASSES_BETWEEN_GUIDES):
        across, down = label_space + index * cell, top + index * cell
        lines = f"M{across:.1f} {top:.1f}v{side:.1f}M{label_space:.1f} {down:.1f}h{side:.1f}"
        parts.append(f'<path d="{lines}" stroke="{_FAINT}"/>')
    for row, counts in enumerate(matrix):
        images = sum(counts)
        for column, count in enumerate(counts):
            if count or row == column:
                corner = (label_space + column * cell, top + row * cell)
                # The numbers come first: after a name written from right to left they would be in another order.
                tooltip = f"{count} of {images} {classes[row]} predicted as {classes[column]}"
                drawn = _matrix_cell(corner, cell, count, images, row == column, tooltip)
                parts.append(_photos_link(drawn, numbers[row], numbers[column], tooltip) if count else drawn)
    size = (label_space + side + right, top + side + 4)
    return _svg(*size, "Confusion matrix", parts, shrink_only=True, attributes='class="matrix" role="group"')


def shorten(text: str, longest: int = _MAX_LABEL) -> str:
    """The text as visible characters on one line, shortened by an ellipsis in the middle."""
    shown = one_line(text)
    return shown if len(shown) <= longest else without_middle(shown, longest - 1)


def _matrix_cell(corner: tuple[float, float], cell: float, count: int, images: int, correct: bool, tooltip: str) -> str:
    fraction = count / images if images else 0.0
    opacity = 0.25 + 0.75 * fraction if count else 0.04
    gap = 0.5 if cell < _CELL_FOR_COUNTS else 1.0
    x, y, side = corner[0] + gap, corner[1] + gap, cell - 2 * gap
    box = (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{side:.1f}" height="{side:.1f}" '
        f'fill="{BLUE if correct else ORANGE}" fill-opacity="{opacity:.2f}"><title>{escape(tooltip)}</title></rect>'
    )
    if cell < _CELL_FOR_COUNTS or not count:
        return box
    size = min(13.0, cell * 0.42)
    # Each with a contrast of at least 4.5 to the cell.
    colour = "#fff" if correct and opacity > 0.92 else "#000"
    middle = (corner[0] + cell / 2, corner[1] + cell / 2 + size * 0.36)
    return box + _text(*middle, str(count), "middle", f"font-size:{size:.1f}px;fill:{colour};pointer-events:none")


def _photos_link(drawn: str, row: int, column: int, label: str) -> str:
    place = f'href="#cell-{row}-{column}" data-row="{row}" data-column="{column}"'
    return f'<a {place} data-photos="{escape(label)}" aria-label="{escape(label)}">{drawn}</a>'


def _svg(
    width: float,
    height: float,
    title: str,
    parts: Sequence[str],
    shrink_only: bool = False,
    attributes: str = 'role="img"',
) -> Svg:
    limit = f' style="max-width:{width:.0f}px"' if shrink_only else ""
    return Svg(
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" {attributes} aria-label="{escape(title)}"{limit}>'
        f"{''.join(parts)}</svg>"
    )


def _text(x: float, y: float, text: str, anchor: str = "start", style: str = "", tooltip: str = "") -> str:
    title = f"<title>{escape(tooltip)}</title>" if tooltip and tooltip != text else ""
    extra = f' style="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_INK}"{extra}>{escape(text)}{title}</text>'


def _tick(value: float, percent: bool) -> str:
    return f"{value:.0%}" if percent else f"{value:g}"


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers in [low, high]."""
    span = max(high - low, 1e-9)
    power = 10 ** math.floor(math.log10(span / 4))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if span / (power * factor) <= 6)
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 10) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _whole_ticks(last: float) -> list[float]:
    return [1.0] if last <= 1 else sorted({1.0, *(value for value in _ticks(1, last) if value == int(value))})


def _widened(limits: tuple[float, float]) -> tuple[float, float]:
    low, high = limits
    return (low, high) if high > low else (low - 0.5, low + 0.5)
