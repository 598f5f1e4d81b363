"""Addresses as they may be shown and logged: without the credentials they may hold."""


def without_credentials(address: str) -> str:
    """An address without the user, password and query that it may hold; any other text as it is."""
    scheme, separator, rest = address.rpartition("://")
    place = rest.partition("?")[0]
    return f"{scheme}{separator}" + (f"...@{place.rpartition('@')[2]}" if "@" in place else place)
