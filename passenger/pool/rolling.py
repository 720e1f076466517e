"""Restarts: how a group gets from old processes to new ones.

Numbered rules.
1. A restart begins a new generation. Starts under way are called off: what they load may be old. The newest trigger
   wins; processes of every older generation are outdated.
2. Rolling: one new process is started alone. Until it is ready (and healthy), everything that is started for other
   reasons comes from the old generation, whose preloader lives on (`group.fallback`). After it, up to `max_surge` are
   started at a time; each that is ready takes the place of an old one, an idle one if possible.
3. Newest processes get requests first (`tiers`). Old ones are withdrawn only when a new one is ready.
4. The first start that fails ends a rolling restart, and so does a new process that ends within QUICK_EXIT: old
   processes stay, new ones that are ready stay, and nothing is tried again until the next trigger. If none was ready
   the old generation is the newest again.
5. A blocking restart, or one of a group that serves nothing, withdraws what is there and starts anew; its failure is
   a failed start like any other.
6. While the latest restart has failed no process is stopped for being idle: what would follow it may not start.
7. On demand: processes are started for requests only. Each time this is said, processes that have served are replaced
   by none, so that the next request is served by what is there then.
"""

from __future__ import annotations

from passenger.config.model import App
from passenger.pool.actions import Action, CloseGeneration, KeepLoaded, RestartOver
from passenger.pool.events import OnDemand, Outlived, RestartAsked
from passenger.pool.ledger import Ledger
from passenger.pool.model import Generation, Group, Process, Spawning
from passenger.pool.reload import with_live_keys
from passenger.pool.restart import Restart
from passenger.pool.settle import call_off, retire, settle
from passenger.spawn.spawner import SpawnError


def restart_asked(ledger: Ledger, event: RestartAsked, now: float, actions: list[Action]) -> None:
    """Event: somebody wants new processes."""
    for group in event.groups:
        if not group.leaving:
            begin(ledger, group, group.app, event.method or group.app.restart_method, event.why, now, actions)
            settle(ledger, group, now, actions)


def on_demand(ledger: Ledger, event: OnDemand, now: float, actions: list[Action]) -> None:
    """Event: processes are to be started for requests only, or again as configured (rule 7)."""
    group = event.group
    if group.leaving:
        return
    group.is_on_demand = event.is_so
    ledger.note_size(group)
    if event.is_so and any(process.stays() and (process.processed or process.sessions) for process in group.processes):
        begin(ledger, group, group.app, "blocking", event.why, now, actions)
    settle(ledger, group, now, actions)


def outlived(ledger: Ledger, event: Outlived, now: float, actions: list[Action]) -> None:
    """Event: a process is to be replaced, and to go when its successor is ready."""
    process = event.process
    if process.takes_requests():
        ledger.outlive(process, event.why)
        settle(ledger, process.group, now, actions)


def begin(ledger: Ledger, group: Group, app: App, method: str, why: str, now: float, actions: list[Action]) -> None:
    """Begin a restart with these options (rules 1, 2 and 5)."""
    for spawning in list(group.spawning):
        call_off(ledger, spawning, actions)
    is_cold = method == "blocking" or not group.enabled
    total = group.enabled or group.minimum
    if is_cold:
        group.is_gathering = True
        for process in list(group.processes):
            if process.stays():
                retire(ledger, process, "restarted", now, actions)
    previous, fallback = group.generation, group.fallback
    ledger.begin_generation(group, app)
    if is_cold:
        group.fallback = None
        unneeded = [previous] if fallback is None else [previous, fallback]
    elif fallback is None:
        group.fallback = previous
        actions.append(KeepLoaded(previous))
        unneeded = []
    else:
        unneeded = [previous]
    if group.fallback is not None:
        group.fallback.app = with_live_keys(group.fallback.app, app)
    actions += [CloseGeneration(generation) for generation in unneeded]
    number = group.generation.number
    group.restart = Restart(method=method, why=why, generation=number, total=total, is_cold=is_cold, now=now)
    group.counters.restarts += 1


def became_ready(ledger: Ledger, spawning: Spawning, now: float, actions: list[Action]) -> None:
    """A process is ready: the one that it replaces goes."""
    group = spawning.group
    if spawning.generation is not group.generation:
        return
    if group.fallback is not None:
        _proved(ledger, group, group.fallback, actions)
    restart = group.restart
    if restart is not None and restart.is_cold and restart.has_failed():
        restart.end(now)  # it took a while
    if spawning.surge and (replaced := _replaced(group)) is not None:
        retire(ledger, replaced, group.outlived.get(replaced, "replaced"), now, actions)


def _proved(ledger: Ledger, group: Group, old: Generation, actions: list[Action]) -> None:
    """The new generation works; what is still being started with the old one comes too late."""
    ledger.drop_fallback(group)
    for spawning in list(group.spawning):
        if spawning.generation is old:
            call_off(ledger, spawning, actions)
    actions.append(CloseGeneration(old))


def _replaced(group: Group) -> Process | None:
    candidates = group.outdated if group.is_rolling() and group.outdated else group.outlived
    return next((process for process in candidates if not process.sessions), None) or next(iter(candidates), None)


def start_failed(
    ledger: Ledger, group: Group, generation: Generation, error: SpawnError, now: float, actions: list[Action]
) -> bool:
    """A process of this generation failed to start, or soon after. True when that has stopped a rolling restart."""
    restart = group.restart
    if restart is None or not restart.is_running() or generation is not group.generation:
        return False
    restart.fail(group, error, now)
    group.counters.restarts_failed += 1
    if restart.is_cold:
        actions.append(RestartOver(group, restart))
        return False
    for spawning in list(group.spawning):
        if spawning.generation is generation:
            call_off(ledger, spawning, actions)
    if group.fallback is not None:
        ledger.return_to(group, group.fallback)
        actions.append(CloseGeneration(generation))
    actions.append(RestartOver(group, restart))
    return True
