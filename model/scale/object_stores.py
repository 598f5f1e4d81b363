"""File systems of object stores and HDFS, by `pyarrow.fs`.

Credentials come from the chain of the cloud, such as environment variables, files or the role of the machine. They are
in no address, log or result.
"""

import datetime
import functools
import os
import re
from typing import Any

from model.addresses import redacted
from model.environment import AWS_CHECKSUMS, AWS_ENDPOINT, AWS_REGION
from model.errors import (
    ConfigError,
    StorageBusyError,
    StorageError,
    StorageNotFoundError,
    StorageRefusedError,
    StorageUnreachableError,
)
from model.reading import without_number
from model.received import quoted

SCHEMES = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "hdfs": "hdfs"}
"""Scheme of an address -> its usual form."""

_CONNECT_SECONDS = 10.0
# Of each request, and of a connection without data.
_REQUEST_SECONDS = 60.0
_MAX_ATTEMPTS = 6
# Of all attempts of a request to Google, whose library repeats it for 15 minutes otherwise.
_RETRY_SECONDS = 60.0
# Hadoop connects for 15 minutes otherwise: 45 times 20 s.
_HDFS_SETTINGS = {"ipc.client.connect.timeout": "10000", "ipc.client.connect.max.retries.on.timeouts": "5"}

# Codes and words of AWS, Google and HDFS in messages of pyarrow; the first match counts.
_ERRORS: tuple[tuple[type[StorageError], re.Pattern[str], str], ...] = (
    (
        StorageNotFoundError,
        re.compile(r"NO_SUCH_BUCKET|NO_SUCH_KEY|RESOURCE_NOT_FOUND|404"),
        "Check the name",
    ),
    (
        StorageRefusedError,
        re.compile(
            r"ACCESS_DENIED|SIGNATURE|INVALID_ACCESS_KEY|INVALID_CLIENT_TOKEN|UNRECOGNIZED_CLIENT|EXPIRED|40[13]"
        ),
        "Check the credentials of this machine and the permissions of the bucket",
    ),
    (
        StorageBusyError,
        re.compile(r"SLOW_DOWN|SERVICE_UNAVAILABLE|THROTTLING|REQUEST_TIMEOUT|INTERNAL_FAILURE|50[0-4]|429"),
        "Try again later",
    ),
    (
        StorageUnreachableError,
        re.compile(r"NETWORK_CONNECTION|[Tt]imeout|timed out|[Cc]onnect|resolve"),
        "Check the network, for S3 the variable AWS_ENDPOINT_URL_S3, for Google the credentials",
    ),
)


def open_store(scheme: str, path: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it.

    Raises:
        ConfigError: the address has no bucket, or the library of HDFS is missing.
    """
    host, _, below = path.partition("/")
    if not host or "@" in host or "//" in path:
        raise ConfigError(
            f"expected an address such as {scheme}://BUCKET/FOLDER, received {quoted(f'{scheme}://{path}')}."
        )
    if scheme == "hdfs":
        return _hdfs(host), f"/{below}"
    return (_s3() if scheme == "s3" else _google()), path


def store_error(action: str, error: OSError) -> StorageError:
    """The error of storage for one of pyarrow, with a remedy."""
    text = " ".join(str(error).split())
    kinds = ((kind, advice) for kind, pattern, advice in _ERRORS if pattern.search(text))
    kind, advice = next(kinds, (StorageError, "Check the address"))
    return kind(f"{action}: {redacted(text).rstrip('.')}. {advice}.")


def second_of_change(filesystem: Any, path: str, stream: Any) -> int:
    """Time of change of an open file, in whole seconds since 1970: that of the content which the stream reads in S3.

    Raises:
        OSError: the server does not state it.
    """
    stated = (stream.metadata() or {}).get("Last-Modified")
    if stated is None:
        return int(filesystem.get_file_info(path).mtime_ns or 0) // 10**9
    moment = datetime.datetime.strptime(stated.decode()[:19], "%Y-%m-%dT%H:%M:%S")
    return int(moment.replace(tzinfo=datetime.timezone.utc).timestamp())


@functools.cache
def _s3() -> Any:
    # Read when the library starts: other servers than that of Amazon refuse the trailers of the newer default.
    if not AWS_CHECKSUMS.is_set:
        os.environ[AWS_CHECKSUMS.name] = "when_required"
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    endpoint = AWS_ENDPOINT.read()
    scheme, separator, host = endpoint.rpartition("://")
    return S3FileSystem(
        endpoint_override=host or None,
        scheme=scheme if separator else "https",
        region=AWS_REGION.read() or None,
        connect_timeout=_CONNECT_SECONDS,
        request_timeout=_REQUEST_SECONDS,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=_MAX_ATTEMPTS),
        background_writes=False,
        # A bucket that does not exist is an error of the user.
        allow_bucket_creation=False,
    )


@functools.cache
def _google() -> Any:
    from pyarrow.fs import GcsFileSystem

    return GcsFileSystem(retry_time_limit=datetime.timedelta(seconds=_RETRY_SECONDS))


@functools.cache
def _hdfs(host: str) -> Any:
    from pyarrow.fs import HadoopFileSystem

    name, _, port = host.partition(":")
    try:
        return HadoopFileSystem(name, int(port or 8020), extra_conf=_HDFS_SETTINGS)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"hdfs://{host}: expected the library libhdfs and a server that responds, "
            f"received: {without_number(error)}. "
            "Set HADOOP_HOME and CLASSPATH, or copy the photos to an object store."
        ) from error
