"""Static files of an application behind Apache.

Rules.
1. Static is GET and HEAD of a regular file below the document root, as with nginx; everything else is the
   application's: folders, dotfiles, symbolic links, other methods, and what does not exist.
2. Apache itself says whether it would serve a file (`-F`), so that what it would refuse goes to the application.
3. A file is sent as it is: nothing that the rest of the Apache does to `.php` or `.cgi` happens here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from passenger.config.model import App
from passenger.webserver.apachetree import Item, Line, line, section, value


def static_files(prefix: str, root: str, app: App) -> Iterator[Item]:
    """Where the files are and how they are sent."""
    yield line("Alias", f"{prefix}/", f"{value(root)}/")
    age = app.nginx.static_max_age
    yield section(
        "Directory",
        value(root),
        body=[
            line("Options", "None"),
            line("AllowOverride", "None"),
            line("Require", "all", "granted"),
            *([line("Header", "set", "Cache-Control", f"max-age={math.ceil(age)}")] if age else []),
            section("If", "true", body=[line("SetHandler", "default-handler")]),
        ],
    )


def static_rules(prefix: str, root: str) -> Iterator[Line]:
    """Requests that are for a file end here."""
    escaped = prefix.replace(".", r"\.")
    for pattern, file in ((f"^{escaped}/$", "index.html"), (f"^{escaped}/(.+)$", "$1")):
        yield line("RewriteCond", "%{REQUEST_METHOD}", "^(?:GET|HEAD)$")
        yield line("RewriteCond", "%{REQUEST_URI}", r"!/\.")
        yield line("RewriteCond", f"{root}/{file}", "-f")
        yield line("RewriteCond", f"{root}/{file}", "-F")
        target = "-" if file == "$1" else f"{prefix}/{file}"
        yield line("RewriteRule", pattern, target, "[PT,L]")
