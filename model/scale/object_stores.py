"""File systems of object stores and HDFS, by `pyarrow.fs`.

Credentials come from the chain of the cloud, such as environment variables, files or the role of the machine. They are
in no address, log or result.
"""

import functools
from typing import Any

from model.environment import AWS_ENDPOINT, AWS_REGION
from model.errors import ConfigError
from model.received import quoted

SCHEMES = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "hdfs": "hdfs"}
"""Scheme of an address -> its usual form."""

_CONNECT_SECONDS = 10.0
# Of each request, and of a connection without data.
_REQUEST_SECONDS = 60.0
_MAX_ATTEMPTS = 6


def open_store(scheme: str, path: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it.

    Raises:
        ConfigError: the address has no bucket, or the library of HDFS is missing.
    """
    host, _, below = path.partition("/")
    if not host or "@" in host:
        raise ConfigError(
            f"expected an address such as {scheme}://BUCKET/FOLDER, received {quoted(f'{scheme}://{path}')}."
        )
    if scheme == "hdfs":
        return _hdfs(host), f"/{below}"
    return (_s3() if scheme == "s3" else _google()), path


@functools.cache
def _s3() -> Any:
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

    return GcsFileSystem()


@functools.cache
def _hdfs(host: str) -> Any:
    from pyarrow.fs import HadoopFileSystem

    name, _, port = host.partition(":")
    try:
        return HadoopFileSystem(name, int(port or 8020))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"hdfs://{host}: expected the library libhdfs and a server that responds, received: {error}. Set "
            "HADOOP_HOME and CLASSPATH, or copy the photos to an object store."
        ) from error
