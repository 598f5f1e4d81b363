"""Public links to files in Nextcloud, by the OCS share API: https://docs.nextcloud.com, "OCS Share API".

An existing link is reused, because a second request would create a second link. The user and app password are those
of WebDAV; they are never shown.
"""

import dataclasses
import re
import urllib.parse
from collections.abc import Mapping
from typing import Any

import requests
from requests.auth import HTTPBasicAuth

from model.answers import read_answer
from model.errors import (
    ConfigError,
    StorageBusyError,
    StorageError,
    StorageNotFoundError,
    StorageRefusedError,
    StorageSettingsError,
    StorageUnreachableError,
)
from model.files.composition import composed
from model.provenance import utc_today
from model.reading import UnreadableError, parse_json, unreadable
from model.received import quoted
from model.storage.failures import with_retries
from model.storage.places import Place
from model.storage.settings import WebDavAccount

_SHARES = "/ocs/v2.php/apps/files_sharing/api/v1/shares"
_PUBLIC_LINK, _READ = 3, 1
_FILES_URL = re.compile(r"(?P<base>https?://[^?#]+?)/remote\.php/dav/files/[^/]+(?P<folder>/.*)?")
_SECONDS = (15.0, 60.0)
_BUSY = frozenset({423, 425, 429, 500, 502, 503, 504})


@dataclasses.dataclass(frozen=True)
class PublicLink:
    """Public link to a file.

    Attributes:
        url: URL of the download.
        page: URL of the page for a browser.
        expires: last day, as an ISO date; empty if the link does not expire.
        has_password: whether it has a password; `url` is then that of `/public.php/dav`, which accepts one.
        is_new: whether it was created by this request.
    """

    url: str
    page: str
    expires: str
    has_password: bool
    is_new: bool


class SharedFiles:
    """Public links of an account.

    Attributes:
        address: address of the server, with which every link begins.
    """

    def __init__(self, account: WebDavAccount) -> None:
        """Find the address of the server.

        Raises:
            StorageSettingsError: the account is not one of Nextcloud.
        """
        found = _FILES_URL.fullmatch(account.url)
        if found is None:
            raise StorageSettingsError(
                "public links: expected a Nextcloud, with a url such as https://HOST/remote.php/dav/files/USER. For "
                "another kind of storage, upload the model with `topgraft push`, make it public, and write the "
                "repository with `topgraft child-module --weights-url URL --sha256 HEX`."
            )
        self.address: str = found["base"]
        self._folder = urllib.parse.unquote(found["folder"] or "").rstrip("/")
        self._account = account

    def link(self, place: Place, expires: str = "", password: str | None = None) -> PublicLink:
        """Create or reuse the public link to a file; an existing link is changed if necessary.

        Args:
            expires: last day, as an ISO date; empty for none. The server may set one nevertheless.
            password: password of the link; None or empty for none.

        Raises:
            ConfigError: the server rejects the date or the password; the message contains its answer.
            StorageError: the request is refused, or the file is missing, or the server is busy or unreachable.
        """
        return with_retries(lambda: self._link(self._path_of(place), expires, password or ""))

    def has_link(self, place: Place) -> bool:
        """Whether there is a file with a public link that has not expired.

        Raises:
            StorageError: as `link`.
        """
        query = {"path": self._path_of(place)}
        try:
            return any(map(_is_alive, with_retries(lambda: self._ask("GET", "", query))))
        except StorageNotFoundError:
            return False

    def _path_of(self, place: Place) -> str:
        # The server stores composed names.
        return composed(f"{self._folder}/{place.path}")

    def _link(self, path: str, expires: str, password: str) -> PublicLink:
        found = self._ask("GET", "", {"path": path})
        shares = [share for share in found if _is_alive(share) and bool(share.get("password")) == bool(password)]
        # Links without an expiry date first: one that expires is used only if no other exists.
        shares.sort(key=lambda share: (_end_of(share) != expires, _end_of(share)))
        settings = {"expireDate": expires, "password": password}
        requested = {name: value for name, value in settings.items() if value}
        if not shares:
            details = {"path": path, "shareType": str(_PUBLIC_LINK), "permissions": str(_READ)} | requested
            return self._described(self._ask("POST", "", {}, details), bool(password), is_new=True)
        share = shares[0]
        for name, value in requested.items():
            if name == "password" or _end_of(share) != expires:
                share = self._ask("PUT", f"/{share['id']}", {}, {name: value})
        return self._described(share, bool(password), is_new=False)

    def _described(self, share: Mapping[str, Any], has_password: bool, is_new: bool) -> PublicLink:
        # The address in the answer can lack the port behind a proxy; only its form is used.
        token = urllib.parse.quote(str(share["token"]), safe="")
        through = "/index.php" if "/index.php/s/" in str(share.get("url", "")) else ""
        page = f"{self.address}{through}/s/{token}"
        url = f"{self.address}/public.php/dav/files/{token}/" if has_password else f"{page}/download"
        return PublicLink(url, page, _end_of(share), has_password, is_new)

    def _ask(self, method: str, name: str, query: dict[str, str], details: dict[str, str] | None = None) -> Any:
        """Send a request and return the `data` of the response."""
        try:
            answer = requests.request(
                method,
                f"{self.address}{_SHARES}{name}",
                params=query,
                data=details,
                headers={"OCS-APIRequest": "true", "Accept": "application/json"},
                auth=HTTPBasicAuth(self._account.user.encode(), self._account.password.encode()),
                timeout=_SECONDS,
                allow_redirects=False,
                stream=True,
            )
            content = read_answer(answer)
        except requests.RequestException as error:
            raise StorageUnreachableError(
                f"public link: expected a response from {self.address}, received {type(error).__name__}. Check "
                "that the server can be reached."
            ) from error
        if answer.status_code != 200:
            raise _refusal(answer, content, method)
        try:
            with unreadable():
                return parse_json(content)["ocs"]["data"]
        except UnreadableError as error:
            received = quoted(content.decode(errors="replace"))
            raise StorageError(
                f"public link: expected JSON of the share API of {self.address}, received {received}. "
                "Check that this is a Nextcloud with sharing enabled."
            ) from error


def _is_alive(share: Mapping[str, Any]) -> bool:
    """Whether a share is a public link that has not expired."""
    return share.get("share_type") == _PUBLIC_LINK and (not _end_of(share) or _end_of(share) >= utc_today())


def _end_of(share: Mapping[str, Any]) -> str:
    return str(share.get("expiration") or "")[:10]


def _refusal(answer: requests.Response, content: bytes, method: str) -> StorageError | ConfigError:
    reason = f"public link: the server answered {answer.status_code}: {_message(content) or answer.reason}."
    status = answer.status_code
    if status in (401, 403):
        return StorageRefusedError(
            f"{reason} Check the user and the app password, and whether links are allowed; it was not retried."
        )
    if status in _BUSY:
        return StorageBusyError(f"{reason} Retry later.")
    if status == 404 and method == "GET":
        return StorageNotFoundError(f"{reason} The file is missing: upload it again.")
    return ConfigError(f"{reason} Choose another --expires or password, or check what this server allows.")


def _message(content: bytes) -> str:
    """Message of the server: in JSON, or in XML if the user is unknown; empty if there is none."""
    text = content.decode(errors="replace")
    found = re.search(r'"message"\s*:\s*"((?:[^"\\]|\\.)*)"|<message>(.*?)</message>', text, re.DOTALL)
    words = next((group for group in found.groups() if group), "") if found else ""
    return " ".join(words.split())[:300].rstrip(".")
