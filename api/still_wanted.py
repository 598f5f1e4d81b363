"""Whether the answer on which a worker process works is still wanted: the client may have gone."""

from collections.abc import Callable, Iterable, Iterator

from api.errors import Unavailable
from model.results import Prediction


class StillWanted:
    """Asks whoever passes requests to this process; without one, as in `deepaas-cli`, all is wanted."""

    def __init__(self) -> None:
        self._is_given_up: Callable[[], bool] | None = None

    def listen(self, is_given_up: Callable[[], bool]) -> None:
        """From now on, ask this whether the present request was given up."""
        self._is_given_up = is_given_up

    def check(self) -> None:
        """Go on.

        Raises:
            Unavailable: nobody waits for the answer any more.
        """
        if self._is_given_up is not None and self._is_given_up():
            raise Unavailable("the client has gone, nobody waits for the answer.")

    def checked(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        """The same predictions, as long as they are wanted."""
        for prediction in predictions:
            self.check()
            yield prediction
