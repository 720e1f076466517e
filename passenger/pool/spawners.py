"""One spawner per generation, made when first needed, closed when nothing will be started with it any more.

Live keys of its application (`start_timeout`, `max_preloader_idle_time`) change a spawner in place: a preloader that
runs stays. A spawner is closed only after the starts that use it are over.
"""

from __future__ import annotations

from collections.abc import Callable

from passenger.config.model import App
from passenger.lazy_dataclass import dataclass
from passenger.pool.model import Generation, Spawning
from passenger.spawn.spawner import Spawner, SpawnerFactory


@dataclass(slots=True, eq=False)
class _Entry:
    app: App
    spawner: Spawner
    users: int = 0
    is_retired: bool = False


class Spawners:
    """The spawners in use. `close` is told which spawner to close."""

    def __init__(self, factory: SpawnerFactory, close: Callable[[Spawner], None]) -> None:
        self._factory = factory
        self._close = close
        self._entries: dict[Generation, _Entry] = {}
        self._used: dict[Spawning, _Entry] = {}
        self._kept: set[Generation] = set()

    def borrow(self, spawning: Spawning) -> Spawner:
        """The spawner for a start; give it back when the start is over. Raises what the factory raises."""
        generation = spawning.generation
        entry = self._entries.get(generation)
        if entry is None:
            spawner = self._factory.spawner_for(spawning.group.name, generation.app)
            spawner.keeps_preloader = generation in self._kept
            entry = self._entries[generation] = _Entry(generation.app, spawner)
        self._bring_up_to_date(entry, generation)
        entry.users += 1
        self._used[spawning] = entry
        return entry.spawner

    def give_back(self, spawning: Spawning) -> None:
        """The start is over. Does nothing for a start that never got a spawner."""
        entry = self._used.pop(spawning, None)
        if entry is not None:
            entry.users -= 1
            self._close_unused(entry)

    def take_over(self, generation: Generation) -> None:
        """Its live keys have changed: they hold for what runs, too."""
        if (entry := self._entries.get(generation)) is not None:
            self._bring_up_to_date(entry, generation)

    def keep_loaded(self, generation: Generation) -> None:
        """A preloader of this generation stays, however long it is idle: what it loaded may be gone from the disk."""
        self._kept.add(generation)
        if (entry := self._entries.get(generation)) is not None:
            entry.spawner.keeps_preloader = True

    def retire(self, generation: Generation) -> None:
        """Nothing more will be started with these options. May be called again."""
        self._kept.discard(generation)
        self._drop(generation)

    @staticmethod
    def _bring_up_to_date(entry: _Entry, generation: Generation) -> None:
        if entry.app != generation.app:
            entry.app = generation.app
            entry.spawner.change(entry.app)

    def _drop(self, generation: Generation) -> None:
        entry = self._entries.pop(generation, None)
        if entry is not None:
            entry.is_retired = True
            self._close_unused(entry)

    def preloader_of(self, generation: Generation) -> int | None:
        """The pid of the preloader from which processes with these options are forked."""
        entry = self._entries.get(generation)
        return None if entry is None else entry.spawner.preloader_pid

    def _close_unused(self, entry: _Entry) -> None:
        if entry.is_retired and not entry.users:
            self._close(entry.spawner)
