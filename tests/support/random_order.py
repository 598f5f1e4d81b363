"""Run the tests in random order: `python -m pytest -p tests.support.random_order`.

Modules are shuffled, and the tests of each; they stay together, as they share fixtures. The seed is in the header;
TOPGRAFT_TEST_SEED sets it.
"""

import itertools
import os
import random

import pytest

SEED = "TOPGRAFT_TEST_SEED"


def pytest_configure() -> None:
    """Draw the seed; processes that run a part of the tests inherit it."""
    os.environ.setdefault(SEED, str(random.randrange(1_000_000)))


def pytest_report_header() -> str:
    """The seed, to repeat the order."""
    return f"random order: {SEED}={os.environ[SEED]}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Shuffle the tests in place."""
    rng = random.Random(int(os.environ[SEED]))
    modules = [list(tests) for _, tests in itertools.groupby(items, key=lambda item: item.path)]
    rng.shuffle(modules)
    for tests in modules:
        rng.shuffle(tests)
    items[:] = itertools.chain.from_iterable(modules)
