"""The administrator of the Django project comes in, and nobody else."""

from __future__ import annotations

from tests.support.http import fetch
from tests.support.projects import ADMIN, PASSWORD
from tests.support.visitor import Visitor


def check_admin_login(port: int, host: str) -> None:
    """The whole dance: form, token, two cookies, redirect, a page that others do not get; no token, no entrance."""
    visitor = Visitor(port, host)
    form = visitor.get("/admin/login/?next=/admin/")
    assert form.status == 200
    fields = {"username": ADMIN, "password": PASSWORD, "next": "/admin/"}
    token = {"csrfmiddlewaretoken": visitor.token(form, "csrfmiddlewaretoken")}
    answer = visitor.post("/admin/login/", fields | token)
    assert (answer.status, answer.headers["location"]) == (302, "/admin/")
    page = visitor.get("/admin/")
    assert page.status == 200
    assert "Site administration" in page.text
    assert fetch(port, "/admin/", host=host).status == 302
    assert visitor.post("/admin/login/", fields).status == 403
