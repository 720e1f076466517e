#!/usr/bin/python
"""Our part of the configuration of a host's own nginx, switched only after nginx has accepted the whole of it.

1. Our part is a folder `passenger-trees/<name by its content>`; the link `passenger` says which is in use, and one file
   in `conf.d` includes it. The switch is the rename of a link.
2. Judged is the whole: a copy of the configuration with the new part, mounted over the real one in a mount namespace of
   its own, so that absolute includes mean the copy. What Passenger would render stands in for what is not rendered yet.
3. nginx says nothing when it cannot take up a configuration. So its workers are looked at: a reload that has worked has
   new ones. If there are none, the old part is put back, nginx reloads once more, and the task fails.
4. What runs decides whether a reload is due: files that are newer than every worker have not been read.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION: Final = """
module: passenger_nginx_tree
short_description: Switch our part of a host's own nginx after the whole was accepted
author: Passenger-in-Python
options:
  path:
    description: Folder of nginx's configuration.
    type: path
    required: true
  files:
    description: Name -> text of the files of our part. Empty takes our part away.
    type: dict
    required: true
  instances:
    description: Instances that our part includes.
    type: list
    elements: str
    default: []
  registry:
    description: Folder that holds the instance directories.
    type: path
    required: true
  passenger:
    description: The command that renders what an instance would have.
    type: path
    required: true
  without:
    description: Files and links of the configuration that go.
    type: list
    elements: str
    default: []
  pid_file:
    description: File in which nginx writes the process id of its master.
    type: path
    default: /run/nginx.pid
"""
ARGUMENTS: Final[dict[str, Any]] = {
    "path": {"type": "path", "required": True},
    "files": {"type": "dict", "required": True},
    "instances": {"type": "list", "elements": "str", "default": []},
    "registry": {"type": "path", "required": True},
    "passenger": {"type": "path", "required": True},
    "without": {"type": "list", "elements": "str", "default": []},
    "pid_file": {"type": "path", "default": "/run/nginx.pid"},
}
MARK: Final = "# Written by Ansible: a change here is lost with the next run.\n"
GLUE: Final = "conf.d/passenger.conf"
CONFIGURATION: Final = "/etc/passenger/passenger.toml"
NGINX: Final = "/usr/sbin/nginx"
LINK: Final = "passenger"
TREES: Final = "passenger-trees"
PATIENCE: Final = 15.0
"""Seconds that nginx gets to start new workers."""
JUDGE: Final = 'mount --bind "$0" "$1" && exec /usr/sbin/nginx -t'


class Part:
    """Our part below the folder of a configuration."""

    def __init__(self, root: Path, files: Mapping[str, str], without: Iterable[str]) -> None:
        self.root = root
        self.files = {name: MARK + text for name, text in files.items()}
        self.without = [name for name in without if os.path.lexists(root / name)]
        digest = hashlib.sha256(repr(sorted(self.files.items())).encode()).hexdigest()[:12]
        self.target = f"{TREES}/{digest}" if files else ""
        self.glue = f"{MARK}include {root}/{LINK}/*.conf;\n" if files else ""

    def present(self) -> tuple[str, str, dict[str, str]]:
        """Link, glue and files that are there now."""
        link, glue = self.root / LINK, self.root / GLUE
        target = str(link.readlink()) if link.is_symlink() else ""
        files = {path.name: path.read_text() for path in sorted((self.root / target).glob("*.conf"))} if target else {}
        return target, glue.read_text() if glue.is_file() else "", files

    def place(self, root: Path) -> None:
        """Put the files into a configuration, used or not: a tree of its own disturbs nobody."""
        if self.target:
            folder = root / self.target
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            for name, text in self.files.items():
                (folder / name).write_text(text)

    def use(self, root: Path, target: str, glue: str) -> None:
        """Switch the link, with the file that includes it."""
        link, file = root / LINK, root / GLUE
        if not glue:
            file.unlink(missing_ok=True)
        if target:
            fresh = root / f".{LINK}.new"
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(target)
            fresh.replace(link)
        else:
            link.unlink(missing_ok=True)
        if glue:
            file.parent.mkdir(exist_ok=True)
            file.write_text(glue)

    def forget(self) -> None:
        """Trees that are not in use go."""
        for tree in (self.root / TREES).glob("*"):
            if str(tree.relative_to(self.root)) != self.target:
                shutil.rmtree(tree)
        if not self.target:
            shutil.rmtree(self.root / TREES, ignore_errors=True)


def judged(module: AnsibleModule, part: Part) -> None:
    """The whole configuration with the new part is one that nginx accepts; else the task ends here."""
    stage = Path(tempfile.mkdtemp(prefix=".passenger-nginx-", dir=part.root.parent))
    try:
        whole = stage / "nginx"
        shutil.copytree(part.root, whole, symlinks=True)
        part.place(whole)
        part.use(whole, part.target, part.glue)
        for name in part.without:
            (whole / name).unlink()
        rendered = render(module, stage)
        for file in (whole / part.target).glob("*.conf") if part.target and rendered else ():
            file.write_text(file.read_text().replace(f"{module.params['registry']}/", f"{rendered}/"))
        status, out, err = module.run_command(["unshare", "--mount", "sh", "-c", JUDGE, str(whole), str(part.root)])
    finally:
        shutil.rmtree(stage)
    if status != 0:
        module.fail_json(msg=f"nginx refused the configuration, and nothing was changed:\n{err}{out}", rc=status)


def render(module: AnsibleModule, stage: Path) -> str:
    """What Passenger would render now, laid out as in its registry; empty where it cannot be asked yet."""
    command, registry = module.params["passenger"], module.params["registry"]
    if (
        not module.params["instances"]
        or not os.access(command, os.X_OK)
        or not Path("/etc/passenger/passenger.toml").exists()
    ):
        return ""
    for name in module.params["instances"]:
        out = stage / "registry" / name / "nginx"
        status, _, err = module.run_command([command, "config", "render", "--instance", name, "--out", str(out)])
        if status != 0:
            module.fail_json(msg=f"passenger cannot render the instance {name}, and nothing was changed:\n{err}")
        (out / name).rename(out / "current")
        for file in (out / "current").iterdir():
            file.write_text(file.read_text().replace(f"{registry}/{name}/nginx/", f"{out}/"))
    return str(stage / "registry")


def master(pid_file: str) -> int:
    """The process id of nginx's master, 0 if it does not run."""
    try:
        pid = int(Path(pid_file).read_text())
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except (OSError, ValueError):
        return 0
    return pid if name == "nginx" else 0


def workers(pid: int) -> dict[int, float]:
    """Worker -> when it started, in seconds since the epoch."""
    booted = next(
        float(line.split()[1]) for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime")
    )
    found = {}
    for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            fields = Path(f"/proc/{word}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        found[int(word)] = booted + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return found


def is_behind(pid: int, registry: str, instances: Iterable[str]) -> bool:
    """Whether an instance rendered files after the newest worker started: nginx has not read them."""
    links = [Path(registry) / name / "nginx" / "current" for name in instances]
    newest = max((link.lstat().st_mtime for link in links if link.is_symlink()), default=0.0)
    return newest > max(workers(pid).values(), default=0.0) + 1


def reloaded(pid: int) -> str:
    """Have nginx read its configuration; what went wrong, or nothing."""
    before = set(workers(pid))
    done = subprocess.run([NGINX, "-s", "reload"], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        return done.stderr.strip()
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if set(workers(pid)) - before:
            return ""
        time.sleep(0.05)
    return f"no new worker within {PATIENCE:g} seconds: nginx could not use it; its error log says why"


def switch(module: AnsibleModule, part: Part) -> None:
    """From what is there to the new part, or back."""
    target, glue, _ = part.present()
    part.place(part.root)
    removed = {name: kept(part.root / name) for name in part.without}
    part.use(part.root, part.target, part.glue)
    for name in removed:
        (part.root / name).unlink()
    pid = master(module.params["pid_file"])
    wrong = reloaded(pid) if pid else ""
    if wrong:
        part.use(part.root, target, glue)
        for name, (link, text) in removed.items():
            (part.root / name).symlink_to(link) if link else (part.root / name).write_text(text)
        again = reloaded(pid)
        module.fail_json(msg=f"nginx did not take it up, and has its old configuration again: {wrong}", again=again)
    part.forget()


def kept(path: Path) -> tuple[str, str]:
    """A link, or the text of a file, to put it back."""
    return (str(path.readlink()), "") if path.is_symlink() else ("", path.read_text())


def run(module: AnsibleModule) -> None:
    """The whole task."""
    part = Part(Path(module.params["path"]), module.params["files"], module.params["without"])
    target, glue, files = part.present()
    changed = (target, glue, files) != (part.target, part.glue, part.files) or bool(part.without)
    if glue and not glue.startswith(MARK):
        module.fail_json(msg=f"{part.root / GLUE} was written by somebody else: move it away")
    pid = master(module.params["pid_file"])
    is_due = bool(pid) and not changed and is_behind(pid, module.params["registry"], module.params["instances"])
    if (changed or is_due) and part.target:
        judged(module, part)
    if changed and not module.check_mode:
        switch(module, part)
    elif is_due and not module.check_mode:
        wrong = reloaded(pid)
        if wrong:
            module.fail_json(msg=f"nginx did not take up what Passenger has rendered: {wrong}")
    before, after = (
        "".join(f"# {name}\n{text}" for name, text in sorted(some.items())) for some in (files, part.files)
    )
    header = str(part.root / LINK)
    module.exit_json(
        changed=changed or is_due,
        diff={"before": before, "after": after, "before_header": header, "after_header": header},
        running=bool(pid),
    )


def main() -> None:
    """What Ansible calls."""
    run(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True))


if __name__ == "__main__":
    main()
