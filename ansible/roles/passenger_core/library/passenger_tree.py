#!/usr/bin/python
"""A configuration of several files, replaced only after a command has accepted the whole of it.

1. The new tree is put together in a folder of root's own beside the old one, with the files that are not ours, and
   judged there. What is refused has changed nothing.
2. A file is replaced by rename. If one of them cannot be, those before it get their old text back.
3. Ours are the files whose first line is MARK: others are never written over nor removed, but judged along.
4. Check mode does all of it but for the replacing; where the command is not installed yet, nothing is judged.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION: Final = """
module: passenger_tree
short_description: Replace the files of a configuration after the whole of it was accepted
author: Passenger-in-Python
options:
  path:
    description: Folder of the configuration.
    type: path
    required: true
  files:
    description: Name below the folder -> text.
    type: dict
    required: true
  folders:
    description: Folders below it in which our files that are not listed are removed.
    type: list
    elements: str
    default: []
  suffix:
    description: Ending of the files that belong to the configuration.
    type: str
    default: .toml
  command:
    description: Program and arguments. The new tree is in place of C(%s).
    type: list
    elements: str
    required: true
  owner:
    description: Owner of the files.
    type: str
    required: true
  group:
    description: Group of the files.
    type: str
    required: true
"""
ARGUMENTS: Final[dict[str, Any]] = {
    "path": {"type": "path", "required": True},
    "files": {"type": "dict", "required": True},
    "folders": {"type": "list", "elements": "str", "default": []},
    "suffix": {"type": "str", "default": ".toml"},
    "command": {"type": "list", "elements": "str", "required": True},
    "owner": {"type": "str", "required": True},
    "group": {"type": "str", "required": True},
}
MARK: Final = "# Written by Ansible: a change here is lost with the next run."
FILE_MODE: Final = 0o640
FOLDER_MODE: Final = 0o750


class ForeignError(Exception):
    """A file that somebody else wrote lies where one of ours belongs."""


def found(root: Path, folders: list[str], suffix: str) -> dict[str, str]:
    """Name -> text of the configuration files that are there. Links and the like count as nobody's."""
    places = [root, *(root / folder for folder in folders)]
    files = [path for place in places if place.is_dir() for path in sorted(place.iterdir())]
    regular = [path for path in files if path.name.endswith(suffix) and stat.S_ISREG(path.lstat().st_mode)]
    return {str(path.relative_to(root)): path.read_text(errors="surrogateescape") for path in regular}


def is_ours(text: str) -> bool:
    """Whether a file was written here."""
    return text.startswith(MARK + "\n")


def planned(old: Mapping[str, str], wanted: Mapping[str, str], folders: list[str]) -> tuple[dict[str, str], list[str]]:
    """The files that the new tree has, and the names of those that go. Raises ForeignError."""
    foreign = [name for name in wanted if name in old and not is_ours(old[name])]
    if foreign:
        raise ForeignError(", ".join(foreign))
    gone = [
        name for name, text in old.items() if name not in wanted and is_ours(text) and str(Path(name).parent) in folders
    ]
    new = {name: text for name, text in old.items() if name not in gone}
    return new | {name: f"{MARK}\n{text}" for name, text in wanted.items()}, gone


def stage(root: Path, files: Mapping[str, str]) -> Path:
    """A folder beside the tree, closed to others, with all files of the new one."""
    place = Path(tempfile.mkdtemp(prefix=f".{root.name}-new-", dir=root.parent))
    for name, text in files.items():
        (place / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (place / name).write_text(text, errors="surrogateescape")
    return place


def differences(old: Mapping[str, str], new: Mapping[str, str], root: Path) -> list[dict[str, str]]:
    """What `--diff` shows."""
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    return [
        {
            "before_header": str(root / name),
            "after_header": str(root / name),
            "before": old.get(name, ""),
            "after": new.get(name, ""),
        }
        for name in names
    ]


def put(path: Path, text: str | None, owner: tuple[int, int]) -> None:
    """Replace a file by rename, or remove it. Raises OSError."""
    if text is None:
        path.unlink(missing_ok=True)
        return
    handle, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", errors="surrogateescape") as file:
            file.write(text)
            os.fchown(file.fileno(), *owner)
            os.fchmod(file.fileno(), FILE_MODE)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def switch(root: Path, old: Mapping[str, str], new: Mapping[str, str], owner: tuple[int, int]) -> None:
    """From the old tree to the new one, or back. Raises OSError."""
    done: list[str] = []
    try:
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                put(root / name, new.get(name), owner)
                done.append(name)
    except OSError:
        for name in done:
            put(root / name, old.get(name), owner)
        raise


def folders_made(root: Path, folders: list[str], owner: tuple[int, int]) -> None:
    """The tree and its folders exist, open to the group only."""
    for folder in (root, *(root / name for name in folders)):
        if not folder.is_dir():
            folder.mkdir(FOLDER_MODE, parents=True)
            os.chown(folder, *owner)
            folder.chmod(FOLDER_MODE)


def permissions_off(root: Path, names: list[str], owner: tuple[int, int]) -> list[str]:
    """Of our files, those whose owner, group or mode somebody changed."""
    wrong = []
    for name in names:
        seen = (root / name).lstat()
        if ((seen.st_uid, seen.st_gid), stat.S_IMODE(seen.st_mode)) != (owner, FILE_MODE):
            wrong.append(name)
    return wrong


def accept(module: AnsibleModule, root: Path, new: Mapping[str, str]) -> str:
    """What the command said about the new tree; ends the task when it refused."""
    command = module.params["command"]
    if module.check_mode and not os.access(command[0], os.X_OK):
        return "not judged: the command is not installed yet"
    if not root.parent.is_dir():
        root.parent.mkdir(parents=True)
    place = stage(root, new)
    try:
        status, out, err = module.run_command([word.replace("%s", str(place)) for word in command], cwd="/")
    finally:
        shutil.rmtree(place)
    said = f"{err}{out}".strip().replace(str(place), str(root))
    if status != 0:
        module.fail_json(msg=f"refused, and nothing was changed:\n{said}", command=command, rc=status)
    return said


def run(module: AnsibleModule) -> None:
    """The whole task."""
    root, folders = Path(module.params["path"]), list(module.params["folders"])
    wanted = {str(name): str(text) for name, text in module.params["files"].items()}
    old = found(root, folders, module.params["suffix"])
    try:
        new, gone = planned(old, wanted, folders)
    except ForeignError as foreign:
        module.fail_json(
            msg=f"{foreign} in {root}: written by somebody else (the first line is not `{MARK}`). "
            "Move it away, or take over what it says into the variables of this role."
        )
    said = accept(module, root, new) if new != old else ""
    try:
        owner = (pwd.getpwnam(module.params["owner"]).pw_uid, grp.getgrnam(module.params["group"]).gr_gid)
    except KeyError as unknown:
        if not module.check_mode:
            module.fail_json(msg=f"user or group is missing on this host: {unknown}")
        owner = (-1, -1)
    repaired = permissions_off(root, [name for name in wanted if name in old], owner)
    if not module.check_mode:
        try:
            folders_made(root, folders, owner)
            switch(root, old, new, owner)
            for name in repaired:
                put(root / name, new[name], owner)
        except OSError as error:
            module.fail_json(msg=f"{error.filename or root}: {error.strerror}; the old configuration is in place")
    module.exit_json(
        changed=new != old or bool(repaired),
        diff=differences(old, new, root),
        said=said,
        removed=gone,
        repaired=repaired,
    )


def main() -> None:
    """What Ansible calls."""
    run(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True))


if __name__ == "__main__":
    main()
