"""Summaries of counts: fractions, quantiles and drift verdicts, for the metadata of the service and the command."""

from collections.abc import Mapping, Sequence
from typing import Any

from model.usage.drift import Drift
from model.usage.record import BINS, UNCERTAIN, Record, quantile

_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def short_summary(name: str, record: Record, drift: Mapping[str, Any] | None) -> dict[str, Any]:
    """Short summary of a model.

    Args:
        drift: result of the last drift check, as JSON; None without one.
    """
    seen = None
    if drift is not None:
        latest = drift.get("latest_day")
        latest_day = {"day": latest["day"], **_verdict(latest)} if latest else None
        seen = _verdict(drift) | {"looked": drift.get("looked"), "latest_day": latest_day}
    return {"name": name, **_counts(record), "latency_ms": latency_ms(record), "drift": seen}


def full_summary(
    name: str,
    record: Record,
    drift: Drift,
    by_day: Mapping[str, Record],
    drift_by_day: Mapping[str, Drift],
    train_counts: Mapping[str, int],
) -> dict[str, Any]:
    """Full summary of a model.

    Args:
        record: the counts of the requested days together.
        drift: the drift of these days together.
        by_day, drift_by_day: the counts and the drift of each stored day alone, oldest first.
        train_counts: class -> number of training images, for every class.
    """
    return {
        "name": name,
        **_counts(record),
        "classes": class_rows(record, train_counts),
        "confidence_histogram": total_histogram(record.confidence.values()),
        "unknown_reasons": {name: count for name, count in record.marks.items() if name != UNCERTAIN},
        "latency_ms": latency_ms(record),
        "drift": drift.to_json(),
        "by_day": [
            {"day": day, **_counts(one), "latency_ms": latency_ms(one), "drift": _verdict(drift_by_day[day].to_json())}
            for day, one in by_day.items()
        ],
    }


def class_rows(record: Record, train_counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """One row per class, the most frequently predicted first: counts, confidence, fraction of training images."""
    named = {label: sum(counts) for label, counts in record.confidence.items()}
    trained = sum(train_counts.values())
    return [
        {
            "class": label,
            "photos": named.get(label, 0),
            "share": _fraction(named.get(label, 0), record.photos),
            "share_in_training": _fraction(train_counts.get(label, 0), trained),
            "mean_confidence": mean_confidence(record.confidence.get(label, [])),
            "confidence_histogram": record.confidence.get(label, [0] * BINS),
        }
        for label in sorted({**train_counts, **named}, key=lambda label: (-named.get(label, 0), label))
    ]


def mean_confidence(histogram: Sequence[int]) -> float | None:
    """Mean confidence of a histogram, to within half a bin; None for an empty one."""
    images = sum(histogram)
    if not images:
        return None
    return sum(count * (place + 0.5) / BINS for place, count in enumerate(histogram)) / images


def total_histogram(histograms: Any) -> list[int]:
    """The sum of histograms."""
    return [sum(counts) for counts in zip([0] * BINS, *histograms, strict=True)]


def latency_ms(record: Record) -> dict[str, dict[str, float]]:
    """Latency: answer format, or `zip` -> quantile -> milliseconds, with a relative error of a tenth."""
    return {
        form: {name: _rounded(1000 * (quantile(steps, fraction) or 0.0)) for name, fraction in _QUANTILES.items()}
        for form, steps in sorted(record.durations.items())
    }


def _verdict(drift: Mapping[str, Any]) -> dict[str, Any]:
    return {key: drift.get(key) for key in ("verdict", "reason", "p_value", "effect")}


def _counts(record: Record) -> dict[str, Any]:
    uncertain = record.marks[UNCERTAIN]
    unknown = sum(record.marks.values()) - uncertain
    return {
        "photos": record.photos,
        "different_photos": record.sample.distinct or None,
        "unreadable": record.unreadable,
        "unknown": unknown,
        "unknown_share": _fraction(unknown, record.photos),
        "uncertain": uncertain,
        "uncertain_share": _fraction(uncertain, record.photos),
        "mean_confidence": mean_confidence(total_histogram(record.confidence.values())),
        "answers": dict(record.answers),
        "errors": dict(record.errors),
    }


def _fraction(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _rounded(milliseconds: float) -> float:
    return round(milliseconds, 1 if milliseconds < 100 else 0)
