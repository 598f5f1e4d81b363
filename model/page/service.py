"""Client of the DEEPaaS service: its metadata, and predictions for images."""

import contextlib
import json
import logging
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp

from model.addresses import without_credentials
from model.errors import ConfigError
from model.received import quoted

log = logging.getLogger(__name__)

MODULE = "v2/models/topgraft/"
SECONDS_TO_CONNECT = 5
SECONDS_FOR_METADATA = 10
# An image may be uploaded by a slow phone and queued behind others.
SECONDS_FOR_PREDICTION = 180
MAX_ANSWER_BYTES = 32 << 20
ANSWER_TYPES = ("application/json", "image/png")

START = "topgraft serve"


class Answer(NamedTuple):
    """Response of the service: an HTTP status, and a JSON object or a PNG figure.

    Attributes:
        retry_after: the header Retry-After of a temporary error; otherwise empty.
    """

    status: int
    content_type: str
    body: bytes
    retry_after: str = ""


class Service:
    """Client of one DEEPaaS service.

    A service that is not reachable, too slow, or not DEEPaaS becomes an `Answer` with status 502 or 504 and a message,
    which the page shows until the service is back.

    Attributes:
        address: address of the service for display, without credentials.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, seconds: float = SECONDS_FOR_PREDICTION) -> None:
        """Create a client of the service at `url` (see `checked_url`), with a timeout of `seconds` per prediction."""
        self._session = session
        self._module = f"{url}/{MODULE}"
        self._seconds = seconds
        self._reachable = True
        self.address = without_credentials(url)

    async def metadata(self) -> Answer:
        """Metadata of the module: the trained models and the latest one."""
        return await self._request("GET", self._module, SECONDS_FOR_METADATA)

    async def predict(self, image: AsyncIterable[bytes], name: str, options: Mapping[str, str], accept: str) -> Answer:
        """Prediction for an image.

        Args:
            image: the encoded image, forwarded as it arrives.
            name: name of the image, for messages.
            options: options of `PredictConfig`, as text.
            accept: one of `ANSWER_TYPES`.
        """
        form = aiohttp.FormData(quote_fields=False)  # do not percent-encode the name
        form.add_field("image", image, filename=name, content_type="application/octet-stream")
        return await self._request(
            "POST", f"{self._module}predict/", self._seconds, params=options, data=form, headers={"Accept": accept}
        )

    async def _request(self, method: str, url: str, seconds: float, **request: Any) -> Answer:
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=SECONDS_TO_CONNECT)
        try:
            async with self._session.request(
                method, url, timeout=timeout, allow_redirects=False, **request
            ) as response:
                answer = await self._read(response)
        except aiohttp.ClientConnectorError as error:
            return self._unreachable(f"no DEEPaaS service answers at {self.address} ({error.strerror}).")
        except TimeoutError:
            return failure(
                504,
                f"the service at {self.address} did not answer within {seconds:g} s. Its only worker may be training: "
                "start the service with --workers 2.",
            )
        except aiohttp.ClientError as error:
            return self._unreachable(
                f"the service at {self.address} closed the connection: {error or type(error).__name__}."
            )
        self._set_reachable()
        return answer

    async def _read(self, response: aiohttp.ClientResponse) -> Answer:
        if response.content_type not in ANSWER_TYPES:
            if response.status == 500:
                return failure(500, "the service failed; see its log.")
            return failure(
                502,
                f"expected the DEEPaaS module topgraft at {self.address}, received status {response.status} with "
                f"{response.content_type}. Set the right address with: topgraft page --api URL",
            )
        body = await response.content.read(MAX_ANSWER_BYTES + 1)
        while chunk := await response.content.read(MAX_ANSWER_BYTES + 1 - len(body)):
            body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            return failure(
                502, f"expected an answer of at most {MAX_ANSWER_BYTES} bytes from {self.address}, received more."
            )
        return Answer(response.status, response.content_type, body, response.headers.get("Retry-After", ""))

    def _unreachable(self, problem: str) -> Answer:
        message = f"{problem} Start it with: {START}"
        if self._reachable:
            log.warning("%s%s. The page waits for it.", message[0].upper(), message[1:])
        self._reachable = False
        return failure(502, message)

    def _set_reachable(self) -> None:
        if not self._reachable:
            log.info("The service at %s answers again.", self.address)
        self._reachable = True


def failure(status: int, message: str) -> Answer:
    """An error `Answer` in the same format as those of the service."""
    # ASCII-only JSON: a message can quote headers that are not UTF-8.
    return Answer(status, "application/json", json.dumps({"message": message}).encode())


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Service]:
    """A `Service` whose connections are closed at the end."""
    # No proxies from the environment: the service is on the local network.
    async with aiohttp.ClientSession(trust_env=False) as session:
        yield Service(session, url)


def checked_url(url: str) -> str:
    """Validate the address of a web server, such as http://127.0.0.1:5000; return it without a slash at its end.

    Raises:
        ConfigError: it is not a valid address.
    """
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and not parts.query and not parts.fragment
        valid = bool(valid) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ConfigError(f"--api: expected an address such as http://127.0.0.1:5000, received {quoted(url)}.")
    return url.rstrip("/")
