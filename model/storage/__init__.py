"""Files elsewhere: in Nextcloud, S3 or whatever rclone speaks to, behind one small interface.

    storage = open_storage("rshare:photos")     a `Storage`; a local path gives one of this machine
    storage.list()                              all files below it
    storage.fetch("plankton.tar", Path(...))    goes on where an interrupted one stopped
    storage.push(Path("x.tar"), "x.tar")        under a name of its own, read back, then moved into place
    storage.move, remove, entry, exists, space, place

places.py      `remote:path`
interface.py   what every storage can do; local.py and rclone.py do it
settings.py    how a remote is configured; `webdav_account` for what is done over HTTP beside rclone
runs.py        rclone as a process: an argument list, its log, its end; lookups.py: through rclone-python
webdav.py      what rclone would do otherwise than we need: move over a file at once
failures.py    what went wrong, in our errors; and trying again
packing.py     a folder as one tar with an index and sums
pulling.py     a dataset from a storage into a folder; pulled_files.py: what is in it
zipped_folder.py, nextcloud.py, broken_zip.py     a folder as one zip, and what is whole of a zip that broke off
uses.py        who pulls into a folder, and who uses what is in it
copies.py      arguments of commands that may be `remote:path`
models.py      a trained model into a storage
diagnosis.py   what is wrong with a storage

A password is only ever in the environment, in rclone's settings and in memory. Nothing here touches the network
before it is asked to.
"""

from model.storage.interface import Entry, Storage
from model.storage.opening import open_storage
from model.storage.places import Place, is_remote, parse_place
from model.storage.settings import WebDavAccount, webdav_account

__all__ = ["Entry", "Place", "Storage", "WebDavAccount", "is_remote", "open_storage", "parse_place", "webdav_account"]
