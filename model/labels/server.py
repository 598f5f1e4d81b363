"""A Label Studio server: its tasks and photos over HTTP."""

import contextlib
import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from model.addresses import without_credentials
from model.dataset.image_limits import MAX_CONTENT_BYTES
from model.environment import LABEL_STUDIO_API_KEY
from model.errors import (
    ConfigError,
    DatasetError,
    ImageError,
    ImageTooLargeError,
    StorageBusyError,
    StorageError,
    StorageNotFoundError,
    StorageRefusedError,
    StorageUnreachableError,
)
from model.reading import UnreadableError, describe, parse_json, read_option_file, unreadable, without_number
from model.received import quoted
from model.storage.failures import with_retries

if TYPE_CHECKING:
    import requests

_SECONDS_TO_CONNECT, _SECONDS_TO_ANSWER = 15.0, 300.0
_MAX_JSON_BYTES = 1 << 27
_BLOCK = 1 << 20
_MAX_REDIRECTS = 5
# A personal token is exchanged for one that is valid for 300 s.
_SECONDS_UNTIL_RENEWED = 200.0
_MAX_TOKEN_BYTES = 1 << 14
_TASKS_PER_PAGE = 500
# Their identifiers are part of the address of a request.
_TASKS_PER_EXPORT = 200
# What Label Studio stores, also where an address names the server by another host name.
_STORED = re.compile(r"/data/(?:upload/\d+/[0-9a-f]{8}-.+|local-files/?)$")
_REDIRECTS = (301, 302, 303, 307, 308)
_NO_CONTENT = 204
# Of another host in a row, after which no more of its photos are requested.
_MAX_FAILURES = 5
_MAX_DETAIL_BYTES = 1 << 16

log = logging.getLogger(__name__)


def read_token(file: Path | None) -> str:
    """The access token: the content of a file, or the environment variable LABEL_STUDIO_API_KEY.

    Raises:
        ConfigError: there is none, or the file cannot be read.
    """
    if file is None:
        token = LABEL_STUDIO_API_KEY.read()
    else:
        try:
            token = read_option_file(file, _MAX_TOKEN_BYTES).decode().strip()
        except (OSError, ValueError) as error:
            reason = without_number(error)
            raise ConfigError(f"{file}: expected a file with an access token, received: {reason}") from error
    if not token or not token.isascii() or len(token.split()) != 1:
        raise ConfigError(
            "expected an access token of Label Studio, from its page Account & Settings, in the environment variable "
            f"{LABEL_STUDIO_API_KEY.name} or in --token-file, received {'none' if not token else 'a text with blanks'}"
        )
    return token


class _OtherHostError(StorageUnreachableError):
    """Another host than the server, with a photo, does not answer."""


class LabelStudio:
    """Requests to one server, as the user of an access token.

    Args:
        url: address of the server, such as `http://localhost:8080`.
        token: legacy token, or personal access token; the latter is exchanged for a short-lived one and renewed.

    Raises:
        ConfigError: it is no such address, or has a user or a password.
    """

    def __init__(self, url: str, token: str) -> None:
        import requests

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                "--url: expected the address of a server, such as http://host:8080, received "
                f"{quoted(without_credentials(url))}"
            )
        if "@" in url:
            raise ConfigError(
                "--url: expected an address without user and password, received "
                f"{quoted(without_credentials(url))}. An access token is all that the server needs"
            )
        self.url = url.rstrip("/")
        self._failures: Counter[str] = Counter()
        self._origin = parts.scheme, parts.netloc
        self._token = token
        self._is_personal = token.count(".") == 2
        self._access, self._renewed = "", 0.0
        self._renewing = threading.Lock()
        self._session = requests.Session()
        # Neither cookies nor passwords of this machine.
        self._session.trust_env = False

    def project(self, number: int) -> dict[str, Any]:
        """A project with its labelling configuration.

        Raises:
            StorageError: it cannot be read.
            DatasetError: it has no tasks, or no configuration for photos.
        """
        project = self.get(f"/api/projects/{number}/")
        if not isinstance(project, dict):
            raise StorageError(f"{self.url}: expected a project, received {quoted(project)}")
        controls = project.get("parsed_label_config") or {}
        kinds = {str(shown.get("type")) for control in controls.values() for shown in control.get("inputs", ())}
        if not controls:
            raise DatasetError(f"{self.url}, project {number}: expected a labelling configuration, found none")
        if "Image" not in kinds:
            raise DatasetError(
                f"{self.url}, project {number}: expected a labelling configuration for photos, found one for "
                f"{', '.join(sorted(kinds))}"
            )
        return project

    def pages(self, project: int, fields: str, size: int) -> Iterator[list[dict[str, Any]]]:
        """All tasks of a project, page by page, in the order of their identifiers.

        Args:
            fields: `task_only`, or `all` for tasks with their annotations and predictions.
            size: tasks of a page.

        Raises:
            StorageError: they cannot be read.
        """
        for page in range(1, 1_000_000):
            path = f"/api/tasks?project={project}&page={page}&page_size={size}&fields={fields}"
            answer = self.get(path)
            if not isinstance(answer, dict) or not isinstance(answer.get("tasks"), list):
                raise StorageError(f"{self.url}: expected a page of tasks, received {quoted(answer)}")
            yield answer["tasks"]
            if page * size >= int(answer.get("total") or 0) or not answer["tasks"]:
                break

    def tasks(self, project: int, former: Mapping[str, Any]) -> list[dict[str, Any]]:
        """All annotated tasks of a project with their annotations.

        Args:
            former: identifier -> task, of a former request; unchanged ones are not requested again.

        Raises:
            StorageError: they cannot be read.
        """
        updated = self._updates(project)
        kept = {key: task for key, task in former.items() if updated.get(key) == task.get("updated_at")}
        changed = sorted((key for key in updated if key not in kept), key=int)
        for start in range(0, len(changed), _TASKS_PER_EXPORT):
            ids = "".join(f"&ids[]={key}" for key in changed[start : start + _TASKS_PER_EXPORT])
            exported = self.get(f"/api/projects/{project}/export?exportType=JSON{ids}")
            if not isinstance(exported, list):
                raise StorageError(f"{self.url}: expected a list of tasks, received {quoted(exported)}")
            kept |= {str(task["id"]): task for task in exported}
        log.info("%s: %d of %d annotated tasks have changed", self.url, len(changed), len(updated))
        return [kept[key] for key in sorted(updated, key=int) if key in kept]

    def read(self, address: str) -> bytes:
        """Content of a photo by its address on the server, or on another.

        The token is sent to this server only. Objects of remote storage are reached through the server. Another host
        that does not answer is no longer asked after five failures in a row.

        Raises:
            ImageError: there is no such photo, it is too large, or another host refuses it or does not answer.
            StorageError: the server does not answer, or refuses the token.
        """
        url = self._photo_url(address)
        try:
            return with_retries(lambda: self._read_photo(url))
        except _OtherHostError as error:
            raise ImageError(error.message) from error

    def _photo_url(self, address: str) -> str:
        """URL of a photo by its address, which may lack the path that the server is below, or have another host."""
        parts = urlsplit(address)
        if not parts.netloc:
            is_whole = address.startswith(f"{urlsplit(self.url).path}/")
            return urljoin(self.url, address) if is_whole else f"{self.url}/{address.lstrip('/')}"
        found = None if parts[:2] == self._origin else _STORED.search(parts.path)
        if found is None:
            return urljoin(self.url, address)
        return self.url + parts._replace(scheme="", netloc="", path=found[0]).geturl()

    def get(self, path: str) -> Any:
        """The JSON at a path of the server, such as `/api/projects/1/`.

        Raises:
            StorageError: it cannot be read.
        """
        return with_retries(lambda: self._read_json(path))

    def send(self, method: str, path: str, content: Any = None) -> Any:
        """Send JSON to a path of the server; the JSON of its answer, None if there is none.

        A request that is not answered is sent again: the server may have carried it out before.

        Args:
            method: `POST`, `PATCH` or `DELETE`.

        Raises:
            StorageError: the server does not answer, or refuses the request.
        """
        return with_retries(lambda: self._send(method, path, content))

    def _updates(self, project: int) -> dict[str, str]:
        """Identifier -> time of the last change, of the tasks with annotations."""
        updated: dict[str, str] = {}
        for page in self.pages(project, "task_only", _TASKS_PER_PAGE):
            for task in page:
                if task.get("total_annotations") or task.get("cancelled_annotations"):
                    updated[str(task["id"])] = str(task.get("updated_at"))
        return updated

    def _read_json(self, path: str) -> Any:
        with self._answer(f"{self.url}{path}") as answer:
            return self._parsed(answer)

    def _send(self, method: str, path: str, content: Any) -> Any:
        import requests

        url = f"{self.url}{path}"
        try:
            with self._request(method, url, self._authorization(), content) as answer:
                self._refuse(answer, url)
                return None if answer.status_code == _NO_CONTENT else self._parsed(answer)
        except requests.RequestException as error:
            raise StorageUnreachableError(
                f"{without_credentials(url)}: no answer: {quoted(str(error))[1:-1]}"
            ) from error

    def _parsed(self, answer: "requests.Response") -> Any:
        """The JSON of an answer."""
        kind = answer.headers.get("Content-Type", "")
        try:
            return parse_json(_limited(answer, _MAX_JSON_BYTES))
        except UnreadableError as error:
            page = "a web page, such as a login page" if "html" in kind else f"no JSON: {error}"
            raise StorageError(
                f"{self.url}: expected the answer of a Label Studio server, received {page}. Check the address"
            ) from error

    def _read_photo(self, url: str) -> bytes:
        try:
            with self._answer(url, is_photo=True) as answer:
                if "html" in answer.headers.get("Content-Type", ""):
                    raise ImageError(f"{without_credentials(url)}: expected a photo, received a web page")
                return _limited(answer, MAX_CONTENT_BYTES)
        except StorageNotFoundError as error:
            raise ImageError(error.message) from error

    @contextlib.contextmanager
    def _answer(self, url: str, is_photo: bool = False) -> "Iterator[requests.Response]":
        """The answer to a GET request, after redirects; the token goes to the server's own addresses only.

        Args:
            is_photo: whether a photo is requested, which other hosts may have.
        """
        import requests

        is_own = True
        try:
            for _ in range(_MAX_REDIRECTS):
                is_own = urlsplit(url)[:2] == self._origin
                headers = self._authorization() if is_own else {}
                self._check_answers(url)
                with self._request("GET", url, headers) as answer:
                    if answer.status_code not in _REDIRECTS:
                        self._refuse(answer, url, is_own or not is_photo)
                        yield answer
                        self._failures.pop(urlsplit(url).netloc, None)
                        return
                    url = urljoin(url, answer.headers.get("Location", ""))
        except requests.RequestException as error:
            if is_own or not is_photo:
                raise StorageUnreachableError(_no_answer(url, error)) from error
            self._failures[urlsplit(url).netloc] += 1
            raise _OtherHostError(_no_answer(url, error)) from error
        raise StorageError(
            f"{without_credentials(url)}: expected an answer, received more than {_MAX_REDIRECTS} redirects"
        )

    def _check_answers(self, url: str) -> None:
        """Raise an error if another host has failed too often in a row."""
        if self._failures[urlsplit(url).netloc] >= _MAX_FAILURES:
            shown = without_credentials(url)
            raise ImageError(f"{shown}: not requested: its host did not answer {_MAX_FAILURES} times in a row")

    def _request(self, method: str, url: str, headers: Mapping[str, str], content: Any = None) -> "requests.Response":
        """Send a request, with JSON if there is content; redirects are not followed, and the answer is not yet read."""
        return self._session.request(
            method,
            url,
            headers=headers,
            json=content,
            timeout=(_SECONDS_TO_CONNECT, _SECONDS_TO_ANSWER),
            allow_redirects=False,
            stream=True,
        )

    def _authorization(self) -> dict[str, str]:
        if not self._is_personal:
            return {"Authorization": f"Token {self._token}"}
        with self._renewing:
            if time.monotonic() - self._renewed > _SECONDS_UNTIL_RENEWED or not self._access:
                self._access = self._exchange()
                self._renewed = time.monotonic()
            return {"Authorization": f"Bearer {self._access}"}

    def _exchange(self) -> str:
        """Exchange the personal token for a short-lived one."""
        url = f"{self.url}/api/token/refresh"
        with self._request("POST", url, {}, {"refresh": self._token}) as answer:
            self._refuse(answer, url)
            content = _limited(answer, _MAX_TOKEN_BYTES)
        try:
            with unreadable():
                return str(parse_json(content)["access"])
        except UnreadableError as error:
            raise StorageError(f"{self.url}: expected an access token, received no such answer") from error

    def _refuse(self, answer: "requests.Response", url: str, is_own: bool = True) -> None:
        """Raise the error of a status that is none of success.

        Args:
            is_own: whether the server answered; else another host that has a photo, and did not get the token.
        """
        status = answer.status_code
        if status < 300:
            return
        shown = without_credentials(url)
        if not is_own and 400 <= status < 500 and status not in (404, 429):
            raise ImageError(f"{shown}: the storage refuses the photo ({status}), requested without the token")
        if status in (401, 403):
            raise StorageRefusedError(
                f"{shown}: the server refuses the access token ({status}). Check it on the page Account & Settings, "
                "and that its user may see the project. Legacy tokens must be enabled in the organization"
            )
        if status == 404:
            raise StorageNotFoundError(f"{shown}: not found (404). Check the address and the number of the project")
        if status == 429 or status >= 500:
            raise StorageBusyError(f"{shown}: the server is overloaded or failing ({status})")
        detail = _detail(answer) if status == 400 else ""
        raise StorageError(
            f"{shown}: expected an answer, received status {status}{detail}. Check the address and the version of the "
            "server"
        )


def _limited(answer: "requests.Response", most: int) -> bytes:
    """Content of an answer of at most `most` bytes."""
    blocks, size = [], 0
    for block in answer.iter_content(_BLOCK):
        blocks.append(block)
        size += len(block)
        if size > most:
            raise ImageTooLargeError(
                f"{without_credentials(answer.url)}: expected at most {most:,} bytes, received more"
            )
    return b"".join(blocks)


def _no_answer(url: str, error: Exception) -> str:
    """Message about a request without an answer."""
    return f"{without_credentials(url)}: no answer: {describe(error)}"


def _detail(answer: "requests.Response") -> str:
    """What a server states about a request that it refuses."""
    return f": {quoted(next(answer.iter_content(_MAX_DETAIL_BYTES), b'').decode(errors='replace'))}"
