"""A machine made of dictionaries, for the stage of validation that asks about the host."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from passenger.config.bounds import Bounds
from passenger.config.host import Facts, Person
from passenger.config.host_instances import SOMAXCONN
from passenger.config.ports import PRIVILEGED_LIMIT

ROOT = Person("root", 0, 0, frozenset({0}))
NOBODY = Person("nobody", 65534, 65534, frozenset({65534}))
BLOG = Person("blog", 1000, 1000, frozenset({1000, 50}))
ADMIN = Person("wheel", 1001, 0, frozenset({0}))
WEB = Person("www-data", 33, 33, frozenset({33}))
GROUPS = {"root": 0, "staff": 50, "blog": 1000, "www-data": 33, "nogroup": 65534}
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def folder(mode: int = 0o755, uid: int = 0, gid: int = 0) -> Facts:
    return Facts(stat.S_IFDIR | mode, uid, gid)


def file(mode: int = 0o644, uid: int = 0, gid: int = 0) -> Facts:
    return Facts(stat.S_IFREG | mode, uid, gid)


def socket_table(*addresses: str, state: str = "0A") -> str:
    """Text in the form of /proc/net/tcp: addresses in the kernel's notation, such as `0100007F:1F90`."""
    rows = (f"   {number}: {address} 00000000:0000 {state} 0:0 0:0 0 0 0\n" for number, address in enumerate(addresses))
    return HEAD + "".join(rows)


@dataclass
class FakeHost:
    """Answers from its fields; `closed_to_us` are paths that stat() itself may not reach."""

    myself: Person = ROOT
    files: dict[str, Facts] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    people: tuple[Person, ...] = (ROOT, NOBODY, BLOG, ADMIN, WEB)
    texts: dict[str, str] = field(default_factory=dict)
    acls: frozenset[str] = frozenset()
    closed_to_us: frozenset[str] = frozenset()
    low_ports: bool = True
    packages: frozenset[str] = frozenset()
    only_looks: bool = False
    limits: Bounds = field(default_factory=Bounds)
    interpreter: str = "/usr/bin/python3"
    helper_scripts: str = "/usr/share/passenger/helper_scripts"

    def facts(self, path: str) -> Facts | None:
        if path in self.closed_to_us:
            raise PermissionError(path)
        return self.files.get(self.real(path))

    def owner(self, path: str) -> int | None:
        found = self.files.get(path)
        return found.uid if found else None

    def real(self, path: str) -> str:
        for link, target in self.links.items():
            if path == link or path.startswith(f"{link}/"):
                return target + path[len(link) :]
        return path

    def names(self, folder: str) -> list[str]:
        below = f"{folder.rstrip('/')}/"
        return sorted({path[len(below) :].split("/")[0] for path in self.files if path.startswith(below)} - {""})

    def has_package(self, name: str) -> bool:
        return name in self.packages

    def has_acl(self, path: str) -> bool:
        return path in self.acls

    def person(self, name: str) -> Person | None:
        return next((person for person in self.people if name in {person.name, str(person.uid)}), None)

    def person_by_id(self, uid: int) -> Person | None:
        return next((person for person in self.people if person.uid == uid), None)

    def group(self, name: str) -> int | None:
        return GROUPS.get(name)

    def group_exists(self, gid: int) -> bool:
        return gid in GROUPS.values()

    def which(self, program: str, path: str | None = None) -> str | None:
        found = f"{path or '/usr/bin'}/{program}"
        return found if found in self.files else None

    def number(self, path: str) -> int | None:
        text = self.texts.get(path, "")
        return int(text) if text else None

    def text(self, path: str) -> str:
        return self.texts.get(path, "")

    def bounds(self) -> Bounds:
        return self.limits

    def may_bind_low_ports(self) -> bool:
        return self.low_ports


def with_folders(files: dict[str, Facts]) -> dict[str, Facts]:
    """The same files with every folder above them, open to all unless given."""
    whole = dict(files)
    for path in files:
        for above in _above(path):
            whole.setdefault(above, folder())
    return whole


def _above(path: str) -> Iterable[str]:
    while path != "/":
        path = path.rpartition("/")[0] or "/"
        yield path


def machine() -> FakeHost:
    """A tidy server, seen by root: one WSGI project in /srv/blog, one Django project, some traps."""
    files = {
        "/usr/bin/python3": file(0o755),
        "/usr/bin/python3.12": file(0o755),
        "/usr/share/passenger/helper_scripts": folder(),
        "/run": folder(),
        "/tmp": folder(0o1777),
        "/open": folder(0o777),
        "/srv/blog": folder(0o755, 1000, 1000),
        "/srv/blog/passenger_wsgi.py": file(0o644, 1000, 1000),
        "/srv/blog/public": folder(0o755, 1000, 1000),
        "/srv/blog/notes.txt": file(),
        "/srv/django/mysite/wsgi.py": file(),
        "/srv/flask/app.py": file(),
        "/srv/empty": folder(),
        "/srv/ruby/Gemfile": file(),
        "/srv/rack/config.ru": file(0o644, 1000, 1000),
        "/srv/npm/package.json": file(),
        "/srv/node/app.js": file(0o644, 1000, 1000),
        "/srv/meteor/.meteor": folder(0o755, 1000, 1000),
        "/srv/go/go.mod": file(),
        "/srv/fastapi/asgi.py": file(0o644, 1000, 1000),
        "/usr/bin/ruby": file(0o755),
        "/opt/node/bin/node": file(0o755),
        "/srv/private/shop": folder(0o755, 1000, 1000),
        "/srv/private": folder(0o700),
        "/srv/private/shop/passenger_wsgi.py": file(0o644, 1000, 1000),
        "/srv/secretfile": folder(),
        "/srv/secretfile/passenger_wsgi.py": file(0o600),
        "/srv/shop": folder(0o750, 0, 50),
        "/srv/shop/passenger_wsgi.py": file(0o640, 0, 50),
        "/srv/rootgroup": folder(),
        "/srv/rootgroup/passenger_wsgi.py": file(0o644, 1001, 0),
        "/srv/blog/.venv/bin/activate": file(),
        "/etc/ssl/blog.pem": file(),
        "/etc/ssl/private/blog.key": file(0o600),
        "/var/log": folder(),
        "/home/me": folder(0o700, 1000, 1000),
    }
    texts = {SOMAXCONN: "4096\n", PRIVILEGED_LIMIT: "1024\n"}
    return FakeHost(files=with_folders(files), texts=texts)


def named(name: str) -> FakeHost:
    """The machines that the golden files ask for."""
    host = machine()
    if name == "root":
        return host
    if name == "ordinary":
        host.myself, host.low_ports = BLOG, False
    elif name == "busy":
        host.texts["/proc/net/tcp"] = socket_table("0100007F:1F90", "00000000:0050")
        host.texts["/proc/net/tcp6"] = socket_table("0" * 32 + ":0051")
    elif name == "small":
        host.limits = Bounds(
            hard={"RLIMIT_NOFILE": 1024, "RLIMIT_NPROC": 500},
            may_raise=False,
            may_hurry=False,
            nice=0,
            oom_score_adj=0,
            cpus=frozenset({0, 1, 4}),
            memory=1 << 30,
            cgroup_problem="/sys/fs/cgroup/user.slice belongs to somebody else",
        )
    elif name == "slow-kernel":
        host.texts[SOMAXCONN] = "128\n"
    elif name == "closed-install":
        host.files["/root"] = folder(0o700)
        host.files["/root/passenger/helper_scripts"] = folder()
        host.helper_scripts = "/root/passenger/helper_scripts"
    elif name == "open-registry":
        host.files["/run/passenger"] = folder(0o777)
    elif name == "foreign-registry":
        host.files["/run/passenger"] = folder(0o755, 1000, 1000)
    elif name == "foreign-registry-looked-at":
        host.files["/run/passenger"] = folder(0o755, 1000, 1000)
        host.only_looks = True
    else:
        raise KeyError(name)
    return replace(host)
