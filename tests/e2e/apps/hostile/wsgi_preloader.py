"""A preloader for tests: talks the protocol by hand, and does what the file `deeds` in the application's folder says.

One word per line, one line per start of this preloader; without a line left it behaves. Standard library only.
"""

import os
import select
import signal
import socket
import struct
import sys


def main():
    deed = next_deed()
    options = shake_hands()
    if deed == "never-ready":
        select.select([], [], [])
    path = f"{options['socket_dir']}/hostile.{os.getpid()}"
    listener = socket.socket(socket.AF_UNIX)
    if deed == "die-before-ready":
        listener.bind(path)
        os._exit(3)
    if deed == "other-listens":
        return other_listens(path, options)
    if deed not in ("no-socket", "fields", "two-sockets", "outside", "dots", "garbage-block"):
        listener.bind(path)
        os.chmod(path, 0o600)
        listener.listen(8)
    announce(deed, path, options)
    if deed == "no-listen":
        listener.close()
    previous = None
    while True:
        ready, _, _ = select.select([0, listener], [], [])
        if 0 in ready:
            if deed == "ignore-stop":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                select.select([], [], [])
            os.unlink(path)
            os._exit(0)
        conn, _ = listener.accept()
        previous = answer(deed, conn, options, previous, listener)


def next_deed():
    with open("deeds") as stream:
        first, _, rest = stream.read().partition("\n")
    with open("deeds", "w") as stream:
        stream.write(rest)
    with open("loads", "a") as loads:
        loads.write(f"{os.getpid()}\n")
    return first


def shake_hands():
    os.write(1, b"!> I have control 1.0\n")
    held = b""
    while not held.endswith(b"\n\n"):
        held += os.read(0, 65536)
    return dict(line.split(": ", 1) for line in held.decode().splitlines()[1:] if line)


def announce(deed, path, options):
    lines = {
        "fields": f"!> socket: main;unix:{path};session;1\n!> \n",
        "two-sockets": f"!> socket: unix:{path}\n" * 2 + "!> \n",
        "outside": "!> socket: unix:/tmp/x\n!> \n",
        "dots": f"!> socket: unix:{options['socket_dir']}/../x\n!> \n",
        "garbage-block": "!> \x00\xff\n",
    }
    os.write(1, b"\n!> Ready\n" + lines.get(deed, f"!> socket: unix:{path}\n!> \n").encode("latin-1"))


def other_listens(path, options):
    """Somebody else, a child, listens in the place of the preloader."""
    ready, is_ready = os.pipe()
    if os.fork() == 0:
        mine = socket.socket(socket.AF_UNIX)
        mine.bind(path)
        os.chmod(path, 0o600)
        mine.listen(8)
        os.write(is_ready, b"x")
        while True:
            conn, _ = mine.accept()
            conn.sendall(b"OK\n%d\n" % os.getpid())
    os.read(ready, 1)
    announce("", path, options)
    select.select([0], [], [])
    os._exit(0)


def answer(deed, conn, options, previous, listener):
    if deed == "hang":
        select.select([], [], [])
    if deed == "die-when-asked":
        os._exit(1)
    command = b""
    while not command.endswith(b"\n\n"):
        piece = conn.recv(65536)
        if not piece:
            return previous
        command += piece
    said = {
        "garbage": b"\x00\xff" * 1000,
        "long-line": b"O" * 100_000,
        "no-pid": b"OK\nabc\n",
        "pid-zero": b"OK\n0\n",
        "pid-minus": b"OK\n-1\n",
        "pid-one": b"OK\n1\n",
        "pid-own": b"OK\n%d\n" % os.getpid(),
        "pid-unused": b"OK\n4194303\n",
        "pid-core": b"OK\n%d\n" % os.getppid(),
        "close": b"",
        "close-after-ok": b"OK\n",
        "refuse": b"Error\n!> \nno memory left for this\n",
    }
    if deed == "pid-victim":
        with open("victim") as victim:
            said[deed] = f"OK\n{int(victim.read())}\n".encode()
    if deed in said:
        conn.sendall(said[deed])
        conn.close()
        return previous
    if deed == "die-mid-fork":
        if os.fork() == 0:
            select.select([], [], [])
        os._exit(1)
    if deed == "half-answer":
        conn.sendall(b"OK\n4")
        select.select([], [], [])
    if deed == "same-again" and previous:
        conn.sendall(b"OK\n%d\n" % previous)
        conn.close()
        return previous
    pid = os.fork()
    if pid == 0:
        listener.close()
        work(deed, conn, options)
    conn.close()
    if deed == "die-after-fork":
        os._exit(1)
    return pid


def work(deed, conn, options):
    """What the real process would do, in the session and group of the preloader as other people's preloaders do it."""
    os.dup2(conn.fileno(), 0)
    os.dup2(conn.fileno(), 1)
    conn.close()
    conn = None
    os.write(1, b"OK\n%d\n" % os.getpid())
    if deed == "worker-dies":
        socket.socket(socket.AF_UNIX).bind(f"{options['socket_dir']}/hw.{os.getpid()}")
        os.write(2, b"worker says goodbye\n")
        os._exit(5)
    if deed == "worker-hangs":
        select.select([], [], [])
    own = {**options, **shake_hands()}
    os.write(2, b"told shutdown_timeout %s\n" % own["shutdown_timeout"].encode())
    path = f"{options['socket_dir']}/hw.{os.getpid()}"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(8)
    os.write(1, b"\n!> Ready\n!> socket: main;unix:%s;session;1\n!> \n" % path.encode())
    while True:
        ready, _, _ = select.select([0, listener], [], [])
        if 0 in ready:
            os._exit(0)
        client, _ = listener.accept()
        first = client.recv(4)
        if not first:
            continue  # the spawner looks who listens
        os.write(2, b"%d was asked\n" % os.getpid())
        size = struct.unpack(">I", first)[0]
        assert own["connect_password"].encode() in client.recv(size)
        body = b"%d %d" % (os.getpid(), os.getppid())
        client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        client.close()


if __name__ == "__main__":
    main()
    sys.exit(0)
