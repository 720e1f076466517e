"""A small FastAPI application: validation, a lifespan, a background task, a stream of events, a WebSocket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import BackgroundTasks, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field


class Note(BaseModel):
    title: str = Field(min_length=1, max_length=80)
    text: str = ""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, object]]:
    notes: dict[int, Note] = {}
    yield {"notes": notes, "mails": []}
    print(f"closed with {len(notes)} notes", flush=True)


app = FastAPI(title="Notes", lifespan=lifespan)


@app.get("/")
async def index(request: Request) -> dict[str, object]:
    return {
        "notes": len(request.state.notes),
        "mails": len(request.state.mails),
        "url": str(request.url),
        "docs": str(request.url_for("swagger_ui_html")),
        "client": request.client.host if request.client else None,
    }


@app.post("/notes", status_code=201)
async def add(note: Note, request: Request, background: BackgroundTasks) -> dict[str, object]:
    number = len(request.state.notes) + 1
    request.state.notes[number] = note
    background.add_task(request.state.mails.append, number)
    return {"id": number, **note.model_dump()}


@app.get("/notes/{number}")
def show(number: int, request: Request) -> Note:
    """Not `async`: runs in a thread."""
    if number not in request.state.notes:
        raise HTTPException(404)
    return request.state.notes[number]


@app.get("/events")
async def events(count: int = 3) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        for number in range(count):
            yield f"data: {number}\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")


@app.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)
