"""Files of a folder, written and read back."""

import os
from pathlib import Path


def write_files(folder: Path, count: int = 3, size: int = 50) -> dict[str, bytes]:
    contents = {f"{'ab'[index % 2]}/{index} ü.bin": os.urandom(size + index) for index in range(count)}
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return contents


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
