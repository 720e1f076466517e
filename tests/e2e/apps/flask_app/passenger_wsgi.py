"""A Flask application with the things people do: JSON, forms, sessions, streams, uploads, errors."""

import hashlib
import os
import time
from wsgiref.validate import validator

from flask import Flask, Response, jsonify, request, session

app = Flask(__name__)
app.secret_key = os.environ["FLASK_SECRET"]


@app.get("/")
def index():
    return f"flask {os.getpid()}"


@app.get("/pid")
def pid():
    return str(os.getpid())


@app.post("/count")
def count():
    session["n"] = session.get("n", 0) + 1
    return jsonify(n=session["n"])


@app.post("/digest")
def digest():
    sha, size = hashlib.sha256(), 0
    while chunk := request.stream.read(65536):
        sha.update(chunk)
        size += len(chunk)
    return jsonify(sha256=sha.hexdigest(), size=size)


@app.get("/download/<int:mib>")
def download(mib):
    block = bytes(range(256)) * 4096

    def blocks():
        for _ in range(mib):
            yield block

    return Response(blocks(), headers={"Content-Length": str(mib * len(block))}, mimetype="application/octet-stream")


@app.get("/stream")
def stream():
    return Response((f"line {n}\n" for n in range(100)), mimetype="text/plain")


@app.get("/cut")
def cut():
    def lines():
        yield "one\n"
        yield "two\n"
        raise RuntimeError("the app breaks in the middle of its answer")

    return Response(lines(), mimetype="text/plain")


@app.get("/cut/short")
def cut_short():
    def lines():
        yield "one\n"
        raise RuntimeError("the app breaks in the middle of its answer")

    return Response(lines(), mimetype="text/plain", headers={"Content-Length": "100"})


@app.get("/cut/<int:count>")
def cut_late(count):
    def lines():
        for _ in range(count):
            yield os.urandom(500).hex() + "\n"
        raise RuntimeError("the app breaks in the middle of its answer")

    return Response(lines(), mimetype="text/plain")


@app.get("/die")
def die():
    os.kill(os.getpid(), 9)


@app.get("/wait/<path:gate>")
def wait(gate):
    """Answer when the FIFO `gate` has been opened and closed by the test."""
    with open("/" + gate, "rb") as fifo:
        fifo.read()
    return f"waited {os.getpid()}"


@app.get("/slow/<int:milliseconds>")
def slow(milliseconds):
    time.sleep(milliseconds / 1000)
    return str(os.getpid())


@app.get("/environ")
def environ():
    return jsonify({name: value for name, value in request.environ.items() if isinstance(value, str)})


@app.get("/osenviron")
def osenviron():
    return jsonify(dict(os.environ))


application = validator(app)
