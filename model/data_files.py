"""Files that come with Topgraft outside its Python packages: presets, pipelines and templates."""

import sys
import sysconfig
from pathlib import Path

_SHARE = Path("share") / "topgraft"


def data_folders(name: str, checkout: str = "") -> list[Path]:
    """Folders that may have the data files of a kind, the one to prefer first.

    That of the checkout of an editable installation comes first, then those that pip installs them into: in the
    environment, on Debian in /usr/local, with --user in the user's folder, and with --target beside the packages.

    Args:
        name: name of the folder in the installed package.
        checkout: path of the folder in the checkout; by default the name.
    """
    root = Path(__file__).resolve().parents[1]
    user = sysconfig.get_path("data", sysconfig.get_preferred_scheme("user"))
    installed = (sys.prefix, sysconfig.get_path("data"), user, str(root))
    return [root / (checkout or name), *(Path(place) / _SHARE / name for place in dict.fromkeys(installed))]
