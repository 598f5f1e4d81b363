"""Addresses (URLs): their kind, and their text without credentials for messages and logs.

The text has no user, password, query or fragment: the query of a pre-signed URL grants access to its content, as a
password does.
"""

import ipaddress
import re

# Linear in the length of the text: a scheme is not searched backwards.
_URL = re.compile(r"(?<=://)[^\s\"'<>]+")
# requests and urllib3 quote the URL without its host.
_RELATIVE_URL = re.compile(r"(?<=with url: )\S+")
# Not the (?= of a regular expression.
_QUERY = re.compile(r"(?<!\()[?#][\w.~%+\[\]-]+=[^\s\"'<>)]*")
_END = re.compile(r"[?#]")


def is_url(source: str) -> bool:
    """Whether `source` is a URL of a file to download rather than a path."""
    return source.lower().startswith(("https://", "http://"))


def is_ip_address(host: str) -> bool:
    """Whether a host is an IPv4 or IPv6 address; `host` is without brackets."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_this_machine(host: str) -> bool:
    """Whether a host is this machine: `localhost` or a loopback address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def without_credentials(address: str) -> str:
    """Address without user, password, query and fragment; any other text is returned up to its first `?` or `#`."""
    scheme, separator, rest = address.partition("://")
    if not separator or re.search(r"[/?#]", scheme):
        return _END.split(address, maxsplit=1)[0]
    return f"{scheme}://{_without_user(rest)}"


def redacted(text: str) -> str:
    """Text in which every URL is without user, password, query and fragment."""
    text = _URL.sub(lambda found: _without_user(found[0]), text)
    text = _RELATIVE_URL.sub(lambda found: _END.split(found[0], maxsplit=1)[0], text)
    return _QUERY.sub("", text)


def _without_user(place: str) -> str:
    """`[user@]host/path?query` as `host/path`; a password may contain each of these separators unescaped."""
    authority = re.split(r"[/?#]", place, maxsplit=1)[0]
    has_user = "@" in authority or ("@" in place and ":" in authority.rpartition("]")[2])
    shown = f"...@{place.rpartition('@')[2]}" if has_user else place
    return _END.split(shown, maxsplit=1)[0]
