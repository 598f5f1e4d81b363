"""Result of an import, of whatever kind."""

import dataclasses

from model.bundle import Manifest


@dataclasses.dataclass(frozen=True)
class Imported:
    """Result of an import.

    Attributes:
        manifest: manifest of the new model, as written.
        max_difference: largest difference of a probability from the original network; None if the model is a copy.
        warnings: sentences for the user.
    """

    manifest: Manifest
    max_difference: float | None
    warnings: tuple[str, ...]
