"""axe-core in a page of a test: what it finds serious."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest


def installed_axe(folder: Path) -> Path:
    """The script of axe-core, installed into a folder; skips the test where npm cannot install it."""
    axe = folder / "node_modules" / "axe-core" / "axe.min.js"
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), "axe-core@4"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False, timeout=240)
    if not axe.is_file():
        pytest.skip(f"npm could not install axe-core: {done.stderr[-300:]}")
    return axe


def serious_problems(browser: Any, page_file: Path, axe: Path) -> list[tuple[str, str, str]]:
    """Rules that a page breaks in light or dark, with the colour scheme and the first element; everything is open."""
    serious = []
    for scheme in ("light", "dark"):
        context = browser.new_context(bypass_csp=True, color_scheme=scheme)
        page = context.new_page()
        page.goto(page_file.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(item => { item.open = true; })")
        serious += [(scheme, *problem) for problem in serious_problems_of(page, axe)]
        context.close()
    return serious


def serious_problems_of(page: Any, axe: Path) -> list[tuple[str, str]]:
    """Rules that an open page breaks as it is, with the first element; its context must bypass the CSP."""
    page.add_script_tag(path=str(axe))
    found = page.evaluate("axe.run(document).then(result => result.violations)")
    broken = [rule for rule in found if rule["impact"] in ("serious", "critical")]
    return [(rule["id"], rule["nodes"][0]["html"]) for rule in broken]
