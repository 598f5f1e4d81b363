"""Settings of the remotes: variables RCLONE_CONFIG_<REMOTE>_<OPTION>, else rclone's configuration file.

If nothing is configured, the platform sets the variables of `rshare:` to empty strings: empty means not set.
"""

import base64
import dataclasses
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from model.addresses import without_credentials
from model.errors import StorageSettingsError
from model.home import prepare_home
from model.process_environment import set_variables, unset_blank
from model.reading import UnreadableError, parse_json, unreadable
from model.received import quoted
from model.storage.failures import failure

INSTALL = "Run pip install 'topgraft[storage]', or see rclone.org/install"

_SECONDS_FOR_SETTINGS = 30.0
# rclone's own public key (fs/config/obscure): it only hides passwords from a glance.
_OBSCURE_KEY = bytes.fromhex("9c935b48730a554d6bfd7c63c886a92bd390198eb8128afbf4de162b8b95f638")
_OBSCURE_IV_BYTES = 16
# One try each: `failures.with_retries` decides what is retried.
_DEFAULTS = {
    "RCLONE_RETRIES": "1",
    "RCLONE_LOW_LEVEL_RETRIES": "1",
    "RCLONE_CONTIMEOUT": "15s",
    "RCLONE_TIMEOUT": "5m",
    "RCLONE_ASK_PASSWORD": "false",  # nosec B105: not a password
    # If no file of a folder arrived, setting its time fails, too, and hides the reason. Older than 1.66 ignore this.
    "RCLONE_NO_UPDATE_DIR_MODTIME": "true",
}


@dataclasses.dataclass(frozen=True)
class WebDavAccount:
    """Account for HTTP requests to a WebDAV remote; its repr does not show the password.

    Attributes:
        url: URL of the remote's root, without a `/` at the end, such as https://HOST/remote.php/dav/files/USER.
        user: user name for Basic authentication.
        password: password for Basic authentication.
        vendor: rclone's name of the kind of server, such as nextcloud.
    """

    url: str
    user: str
    password: str = dataclasses.field(repr=False)
    vendor: str = ""


def rclone_program() -> str:
    """Path of rclone, from the PATH or the folder of this Python, which is then added to the PATH for rclone-python.

    Raises:
        StorageSettingsError: rclone is not installed.
    """
    found = shutil.which("rclone")
    python_folder = str(Path(sys.executable).parent)
    if found is None and (found := shutil.which("rclone", path=python_folder)) is not None:
        os.environ["PATH"] = os.pathsep.join([*os.get_exec_path(), python_folder])
    if found is None:
        raise StorageSettingsError(f"rclone is required for remote storage and was not found. {INSTALL}.")
    return found


def prepare_environment() -> None:
    """Unset the empty variables of remotes, and set rclone's limits unless they are set.

    This changes the environment of the process, because rclone-python passes it on as it is.
    """
    prepare_home()
    unset_blank("RCLONE_CONFIG")
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)


def require_remote(remote: str) -> dict[str, str]:
    """Settings of a remote, by their names in rclone's configuration file; a password is obscured.

    Raises:
        StorageSettingsError: rclone is missing, or the remote is not configured; the message shows how to configure it.
    """
    prepare_environment()
    settings = remote_settings(remote)
    if not settings.get("type"):
        raise StorageSettingsError(
            f"{remote}: expected a configured remote, found none of that name. {how_to_configure(remote)}"
        )
    return settings


def remote_settings(remote: str) -> dict[str, str]:
    """Settings of a remote, those of the environment over those of the file; empty if there are none."""
    named = _in_environment(remote)
    is_complete = "type" in named and ("url" in named or named["type"] != "webdav")
    return named if is_complete else _in_file(remote) | named


def remote_names() -> list[str]:
    """Names of the configured remotes, those of the environment and of the file; without any of their settings.

    Raises:
        StorageSettingsError: rclone is missing, or its configuration cannot be read.
    """
    prepare_environment()
    listed = _rclone("listremotes").decode(errors="replace").splitlines()
    return sorted(line.removesuffix(":") for line in listed)


def how_to_configure(remote: str) -> str:
    """Instructions to configure a remote, for a message."""
    prefix = _prefix(remote)
    return (
        f"Set {prefix}TYPE=webdav, {prefix}VENDOR=nextcloud, {prefix}URL=https://HOST/remote.php/dav/files/USER, "
        f"{prefix}USER and {prefix}PASS (the app password after `rclone obscure -`), or run `rclone config`."
    )


def webdav_account(remote: str) -> WebDavAccount:
    """Account of a WebDAV remote, for requests that rclone does not make, such as those for links.

    Never print it, log it or put it into a command.

    Raises:
        StorageSettingsError: the remote is not configured, or not WebDAV, or its password cannot be read.
    """
    return account_of(remote, require_remote(remote))


def account_of(remote: str, settings: Mapping[str, str]) -> WebDavAccount:
    """Account of a WebDAV remote from its settings; raises as `webdav_account`."""
    if settings.get("type") != "webdav" or not settings.get("url"):
        raise StorageSettingsError(
            f"{remote}: expected a remote of type webdav with a url, such as Nextcloud; "
            f"received type {settings.get('type')!r}. {how_to_configure(remote)}"
        )
    return WebDavAccount(
        url=settings["url"].rstrip("/"),
        user=settings.get("user", ""),
        password=_revealed(settings.get("pass", ""), remote),
        vendor=settings.get("vendor", ""),
    )


def wrong_url(settings: dict[str, str]) -> str:
    """Error in the url of a WebDAV remote, with the form to use instead; empty if the url is valid."""
    url = settings.get("url", "")
    if settings.get("type") != "webdav":
        return ""
    shown = without_credentials(url)
    if not re.match(r"https?://[^/]", url):
        return f"url: expected https://HOST/..., received {quoted(shown)}"
    if settings.get("vendor") == "nextcloud" and not re.search(r"/dav/files/[^/]+/?$", url):
        base = re.sub(r"/(remote\.php|public\.php|index\.php)(/.*)?$", "", shown).rstrip("/")
        return (
            f"url: expected {base}/remote.php/dav/files/USER with the user's name at its end, as vendor nextcloud "
            f"needs it, received {quoted(shown)}"
        )
    return ""


def _in_file(remote: str) -> dict[str, str]:
    dumped = _rclone("config", "dump")
    try:
        with unreadable():
            found = parse_json(dumped).get(remote, {})
            return {name: str(value) for name, value in found.items() if value != ""}
    except UnreadableError as error:
        raise failure("read rclone's settings", [f"its configuration cannot be used: {error}"]) from error


def _rclone(*arguments: str) -> bytes:
    """Output of a command of rclone that reads its configuration."""
    # The password of an encrypted configuration comes from RCLONE_CONFIG_PASS; rclone must not ask for it.
    completed = subprocess.run(
        [rclone_program(), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_SECONDS_FOR_SETTINGS,
        check=False,
    )
    if completed.returncode != 0:
        raise failure("read rclone's settings", ["failed to load config", completed.stderr.decode(errors="replace")])
    return completed.stdout


def _in_environment(remote: str) -> dict[str, str]:
    prefix = _prefix(remote)
    return {name.removeprefix(prefix).lower(): value for name, value in set_variables(prefix).items()}


def _prefix(remote: str) -> str:
    return f"RCLONE_CONFIG_{re.sub('[^A-Za-z0-9]', '_', remote).upper()}_"


def _revealed(obscured: str, remote: str) -> str:
    """The password obscured by rclone: base64 of an IV and AES-256-CTR under a public key.

    `rclone reveal` is not used: it takes the password as an argument, which every user of the machine can read.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    if not obscured:
        return ""
    try:
        content = base64.urlsafe_b64decode(obscured + "=" * (-len(obscured) % 4))
        iv, hidden = content[:_OBSCURE_IV_BYTES], content[_OBSCURE_IV_BYTES:]
        decryptor = Cipher(algorithms.AES(_OBSCURE_KEY), modes.CTR(iv)).decryptor()
        return (decryptor.update(hidden) + decryptor.finalize()).decode()
    except ValueError:
        raise StorageSettingsError(
            f"{remote}: expected its password in the form of `rclone obscure -`, received another form. Set "
            f"{_prefix(remote)}PASS to the output of `rclone obscure -`."
        ) from None
