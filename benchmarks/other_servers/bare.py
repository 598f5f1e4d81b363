"""The least that serves a network: one aiohttp process that decodes and predicts in its event loop.

`python -m benchmarks.other_servers.bare PORT`
"""

import sys

from aiohttp import web

from benchmarks.other_servers.network import load_network

network = load_network()


async def predict(request: web.Request) -> web.Response:
    """Answer a form with a photo in its field `image`."""
    photo = (await request.post())["image"]
    assert isinstance(photo, web.FileField)
    return web.json_response(network.classify(photo.file.read()))


application = web.Application(client_max_size=1 << 28)
application.router.add_post("/predict", predict)
web.run_app(application, host="127.0.0.1", port=int(sys.argv[1]), print=None)
