"""What an operator has to know about an application before everything else, in a few words. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from passenger.wire.status import CoreStatus, GroupStatus, ProcessStatus


def app_words(group: GroupStatus) -> Iterator[str]:
    """What is not as it should be: closed by an operator, or in trouble; nothing for an application that is well."""
    if traffic := group["traffic"]:
        if traffic["maintenance_at"] is not None:
            yield "UNDER MAINTENANCE"
        if traffic["paused_at"] is not None:
            yield "PAUSED"
    if (restart := group["restart"]) and restart["state"] == "failed":
        yield "restart FAILED"
    if group["backing_off_for"] > 0 or (group["last_error"] and not group["processes"]):
        yield "keeps failing" if group["processes"] else "CANNOT START"


def app_progress(group: GroupStatus) -> Iterator[str]:
    """What is going on."""
    if (restart := group["restart"]) and restart["state"] == "running":
        yield f"restarting, {restart['done']} of {restart['total']} replaced"
    elif group["spawning"]:
        yield f"starting {group['spawning']}"


def process_word(process: ProcessStatus) -> str:
    """One word or two on a process; "" for one that serves, and stays."""
    if process["state"] != "enabled":
        return process["state"]
    if process["retired_because"]:
        return "to be replaced"
    return "old code" if process["outdated"] else ""


def attention(core: CoreStatus) -> str:
    """`blog (restart FAILED), cart (PAUSED)`: all applications that want somebody to look; "" for none."""
    found = ((group["name"], ", ".join(app_words(group))) for group in core["pool"]["groups"])
    return ", ".join(f"{name} ({words})" for name, words in found if words)
