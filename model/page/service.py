"""The DEEPaaS service as the page sees it: what models there are, and what one says of a picture."""

import contextlib
import json
import logging
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp

from model.addresses import without_credentials
from model.errors import ConfigError

log = logging.getLogger(__name__)

MODULE = "v2/models/topgraft/"
SECONDS_TO_CONNECT = 5
SECONDS_FOR_METADATA = 10
# A photo may come from a slow phone, and wait for its turn behind others.
SECONDS_FOR_A_PICTURE = 180
MAX_ANSWER_BYTES = 32 << 20
ANSWER_TYPES = ("application/json", "image/png")

START = "topgraft serve"


class Answer(NamedTuple):
    """What the service said: an HTTP status, and a JSON object or a PNG picture.

    Attributes:
        retry_after: the header of that name, with an error that passes by itself; else empty.
    """

    status: int
    content_type: str
    body: bytes
    retry_after: str = ""


class Service:
    """Talks to one DEEPaaS service.

    A service that is not there, is late, or is none at all becomes an `Answer` with status 502 or 504 whose message
    says what to do: the page shows it, and goes on when the service is back.

    Attributes:
        address: of the service as it may be shown, without credentials.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, seconds: float = SECONDS_FOR_A_PICTURE) -> None:
        """Talk over `session` to the service at `url` (see `checked_url`), that may take `seconds` for a picture."""
        self._session = session
        self._module = f"{url}/{MODULE}"
        self._seconds = seconds
        self._there = True
        self.address = without_credentials(url)

    async def metadata(self) -> Answer:
        """The module's metadata: trained models and the latest."""
        return await self._ask("GET", self._module, SECONDS_FOR_METADATA)

    async def predict(
        self, picture: AsyncIterable[bytes], name: str, options: Mapping[str, str], accept: str
    ) -> Answer:
        """What a model says of one picture.

        Args:
            picture: its encoded bytes, passed on as they come.
            name: of the picture, for messages.
            options: of `PredictConfig`, as text.
            accept: one of `ANSWER_TYPES`.
        """
        form = aiohttp.FormData(quote_fields=False)  # the name as it is, not percent-encoded
        form.add_field("image", picture, filename=name, content_type="application/octet-stream")
        return await self._ask(
            "POST", f"{self._module}predict/", self._seconds, params=options, data=form, headers={"Accept": accept}
        )

    async def _ask(self, method: str, url: str, seconds: float, **request: Any) -> Answer:
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=SECONDS_TO_CONNECT)
        try:
            async with self._session.request(
                method, url, timeout=timeout, allow_redirects=False, **request
            ) as response:
                answer = await self._read(response)
        except aiohttp.ClientConnectorError as error:
            return self._absent(f"no DEEPaaS service answers at {self.address} ({error.strerror}).")
        except TimeoutError:
            return failure(
                504,
                f"the service at {self.address} gave no answer within {seconds:g} s. It may be training with its only "
                "worker: start it with --workers 2.",
            )
        except aiohttp.ClientError as error:
            return self._absent(f"the service at {self.address} broke off: {error or type(error).__name__}.")
        self._present()
        return answer

    async def _read(self, response: aiohttp.ClientResponse) -> Answer:
        if response.content_type not in ANSWER_TYPES:
            if response.status == 500:
                return failure(500, "the service failed, and its log says why.")
            return failure(
                502,
                f"expected the DEEPaaS module topgraft at {self.address}, received status {response.status} with "
                f"{response.content_type}. Is that its address? Name it by: topgraft page --api URL",
            )
        body = await response.content.read(MAX_ANSWER_BYTES + 1)
        while chunk := await response.content.read(MAX_ANSWER_BYTES + 1 - len(body)):
            body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            return failure(
                502, f"expected at most {MAX_ANSWER_BYTES} bytes of answer from {self.address}, received more."
            )
        return Answer(response.status, response.content_type, body, response.headers.get("Retry-After", ""))

    def _absent(self, what: str) -> Answer:
        message = f"{what} Start it: {START}"
        if self._there:
            log.warning("%s%s The page waits for it.", what[0].upper(), f"{what[1:]} Start it: {START}")
        self._there = False
        return failure(502, message)

    def _present(self) -> None:
        if not self._there:
            log.info("The service at %s answers.", self.address)
        self._there = True


def failure(status: int, message: str) -> Answer:
    """An `Answer` that says in words what is wrong, in the form of those of the service."""
    # A message can quote headers of the service that are not UTF-8.
    return Answer(status, "application/json", json.dumps({"message": message}).encode())


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Service]:
    """A `Service` whose connections last as long as this."""
    # No proxy of the environment: the service is a neighbour.
    async with aiohttp.ClientSession(trust_env=False) as session:
        yield Service(session, url)


def checked_url(url: str) -> str:
    """The address of a web server, such as http://127.0.0.1:5000, without a slash at its end.

    Raises:
        ConfigError: it is none.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and not parts.query and not parts.fragment
        usable = bool(usable) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(f"--api: expected an address such as http://127.0.0.1:5000, received {url!r}.")
    return url.rstrip("/")
