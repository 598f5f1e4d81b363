"""Attacks on a running service, by area: how many passed, and how long an honest client waited beside them.

How: a `deepaas-run` with two workers and a small model listens on loopback, and each trick is played on it: the inputs
of the tests, from tests/support and tests/api, sent to a real service. A trick has passed if the answer is as expected:
a refusal, or a prediction where the input is only slow or large. Beside the tricks an honest client asks for a
prediction every 100 ms. The peak memory of the workers, of the decoding processes and of the main process is that of
the system (VmHWM), reset for each area. URLs that need a name server are played by tests/api/test_url_tricks.py.

Depends on: the processors, which the tricks, the honest client and the service share: the waits on a busy machine are
longer. The processor time that the main process uses during a wait depends less on the load: where the main process has
a processor for itself and a worker is free, no client waits much longer. `python -m benchmarks.attacks` takes a quarter
of an hour on two processors; `--tricks 3` plays three of each area.
"""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.attacks import models, photos, requests
from benchmarks.attacks.target import Results, Target, Trick, play_all
from benchmarks.tables import markdown_table, verdict
from tests.support.deepaas_server import running_server
from tests.support.small_model import write_small_model
from tests.support.strange_servers import Forbidden

AREAS: dict[str, Callable[[], list[Trick]]] = {
    "photos": photos.tricks,
    "requests": requests.long_and_malformed,
    "other sites": requests.other_sites,
    "addresses": requests.addresses,
    "imported models": models.imported_models,
    "manifests": models.odd_manifests,
    "archives": models.archives,
}
SECONDS, DEADLINE = 2.0, 10.0
MEGABYTES = 600.0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--areas", nargs="+", choices=AREAS, default=list(AREAS), help="only these")
    parser.add_argument("--tricks", type=int, help="of each area, evenly chosen (default: all)")
    given = parser.parse_args()
    print(table(play(given.areas, given.tricks)))


def play(areas: list[str], count: int | None) -> dict[str, Results]:
    """Play `count` tricks of each area, or all."""
    with tempfile.TemporaryDirectory() as directory, attacked_service(Path(directory)) as target:
        # The model is loaded, and a decoding process has started.
        for _ in range(4):
            target.is_well()
        results = {}
        for area in areas:
            print(f"-- {area}", file=sys.stderr, flush=True)
            results[area] = play_all(target, chosen(AREAS[area](), count))
        return results


def chosen(tricks: list[Trick], count: int | None) -> list[Trick]:
    """`count` of the tricks, evenly over the list."""
    if count is None or count >= len(tricks):
        return tricks
    return [tricks[index * len(tricks) // count] for index in range(count)]


@contextlib.contextmanager
def attacked_service(home: Path) -> Iterator[Target]:
    """A service with the model `small`, and a server on this machine that it must not connect to."""
    (home / "data").mkdir()
    write_small_model(home / "models" / "small")
    forbidden = Forbidden()
    with forbidden.listening():
        # The port is allowed, so that the address alone stands in the way.
        ports = f"80,443,{forbidden.port}"
        with running_server(home, TOPGRAFT_URL_PORTS=ports) as server:
            yield Target(server, forbidden.port, lambda: forbidden.connections() > 0)


def table(results: dict[str, Results]) -> str:
    """A row for each area, and the verdicts on all."""
    rows = [
        [
            area,
            str(one.tried),
            str(one.passed),
            f"{one.longest[0]:.2f} s",
            one.longest[1][:40],
            f"{one.busy:.2f} s",
            str(one.unanswered),
            f"{one.worker:.0f} MB",
            f"{one.decoder:.0f} MB" if one.decoder else "",
            f"{one.main:.0f} MB",
        ]
        for area, one in results.items()
    ]
    longest = max(one.longest[0] for one in results.values())
    busiest = max(one.busy for one in results.values())
    verdicts = (
        verdict("All tricks passed", all(one.tried == one.passed for one in results.values())),
        verdict("Every honest request answered", not any(one.unanswered for one in results.values())),
        verdict(f"Longest wait of an honest client below {SECONDS:g} s", longest < SECONDS),
        verdict(f"Longest wait below {DEADLINE:g} s", longest < DEADLINE),
        verdict(f"Processor time of the main process during a wait below {SECONDS:g} s", busiest < SECONDS),
        verdict(f"Memory of a worker below {MEGABYTES:g} MB", max(one.worker for one in results.values()) < MEGABYTES),
    )
    header = [
        "area",
        "tried",
        "passed",
        "longest honest wait",
        "beside",
        "of processor time",
        "honest requests refused",
    ]
    header += ["peak of a worker", "of a decoding process", "of the main process"]
    return "\n\n".join((markdown_table(header, rows), *verdicts))


if __name__ == "__main__":
    main()
