"""Resolution of host names to public addresses that do not belong to this machine."""

import ipaddress
import logging
import socket
import threading
import time

from model.errors import FetchError
from model.reading import without_number
from model.received import quoted
from model.waiting import wait_until

log = logging.getLogger(__name__)

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Bytes of the IPv4 address in an address of a NAT64 gateway, by the length of the gateway's prefix (RFC 6052).
_EMBEDDED = {
    32: (4, 5, 6, 7),
    40: (5, 6, 7, 9),
    48: (6, 7, 9, 10),
    56: (7, 9, 10, 11),
    64: (9, 10, 11, 12),
    96: (12, 13, 14, 15),
}
# A name with these IPv4 addresses only: a network with NAT64 answers them embedded in its own prefix (RFC 7050).
_NAT64_NAME = "ipv4only.arpa"
_NAT64_ADDRESSES = (bytes((192, 0, 0, 170)), bytes((192, 0, 0, 171)))
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
# Not public, but missing in `ipaddress` of some supported Python versions. Except for the first, from the registries
# iana-ipv4-special-registry and iana-ipv6-special-registry at https://www.iana.org/assignments.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # platform of Azure: credentials of the machine
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata at 192.0.0.192
        "192.88.99.0/24",  # 6to4 relays
        "2001::/23",  # protocol assignments, Teredo among them
        "2002::/16",  # 6to4, which embeds any IPv4 address
        "3fff::/20",  # documentation
    )
)
_DISCARD_PORT = 9


def is_public(address: str) -> bool:
    """Whether an IP address is public; for an IPv6 address that embeds an IPv4 address, whether that is public."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or (ipaddress.IPv4Address(ip.packed[-4:]) if ip in _NAT64 else None)
        if embedded is not None:
            return is_public(str(embedded))
        if ip not in _GLOBAL_UNICAST or (_is_isatap(ip) and not is_public(str(ipaddress.IPv4Address(ip.packed[-4:])))):
            return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NOT_PUBLIC)


def _is_isatap(ip: ipaddress.IPv6Address) -> bool:
    """Whether an address embeds an IPv4 address by RFC 5214; its prefix can be that of any network."""
    return ip.packed[8:12] in (b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe")


def find_addresses(host: str, port: int, deadline: float, private: bool) -> list[str]:
    """Resolve a host to addresses to which connections are allowed.

    Args:
        host: a name, or an address in any notation of the system's resolver.
        port: the port of the connection.
        deadline: end of the lookup, as a time of `time.monotonic`.
        private: whether addresses that are not public are allowed.

    Raises:
        FetchError: the host has no address, or one that is not allowed. The message does not distinguish the two, or
            clients could discover the host names of this network.
    """
    addresses = _resolve(host, port, deadline)
    refused = [] if private else _refused(addresses, deadline)
    if refused:
        log.warning("url: refused %s, which resolves to %s", quoted(host), ", ".join(addresses))
    if refused or not addresses:
        expected = "a host that can be found" if private else "a host that can be found on the public internet"
        advice = "" if private else " The operator of this service can allow others with TOPGRAFT_ALLOW_PRIVATE_URLS=1."
        raise FetchError(f"url: expected {expected}, received {quoted(host)}.{advice}")
    return addresses


def _refused(addresses: list[str], deadline: float) -> list[str]:
    """Addresses of this machine or of its network, also those that a NAT64 gateway of the network leads to."""
    has_ipv6 = any(":" in address for address in addresses)
    gateways = _nat64_prefixes(_resolve(_NAT64_NAME, _DISCARD_PORT, deadline)) if has_ipv6 else []
    embedded = {address: _embedded_in(address, gateways) for address in addresses}
    return [one for one in addresses if not is_public(embedded[one] or one) or _is_own(one)]


def _nat64_prefixes(addresses: list[str]) -> list[tuple[bytes, int]]:
    """Prefixes of NAT64 gateways, each with its length in bits, from the addresses of `_NAT64_NAME`."""
    packed = [ipaddress.ip_address(address).packed for address in addresses if ":" in address]
    return [
        (address[: length // 8], length)
        for address in packed
        for length, positions in _EMBEDDED.items()
        if bytes(address[position] for position in positions) in _NAT64_ADDRESSES
    ]


def _embedded_in(address: str, gateways: list[tuple[bytes, int]]) -> str | None:
    """The IPv4 address to which a gateway forwards an IPv6 address; None if it belongs to none."""
    packed = ipaddress.ip_address(address).packed
    for prefix, length in gateways:
        if len(packed) > 4 and packed.startswith(prefix):
            return str(ipaddress.IPv4Address(bytes(packed[position] for position in _EMBEDDED[length])))
    return None


def _resolve(host: str, port: int, deadline: float) -> list[str]:
    """Look up a host in a daemon thread: the system's resolver has no timeout, and asyncio would wait for it."""
    found: list[str] = []

    def look_up() -> None:
        try:
            records = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            log.info("url: %s cannot be found: %s", host, without_number(error))
        else:
            found.extend(dict.fromkeys(str(record[4][0]) for record in records))

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()

    def is_over(seconds: float) -> bool:
        thread.join(max(0.0, min(seconds, deadline - time.monotonic())))
        return not thread.is_alive() or time.monotonic() >= deadline

    wait_until(is_over)
    return list(found)


def _is_own(address: str) -> bool:
    """Whether the address belongs to this machine: the system then also sends from it. No packet is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, _DISCARD_PORT))
        except OSError:
            return False
        return probe.getsockname()[0] == address
