"""A chat room in Starlette: a page, and a WebSocket on which everybody hears everybody."""

from __future__ import annotations

import contextlib

from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

PAGE = """<!doctype html>
<title>Chat</title>
<form id="say"><input id="text" autocomplete="off" autofocus><button>Say</button></form>
<ul id="heard"></ul>
<script>
  const socket = new WebSocket("%s");
  socket.onmessage = (event) => {
    const line = document.createElement("li");
    line.textContent = event.data;
    document.getElementById("heard").append(line);
  };
  document.getElementById("say").onsubmit = (event) => {
    event.preventDefault();
    socket.send(document.getElementById("text").value);
    document.getElementById("text").value = "";
  };
</script>
"""

room: set[WebSocket] = set()


async def page(request: Request) -> HTMLResponse:
    return HTMLResponse(PAGE % request.url_for("chat"))


class Chat(WebSocketEndpoint):
    encoding = "text"

    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        room.add(websocket)
        await websocket.send_text(f"{len(room)} here")

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        for member in list(room):
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await member.send_text(data)

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        room.discard(websocket)


app = Starlette(routes=[Route("/", page), WebSocketRoute("/chat", Chat, name="chat")])
