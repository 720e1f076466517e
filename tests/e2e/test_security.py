"""Who can reach what in a running instance: files, sockets, processes, secrets (fault matrix F9-F12, F14-F16, F21, F24)."""

from __future__ import annotations

import json
import pwd
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.http import fetch
from tests.support.installation import Installation
from tests.support.probe import ProbeSite, probe_site, wait_until

pytestmark = pytest.mark.root("applications of several users")

CANARIES = {place: f"canary-of-the-{place}" for place in ("secret-file", "query", "cookie", "body", "authorization")}

APPS = """
[apps.alpha]
app_root = "ROOT"
server_names = ["alpha.test"]
user = "nobody"
env.APP = "alpha"
env.SECRET = { file = "PLACE/secret" }
[apps.beta]
app_root = "ROOT"
server_names = ["beta.test"]
user = "daemon"
env.APP = "beta"
"""

TRY = """
import errno, json, os, socket, sys
outcome = {}
for path in json.loads(sys.argv[1]):
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.settimeout(10)
            sock.connect(path)
            sock.sendall(sys.argv[2].encode().replace(b"\\\\0", b"\\0"))
            outcome[path] = sock.recv(1000).decode()
        except OSError as error:
            outcome[path] = errno.errorcode[error.errno]
print(json.dumps(outcome))
"""


@pytest.fixture(scope="module")
def site(installation: Installation, shared_place: Path) -> Iterator[ProbeSite]:
    """Two applications of two users, started by root."""
    secret = shared_place / "secret"
    secret.write_text(CANARIES["secret-file"] + "\n")
    secret.chmod(0o600)
    with probe_site(installation, shared_place, APPS, instance='log_level = "debug"') as running:
        yield running


def folder(site: ProbeSite) -> Path:
    return site.instance.registry / "main"


def own_sockets(user: str, site: ProbeSite) -> list[str]:
    return [str(path) for path in (folder(site) / "apps").iterdir() if path.owner() == user]


def connect_secret(site: ProbeSite) -> str:
    text = (folder(site) / "nginx" / "current" / "app-alpha.conf").read_text()
    return text.partition("PASSENGER_CONNECT_SECRET")[2].partition(";")[0].strip(' "')


def test_modes_and_owners_of_the_instance_directory(site: ProbeSite) -> None:
    """Root's alone, but for the few things that somebody else must reach; nothing depends on the umask."""
    allowed = {
        "": "0711 root",
        "request": "0660 root",
        "request_http": "0660 root",
        "properties.json": "0644 root",
        "creation_finalized": "0644 root",
        "nginx": "0711 root",
        "nginx/nginx.pid": "0644 root",
        "apps": "1733 root",
    }
    worker = next(p.owner() for p in (folder(site) / "nginx").iterdir() if p.name == "client_body_temp")
    assert worker != "root"
    for path in [folder(site), *folder(site).rglob("*")]:
        name = str(path.relative_to(folder(site))).removeprefix(".")
        facts = path.lstat()
        found = f"{stat.S_IMODE(facts.st_mode):04o} {path.owner() if not path.is_symlink() else 'root'}"
        if stat.S_ISLNK(facts.st_mode):
            assert facts.st_uid == 0, name
        elif name in allowed:
            assert found == allowed[name], name
        elif name.startswith("apps/"):
            assert found.startswith("0600"), name
        elif name.startswith("nginx/") and name.endswith("_temp"):
            assert found == f"0700 {worker}", name
        else:
            assert found in {"0600 root", "0700 root"}, name


def test_an_application_reaches_nothing_but_itself(site: ProbeSite) -> None:
    """F10, F11, F24: no file, socket or process of ours or of another application's user, whatever it tries."""
    (beta,) = site.pids("beta")
    pids = [site.instance.process.pid, site.component("core"), site.component("nginx"), beta]
    paths = [str(path) for path in [folder(site), *folder(site).rglob("*")]]
    paths += [f"/proc/{pid}/{name}" for pid in pids for name in ("environ", "fd", "mem", "maps", "fd/0")]
    paths += [str(site.place / "secret")]
    paths = sorted(set(paths) - set(own_sockets("nobody", site)))
    readable = {str(folder(site) / name) for name in ("properties.json", "creation_finalized", "nginx/nginx.pid")}
    for path, tries in site.ask("/do/reach", paths, host="alpha.test").items():
        done = {name for name, outcome in tries.items() if outcome == "done"}
        assert done == ({"open"} if path in readable else set()), f"{path}: {tries}"


def attempts(sockets: list[str], account: pwd.struct_passwd, *, say: str) -> dict[str, str]:
    """What another user gets out of sockets: the beginning of an answer, or the error."""
    done = subprocess.run(
        ["/usr/bin/python3", "-I", "-c", TRY, json.dumps(sockets), say],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
    )
    outcome: dict[str, str] = json.loads(done.stdout)
    return outcome


@pytest.mark.parametrize("user", ["nobody", "daemon"])
def test_other_users_are_refused_at_every_socket(site: ProbeSite, user: str) -> None:
    """F10, F11: whoever is not meant does not get as far as being heard."""
    sockets = [str(p) for p in folder(site).rglob("*") if p.is_socket() and str(p) not in own_sockets(user, site)]
    assert {Path(path).name for path in sockets} >= {"request", "request_http", "core_api", "watchdog_api"}
    outcome = attempts(sockets, pwd.getpwnam(user), say='{"verb": "status"}\n')
    assert set(outcome.values()) == {"EACCES"}


def test_the_web_servers_user_may_only_knock_at_the_request_sockets(site: ProbeSite) -> None:
    """F10, F12: what is no request of our nginx is answered 400 and no more; the other sockets stay closed."""
    worker = psutil.Process(site.component("nginx")).children()[0].uids().real
    sockets = [str(folder(site) / name) for name in ("request", "request_http", "core_api", "watchdog_api")]
    outcome = attempts(sockets, pwd.getpwuid(worker), say="1:x,\r\n\r\n")
    assert outcome.pop(sockets[0]).startswith("HTTP/1.1 400 ")
    assert outcome.pop(sockets[1]).startswith("HTTP/1.1 400 ")
    assert set(outcome.values()) == {"EACCES"}


def test_the_connect_secret_is_asked_for(site: ProbeSite) -> None:
    """F12: not even the web server's own user gets anything without it."""
    worker = pwd.getpwuid(psutil.Process(site.component("nginx")).children()[0].uids().real)
    for secret, status in ((connect_secret(site), 200), (connect_secret(site)[:-1] + "~", 400), ("", 400)):
        pairs = {"CONTENT_LENGTH": "0", "SCGI": "1", "PASSENGER_CONNECT_SECRET": secret, "PASSENGER_APP": "alpha"}
        pairs |= {"REQUEST_METHOD": "GET", "REQUEST_URI": "/echo", "SERVER_PROTOCOL": "HTTP/1.1"}
        head = "".join(f"{name}\\0{value}\\0" for name, value in pairs.items())
        request = str(folder(site) / "request")
        said = attempts([request], worker, say=f"{len(head) - len(pairs) * 2}:{head},")
        assert said[request].startswith(f"HTTP/1.1 {status} ")


def test_another_user_is_refused_whatever_the_mode_of_the_socket(site: ProbeSite) -> None:
    """F10: the kernel tells who connects."""
    request = folder(site) / "request"
    mode = stat.S_IMODE(request.stat().st_mode)
    account = pwd.getpwnam("daemon")
    request.chmod(0o666)
    try:
        outcome = attempts([str(request)], account, say="1:x,")
    finally:
        request.chmod(mode)
    assert outcome[str(request)] in {"", "EPIPE", "ECONNRESET"}
    site.instance.lines.wait_for(f"user {account.pw_uid} may not connect")


def test_the_application_process_is_bare(site: ProbeSite) -> None:
    """B7, F16: descriptors 0, 1, 2, its socket and the request; no capability, no group of root, nothing of ours."""
    facts = site.ask("/do/process", host="alpha.test")
    others = {number: target for number, target in facts["fds"].items() if number not in {"0", "1", "2"}}
    assert len(others) == 2, others
    assert all(target.startswith("socket:") for target in others.values()), others
    assert all(facts["fds"][number].startswith(("pipe:", "socket:")) for number in "012")
    nobody = pwd.getpwnam("nobody")
    assert facts["status"]["Uid"].split() == [str(nobody.pw_uid)] * 4
    assert facts["status"]["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert "0" not in facts["status"]["Groups"].split()
    assert {facts["status"][name].strip("0") for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {""}
    ours = {name for name in facts["environ"] if name.startswith("PASSENGER")}
    assert ours == {"PASSENGER_APP_ENV", "PASSENGER_GUPID"}
    assert connect_secret(site) not in json.dumps(facts)
    assert CANARIES["secret-file"] not in json.dumps(facts["argv"])


def test_canaries_stay_where_they_belong(site: ProbeSite) -> None:
    """F21: secrets are in no log, status, shown configuration, error page, argument list or foreign environment."""
    nobody = pwd.getpwnam("nobody").pw_uid
    secret = connect_secret(site)
    assert len(secret) >= 32
    headers = {"Cookie": f"s={CANARIES['cookie']}", "Authorization": f"Bearer {CANARIES['authorization']}"}
    bad_head = b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n"
    pages = [
        fetch(site.port, path, host="alpha.test", headers=headers, method="POST", body=body)
        for path, body in (
            (f"/fine?q={CANARIES['query']}", CANARIES["body"].encode()),
            (f"/do/raw?{CANARIES['query']}", bad_head),
            (f"/%zz?{CANARIES['query']}", b""),
        )
    ]
    assert [page.status for page in pages] == [200, 502, 400]
    assert all(canary not in page.text for page in pages[1:] for canary in (*CANARIES.values(), secret))
    told = {}
    for command in ("status", "status --format json", "config show", "config show --origin", "health"):
        done = site.instance.run(*command.split())
        told[command] = done.stdout + done.stderr
    told["log"] = "\n".join(site.instance.lines.seen)
    told["properties"] = (folder(site) / "properties.json").read_text()
    for where, text in told.items():
        for what, canary in {**CANARIES, "connect": secret}.items():
            assert canary not in text, f"{what} in {where}"
    for process in psutil.Process(site.instance.process.pid).children(recursive=True):
        seen = Path(f"/proc/{process.pid}/cmdline").read_bytes() + Path(f"/proc/{process.pid}/comm").read_bytes()
        if process.uids().real != nobody:  # alpha's own
            seen += Path(f"/proc/{process.pid}/environ").read_bytes()
        for canary in (*CANARIES.values(), secret):
            assert canary.encode() not in seen, process


def test_the_access_log_keeps_to_the_request_line(site: ProbeSite) -> None:
    """F21, F22: no cookie, no authorization; control bytes are escaped, one request is one line."""
    mark = len(site.instance.lines.seen)
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as sock:
        sock.sendall(b'GET /\x1b[31m\xe2\x80\xae HTTP/1.1\r\nHost: alpha.test\r\nUser-Agent: a\x1b[2J\x7f"\xff\r\n\r\n')
        sock.recv(10)
    site.instance.lines.wait_for(r'"GET /(\\x1B|%1[bB])', after=mark)
    odd = [line for line in site.instance.lines.seen if not line.isprintable()]
    assert not odd, ascii(odd)


def test_forged_headers_are_dropped(site: ProbeSite) -> None:
    """F1, F2, F9: `X_User` is not `X-User`; nothing of a client can pass for a fact of the connection."""
    headers = {
        "X-User": "good",
        "X_User": "evil",
        "X.User": "evil",
        "Content_Length": "5",
        "Proxy": "http://evil/",
        "Forwarded": "for=evil",
        "X-Forwarded-For": "evil",
        "X-Forwarded-Proto": "evil",
        "X-Forwarded-Host": "evil",
        "X-Real-IP": "evil",
        "Passenger-App": "beta",
        "Passenger-Connect-Secret": "evil-but-harmless",
    }
    answer = fetch(site.port, "/echo", host="alpha.test", headers=headers)
    given = json.loads(answer.text)
    assert given["app"] == "alpha"
    assert given["HTTP_X_USER"] == "good"
    assert given["HTTP_PASSENGER_APP"] == "beta"
    assert "evil" not in {value.removesuffix("-but-harmless") for n, value in given.items() if "SECRET" not in n}
    assert not {name for name in given if name.startswith(("PASSENGER", "HTTP_PROXY", "HTTP_X_FORWARDED"))}
    assert given["REMOTE_ADDR"] == "127.0.0.1"


def test_a_stolen_application_socket_gets_no_request(site: ProbeSite) -> None:
    """F14: a process that puts its own socket in the place of the application's is not spoken to."""
    (before,) = site.pids("beta")
    (path,) = [path for path in own_sockets("daemon", site) if "/wsgi." in path]
    Path(path).unlink()
    with socket.socket(socket.AF_UNIX) as thief:
        thief.bind(path)
        Path(path).chmod(0o666)
        thief.listen()
        thief.settimeout(0)
        wait_until(lambda: fetch(site.port, "/echo", host="beta.test").status == 200, "the application is back")
        try:
            conn, _ = thief.accept()
        except BlockingIOError:
            heard = b""
        else:
            with conn:
                heard = conn.recv(10)
        assert heard == b""
    assert site.pids("beta") != [before]
