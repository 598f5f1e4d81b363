"""The workspace of the service."""

from api.errors import Unavailable
from model.errors import ConfigError
from model.workspace import Workspace, find_workspace


def service_workspace() -> Workspace:
    """The workspace; if there is none, the operator must act, not the client.

    Raises:
        Unavailable: there is no workspace.
    """
    try:
        return find_workspace()
    except ConfigError as error:
        raise Unavailable(error.message) from error
