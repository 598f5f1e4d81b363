"""Middleware that refuses requests of other web pages.

A page of any site can send requests to servers that its visitor reaches: directly, with its own `Origin`, or after its
own name has been pointed to the address of the server (DNS rebinding), with its own name as `Host`. Names that no such
site can have are allowed: addresses, the names of this machine, and those set by the operator.
"""

import functools
import ipaddress
import re
import socket
from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from model import environment
from model.addresses import is_ip_address
from model.environment_variable import HostPattern
from model.received import quoted

_SITE = re.compile(r"(?P<name>\[[0-9a-f:.]+(%[\w.-]+)?\]|[a-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?")
_ORIGIN = re.compile(r"https?://(?P<site>.+)")
_SAFE_METHODS = (hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS)
# The names under which a browser or container reaches its own machine.
_LOCAL_NAMES = ("localhost", "host.docker.internal")
# Random IDs of jobs cannot be guessed; short names of jobs could.
_MIN_JOB_ID = 20
_SECONDS_TO_CACHE = 600
_METHODS, _HEADERS = "GET, POST, DELETE", "Accept, Content-Type"


class Site(NamedTuple):
    """A host name or address, in lower case, and a port; empty for the default port of http or https."""

    name: str
    port: str


def parse_site(text: str) -> Site | None:
    """Parse `HOST[:PORT]`; None for any other text."""
    found = _SITE.fullmatch(text.strip().lower())
    if found is None:
        return None
    port = found["port"] or ""
    return Site(found["name"].removesuffix("."), "" if port in ("80", "443") else port)


def origin_check(own_names: Collection[str] = ()) -> Middleware:
    """Middleware that refuses, with 403, requests for other hosts, and changes requested by pages of other origins.

    Requests without an origin, as of programs, are accepted. Pages of the hosts in TOPGRAFT_ALLOWED_HOSTS may read
    answers (CORS).

    Args:
        own_names: further names of this server.
    """

    @web.middleware
    async def check_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = _requested_host(request)
        problem = _host_problem(host, own_names) or _origin_problem(request, host)
        if problem:
            return web.json_response({"message": problem}, status=403)
        headers = _cors_headers(request, host)
        if _is_preflight(request):
            return web.Response(status=204, headers=headers)
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(headers)
            raise
        response.headers.update(headers)
        return response

    return check_origin


def _requested_host(request: web.Request) -> str | None:
    """Host of a request; for a connection from a trusted proxy, the one that the proxy was asked for."""
    hosts = request.headers.getall(hdrs.HOST, [])
    forwarded = request.headers.getall(hdrs.X_FORWARDED_HOST, [])
    if forwarded and is_trusted_proxy(request.remote):
        return forwarded[-1].rpartition(",")[2]
    # A client without the header is no browser. Several are ambiguous.
    return None if not hosts else hosts[0] if len(hosts) == 1 else ", ".join(hosts)


def is_trusted_proxy(remote: str | None) -> bool:
    """Whether a connection comes from a reverse proxy of TOPGRAFT_TRUSTED_PROXIES.

    Args:
        remote: address of the client.
    """
    try:
        address = ipaddress.ip_address((remote or "").partition("%")[0])
    except ValueError:
        return False
    return any(address in network for network in environment.TRUSTED_PROXIES.read())


def _host_problem(host: str | None, own_names: Collection[str]) -> str:
    if host is None:
        return ""
    site = parse_site(host)
    if site is not None and (_is_own(site.name, own_names) or _is_allowed(site)):
        return ""
    return f"expected a name of this server as Host, received {quoted(host)}. {_advice(site)}"


def _origin_problem(request: web.Request, host: str | None) -> str:
    if request.method in _SAFE_METHODS and not _is_preflight(request):
        return ""
    for origin in request.headers.getall(hdrs.ORIGIN, []):
        site = _site_of(origin)
        if site is None or not (_is_same(site, host) or _is_allowed(site)):
            return f"expected a request of this server's own pages, received one of {quoted(origin)}. {_advice(site)}"
    sent_by = request.headers.get("Sec-Fetch-Site", "none")
    if hdrs.ORIGIN not in request.headers and sent_by not in ("none", "same-origin"):
        return f"expected a request of this server's own pages, received one of another site. {_advice(None)}"
    return ""


def _is_preflight(request: web.Request) -> bool:
    """Whether a browser asks if a page of another origin may send a request."""
    return request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers


def _cors_headers(request: web.Request, host: str | None) -> dict[str, str]:
    """Headers that allow a page of another, allowed origin to read the answer; empty for other requests."""
    origin = request.headers.get(hdrs.ORIGIN, "")
    site = _site_of(origin)
    if site is None or _is_same(site, host) or not _is_allowed(site):
        return {}
    return {
        hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: origin,
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: _METHODS,
        hdrs.ACCESS_CONTROL_ALLOW_HEADERS: _HEADERS,
        hdrs.ACCESS_CONTROL_MAX_AGE: str(_SECONDS_TO_CACHE),
        hdrs.VARY: hdrs.ORIGIN,
    }


def _site_of(origin: str) -> Site | None:
    found = _ORIGIN.fullmatch(origin.strip().lower())
    return parse_site(found["site"]) if found else None


def _is_same(site: Site, host: str | None) -> bool:
    return host is not None and parse_site(host) == site


def _is_own(name: str, own_names: Collection[str]) -> bool:
    """Whether no other site can have this name."""
    return (
        is_ip_address(name.strip("[]"))
        or name in _LOCAL_NAMES
        or name.endswith(".localhost")
        or name in own_names
        or name in _machine_names()
        or _is_platform_name(name)
    )


@functools.cache
def _machine_names() -> frozenset[str]:
    name = socket.gethostname().lower()
    return frozenset({name, name.partition(".")[0]})


def _is_platform_name(name: str) -> bool:
    """Whether a name is that of a job on the platform, such as `api-<job ID>.<data centre>.<platform>`."""
    job = environment.NOMAD_JOB_ID.read().lower()
    label = name.removeprefix("www.").partition(".")[0]
    return len(job) >= _MIN_JOB_ID and (label == job or label.endswith(f"-{job}"))


def _is_allowed(site: Site) -> bool:
    public = parse_site(urlsplit(environment.SERVICE_URL.read()).netloc)
    return site == public or any(_matches(pattern, site) for pattern in environment.ALLOWED_HOSTS.read())


def _matches(pattern: HostPattern, site: Site) -> bool:
    has_name = pattern.name in ("*", site.name) or (pattern.name[:2] == "*." and site.name.endswith(pattern.name[1:]))
    return has_name and pattern.port in ("", site.port)


def _advice(site: Site | None) -> str:
    value = f"={site.name}" if site else ""
    return f"The operator of this server can allow it with {environment.ALLOWED_HOSTS.name}{value}"
