"""Routes."""

from django.contrib import admin
from django.urls import path
from notes import views

urlpatterns = [
    path("", views.index),
    path("upload", views.upload),
    path("about", views.about),
    path("stream", views.stream),
    path("admin/", admin.site.urls),
]
