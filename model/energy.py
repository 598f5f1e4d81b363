"""Energy that the processors of this computer take, from the counters of RAPL, where Linux lets a program read them."""

from pathlib import Path

_POWERCAP = Path("/sys/class/powercap")


class EnergyMeter:
    """Adds up the energy of all processor packages since it was made; what other programs use is included.

    A counter returns to zero after some ten minutes to hours: call `update` more often.
    """

    def __init__(self, powercap: Path = _POWERCAP) -> None:
        self._joules = 0.0
        # A zone of a package includes its cores and its graphics; another zone may include the package.
        zones = sorted(path for path in powercap.glob("*:*") if _text(path / "name").startswith("package"))
        self._last = {zone: count for zone in zones if (count := _number(zone / "energy_uj")) is not None}
        self._is_complete = bool(zones) and len(self._last) == len(zones)

    @property
    def joules(self) -> float | None:
        """Energy so far in joules; None where a counter cannot be read."""
        self.update()
        return self._joules if self._is_complete else None

    def update(self) -> None:
        """Read the counters."""
        for zone, before in self._last.items():
            count = _number(zone / "energy_uj")
            if count is None:
                self._is_complete = False
                continue
            used = count - before
            if used < 0:
                used += (_number(zone / "max_energy_range_uj") or before) + 1
            self._joules += used / 1e6
            self._last[zone] = count


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdecimal() else None
