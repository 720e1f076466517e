"""The example application: plain WSGI, no framework. Any callable named `application` will do."""

import html
import os


def application(environ, start_response):
    """Say who served the request."""
    path = html.escape(environ["SCRIPT_NAME"] + environ["PATH_INFO"])
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>It works</title><link rel="stylesheet" href="/style.css"></head>
<body><h1>It works</h1><p>Process {os.getpid()} of <em>{os.environ["PASSENGER_APP_ENV"]}</em> answered
<code>{path}</code>.</p></body></html>
""".encode()
    headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(page)))]
    start_response("200 OK", headers)
    return [page]
