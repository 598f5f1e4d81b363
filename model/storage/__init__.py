"""Remote storage: Nextcloud, S3 and others that rclone supports, behind one small interface.

    storage = open_storage("rshare:photos")     a `Storage`; a local path gives one of this machine
    storage.list()                              all files below it
    storage.fetch("plankton.tar", Path(...))    resumes where an interrupted transfer stopped
    storage.push(Path("x.tar"), "x.tar")        complete or not at all; the public link of a replaced file stays valid
    storage.move, remove, entry, exists, space, place

places.py      `remote:path`
interface.py   interface of all remotes and local folders, implemented by local.py and rclone.py
settings.py    how a remote is configured; `webdav_account` for requests over HTTP besides rclone
rclone_process.py, rclone_queries.py     rclone as a process; short queries through rclone-python
uploading.py   uploads of a file with its checksum, staged and then replaced at once
in_place.py    uploads to Nextcloud that keep the public link of the replaced file
listing.py     entries of rclone's listings
webdav.py      requests where rclone behaves differently than needed
nextcloud.py   a folder as one zip, unpacked while it arrives
failures.py    errors of rclone and servers as Topgraft's errors; retries
pulling.py     datasets from a remote into a folder
folder_locks.py     locks of pulled folders
allowed_folders.py  where requests may name datasets
destination.py files sent to a folder, such as results
copies.py      command arguments that may be `remote:path`
download.py    files by URL
diagnosis.py   checks of a remote, step by step

A password is only ever in the environment, in rclone's settings and in memory. Importing this package does not use the
network.
"""

from model.home import expand_home
from model.storage.interface import Entry, Storage
from model.storage.local import Local
from model.storage.places import Place, is_remote, parse_place
from model.storage.rclone import Rclone
from model.storage.settings import WebDavAccount, require_remote, webdav_account

__all__ = ["Entry", "Place", "Storage", "WebDavAccount", "is_remote", "open_storage", "parse_place", "webdav_account"]


def open_storage(where: str) -> Storage:
    """The storage that `remote:path`, or a local path, names. Does not contact a server.

    Raises:
        ConfigError: `where` is neither.
        StorageSettingsError: rclone is missing, or the remote is not configured.
    """
    if not is_remote(where):
        return Local(expand_home(where))
    place = parse_place(where)
    return Rclone(place, require_remote(place.remote))
