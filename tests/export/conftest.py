"""The workspace with the model `colours`, as for publishing."""

from tests.publishing.conftest import bundle, workspace

__all__ = ["bundle", "workspace"]
