"""Whether requests are watched: as long as somebody wants their figures, and shared by all who do."""

from __future__ import annotations

from collections.abc import Callable, Collection

from passenger.core.request_figures import RequestFigures
from passenger.request.handler import RequestHandler


class RequestWatch:
    """Users take the figures by their own name, and drop them by it."""

    def __init__(self, handler: RequestHandler, apps: Callable[[], Collection[str]]) -> None:
        self._handler = handler
        self._apps = apps
        self._figures: RequestFigures | None = None
        self._users: set[str] = set()

    def take(self, user: str) -> RequestFigures:
        """The figures, which begin at 0 when nobody had them before."""
        self._users.add(user)
        if self._figures is None:
            self._figures = RequestFigures(self._apps())
            self._handler.observe(self._figures)
        return self._figures

    def drop(self, user: str) -> None:
        """Idempotent."""
        self._users.discard(user)
        if self._figures is not None and not self._users:
            self._handler.observe_no_more(self._figures)
            self._figures = None

    def follow(self) -> None:
        """Other applications are configured."""
        if self._figures is not None:
            self._figures.apply(self._apps())
