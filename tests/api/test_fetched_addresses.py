"""Addresses that a URL may name: those of private networks are refused, also embedded in others."""

import socket
import time
from typing import Any

import pytest

from api import public_addresses
from api.public_addresses import is_public
from model.errors import FetchError


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]
)
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("inner", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1"])
def test_addresses_that_embed_a_private_one_are_refused(inner: str) -> None:
    packed = socket.inet_aton(inner)
    first, last = packed[:2].hex(), packed[2:].hex()
    for address in (
        f"::ffff:{inner}",  # mapped
        f"::{inner}",  # compatible
        f"64:ff9b::{inner}",  # NAT64
        f"64:ff9b:1::{inner}",  # NAT64 of a network
        f"64:ff9b:1:{first}:{last[:2]}:{last[2:]}00::",
        f"2002:{first}:{last}::1",  # 6to4
        f"2001:0:{first}:{last}::1",  # Teredo, its server
        f"2001:0:808:808::{bytes(255 - byte for byte in packed[:2]).hex()}:"
        f"{bytes(255 - byte for byte in packed[2:]).hex()}",  # Teredo, its client
        f"2606:4700::5efe:{inner}",  # ISATAP
        f"2606:4700::200:5efe:{inner}",
    ):
        assert not is_public(address), address


_EMBEDDED_BY_PREFIX = {
    "2606:4700::/32": "2606:4700:{0}:{1}::",
    "2606:4700:100::/40": "2606:4700:01{0:.2}:{2}:00{3}::",
    "2606:4700:4700::/48": "2606:4700:4700:{0}:00{1:.2}:{4}00::",
    "2606:4700:4700:100::/56": "2606:4700:4700:01{0:.2}:00{5}:{1}::",
    "2606:4700:4700:4700::/64": "2606:4700:4700:4700:00{0:.2}:{2}:{4}00::",
    "2606:4700:4700:4700:4700:4700::/96": "2606:4700:4700:4700:4700:4700:{0}:{1}",
}


def _through_gateway(form: str, inner: str) -> str:
    digits = socket.inet_aton(inner).hex()
    return form.format(digits[:4], digits[4:], digits[2:6], digits[6:], digits[6:], digits[2:4])


@pytest.mark.parametrize("form", _EMBEDDED_BY_PREFIX.values(), ids=_EMBEDDED_BY_PREFIX)
def test_a_gateway_of_the_own_network_is_no_way_to_private_addresses(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = {"inside.example": "10.0.0.1", "metadata.example": "169.254.169.254", "outside.example": "8.8.8.8"}
    names = {"ipv4only.arpa": "192.0.0.170", **reached}

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (_through_gateway(form, names[host]), port, 0, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    deadline = time.monotonic() + 60
    assert public_addresses.find_addresses("outside.example", 80, deadline, private=False)
    for host in ("inside.example", "metadata.example"):
        with pytest.raises(FetchError, match="can be found on the public internet"):
            public_addresses.find_addresses(host, 80, deadline, private=False)


def test_private_addresses_are_refused() -> None:
    assert public_addresses._is_own("127.0.0.1")
    assert not public_addresses._is_own("93.184.215.14")
