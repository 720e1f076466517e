"""The page itself: three files beside this one made into one document that loads nothing, and may do nothing else.

Rules.
1. Script and style stand in the document; the policy names their digests, so that nothing else runs, whatever else
   might get into the page.
2. It is put together once, when somebody asks for the first time.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path

from passenger.request.errorresponse import response

_HERE = Path(__file__).resolve().parent


@functools.cache
def page() -> bytes:
    """The whole response."""
    style, script = (_text(name) for name in ("page.css", "page.js"))
    document = _text("page.html").replace("/*style*/", style).replace("/*script*/", script)
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return response(200, document.encode(), policy=policy)


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
