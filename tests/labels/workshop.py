"""The workshop of docs/workshop.md: from a real Label Studio to the comparison of two models in a real S3."""

import json
import re
import shlex
import signal
import subprocess
from pathlib import Path
from string import Template
from typing import Any

from model.publishing.archive import write_archive
from tests.labels.label_studio_process import RealLabelStudio
from tests.labels.label_studio_tasks import box_item, boxed_tasks, write_cutouts
from tests.support.command import COMMAND, ROOT, environment_of_tests, topgraft
from tests.support.small_model import write_model
from tests.support.storage_servers import ACCESS_KEY, BUCKET, SECRET_KEY, StorageServer, s3_server

CONFIGURATION = """<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="label" toName="image"><Label value="red"/><Label value="blue"/></RectangleLabels>
</View>"""
PHOTOS = 24
COLOURS = ("red", "blue")
# The target storage: rclone's server lacks what Label Studio checks a prefix without files by.
LABELS = "labels"
RESULTS = {"comparison.html", "model.tar.xz", "report.html", "results.csv"}
STEPS = ("labeling-extraction", "synthetic-data", "transfer-learning", "comparison")


def page_commands(values: dict[str, str]) -> dict[str, list[str]]:
    """The commands `topgraft` of the page by their first words, with fewer epochs and synthetic photos."""
    text = (ROOT / "docs" / "workshop.md").read_text(encoding="utf-8")
    text = text.replace("s3:$BUCKET/labels", f"s3:{LABELS}").replace("epochs=10", "epochs=1")
    text = text.replace("count=20", "count=4").replace("--count 20", "--count 4")
    lines = "".join(re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)).splitlines()
    words = [shlex.split(Template(line).substitute(values), comments=True) for line in lines if "topgraft " in line]
    return {some[2] if some[1] == "pipeline" else some[1]: some[1:] for some in words if some[0] == "topgraft"}


def label_photos(server: RealLabelStudio, s3: StorageServer) -> int:
    """A project with the photos of the bucket, whose annotations are written to a target storage; its number."""
    project = server.create_project("Workshop", CONFIGURATION)
    storage = {
        "project": project,
        "s3_endpoint": s3.url,
        "aws_access_key_id": ACCESS_KEY,
        "aws_secret_access_key": SECRET_KEY,
        "region_name": "us-east-1",
    }
    source = {"bucket": BUCKET, "prefix": "photos", "use_blob_urls": True, "regex_filter": ".*"}
    number = server.request("POST", "/api/storages/s3", json=storage | source)["id"]
    server.request("POST", f"/api/storages/s3/{number}/sync")
    tasks = sorted(server.tasks(project), key=lambda one: int(one["id"]))
    assert len(tasks) == PHOTOS
    for place, task in enumerate(tasks):
        server.annotate(task["id"], box_item(COLOURS[place % 2]))
    number = server.request("POST", "/api/storages/export/s3", json=storage | {"bucket": LABELS})["id"]
    assert server.request("POST", f"/api/storages/export/s3/{number}/sync")["status"] == "completed"
    return project


def kill_after(step: str, words: list[str], workspace: Path, environment: dict[str, str]) -> None:
    """Run a pipeline, and kill it when it has begun the step after this one."""
    command = [*COMMAND, *words]
    with subprocess.Popen(
        command, cwd=workspace, env=environment_of_tests(workspace) | environment, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stderr is not None
        lines = []
        for line in child.stderr:
            lines.append(line)
            if f"{step}: done" in line:
                child.send_signal(signal.SIGKILL)
        assert f"{step}: done" in "".join(lines), "".join(lines)
    assert child.returncode == -signal.SIGKILL


def written(words: list[str], workspace: Path, environment: dict[str, str]) -> Any:
    """The JSON that a command prints."""
    ran = topgraft(*words, "--json", cwd=workspace, **environment)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def check_the_workshop(workspace: Path, label_studio: RealLabelStudio) -> None:
    """The commands of the page give a comparison in S3, also if the pipeline is killed and run again.

    Its commands that train, compare and suggest labels one by one are tested elsewhere.
    """
    (workspace / "models").mkdir(parents=True)
    (workspace / "s3" / LABELS).mkdir(parents=True)
    boxed_tasks(workspace / "s3" / BUCKET / "photos", PHOTOS)
    write_cutouts(workspace / "data" / "cutouts", COLOURS)
    # Given, because a training takes half a minute of processor time.
    base = write_archive(write_model(workspace / "models" / "colours-before"), workspace / "base.tar.xz").path
    with s3_server(workspace / "s3") as s3:
        project = label_photos(label_studio, s3)
        values = {"BUCKET": BUCKET, "USER": "ann", "LABEL_STUDIO": label_studio.address, "PROJECT": str(project)}
        commands = page_commands(values)
        commands["run"] += ["-p", f"base={base}"]
        environment = s3.environment("s3", provider="Other")
        imported = written(commands["import-labels"], workspace, environment)
        assert sum(sum(counts.values()) for counts in imported["images"].values()) == PHOTOS
        written(commands["synthesize"], workspace, environment)

        kill_after("transfer-learning", commands["run"], workspace, environment)
        record = json.loads((workspace / "runs" / "traffic-signs" / "run.json").read_text())
        assert record["state"] == "running"
        resumed = written(commands["run"], workspace, environment)
        # Labels in remote storage are read again; they are the same.
        states = dict(zip(STEPS, ("done", "unchanged", "unchanged", "done"), strict=True))
        assert {step["name"]: step["state"] for step in resumed["steps"]} == states
        sent = {path.name for path in (workspace / "s3" / BUCKET / "ann" / "first").iterdir() if path.is_file()}
        assert sent == RESULTS
        notebooks = (workspace / "s3" / BUCKET / "ann" / "first" / "notebooks").iterdir()
        assert {path.stem for path in notebooks} == set(STEPS)
        page = (workspace / "s3" / BUCKET / "ann" / "first" / "comparison.html").read_text(encoding="utf-8")
        assert "base" in page and "new" in page and "red" in page
