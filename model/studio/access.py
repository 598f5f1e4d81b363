"""Access to the studio: the user who started it has a one-time link, other users need its password.

Both open a session. A session is a cookie that this server has signed: the key is a file in the workspace, so sessions
outlast the server, and nothing about them is kept in memory. The cookie is neither sent with requests of other sites
(SameSite) nor readable by scripts (HttpOnly).
"""

import asyncio
import contextlib
import hashlib
import hmac
import logging
import os
import secrets
import time
from pathlib import Path

from aiohttp import web

from model.reading import UnreadableError, read_regular, with_path
from model.workspace import Workspace

SECONDS_OF_A_SESSION = 30 * 24 * 3600
SECONDS_OF_A_LINK = 24 * 3600
SECONDS_AFTER_A_WRONG_PASSWORD = 1.0
MAX_WAITING = 8
"""Wrong passwords that are answered later; further ones are refused at once."""

_KEY_FILE = "session_key"
_KEY_BYTES = 32

log = logging.getLogger(__name__)


class Access:
    """One-time links, the password, and the cookies of sessions."""

    def __init__(self, workspace: Workspace, port: int, password: str) -> None:
        """Args:
        port: port of the studio: browsers send a cookie to every port of a host.
        password: opens a session; empty for none. Sessions end when it changes.
        """
        self.cookie = f"topgraft_studio_{port}"
        self._password = password.encode()
        self._key = hmac.digest(_session_key(workspace), self._password, "sha256")
        self._links: dict[str, float] = {}
        self._waiting = asyncio.Semaphore(MAX_WAITING)
        self._one_by_one = asyncio.Lock()

    @property
    def has_password(self) -> bool:
        """Whether a password opens a session."""
        return bool(self._password)

    def new_token(self) -> str:
        """Token of a link that opens one session, within a day."""
        token = secrets.token_urlsafe(32)
        self._links[_digest(token)] = time.monotonic() + SECONDS_OF_A_LINK
        return token

    def redeem(self, token: str) -> bool:
        """Whether a token opens a session; it does only once."""
        ends = self._links.pop(_digest(token), None)
        return ends is not None and time.monotonic() < ends

    async def accepts_password(self, password: str) -> bool:
        """Whether a password is that of the studio; wrong ones are answered one by one, a second each.

        Raises:
            HTTPTooManyRequests: too many wrong passwords wait for their answer.
        """
        if self._password and hmac.compare_digest(password.encode(), self._password):
            return True
        if self._waiting.locked():
            raise web.HTTPTooManyRequests
        async with self._waiting, self._one_by_one:
            await asyncio.sleep(SECONDS_AFTER_A_WRONG_PASSWORD)
        return False

    def open_session(self, response: web.StreamResponse, is_encrypted: bool) -> None:
        """Set the cookie of a new session.

        Args:
            is_encrypted: whether the request came by https; the browser then sends the cookie by https only.
        """
        value = f"{int(time.time()) + SECONDS_OF_A_SESSION}.{secrets.token_hex(8)}"
        response.set_cookie(
            self.cookie,
            f"{value}.{self._signature(value)}",
            max_age=SECONDS_OF_A_SESSION,
            httponly=True,
            samesite="Strict",
            secure=is_encrypted,
            path="/",
        )

    def close_session(self, response: web.StreamResponse) -> None:
        """Remove the cookie."""
        response.del_cookie(self.cookie, path="/", httponly=True, samesite="Strict")

    def has_session(self, request: web.Request) -> bool:
        """Whether a request has the cookie of a session that has not ended."""
        value, _, signature = request.cookies.get(self.cookie, "").rpartition(".")
        received, expected = (text.encode(errors="surrogateescape") for text in (signature, self._signature(value)))
        if not hmac.compare_digest(received, expected):
            return False
        return int(value.partition(".")[0]) > time.time()

    def _signature(self, value: str) -> str:
        return hmac.new(self._key, value.encode(errors="surrogateescape"), "sha256").hexdigest()


def _digest(token: str) -> str:
    """A token is found by its digest: the time of the search says nothing about other tokens."""
    return hashlib.sha256(token.encode()).hexdigest()


def _session_key(workspace: Workspace) -> bytes:
    """The key that signs cookies, from a file that only its owner can read; created with the first start.

    If the file cannot be used, sessions end with this server.
    """
    path = workspace.studio / _KEY_FILE
    try:
        workspace.studio.mkdir(parents=True, exist_ok=True)
        _create_key(path)
        key = read_regular(path, _KEY_BYTES + 1)
        if len(key) == _KEY_BYTES and not path.stat().st_mode & 0o077:
            return key
        log.warning("%s: expected %d bytes that only the owner can read; it is not used", path, _KEY_BYTES)
    except (OSError, UnreadableError) as error:
        log.warning("sessions of the studio end with it, because its key cannot be kept: %s", with_path(error))
    return secrets.token_bytes(_KEY_BYTES)


def _create_key(path: Path) -> None:
    if path.exists():
        return
    temporary = path.with_name(f"{_KEY_FILE}.{secrets.token_hex(4)}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(secrets.token_bytes(_KEY_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        # A link fails if another studio has created the key.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
