"""A person with a browser: cookies that are kept, forms that are filled in and sent with all their hidden fields."""

from __future__ import annotations

import re
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from tests.support.http import Answer, fetch

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Visitor:
    """One person at one server name."""

    def __init__(self, port: int, host: str) -> None:
        self.jar: dict[str, str] = {}
        self._port = port
        self._host = host

    def get(self, path: str) -> Answer:
        return self._keep(fetch(self._port, path, host=self._host, headers=self._cookies()))

    def post(self, path: str, fields: dict[str, str]) -> Answer:
        """Send exactly these fields."""
        body = urlencode(fields).encode()
        headers = self._cookies() | FORM
        return self._keep(fetch(self._port, path, method="POST", host=self._host, body=body, headers=headers))

    def token(self, page: Answer, name: str) -> str:
        """The value of the hidden field of that name."""
        found = re.search(rf'name="{name}" value="([^"]+)"', page.text)
        assert found, page.text
        return found[1]

    def _cookies(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.jar.items())} if self.jar else {}

    def _keep(self, answer: Answer) -> Answer:
        for line in answer.set_cookies:
            self.jar |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
        return answer
