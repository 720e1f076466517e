"""One model, so that the admin has something to show."""

from django.db import models


class Note(models.Model):
    """A line of text."""

    text = models.CharField(max_length=200)

    def __str__(self):
        return self.text
