"""Requests of the view *Photos*: changes, uploads, the verdict, and the memory of the server."""

import contextlib
import http.client
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest
import requests
from PIL import Image

from model.curation import changes
from model.curation.journal import locked
from model.curation.places import CURATION
from model.curation.plans import MovePhotos
from model.studio.fields import user_of
from model.studio.routes.uploads import MAX_LISTED
from tests.support.photos import encoded, photo, random_image, write_photos
from tests.support.studio_server import Studio, running_studio
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

MAX_MEMORY = 200e6


class Client:
    """A session that sends requests below one address."""

    def __init__(self, studio: Studio) -> None:
        self._session, self._url = studio.session(), studio.url

    def get(self, path: str, status: int = 200, **options: Any) -> Any:
        return self._answer(self._session.get(self._url + path, timeout=30, **options), status)

    def post(self, path: str, body: object, status: int = 200) -> Any:
        return self._answer(self._session.post(self._url + path, json=body, timeout=30), status)

    def put(self, path: str, content: Any, status: int = 200) -> Any:
        headers = {"Content-Type": "application/octet-stream"}
        return self._answer(self._session.put(self._url + path, data=content, headers=headers, timeout=30), status)

    def delete(self, path: str) -> Any:
        return self._answer(self._session.delete(self._url + path, timeout=30), 200)

    @contextlib.contextmanager
    def sending(self, path: str, content: bytes, length: int) -> Iterator[None]:
        """Begin to send a body of this length, and close the connection at the end of the block."""
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._session.cookies)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(length), "Cookie": cookies}
        connection = http.client.HTTPConnection(urlsplit(self._url).netloc, timeout=30)
        connection.request("PUT", f"/{path}", headers=headers, body=content)
        yield
        connection.close()

    @staticmethod
    def _answer(answer: requests.Response, status: int) -> Any:
        assert answer.status_code == status, answer.text
        return answer.json() if answer.headers["Content-Type"].startswith("application/json") else answer.content


@pytest.fixture(scope="module")
def client(studio: Studio) -> Client:
    return Client(studio)


@pytest.fixture
def dataset(studio: Studio, request: pytest.FixtureRequest) -> Path:
    return write_photos(studio.home / "data" / request.node.name.partition("[")[0])


def verdict(client: Client, name: str) -> dict[str, Any]:
    def current() -> Any:
        described = client.get(f"api/datasets/{name}")
        found = client.get(f"api/datasets/{name}/check")["verdict"]
        return found if found and found["version"] == described["version"] else None

    found: dict[str, Any] = wait_until(current, 30)
    return found


def test_a_dataset_is_created_and_described(client: Client, studio: Studio) -> None:
    assert client.post("api/datasets", {"name": " Leaves "}, 201) == {"name": "Leaves"}
    assert client.get("api/datasets/Leaves")["classes"] == []
    for name in ("leaves", "../x", "<script>", ""):
        assert "Choose another name" in client.post("api/datasets", {"name": name}, 422)["message"]
    client.post("api/datasets", {"name": 5}, 400)
    for name in ("none", "..", "%2e%2e", "Leaves%2f..", CURATION):
        client.get(f"api/datasets/{name}/photos", 404 if name == ".." else 422)
    assert not (studio.home / "x").exists()


def test_photos_are_listed_shown_moved_and_changes_undone(client: Client, dataset: Path) -> None:
    path = f"api/datasets/{dataset.name}"
    listed = client.get(f"{path}/photos", params={"class": "red", "offset": 2, "limit": 3})
    assert listed == {"total": 8, "photos": ["red/2.jpg", "red/3.jpg", "red/4.jpg"]}
    for kind in ("thumbnail", "photo"):
        assert client.get(f"{path}/{kind}", params={"photo": "red/2.jpg"}).startswith(b"\xff\xd8")
        for name in ("../x.jpg", "red", "", f"{CURATION}/journal.jsonl", "/etc/passwd"):
            client.get(f"{path}/{kind}", 422, params={"photo": name})
    moved = client.post(f"{path}/changes", {"kind": "move_photos", "photos": ["red/2.jpg"], "to": ""})
    assert moved["photos"] == {"red/2.jpg": f"{CURATION}/unlabelled/2.jpg"}
    assert client.get(f"{path}/photos", params={"kind": "unlabelled"})["total"] == 1
    described = client.get(path)
    assert described["unlabelled"] == 1 and described["undo"]["kind"] == "move_photos"
    number = described["undo"]["number"]
    client.post(f"{path}/undo?number={number + 1}", {}, 422)
    client.post(f"{path}/undo?number={number}", {})
    assert client.get(path)["unlabelled"] == 0
    listed = client.get(f"{path}/changes")
    rows = listed["changes"]
    assert [(row["kind"], row["photos"]) for row in rows] == [("undo", 1), ("move_photos", 1)]
    assert rows[1]["by"] == user_of({}) and listed["total"] == 2
    assert client.get(f"{path}/changes?offset=1&limit=1") == {"total": 2, "changes": rows[1:]}
    client.post(f"{path}/undo", {}, 422)
    client.post(f"{path}/changes", {"kind": "explode"}, 400)


def test_an_upload_in_pieces_becomes_photos(client: Client, studio: Studio) -> None:
    client.post("api/datasets", {"name": "sent"}, 201)
    contents = [encoded(random_image(number)) for number in range(4)] + [b"no photo"]
    names = ["elm/0.jpg", "elm/1.jpg", "oak/2.jpg", "oak/3.jpg", "oak/notes.txt"]
    plan = {"files": [[name, len(content)] for name, content in zip(names, contents, strict=True)], "class_name": None}
    begun = client.post("api/datasets/sent/uploads", plan)
    path = f"api/datasets/sent/uploads/{begun['upload']}"
    client.put(f"{path}?first=0&offset=0", contents[0] + contents[1][:10])
    found = client.get(path)
    assert (found["arrived"], found["missing"], found["parts"]) == (1, [[1, 4]], {"1": 10})
    assert [one["upload"] for one in client.get("api/datasets/sent/uploads")] == [begun["upload"]]
    client.put(f"{path}?first=1&offset=5", b"x", 400)
    client.put(f"{path}?first=x&offset=0", b"x", 400)
    done = client.put(f"{path}?first=1&offset=10", contents[1][10:] + b"".join(contents[2:]))
    assert done["complete"] and done["added"] == 4 and done["refusals"] == 1
    assert "no photo" in done["refused"][0]["reason"]
    assert (studio.home / "data" / "sent" / "oak" / "2.jpg").read_bytes() == contents[2]
    client.post("api/datasets/sent/uploads", {"files": []}, 400)


def test_refused_files_are_counted_and_listed_on_request(client: Client, dataset: Path) -> None:
    path = f"api/datasets/{dataset.name}/uploads"
    bad = 30
    plan = {"files": [[f"red/{number}.txt", 1] for number in range(bad + 1)], "class_name": None}
    upload = client.post(path, plan)["upload"]
    found = client.put(f"{path}/{upload}?first=0&offset=0", b"x" * bad)
    assert (found["arrived"], found["refusals"], len(found["refused"])) == (bad, bad, MAX_LISTED)
    [row] = client.get(f"api/datasets/{dataset.name}")["uploads"]
    assert row == {"upload": upload, "files": bad + 1, "arrived": bad, "refusals": bad}
    rest = client.get(f"{path}/{upload}/refused?offset={MAX_LISTED}")
    assert rest["total"] == bad and [one["path"] for one in rest["refused"]][-1] == f"red/{bad - 1}.txt"
    assert len(rest["refused"]) == bad - MAX_LISTED
    client.delete(f"{path}/{upload}")


def test_a_connection_that_breaks_keeps_what_has_arrived(client: Client, dataset: Path) -> None:
    path = f"api/datasets/{dataset.name}/uploads"
    pixels = np.random.default_rng(5).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    content, other = (encoded(Image.fromarray(pixels), "PNG") + end for end in (b"1", b"2"))
    plan = {"files": [["new.png", len(content)], ["more.png", len(content)]], "class_name": "red"}
    upload = client.post(path, plan)["upload"]
    with client.sending(f"{path}/{upload}?first=0&offset=0", content + content[:100], 2 * len(content)):
        wait_until(lambda: client.get(f"{path}/{upload}")["received"], 10)
    found = wait_until(lambda: (one := client.get(f"{path}/{upload}"))["arrived"] == 1 and one, 10)
    assert found["parts"] == {"1": 100}
    done = client.put(f"{path}/{upload}?first=1&offset=100", other[100:])
    assert done["complete"] and (dataset / "red" / "more.png").read_bytes() == other


def test_the_verdict_follows_changes_of_any_program(client: Client, dataset: Path) -> None:
    assert verdict(client, dataset.name)["ready"]
    (dataset / "red" / "broken.jpg").write_bytes(photo(1)[:100])
    found = verdict(client, dataset.name)
    assert [name for name, _ in found["unreadable"]] == ["red/broken.jpg"]
    (dataset / "red" / "of 2026" / "may").mkdir(parents=True)
    client.get(f"api/datasets/{dataset.name}")
    (dataset / "red" / "of 2026" / "may" / "9.jpg").write_bytes(photo(9))
    assert client.get(f"api/datasets/{dataset.name}")["classes"][1]["photos"] == 10
    client.post(f"api/datasets/{dataset.name}/changes", {"kind": "remove_class", "name": "red"})
    assert verdict(client, dataset.name)["missing"] == "classes"


def test_two_pages_see_each_others_changes(client: Client, studio: Studio, dataset: Path) -> None:
    client.get(f"api/datasets/{dataset.name}")
    with studio.session().get(f"{studio.url}api/events", stream=True, timeout=30) as events:
        client.get(f"api/datasets/{dataset.name}")
        lines = events.iter_lines()
        verdict(client, dataset.name)
        changes.change(dataset, MovePhotos(("red/0.jpg",), "blue"))
        for line in lines:
            if line == b"event: dataset":
                assert json.loads(next(lines).partition(b": ")[2])["name"] == dataset.name
                break


def test_another_dataset_is_imported(client: Client, dataset: Path) -> None:
    client.post("api/datasets", {"name": "copy"}, 201)
    task = client.post("api/datasets/copy/imports", {"source": dataset.name}, 202)
    done = ended_task(client, task["key"])
    assert (done["state"], done["result"]["photos"]) == ("done", 16) and done["total"] == done["done"] == 16
    client.post("api/tasks/end", {"key": task["key"]})
    assert task["key"] not in [one["key"] for one in client.get("api/tasks")]
    client.post("api/tasks/end", {"key": task["key"]}, 400)
    for source in ("/etc", "../x", ".", ""):
        assert "expected a dataset" in client.post("api/datasets/copy/imports", {"source": source}, 400)["message"]


def test_an_import_that_is_cancelled_adds_nothing(client: Client, studio: Studio, dataset: Path) -> None:
    client.post("api/datasets", {"name": "cancelled"}, 201)
    target = studio.home / "data" / "cancelled"
    with locked(target):
        task = client.post("api/datasets/cancelled/imports", {"source": dataset.name}, 202)
        assert client.post("api/datasets/cancelled/imports", {"source": dataset.name}, 202)["key"] == task["key"]
        client.post("api/tasks/end", {"key": task["key"]})
    assert ended_task(client, task["key"])["state"] == "cancelled"
    assert not changes.changes(target) and client.get("api/datasets/cancelled")["classes"] == []
    client.post("api/datasets/cancelled/imports", {"source": dataset.name}, 202)
    assert ended_task(client, task["key"])["result"]["photos"] == 16


def ended_task(client: Client, key: str) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        [task] = [task for task in client.get("api/tasks") if task["key"] == key]
        return None if task["state"] == "running" else task

    return wait_until(ended, 30)


def test_a_server_that_is_killed_while_receiving_goes_on_after_its_restart(tmp_path: Path) -> None:
    contents = [encoded(random_image(3)) + end for end in (b"1", b"2", b"3")]
    content = contents[0]
    files = {"files": [[f"elm/{number}.jpg", len(content)] for number in range(3)], "class_name": None}
    with running_studio(tmp_path) as studio:
        client = Client(studio)
        client.post("api/datasets", {"name": "sent"}, 201)
        upload = client.post("api/datasets/sent/uploads", files)["upload"]

        def killing() -> Iterator[bytes]:
            yield content + b"\xff\xd8"
            studio.process.send_signal(signal.SIGKILL)
            studio.process.wait()
            yield content

        with pytest.raises(requests.ConnectionError):
            client.put(f"api/datasets/sent/uploads/{upload}?first=0&offset=0", killing())
    with running_studio(tmp_path) as studio:
        client = Client(studio)
        begun = client.post("api/datasets/sent/uploads", files)
        assert begun["upload"] == upload
        [[first, _last]] = begun["missing"]
        part = begun["parts"].get(str(first), 0)
        rest = b"".join(contents)[first * len(content) + part :]
        assert client.put(f"api/datasets/sent/uploads/{upload}?first={first}&offset={part}", rest)["complete"]
        assert sorted(path.name for path in (tmp_path / "data" / "sent" / "elm").iterdir()) == [
            "0.jpg",
            "1.jpg",
            "2.jpg",
        ]


def test_the_server_stays_small(client: Client, studio: Studio, dataset: Path) -> None:
    for number in range(8):
        client.get(f"api/datasets/{dataset.name}/thumbnail", params={"photo": f"red/{number}.jpg"})
    verdict(client, dataset.name)
    maps = Path(f"/proc/{studio.process.pid}/maps").read_text()
    assert not [name for name in ("tensorflow", "onnxruntime", "pandas", "sklearn") if f"/{name}/" in maps]
    assert psutil.Process(studio.process.pid).memory_info().rss < MAX_MEMORY
