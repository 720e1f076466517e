"""A Django site in one file: who answers, and with which release."""

import os
import pathlib

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

RELEASE = pathlib.Path(__file__).with_name("release").read_text().strip()

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ["SECRET_KEY"],
    USE_TZ=True,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)


def front(request):
    status = 500 if RELEASE == "sick" else 200
    return HttpResponse(f"blog {RELEASE} {os.uname().nodename} {django.__version__}\n", "text/plain", status)


def note(request):
    return HttpResponse(pathlib.Path("shared/notes").joinpath("note").read_text(), "text/plain")


urlpatterns = [path("", front), path("note", note)]
if RELEASE == "broken":
    raise RuntimeError("this release does not start")
application = get_wsgi_application()
