"""`topgraft pull`, `push` and `pack`: transfer datasets and models from and to remote storage."""

import dataclasses
from pathlib import Path

import click

from model.addresses import is_url
from model.cli.options import LocalPath, current_workspace, json_option, workspace_option
from model.cli.output import print_json, print_line, print_lines, progress_display
from model.files.browsing import files_below
from model.files.packing import Packed, pack_folder
from model.received import quoted
from model.registry import find_bundle
from model.scratch import scratch_folder
from model.shown import counted
from model.storage import is_remote, open_storage, parse_place
from model.storage.pulling import Pulled
from model.storage.pulling import pull as pull_dataset

_PACKED = ".tar"
_WAYS = {
    "unchanged": "unchanged",
    "archive": "unpacked from an archive",
    "zip": "downloaded as one zip",
    "files": "downloaded one by one",
    "file": "downloaded as one file",
}


@click.command()
@click.argument("source", metavar="REMOTE")
@click.argument("directory", metavar="[DIR]", required=False, type=LocalPath(path_type=Path, file_okay=False))
@json_option
@workspace_option
def pull(source: str, directory: Path | None, as_json: bool) -> None:
    """Download a dataset from remote storage.

    REMOTE is remote:path of a folder or an archive, or a public link to one. DIR is the target
    folder; default: a folder of the same name in data/. Existing files are not downloaded again, an
    interrupted pull resumes, and nothing in DIR is deleted.
    """
    if not is_remote(source) and not is_url(source) and not Path(source).exists():
        raise _not_remote("REMOTE", source, "rshare:datasets/photos.tar", f"rshare:{source}")
    target = directory or current_workspace().data / _name_of(source)
    with progress_display() as progress:
        pulled = pull_dataset(source, target, progress)
    if as_json:
        print_json(dataclasses.asdict(pulled))
    else:
        print_lines(_pulled_lines(pulled))


@click.command()
@click.argument("model", metavar="MODEL")
@click.argument("where", metavar="REMOTE")
@json_option
@workspace_option
def push(model: str, where: str, as_json: bool) -> None:
    """Upload a trained model to remote storage.

    MODEL is a name, or latest. REMOTE is a folder, as remote:path. The model is uploaded as one
    archive, which replaces an existing one in one step and is read back and compared. After an error,
    the remote files are unchanged. Public links of a replaced archive stay valid.
    """
    if not is_remote(where) and not Path(where).is_dir():
        raise _not_remote("REMOTE", where, "rshare:models", f"{where.strip('/')}:")
    bundle = find_bundle(current_workspace(), model)
    from model.publishing.upload import push_model

    with progress_display() as progress:
        uploaded = push_model(bundle, where, progress)
    if as_json:
        print_json(dataclasses.asdict(uploaded))
        return
    print_line(f"Uploaded {bundle.name} to {uploaded.place}: {uploaded.size:,} bytes in {uploaded.seconds:.1f} s")
    print_line(f"  sha256 {uploaded.sha256}")


@click.command(short_help="Pack a dataset into one tar file.")
@click.argument("dataset", metavar="DATASET")
@click.argument("target", metavar="[FILE.tar]", required=False)
@json_option
@workspace_option
def pack(dataset: str, target: str | None, as_json: bool) -> None:
    """Pack a dataset into one tar file with an index and checksums, for remote storage.

    DATASET is a folder, or a name inside data/. FILE.tar is a local file or remote:path; default:
    NAME.tar in the current folder. Transferring one archive is many times faster than thousands of
    small files.
    """
    folder = current_workspace().find_dataset(dataset)
    where = target or f"{folder.absolute().name}{_PACKED}"
    if not where.lower().endswith(_PACKED):
        suggestion = (
            f"{where.rstrip('/')}/{folder.name}{_PACKED}" if is_remote(where) else f"{Path(where).stem}{_PACKED}"
        )
        raise click.UsageError(
            f"FILE.tar: expected a name ending in {_PACKED}, such as {suggestion}, received {quoted(where)}."
        )
    with progress_display() as progress:
        if not is_remote(where):
            packed = pack_folder(folder, Path(where), progress)
        else:
            storage = open_storage(where)
            storage.require_space(sum(path.stat().st_size for path in files_below(folder) if path.is_file()))
            with scratch_folder("pack") as directory:
                archive = directory / parse_place(where).name
                packed = dataclasses.replace(pack_folder(folder, archive, progress), archive=where)
                storage.push(archive, "", progress)
    if as_json:
        print_json(dataclasses.asdict(packed))
    else:
        print_line(_packed_line(packed))


def _not_remote(argument: str, received: str, example: str, suggestion: str) -> click.UsageError:
    """Usage error for a name without a colon that is not an existing path: the colon is easily forgotten."""
    return click.UsageError(
        f"{argument}: expected remote:path, such as {example}, or a folder that exists, received {quoted(received)}. "
        f"Do you mean {suggestion}?"
    )


def _name_of(source: str) -> str:
    if is_url(source):
        from model.storage.download import linked_file

        name = linked_file(source).name or "download"
    else:
        name = parse_place(source).name if is_remote(source) else Path(source).name
    for suffix in (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip"):
        name = name.removesuffix(suffix)
    return name


def _pulled_lines(pulled: Pulled) -> list[str]:
    fetched = f", {pulled.fetched:,} of them downloaded ({pulled.bytes:,} bytes)" if pulled.fetched else ""
    lines = [
        f"{pulled.directory}: {counted(pulled.files, 'file')}{fetched}, {_WAYS[pulled.way]}, in {pulled.seconds:.1f} s"
    ]
    if pulled.only_here:
        lines.append(f"  {pulled.only_here:,} local files are not in {pulled.source}; they were kept")
    return lines


def _packed_line(packed: Packed) -> str:
    return f"{packed.archive}: {counted(packed.files, 'file')}, {packed.size:,} bytes, sha256 {packed.sha256}"
