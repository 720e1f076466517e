"""How ASGI applications are loaded and served. Python 3.8 or newer; besides the standard library only uvicorn."""
