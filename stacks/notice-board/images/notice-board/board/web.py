"""
The server of the page: `/`, `/board.json`, `/style.css` and `/health`.
"""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from board.page import Board, find_nodes
from board.store import UNAVAILABLE, Store

HERE = Path(__file__).parent
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def serve(store: Store) -> None:
    """
    Serve until the process is told to end.
    """
    silent_s, forget_s = (float(os.environ[name]) for name in ("SILENT_S", "FORGET_S"))
    release = (HERE.parent / "release").read_text(encoding="utf-8").strip()

    def board(more_views: int = 0) -> Board:
        nodes = find_nodes(store.beats(), store.now(), silent_s=silent_s, forget_s=forget_s)
        return Board(release, store.views(more_views), store.notices(), nodes)

    answers = {
        "/": ("text/html", lambda: board(1).html()),
        "/board.json": ("application/json", lambda: board().json()),
        "/style.css": ("text/css", (HERE / "style.css").read_text),
        "/health": ("text/plain", lambda: "ok\n"),
    }

    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # for a client that sends nothing

        def do_GET(self) -> None:
            status, (kind, answer) = 200, answers.get(self.path, ("text/plain", None))
            try:
                text = answer() if answer else "there is no such page\n"
                status = 200 if answer else 404
            except UNAVAILABLE:
                status, kind, text = 503, "text/plain", "the store does not answer\n"
            self.send_response(status)
            for header in {**HEADERS, "Content-Type": f"{kind}; charset=utf-8"}.items():
                self.send_header(*header)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """
            Log nothing: the healthcheck would fill the log.
            """

    ThreadingHTTPServer(("", 8090), Handler).serve_forever()
