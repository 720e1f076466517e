"""A page, and an upload that answers with the digest of what arrived."""

import hashlib

from django.http import HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from .models import Note


def index(request):
    """How many notes there are."""
    return HttpResponse(f"django {Note.objects.count()} notes")


@csrf_exempt
def upload(request):
    """Digest of an uploaded file."""
    sha, size = hashlib.sha256(), 0
    for chunk in request.FILES["file"].chunks():
        sha.update(chunk)
        size += len(chunk)
    return JsonResponse({"sha256": sha.hexdigest(), "size": size})
