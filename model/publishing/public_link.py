"""A public link to a file in Nextcloud, by the OCS share API: https://docs.nextcloud.com, "OCS Share API".

A link that is there already is used again, for a second request would make a second link. The same user and app
password as for WebDAV are used; nothing of them is ever shown.
"""

import dataclasses
import re
import urllib.parse
from collections.abc import Mapping
from typing import Any

import requests
from requests.auth import HTTPBasicAuth

from model.errors import (
    ConfigError,
    StorageBusyError,
    StorageError,
    StorageNotFoundError,
    StorageRefusedError,
    StorageSettingsError,
    StorageUnreachableError,
)
from model.provenance import utc_today
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
    """A link that everybody can read.

    Attributes:
        url: of its download.
        page: what to open in a browser.
        expires: the last day, as an ISO date; empty where it does not end.
        has_password: whether it asks for one; `url` is then that of `/public.php/dav`, which takes it.
        is_new: whether it was made just now.
    """

    url: str
    page: str
    expires: str
    has_password: bool
    is_new: bool


class SharedFiles:
    """The public links of an account.

    Attributes:
        address: what every link begins with.
    """

    def __init__(self, account: WebDavAccount) -> None:
        """Take the account apart.

        Raises:
            StorageSettingsError: it is not one of Nextcloud.
        """
        found = _FILES_URL.fullmatch(account.url)
        if found is None:
            raise StorageSettingsError(
                "public links: expected a Nextcloud, with a url such as https://HOST/remote.php/dav/files/USER. For "
                "another storage, send the model by `topgraft push`, make it public there, and write the repository by "
                "`topgraft child-module --weights-url URL --sha256 HEX`."
            )
        self.address: str = found["base"]
        self._folder = urllib.parse.unquote(found["folder"] or "").rstrip("/")
        self._account = account

    def link(self, place: Place, expires: str = "", password: str | None = None) -> PublicLink:
        """The public link to a file: one that is there already and fits, changed where it must be, or a new one.

        Args:
            expires: the last day, as an ISO date; empty for none. A server may set one all the same.
            password: to ask for; None or empty for none.

        Raises:
            ConfigError: the server does not take the date or the password; the message has its words.
            StorageError: refused, not there, busy, unreachable.
        """
        return with_retries(lambda: self._link(f"{self._folder}/{place.path}", expires, password or ""))

    def _link(self, path: str, expires: str, password: str) -> PublicLink:
        there = self._ask("GET", "", {"path": path})
        shares = [share for share in there if _is_alive(share) and bool(share.get("password")) == bool(password)]
        # One without an end first: a link that ends is not what nobody asked for.
        shares.sort(key=lambda share: (_end_of(share) != expires, _end_of(share)))
        wanted = {"expireDate": expires, "password": password}
        asked = {name: value for name, value in wanted.items() if value}
        if not shares:
            details = {"path": path, "shareType": str(_PUBLIC_LINK), "permissions": str(_READ)} | asked
            return self._described(self._ask("POST", "", {}, details), bool(password), is_new=True)
        share = shares[0]
        for name, value in asked.items():
            if name == "password" or _end_of(share) != expires:
                share = self._ask("PUT", f"/{share['id']}", {}, {name: value})
        return self._described(share, bool(password), is_new=False)

    def _described(self, share: Mapping[str, Any], has_password: bool, is_new: bool) -> PublicLink:
        # The address in the answer can lack the port behind a proxy; it only tells which form this server has.
        token = urllib.parse.quote(str(share["token"]), safe="")
        through = "/index.php" if "/index.php/s/" in str(share.get("url", "")) else ""
        page = f"{self.address}{through}/s/{token}"
        url = f"{self.address}/public.php/dav/files/{token}/" if has_password else f"{page}/download"
        return PublicLink(url, page, _end_of(share), has_password, is_new)

    def _ask(self, method: str, name: str, query: dict[str, str], details: dict[str, str] | None = None) -> Any:
        """Send a request and return the `data` of its answer."""
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
            )
        except requests.RequestException as error:
            raise StorageUnreachableError(
                f"public link: expected an answer of {self.address}, received {type(error).__name__}. See that it can "
                "be reached from here."
            ) from error
        if answer.status_code != 200:
            raise _refusal(answer, method)
        try:
            return answer.json()["ocs"]["data"]
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(
                f"public link: expected JSON of the share API of {self.address}, received {answer.text[:100]!r}. "
                "See that this is a Nextcloud with sharing switched on."
            ) from error


def _is_alive(share: Mapping[str, Any]) -> bool:
    """Whether it is a public link that has not ended."""
    return share.get("share_type") == _PUBLIC_LINK and (not _end_of(share) or _end_of(share) >= utc_today())


def _end_of(share: Mapping[str, Any]) -> str:
    return str(share.get("expiration") or "")[:10]


def _refusal(answer: requests.Response, method: str) -> StorageError | ConfigError:
    said = f"public link: the server answered {answer.status_code}: {_message(answer)}."
    status = answer.status_code
    if status in (401, 403):
        return StorageRefusedError(
            f"{said} See to the user and the app password, and that links are allowed there; it was not tried again."
        )
    if status in _BUSY:
        return StorageBusyError(f"{said} Try later.")
    if status == 404 and method == "GET":
        return StorageNotFoundError(f"{said} The file is not there: send it again.")
    return ConfigError(f"{said} Choose another --expires or password, or see what this server allows.")


def _message(answer: requests.Response) -> str:
    """What the server says: in JSON, or in XML where it does not know who asks."""
    found = re.search(r'"message"\s*:\s*"((?:[^"\\]|\\.)*)"|<message>(.*?)</message>', answer.text, re.DOTALL)
    words = next((group for group in found.groups() if group), "") if found else ""
    return " ".join(words.split())[:300].rstrip(".") or answer.reason
