"""A page, an upload that answers with the digest of what arrived, and what only ASGI can do."""

import asyncio
import hashlib
from pathlib import Path

from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
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


async def about(request):
    """What the application knows, asked through the asynchronous half of the ORM."""
    scheme, client = request.scheme, request.META["REMOTE_ADDR"]
    return JsonResponse({"notes": await Note.objects.acount(), "scheme": scheme, "client": client})


async def stream(request):
    """The second half waits until somebody writes into the FIFO that the request names."""
    gate = Path(request.GET["gate"])

    async def halves():
        yield b"first half\n"
        await asyncio.to_thread(gate.read_text)
        yield b"second half\n"

    return StreamingHttpResponse(halves(), content_type="text/plain")
