"""A large file on its way into an application, and what the application has to say about it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from tests.support.http import fetch

MIB = 1024 * 1024
BLOCK = bytes(range(256)) * 4096
HEAD = b'--xx\r\nContent-Disposition: form-data; name="file"; filename="big.bin"\r\n\r\n'
TAIL = b"\r\n--xx--\r\n"


def check_upload(port: int, host: str, *, mebibytes: int = 100) -> None:
    """A multipart upload to /upload arrives byte for byte: the application answers `sha256` and `size`."""
    sha = hashlib.sha256()
    for _ in range(mebibytes):
        sha.update(BLOCK)

    def body() -> Iterator[bytes]:
        yield HEAD
        for _ in range(mebibytes):
            yield BLOCK
        yield TAIL

    length = len(HEAD) + mebibytes * MIB + len(TAIL)
    headers = {"Content-Type": "multipart/form-data; boundary=xx", "Content-Length": str(length)}
    answer = fetch(port, "/upload", method="POST", host=host, body=body(), headers=headers, timeout=90)
    assert answer.status == 200, answer.text
    assert json.loads(answer.text) == {"sha256": sha.hexdigest(), "size": mebibytes * MIB}
