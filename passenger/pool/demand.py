"""Which group gets the next process, and whose place it takes when the pool is full.

Numbered rules; the functions name the ones they carry out.
1. A group wants processes up to `min_instances`, and for its queue as many as the waiting requests need places.
2. While starts fail, or before the first process was ready, the queue gets one start at a time:
   ten thousand requests for a cold or broken application cause one start, not many (B3, B9).
3. While it backs off, a group wants nothing.
4. Turns: groups with waiting requests and no process at all first, then replacements of old processes, then the
   rest; in each class first come, first served, one process per turn. `max_parallel_spawns` bounds all together.
5. A full pool: an idle process gives up its place, the longest idle of a group that has more than `min_instances`.
   Rule 4's first class takes it however short it was idle, and if there is none takes from a group at its
   `min_instances` too; the others only take what was idle for SPARE_AFTER.
6. A group of the first class that waits for STARVED_AFTER takes a busy process (it finishes its requests) from the
   group with the most processes. So busy applications share a pool that is too small for all of them by turns.
7. A group with waiting requests never loses an idle process: it has none.
"""

from __future__ import annotations

from typing import Final

from passenger.pool.ledger import Ledger
from passenger.pool.model import Group, Process, ProcessState, Spawning

SPARE_AFTER: Final = 5.0
"""Seconds without a request after which a process counts as spare for another group that has processes itself."""

STARVED_AFTER: Final = 10.0
"""Seconds that a group without any process waits for an idle one before it takes a busy one."""


def wanted(group: Group, now: float) -> int:
    """Starts that the group would make now if the pool had room (rules 1 to 3)."""
    if group.backoff.is_waiting(now):
        return 0
    coming = len(group.spawning) - group.surging
    missing = group.minimum - group.capacity
    if group.waiters:
        missing = max(missing, _for_queue(group, coming))
    if not group.backoff.is_over(now):
        missing = min(missing, 1 - len(group.spawning))
    room = group.room()
    return max(0, missing if room is None else min(missing, room))


def _for_queue(group: Group, coming: int) -> int:
    if not group.enabled or not group.places_each:
        return 1 - len(group.spawning)
    return -(-len(group.waiters) // group.places_each) - coming


def wants_replacement(group: Group, now: float) -> bool:
    """A process waits for its successor: in a restart, or because it has outlived itself."""
    if group.leaving or group.backoff.is_waiting(now):
        return False
    if group.fallback is not None:
        return not group.surging  # the first of a new generation starts alone, even if all old ones are gone meanwhile
    waiting = len(group.outdated) if group.is_rolling() else 0
    return group.surging < min(group.app.max_surge, waiting or len(group.outlived))


def place(ledger: Ledger, group: Group, now: float) -> None:
    """Note in which class of rule 4 the group waits for its turn."""
    wants = wanted(group, now)
    is_starving = bool(wants and group.waiters and not group.enabled and not group.spawning)
    if is_starving:
        if group not in ledger.starving:
            ledger.starving[group] = now
            ledger.look_around = True
    else:
        ledger.starving.pop(group, None)
    if wants and not is_starving:
        if group not in ledger.wanting:
            ledger.wanting[group] = None
            ledger.look_around = True
    else:
        ledger.wanting.pop(group, None)
    if wants_replacement(group, now) and not is_starving:
        ledger.rolling[group] = None
    else:
        ledger.rolling.pop(group, None)


def next_spawn(ledger: Ledger, now: float) -> Spawning | None:
    """Begin the next start that the limits allow (rule 4)."""
    if ledger.spawning >= ledger.limits.max_parallel_spawns:
        return None
    has_room = ledger.room() > 0
    if ledger.starving and has_room:
        return _begin(ledger, next(iter(ledger.starving)), surge=False, now=now)
    if ledger.rolling:
        return _begin(ledger, next(iter(ledger.rolling)), surge=True, now=now)
    if ledger.wanting and has_room:
        return _begin(ledger, next(iter(ledger.wanting)), surge=False, now=now)
    return None


def _begin(ledger: Ledger, group: Group, *, surge: bool, now: float) -> Spawning:
    spawning = ledger.begin_spawn(group, surge=surge, now=now)
    for register in (ledger.starving, ledger.rolling, ledger.wanting):
        register.pop(group, None)  # a group that wants more goes to the end
    place(ledger, group, now)
    return spawning


def place_to_take(ledger: Ledger, now: float) -> Process | None:
    """The process that must make room for a group whose turn it is, if any may be taken (rules 5 and 6)."""
    if ledger.spawning >= ledger.limits.max_parallel_spawns or ledger.room() > 0:
        return None
    if ledger.starving:
        spare = _spare(ledger) or next(iter(ledger.idle), None)
        if spare is not None:
            return spare
        since = next(iter(ledger.starving.values()))
        return _busiest_groups_process(ledger) if now - since >= STARVED_AFTER else None
    if ledger.wanting:
        spare = _spare(ledger, but_not=next(iter(ledger.wanting)))
        if spare is not None and now - spare.last_used >= SPARE_AFTER:
            return spare
    return None


def excess_spawn(groups: list[Group]) -> Spawning | None:
    """A start to call off first when limits were lowered: the newest of a group that has processes, else any."""
    for candidates in ([group for group in groups if group.enabled], groups):
        for group in candidates:
            for spawning in reversed(group.spawning):
                if not spawning.surge:
                    return spawning
    return None


def excess_process(ledger: Ledger) -> Process | None:
    """The process to retire first when the pool has become too small for what it holds."""
    spare = _spare(ledger) or next(iter(ledger.idle), None) or _busiest_groups_process(ledger)
    return spare or next((process for group in ledger.all_groups() for process in group.aside), None)


def excess_in(group: Group) -> Process | None:
    """The same for a group whose `max_instances` was lowered: old ones, then idle ones, then the least busy."""
    if replaceable := group.aside or group.outdated:
        return next(iter(replaceable))
    least_busy = group.places.longest_idle() or group.places.least_busy()
    return least_busy or _any_enabled(group)


def _spare(ledger: Ledger, but_not: Group | None = None) -> Process | None:
    """The longest idle process that its group can do without."""
    candidates = (group.places.longest_idle() for group in ledger.above_minimum if group is not but_not)
    return min((process for process in candidates if process is not None), key=_last_used, default=None)


def _busiest_groups_process(ledger: Ledger) -> Process | None:
    """The least busy process of the group with the most; between equals, of the one that has had its turn longest."""
    groups = [group for group in ledger.all_groups() if group.enabled]
    if not groups:
        return None
    victim = max(groups, key=lambda group: (group.enabled, -_oldest_start(group)))
    return victim.places.least_busy() or _any_enabled(victim)


def _oldest_start(group: Group) -> float:
    return next(iter(group.processes)).started_at


def _any_enabled(group: Group) -> Process | None:
    enabled = (process for process in group.processes if process.state is ProcessState.ENABLED)
    return min(enabled, key=lambda process: process.sessions, default=None)


def _last_used(process: Process) -> float:
    return process.last_used
