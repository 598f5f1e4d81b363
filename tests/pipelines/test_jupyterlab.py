"""The exported pipeline in the editor of a real JupyterLab with Elyra.

With TOPGRAFT_SCREENSHOTS=docs/images the screenshot of the documentation is written again.
"""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.pipelines.pipeline_file import find_pipeline
from tests.support.browser import running_chromium
from tests.support.ports import free_port
from tests.support.separate_environments import separate_environment
from tests.support.waiting import answers, wait_until

PACKAGES = ("elyra-server==4.1.1", "elyra-pipeline-editor-extension==4.1.1", "jupyterlab==4.4.10")
SECONDS_TO_START = 120
MILLISECONDS_FOR_A_PAGE = 120_000

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.system]


@contextlib.contextmanager
def running_jupyterlab(work: Path, home: Path) -> Iterator[str]:
    """A JupyterLab without a token in a folder; its address."""
    programs = separate_environment("elyra-lab", PACKAGES)
    address = f"http://127.0.0.1:{(port := free_port())}"
    environment = os.environ | {
        "HOME": str(home),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
    }
    settings = {"token": "", "password": "", "root_dir": str(work), "open_browser": "False", "port": str(port)}
    process = subprocess.Popen(
        [
            programs / "jupyter-lab",
            "--allow-root",
            *(f"--ServerApp.{name}={value}" for name, value in settings.items()),
        ],
        env=environment,
        cwd=home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(lambda: answers(f"{address}/api/status"), SECONDS_TO_START, process)
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.skipif("TOPGRAFT_SCREENSHOTS" not in os.environ, reason="made where TOPGRAFT_SCREENSHOTS names a folder")
def test_the_screenshot_of_the_documentation(tmp_path: Path) -> None:
    shutil.copytree(find_pipeline("traffic-signs").parent, tmp_path / "work")
    (tmp_path / "home").mkdir()
    with (
        running_jupyterlab(tmp_path / "work", tmp_path / "home") as address,
        running_chromium() as browser,
        browser.new_page(viewport={"width": 1240, "height": 520}) as page,
    ):
        page.set_default_timeout(MILLISECONDS_FOR_A_PAGE)
        page.goto(f"{address}/lab/tree/traffic-signs.pipeline", wait_until="domcontentloaded")
        page.get_by_role("button", name="No", exact=True).click()
        page.locator(".jp-toast-message").wait_for(state="hidden")
        nodes = page.locator(".elyra-PipelineEditor .d3-node-label")
        nodes.nth(3).wait_for()
        # The file browser takes the place of the pipeline.
        page.locator(".jp-SideBar.jp-mod-left .lm-mod-current").click()
        page.locator(".jp-FileBrowser").wait_for(state="hidden")
        page.screenshot(path=Path(os.environ["TOPGRAFT_SCREENSHOTS"]) / "elyra.png")
        assert nodes.count() == 4
