"""Run the benchmarks and write their tables into docs/benchmarks.md: `python -m benchmarks [NAME ...]`.

The table of `overview` is in README.md.

Each runs in a process of its own. On two processors most take between half a minute and a quarter of an hour; `faults`,
`robustness`, `attacks.kills` and `attacks.load` take most of an hour each, and `quality` takes one to two hours. A
table is written between its markers; the text around them is kept. Names select the benchmarks to run.
"""

import datetime
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

NAMES = (
    "overview",
    "serving",
    "serving_cost",
    "latency",
    "threads",
    "robustness",
    "startup",
    "decoding",
    "intensity",
    "unknown",
    "report",
    "explanations",
    "drift",
    "head",
    "head_by_size",
    "streamed_head",
    "real_data",
    "small_data",
    "few_photos",
    "side_by_side",
    "synthesis",
    "options",
    "presets",
    "choices",
    "studio",
    "studio_sorting",
    "studio_many",
    "studio_kills",
    "training",
    "training_cost",
    "training_growth",
    "pretrained",
    "quality",
    "comparison",
    "labels",
    "pipeline",
    "steps",
    "attacks",
    "attacks.kills",
    "attacks.load",
    "faults",
    "storage",
    "storage_faults",
    "publishing",
    "publishing_faults",
    "spark",
    "spark_keras",
    "spark_commands",
    "spark_kills",
    "listing",
)
PACKAGES = ("tensorflow", "keras", "onnxruntime", "pillow", "numpy", "deepaas")
ROOT = Path(__file__).resolve().parents[1]
PAGE, README = ROOT / "docs" / "benchmarks.md", ROOT / "README.md"


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all, and return how many failed."""
    if unknown := sorted(set(names) - set(NAMES)):
        sys.exit(f"expected some of {', '.join(NAMES)}, received {', '.join(unknown)}")
    failed = 0
    for name in names or NAMES:
        finished = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT, stdout=subprocess.PIPE)
        if finished.returncode:
            failed += 1
            continue
        tables = finished.stdout.decode().strip()
        print(f"{name}\n\n{tables}\n", flush=True)
        _replace(README if name == "overview" else PAGE, name, f"{tables}\n\n{_machine()}")
    return failed


def _replace(path: Path, name: str, content: str) -> None:
    """Put `content` between the markers of `name` in a page."""
    page = path.read_text(encoding="utf-8")
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(page):
        sys.exit(f"{path}: expected the markers {begin} and {end}, found them not. Add them where the table belongs.")
    path.write_text(pattern.sub(lambda _: f"{begin}\n{content}\n{end}", page), encoding="utf-8")


def _machine() -> str:
    """Describe the machine and the date of the measurements, with the load by other processes."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return (
        f"*{datetime.date.today().isoformat()}, {len(os.sched_getaffinity(0))} processors ({_processor()}), "
        f"load average {os.getloadavg()[1]:.1f} over the last five minutes, Python {platform.python_version()}, "
        f"{versions}.*"
    )


def _processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return found[1].strip() if found else platform.machine()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
