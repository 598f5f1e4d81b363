"""The addresses on which the studio may listen, and what that exposes.

The studio changes and trains: it is for the users of this machine, unless a password or a reverse proxy protects it.
"""

import dataclasses
import ipaddress

from model import environment
from model.errors import ConfigError

_LOOPBACK_NAME = "localhost"


@dataclasses.dataclass(frozen=True)
class Exposure:
    """Where the studio listens, and who reaches it.

    Attributes:
        host: address that it listens on.
        port: port that it listens on.
        has_password: whether a password opens it.
    """

    host: str
    port: int
    has_password: bool

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        if self.host == _LOOPBACK_NAME:
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def only_by_proxy(self) -> bool:
        """Whether requests of other machines must come through a trusted proxy, because there is no password."""
        return not self.is_local and not self.has_password

    def check(self) -> None:
        """Raise ConfigError if other machines would reach the studio without a password or proxy."""
        if self.only_by_proxy and not environment.TRUSTED_PROXIES.read():
            raise ConfigError(
                f"--host {self.host}: expected a password, because other machines reach this address; received none. "
                f"Set {environment.STUDIO_PASSWORD.name} or --password; or name the reverse proxy that protects it in "
                f"{environment.TRUSTED_PROXIES.name}; or leave --host out."
            )

    def to_json(self) -> dict[str, object]:
        """What the page shows."""
        return {"address": f"{self.host}:{self.port}", "local": self.is_local, "password": self.has_password}
