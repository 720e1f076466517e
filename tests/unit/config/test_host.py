"""The host stage on machines made of dictionaries: access rights, identities, ports, registry."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from passenger.config.access import Access, Closed
from passenger.config.host import Person
from passenger.config.load import load
from passenger.config.ports import listening
from tests.unit.config.fake_host import (
    ADMIN,
    BLOG,
    NOBODY,
    ROOT,
    FakeHost,
    file,
    folder,
    machine,
    socket_table,
    with_folders,
)

APP = "config_version = 1\n[apps.blog]\napp_root = '/srv/blog'\n"


NOBODYS: Mapping[str, tuple[str, int]] = MappingProxyType({})


def _codes(text: str, host: FakeHost, *, own: Mapping[str, tuple[str, int]] = NOBODYS, **environ: str) -> list[str]:
    held = {name: frozenset({address}) for name, address in own.items()}
    loaded = load(None, text=text, environ=environ, cwd="/", host=host, own_ports=lambda _: held)
    return [item.code for item in loaded.diagnostics]


def _access(files: dict[str, tuple[int, int, int]]) -> Access:
    return Access(FakeHost(files=with_folders({path: folder(*facts) for path, facts in files.items()})))


@pytest.mark.parametrize(
    ("mode", "person", "open_"),
    [
        (0o700, BLOG, True),
        (0o077, BLOG, False),
        (0o070, Person("x", 5, 50), True),
        (0o070, Person("x", 5, 6, frozenset({50})), True),
        (0o707, Person("x", 5, 50), False),
        (0o007, Person("x", 5, 6), True),
        (0o770, Person("x", 5, 6), False),
        (0o000, ROOT, True),
    ],
)
def test_bits_are_read_like_the_kernel_does(mode: int, person: Person, *, open_: bool) -> None:
    """The owner's bits count for the owner alone, then the group's for members, then the others'; root passes."""
    access = _access({"/data": (mode, BLOG.uid, 50)})
    assert (access.closed(person, "/data", "list") is None) == open_


def test_the_first_closed_folder_is_named() -> None:
    """Not the target, but what stands in the way to it."""
    access = _access({"/a": (0o755, 0, 0), "/a/b": (0o711, 0, 0), "/a/b/c": (0o700, 0, 0), "/a/b/c/d": (0o755, 0, 0)})
    assert access.closed(NOBODY, "/a/b/c/d", "list") == Closed("/a/b/c", is_target=False, missing="x")
    assert access.closed(NOBODY, "/a/b", "list") == Closed("/a/b", is_target=True, missing="rx")
    assert access.closed(NOBODY, "/a/b", "execute") is None


def test_folders_behind_links_count() -> None:
    """A link into a closed folder leads nowhere, and so does a link inside one."""
    host = machine()
    host.links = {"/srv/link": "/srv/private/shop"}
    assert Access(host).closed(BLOG, "/srv/link", "list") == Closed("/srv/private", is_target=False, missing="x")
    text = APP.replace("/srv/blog", "/srv/link") + "user = 'blog'\n"
    assert "E403" in _codes(text, host)


def test_an_access_control_list_is_trusted() -> None:
    """Bits do not tell what a list grants: no error is made of them."""
    host = machine()
    text = APP.replace("/srv/blog", "/srv/private/shop") + "user = 'blog'\n"
    assert _codes(text, host) == ["E403"]
    host.acls = frozenset({"/srv/private"})
    assert _codes(text, host) == []


def test_closed_to_ourselves() -> None:
    """Started as an ordinary user, a folder that we cannot enter is named, not called missing."""
    host = machine()
    host.myself = BLOG
    host.closed_to_us = frozenset({"/srv/private/shop"})
    text = APP.replace("/srv/blog", "/srv/private/shop")
    loaded = load(None, text=text, environ={"XDG_RUNTIME_DIR": "/home/me"}, cwd="/", host=host)
    (found,) = loaded.diagnostics
    assert found.code == "E403"
    assert "/srv/private is closed for user blog" in found.message


@pytest.mark.parametrize(
    ("keys", "codes"),
    [
        ("", []),
        ("user = 'blog'", []),
        ("user = '1000'", []),
        ("user = 'blog'\ngroup = 'staff'", []),
        ("user = 'root'", ["E408"]),
        ("user = '0'", ["E408"]),
        ("user = 'blog'\ngroup = 'root'", ["E408"]),
        ("user = 'nosuch'", ["E406"]),
        ("user = '77777'", ["E406"]),
        ("user = '77777'\ngroup = 'staff'", []),
        ("user = '77777'\ngroup = 'root'", ["E408"]),
        ("user = '0'\ngroup = 'staff'", ["E408"]),
        (f"user = '{'9' * 5000}'\ngroup = 'staff'", ["E406"]),
        (f"user = 'blog'\ngroup = '{'9' * 5000}'", ["E407"]),
        ("user = 'blog'\ngroup = 'nosuch'", ["E407"]),
        ("user = 'wheel'", []),
    ],
)
def test_who_runs_it(keys: str, codes: list[str]) -> None:
    """Names or numbers of accounts that exist; never root; a primary group root gives way to the default's."""
    assert _codes(APP + keys + "\n", machine()) == codes


@pytest.mark.parametrize(
    ("keys", "codes"),
    [
        ("user = 'blog'", []),
        ("user = '1000'", []),
        ("user = 'blog'\ngroup = '1000'", []),
        ("user = 'shop'", ["E409"]),
        ("user = 'blog'\ngroup = 'staff'", ["E409"]),
    ],
)
def test_an_ordinary_user_may_name_himself(keys: str, codes: list[str]) -> None:
    """One file for the server and for the developer who runs it as the user it names."""
    host = machine()
    host.myself = BLOG
    loaded = load(None, text=APP + keys + "\n", environ={"XDG_RUNTIME_DIR": "/home/me"}, cwd="/", host=host)
    assert [item.code for item in loaded.diagnostics] == codes


def test_owner_root_gives_way_to_the_default_user() -> None:
    """A startup file of root's is run as `default_user`, whose rights count."""
    host = machine()
    host.files["/srv/blog/passenger_wsgi.py"] = file(0o640)
    assert _codes(APP, host) == ["E403"]
    text = "[instances.main.core]\ndefault_user = 'root'\n"
    assert _codes(APP + text, host) == ["E408"]
    assert _codes(APP + text.replace("root", "nosuch"), host) == ["E406"]


def test_default_group_of_root_is_refused() -> None:
    """No way leads to group root, not even the default user's own group."""
    host = machine()
    host.files["/srv/blog/passenger_wsgi.py"] = file(0o644, ADMIN.uid)
    assert _codes(APP + "[instances.main.core]\ndefault_user = 'wheel'\n", host) == ["E408"]
    assert _codes(APP + "[instances.main.core]\ndefault_user = 'wheel'\ndefault_group = 'staff'\n", host) == []


def test_the_rules_are_those_of_the_spawner() -> None:
    """A default user by number with a default group, and a user whose own group has no name."""
    host = machine()
    text = APP.replace("/srv/blog", "/srv/empty") + "entry_point = 'blog:app'\n"
    core = "[instances.main.core]\ndefault_user = '9998'\n"
    assert "E406" in _codes(text + core, host)
    assert _codes(text + core + "default_group = 'staff'\n", host) == []
    host.people = (*host.people, Person("lost", 1004, 4444))
    text = APP + "user = 'lost'\n"
    assert _codes(text, host) == []
    assert _codes(text + "[instances.main.core]\ndefault_group = 'root'\n", host) == ["E408"]


def test_own_files_are_complained_about_once() -> None:
    """A closed installation is one error for each user, not for each application."""
    host = machine()
    host.files["/root/py"] = folder()
    host.files["/root"] = folder(0o700)
    host.helper_scripts = "/root/py"
    more = "user = 'blog'\n[apps.two]\napp_root = '/srv/blog'\nuser = 'blog'\nbase_uri = '/two'\n"
    assert _codes(APP + more, host) == ["E415"]


def test_virtual_environment_in_the_root_is_used() -> None:
    """`.venv/bin/python` in the root is the interpreter, and must be executable."""
    host = machine()
    host.files["/srv/blog/.venv/bin/python"] = file(0o755)
    assert _codes(APP, host) == []
    host.files["/srv/blog/.venv/bin/python"] = file(0o644)
    assert _codes(APP, host) == ["E405"]


def test_python_from_path() -> None:
    """A bare name is looked up in PATH."""
    assert _codes(APP + "python = 'python3.12'\n", machine()) == []
    assert _codes(APP + "python = 'python4'\n", machine()) == ["E405"]


def test_socket_table() -> None:
    """Addresses are read in the kernel's byte order; only listening sockets count; mapped addresses are IPv4."""
    mapped = "0000000000000000FFFF0000" + "0100007F"
    host = FakeHost(
        texts={
            "/proc/net/tcp": socket_table("0100007F:1F90", "00000000:0016"),
            "/proc/net/tcp6": socket_table(
                "0" * 32 + ":0050", "000000000000000000000000" + "01000000:0277", mapped + ":0051"
            ),
        }
    )
    assert listening(host) == {("127.0.0.1", 8080), ("0.0.0.0", 22), ("::", 80), ("::1", 631), ("127.0.0.1", 81)}
    busy = FakeHost(texts={"/proc/net/tcp": socket_table("0100007F:1F90", state="01")})
    assert listening(busy) == frozenset()
    assert listening(FakeHost()) == frozenset()


@pytest.mark.parametrize(
    ("listen", "codes"),
    [
        ("127.0.0.1:8080", ["E411"]),
        ("*:8080", ["E411"]),
        ("127.0.0.2:8080", []),
        ("[::1]:8080", []),
        ("10.0.0.1:22", ["E411"]),
        ("0.0.0.0:90", ["W402"]),
        ("[::]:90", ["E411"]),
        ("127.0.0.1:9999", []),
    ],
)
def test_ports(listen: str, codes: list[str]) -> None:
    """A port is taken by the same address or by every address, on either side, within one family."""
    host = machine()
    host.texts["/proc/net/tcp"] = socket_table("0100007F:1F90", "00000000:0016")
    host.texts["/proc/net/tcp6"] = socket_table("0" * 32 + ":005A")
    assert _codes(APP + f"[instances.main.nginx]\nlisten = ['{listen}']\n", host) == codes


def test_own_port_of_another_form() -> None:
    """On reload a listener may move from every address to one of them: the port is ours."""
    host = machine()
    host.texts["/proc/net/tcp"] = socket_table("00000000:1F90")
    assert _codes(APP, host) == ["E411"]
    assert _codes(APP, host, own={"main": ("0.0.0.0", 8080)}) == []


def test_own_ports_are_of_one_instance() -> None:
    """Each running instance holds its own; what a sister holds is taken."""
    text = APP + "instance = 'one'\n[instances.one.nginx]\nlisten = ['127.0.0.1:81']\n"
    text += "[instances.two.nginx]\nlisten = ['127.0.0.1:82']\n[apps.shop]\napp_root = '/srv/blog'\ninstance = 'two'\n"
    host = machine()
    host.texts["/proc/net/tcp"] = socket_table("0100007F:0051", "0100007F:0052")
    one, two = ("127.0.0.1", 81), ("127.0.0.1", 82)
    assert _codes(text, host, own={"one": one, "two": two}) == []
    assert _codes(text, host, own={"one": one}) == ["E411"]
    assert _codes(text, host, own={"one": two, "two": one}) == ["E411", "E411"]


@pytest.mark.parametrize("mode", ["external", "off"])
def test_no_ports_without_an_nginx_of_ours(mode: str) -> None:
    """Only a managed nginx takes ports."""
    host = machine()
    host.texts["/proc/net/tcp"] = socket_table("00000000:1F90")
    assert _codes(APP + f"[instances.main.nginx]\nmode = '{mode}'\n", host) == []


def test_unprivileged_limit_is_the_kernels() -> None:
    """The limit of privileged ports is read, not assumed, and the capability counts."""
    host = machine()
    host.myself, host.low_ports = BLOG, False
    text = APP + "[instances.main.nginx]\nlisten = ['0.0.0.0:80']\n"
    assert _codes(text, host, XDG_RUNTIME_DIR="/home/me") == ["E412"]
    host.texts["/proc/sys/net/ipv4/ip_unprivileged_port_start"] = "80\n"
    assert _codes(text, host, XDG_RUNTIME_DIR="/home/me") == []
    del host.texts["/proc/sys/net/ipv4/ip_unprivileged_port_start"]
    assert _codes(text, host, XDG_RUNTIME_DIR="/home/me") == ["E412"]
    host.low_ports = True
    assert _codes(text, host, XDG_RUNTIME_DIR="/home/me") == []


def test_registry_of_the_environment() -> None:
    """The registry is the one that start would use."""
    assert _codes(APP, machine(), PASSENGER_INSTANCE_REGISTRY_DIR="/open/passenger") == ["E413"]
    assert _codes(APP, machine(), PASSENGER_INSTANCE_REGISTRY_DIR="/etc/ssl/blog.pem") == ["E413"]
    assert _codes(APP, machine(), PASSENGER_INSTANCE_REGISTRY_DIR="/run/p" + "x" * 100) == ["E414"]


def test_root_that_only_looks_accepts_what_another_user_owns() -> None:
    """Registry and cache of a service's user, and nothing that strangers may write to."""
    host = machine()
    host.files["/run/passenger"] = host.files["/var/cache/blog"] = folder(0o755, 1000, 1000)
    host.files["/var/cache"] = folder()
    text = APP + "cache.folder = '/var/cache/blog'\n"
    assert _codes(text, host) == ["E413", "E450"]
    host.only_looks = True
    assert _codes(text, host) == ["W404"]
    host.files["/run/passenger"] = host.files["/var/cache/blog"] = folder(0o775, 1000, 1000)
    assert _codes(text, host) == ["E413", "E450"]
    host.myself = NOBODY
    host.files["/run/passenger"] = folder(0o755, 1000, 1000)
    assert _codes(APP, host, PASSENGER_INSTANCE_REGISTRY_DIR="/run/passenger") == ["E413"]


def test_sticky_folder_above_the_registry_is_fine() -> None:
    """Below /tmp nobody can rename another's folder."""
    assert _codes(APP, machine(), PASSENGER_INSTANCE_REGISTRY_DIR="/tmp/passenger-0") == []


def test_configuration_that_everybody_may_change() -> None:
    """Root acts on the file: who may write it may do anything."""
    host = machine()
    host.files["/etc/passenger.toml"] = file(0o666)
    loaded = load("passenger.toml", text=APP, environ={}, cwd="/etc", host=host)
    assert [item.code for item in loaded.diagnostics] == ["W403"]
    assert loaded.config is not None
