"""Addresses without credentials, for messages and logs."""


def without_credentials(address: str) -> str:
    """Address without user, password and query; any other text is returned unchanged."""
    scheme, separator, rest = address.rpartition("://")
    place = rest.partition("?")[0]
    return f"{scheme}{separator}" + (f"...@{place.rpartition('@')[2]}" if "@" in place else place)
