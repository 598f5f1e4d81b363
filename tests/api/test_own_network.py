"""URLs against the system's own resolver, a lying name server and a public address, in network namespaces."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.url_tricks import NOT_PUBLIC
from tests.support.own_network import CANNOT_START, OWN_PUBLIC

ROOT = Path(__file__).resolve().parents[2]
NAMESPACES = ["unshare", "--map-root-user", "--net", "--mount"]
COME_THROUGH = {"http://public.example/photo.jpg", "http://rebinding.example/photo.jpg"}


@pytest.fixture(scope="module")
def outcomes() -> dict[str, tuple[str, int]]:
    for program in ("unshare", "ip", "mount"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode:
        pytest.skip("this machine does not let its users make network namespaces")
    ran = subprocess.run(
        [*NAMESPACES, sys.executable, "-W", "ignore", "-m", "tests.support.own_network"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if ran.returncode == CANNOT_START:
        pytest.skip(f"no network of its own: {ran.stderr}")
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_urls_of_private_addresses_are_never_contacted(outcomes: dict[str, tuple[str, int]]) -> None:
    assert {connections for url, (_, connections) in outcomes.items() if url != "naive"} == {0}
    # A second name lookup would reach it.
    assert outcomes["naive"] == ["", 1]


def test_only_public_addresses_are_fetched(outcomes: dict[str, tuple[str, int]]) -> None:
    refused = {url for url, (message, _) in outcomes.items() if NOT_PUBLIC in message}
    assert f"http://{OWN_PUBLIC}/" in refused
    assert outcomes.keys() - refused - {"naive"} == COME_THROUGH
    assert {url for url, (message, _) in outcomes.items() if not message} - {"naive"} == COME_THROUGH
