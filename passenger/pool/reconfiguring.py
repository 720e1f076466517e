"""A new configuration: groups come and go, change in place, or are restarted with new options."""

from __future__ import annotations

from passenger.pool import rolling, wear
from passenger.pool.actions import Action, TakeOver
from passenger.pool.events import Reconfigured
from passenger.pool.ledger import Ledger
from passenger.pool.model import Group
from passenger.pool.reload import Changes, compare, with_live_keys
from passenger.pool.settle import settle

WHY = "the configuration changed"


def changes_of(ledger: Ledger, event: Reconfigured) -> Changes:
    """What the new configuration means for each application. A restart that failed is tried again."""
    failed = {name for name, group in ledger.groups.items() if group.restart is not None and group.restart.has_failed()}
    return compare({name: group.app for name, group in ledger.groups.items()}, event.apps, again=failed)


def reconfigured(ledger: Ledger, event: Reconfigured, now: float, actions: list[Action]) -> None:
    """Event: take over a configuration."""
    changes = changes_of(ledger, event)
    ledger.limits = event.limits
    for group in list(ledger.groups.values()):
        group.backoff.forgive()
        ledger.backing_off.pop(group, None)
        if group.name in changes.removed:
            ledger.let_go(group)
        elif group.name in changes.rolled:
            app = event.apps[group.name]
            rolling.begin(ledger, group, app, app.restart_method, WHY, now, actions)
        elif group.name in changes.changed:
            _change(ledger, group, event, actions)
    for name in changes.added:
        ledger.add_group(name, event.apps[name])
    ledger.look_around = True
    for group in ledger.all_groups():  # those that left before, too: a larger pool is for them as well
        settle(ledger, group, now, actions)


def _change(ledger: Ledger, group: Group, event: Reconfigured, actions: list[Action]) -> None:
    group.generation.app = event.apps[group.name]
    actions.append(TakeOver(group.generation))
    if group.fallback is not None:
        group.fallback.app = with_live_keys(group.fallback.app, group.app)
        actions.append(TakeOver(group.fallback))
    for process in group.processes:
        wear.set_limits(group, process)
    ledger.note_size(group)
