"""Resolution of host names to public addresses that do not belong to this machine."""

import ipaddress
import logging
import socket
import threading
import time

from model.errors import FetchError

log = logging.getLogger(__name__)

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
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
    refused = [] if private else [one for one in addresses if not is_public(one) or _is_own(one)]
    if refused:
        log.warning("url: refused %s, which resolves to %s", host, ", ".join(addresses))
    if refused or not addresses:
        expected = "a host that can be found" if private else "a host that can be found on the public internet"
        advice = "" if private else " The operator of this service can allow others with TOPGRAFT_ALLOW_PRIVATE_URLS=1."
        raise FetchError(f"url: expected {expected}, received {host}.{advice}")
    return addresses


def _resolve(host: str, port: int, deadline: float) -> list[str]:
    """Look up a host in a daemon thread: the system's resolver has no timeout, and asyncio would wait for it."""
    found: list[str] = []

    def look_up() -> None:
        try:
            records = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            log.info("url: %s cannot be found: %s", host, error)
        else:
            found.extend(dict.fromkeys(str(record[4][0]) for record in records))

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(max(0.0, deadline - time.monotonic()))
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
