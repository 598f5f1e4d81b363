"""Requests of a page that are forwarded to the DEEPaaS service: the list of models, and predictions."""

import re

from aiohttp import web

from model.page.service import ANSWER_TYPES, Answer, Service, failure
from model.received import MAX_QUOTED, quoted

# The limit of the service for one image.
MAX_IMAGE_BYTES = 128 << 20
OPTIONS = ("model", "top_k", "neighbours")
MAX_NAME_CHARACTERS = 200
CHUNK_BYTES = 1 << 16


async def forward_metadata(service: Service) -> web.Response:
    """The models of the service, and its address."""
    response = as_response(await service.metadata())
    response.headers["Topgraft-Service"] = service.address
    response.headers["Topgraft-Max-Image-Bytes"] = str(MAX_IMAGE_BYTES)
    return response


async def forward_prediction(request: web.Request, service: Service) -> web.Response:
    """Forward an image: the body of the request is its content, the query its `name` and the options."""
    if refusal := _refusal(request):
        return as_response(refusal)
    options = {name: request.query[name] for name in OPTIONS if name in request.query}
    name = plain_name(request.query.get("name", ""))
    image = request.content.iter_chunked(CHUNK_BYTES)
    return as_response(await service.predict(image, name, options, request.headers["Accept"]))


def image_problem(request: web.Request) -> Answer | None:
    """The error for a request whose body is not an image of an accepted size; None for a valid one."""
    # Pages of other sites could send other types without a preflight request.
    if request.content_type != "application/octet-stream":
        return failure(
            415, f"expected a body of type application/octet-stream, received {request.content_type[:MAX_QUOTED]}."
        )
    if request.content_length is None:
        return failure(411, "expected a Content-Length, received none.")
    if request.content_length > MAX_IMAGE_BYTES:
        return failure(413, f"expected an image of at most {MAX_IMAGE_BYTES >> 20} MB, received a larger one.")
    return None


def _refusal(request: web.Request) -> Answer | None:
    """The error for a request that is not forwarded; None for a valid one."""
    if unknown := sorted(set(request.query) - {"name", *OPTIONS}):
        known = f"name, {', '.join(OPTIONS[:-1])} and {OPTIONS[-1]}"
        return failure(400, f"expected only {known} in the query, received {quoted(unknown[0])}.")
    problem = image_problem(request)
    if problem is not None and problem.status == 415:
        return problem
    if request.headers.get("Accept") not in ANSWER_TYPES:
        return failure(
            406, f"accept: expected {' or '.join(ANSWER_TYPES)}, received {quoted(request.headers.get('Accept'))}."
        )
    return problem


def plain_name(name: str) -> str:
    """The file name of an image without folders, and without characters that end a form header field."""
    return (
        re.sub(r'[\x00-\x1f\x7f";]', "_", name.replace("\\", "/").rpartition("/")[2])[-MAX_NAME_CHARACTERS:] or "photo"
    )


def as_response(answer: Answer) -> web.Response:
    """An answer of the service, or an error in its place, as a response."""
    headers = {"Retry-After": answer.retry_after} if answer.retry_after else {}
    return web.Response(status=answer.status, body=answer.body, content_type=answer.content_type, headers=headers)
