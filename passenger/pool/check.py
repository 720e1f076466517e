"""The invariants of the ledger: what must be true after every step. Tests run this; it looks at everything."""

from __future__ import annotations

from passenger.pool.ledger import Ledger
from passenger.pool.model import Group, Process, ProcessState
from passenger.pool.tiers import Tiers


def check(ledger: Ledger) -> None:
    """Raises AssertionError, naming the group, when the ledger contradicts itself or breaks a promise."""
    groups = ledger.all_groups()
    for group in groups:
        _check_group(ledger, group)
    _check_totals(ledger, groups)
    _check_registers(ledger, groups)


def _true(claim: object, what: str, about: object) -> None:
    if not claim:
        raise AssertionError(f"{what}: {about!r}")


def _check_group(ledger: Ledger, group: Group) -> None:
    enabled = [process for process in group.processes if process.state is ProcessState.ENABLED]
    _true(len(enabled) == group.enabled, "enabled processes are counted", group)
    _true(sum(spawning.surge for spawning in group.spawning) == group.surging, "surges are counted", group)
    _true(not (group.waiters and group.places.free), "nobody waits while a place is free", group)
    room = group.room()
    _true(room is None or room >= 0, "max_instances holds", group)
    _true(set(group.outdated) | set(group.outlived) <= set(enabled), "outdated processes are enabled", group)
    aside = [process for process in group.processes if process.state is ProcessState.ASIDE]
    _true(aside == list(group.aside), "processes that wait for others are registered", group)
    for process in enabled:
        is_old = process.generation is not group.generation
        _true(is_old == (process in group.outdated), "processes of an older generation are outdated", process)
    _true(all(ledger.waiting.get(waiter) is group for waiter in group.waiters), "waiters are registered", group)
    if group.fallback is not None and enabled:
        _true(len(enabled) == len(group.outdated), "a fallback is kept only until its successor is ready", group)
    _true(group.fallback is None or group.is_rolling(), "a fallback is kept only during a restart", group)
    _true(isinstance(group.places, Tiers) or not group.outdated, "old processes stand apart", group)
    _true(sum(len(process.pinned) for process in group.processes) == group.pinned, "the pinned are counted", group)
    _true(set(enabled) <= set(group.routes.values()), "processes that serve are found by their route", group)
    _true(all(process.stays() for process in group.routes.values()), "those that leave are not", group)
    _true(set(group.errands) <= set(aside), "processes on an errand are aside", group)
    _true(not group.wishes or group in ledger.wishing, "groups with wishes are registered", group)
    _true(set(group.wishes) <= set(enabled), "processes with a wish serve", group)
    _check_places(group, enabled)
    for process in group.processes:
        _check_process(ledger, process)


def _check_places(group: Group, enabled: list[Process]) -> None:
    standing = group.places.standing()
    free = {process for process in enabled if not process.concurrency or process.sessions < process.concurrency}
    _true({process for _, process in standing} == free, "exactly the free processes stand in levels", group)
    _true(len(standing) == len(free) == group.places.free, "each stands once", group)
    _true(all(process.sessions == load for load, process in standing), "each stands at its load", group)
    if isinstance(group.places, Tiers):
        newest = {process for _, process in group.places.newest.standing()}
        _true(newest == {process for process in free if process not in group.outdated}, "newest apart", group)
    tiers = [group.places.newest, group.places.older] if isinstance(group.places, Tiers) else [group.places]
    for tier in tiers:
        if levels := tier.standing():
            _true(tier.lowest() == levels[0][0], "the lowest level is known", group)


def _check_process(ledger: Ledger, process: Process) -> None:
    _true(process.state is not ProcessState.GONE, "a process that ended is forgotten", process)
    _true(process.sessions >= 0 and process.beside >= 0, "sessions are not negative", process)
    _true(not (process.pinned and process.has_place()), "nobody waits for a process with a free place", process)
    _true(not process.pinned or process.stays(), "nobody waits for a process that leaves", process)
    _true(not process.concurrency or process.sessions <= process.concurrency, "concurrency holds", process)
    _true(sum(socket.sessions for socket in process.sockets) == process.sessions, "sockets add up", process)
    for socket in process.sockets:
        _true(not socket.concurrency or socket.sessions <= socket.concurrency, "a socket's concurrency holds", process)
    is_draining = process.state is ProcessState.DRAINING
    _true(is_draining == (process in ledger.draining), "draining processes are registered", process)
    is_stopping = process.state is ProcessState.STOPPING
    _true(is_stopping == (process in ledger.stopping), "stopping processes are registered", process)
    _true(process not in ledger.condemned or process.signals_sent == 1, "a condemned process got one signal", process)
    _true(not (is_stopping and process.is_busy()), "a process with sessions is not stopped", process)
    is_idle = process.state is ProcessState.ENABLED and not process.sessions
    _true(is_idle == (process in ledger.idle), "idle processes are in idle order", process)
    _true(not is_draining or process.is_busy(), "a drained process is asked to stop", process)


def _check_totals(ledger: Ledger, groups: list[Group]) -> None:
    _true(sum(group.enabled for group in groups) == ledger.enabled, "enabled processes add up", ledger)
    _true(sum(len(group.aside) for group in groups) == ledger.aside, "processes set aside add up", ledger)
    _true(sum(len(group.spawning) for group in groups) == ledger.spawning, "starts add up", ledger)
    _true(sum(group.surging for group in groups) == ledger.surging, "surges add up", ledger)
    _true(ledger.room() >= 0, "max_pool_size holds", ledger)
    waiting = sum(len(group.waiters) + group.pinned for group in groups)
    _true(len(ledger.waiting) == waiting, "waiters add up", ledger)
    _true(len(ledger.pinned) == sum(group.pinned for group in groups), "waiters for one process add up", ledger)
    used = [process.last_used for process in ledger.idle]
    _true(used == sorted(used), "idle order is by time", ledger)


def _check_registers(ledger: Ledger, groups: list[Group]) -> None:
    known = set(groups)
    registers = (ledger.starving, ledger.rolling, ledger.wanting, ledger.above_minimum, ledger.backing_off)
    for register in registers:
        _true(set(register) <= known, "registers name known groups", register)
    aging = {group for group in groups if group.enabled and group.app.max_worker_age}
    _true(aging == set(ledger.aging), "groups whose processes have a greatest age are registered", ledger)
    above = {group for group in groups if group.enabled > group.minimum}
    _true(above == set(ledger.above_minimum), "groups above their minimum are registered", ledger)
    turns = ledger.limits.max_parallel_spawns - ledger.spawning
    _true(turns <= 0 or not ledger.rolling, "a replacement waits only for a turn", ledger)
    has_room = ledger.room() > 0 and turns > 0
    _true(
        not (has_room and (ledger.starving or ledger.wanting)), "nobody wants a process that could be started", ledger
    )
