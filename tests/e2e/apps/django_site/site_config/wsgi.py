"""The WSGI entry point that `django-admin startproject` writes, under the eyes of a validator."""

import os
from wsgiref.validate import validator

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_config.settings")
application = validator(get_wsgi_application())
