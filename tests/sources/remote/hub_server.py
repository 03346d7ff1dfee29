"""A loopback server of a folder as the hub serves it (`root/ORG/NAME/...`), which counts what it is asked.

The endpoints are those that `datasets` and `huggingface_hub` use: a repository's facts, its tree, its files with byte ranges.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlparse


@dataclass
class Asked:
    """One answered request."""

    method: str
    path: str
    range: str
    sent: int


@dataclass
class HubServer:
    root: Path
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    gated: dict[str, set[str]] = field(default_factory=dict)  # repository -> files that are not given
    on_data: Callable[[int], None] | None = None  # called after every answer with data, with how many there were

    def data(self, suffix: str = "") -> list[Asked]:
        """Return the requests that were answered with (a part of) a file of that ending."""
        return [entry for entry in self.asked if entry.sent and entry.path.endswith(suffix)]

    def interrupt(self, after: int, action: Callable[[], object] | None) -> None:
        """Call something once so many answers with data were given; None: no more."""
        self.on_data = (lambda count: action() if count == after else None) if action else None

    def sent(self, suffix: str = "") -> int:
        return sum(entry.sent for entry in self.data(suffix))


@contextmanager
def serving(root: Path) -> Iterator[HubServer]:
    state = HubServer(root)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            _Answer(self, state).give()

        def do_GET(self) -> None:
            _Answer(self, state).give()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            _Answer(self, state).give()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def commit_of(repo: Path) -> str:
    """Return a commit hash that changes when a file's name or size does."""
    names = sorted(f"{p.relative_to(repo)} {p.stat().st_size}" for p in repo.rglob("*") if p.is_file())
    return hashlib.sha1("\n".join(names).encode()).hexdigest()


Reply = tuple[int, bytes, dict[str, str]]
_FACTS = {"private": False, "gated": False, "disabled": False, "downloads": 0, "likes": 0, "tags": [], "siblings": []}


class _Answer:
    def __init__(self, handler: BaseHTTPRequestHandler, state: HubServer) -> None:
        self.handler, self.state = handler, state
        parsed = urlparse(handler.path)
        self.path, self.query = unquote(parsed.path), parse_qs(parsed.query)

    def give(self) -> None:
        status, body, headers = self.reply()
        self.handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.handler.send_header(name, value)
        self.handler.end_headers()
        with_body = self.handler.command != "HEAD"
        if with_body:
            self.handler.wfile.write(body)
        sent = len(body) if with_body and status in (200, 206) and "ETag" in headers else 0
        self.state.asked.append(Asked(self.handler.command, self.path, self.handler.headers.get("Range", ""), sent))
        if sent and self.state.on_data:
            self.state.on_data(len(self.state.data()))

    def reply(self) -> Reply:
        if self.path.startswith("/plain/"):
            return self.file(self.state.root / self.path.removeprefix("/plain/"), "")
        found = re.fullmatch(r"(?:/api)?/datasets/([^/]+/[^/]+)(?:/(revision|tree|resolve)/([^/]+)(?:/(.*))?)?", self.path)
        if not found:
            return 404, b"{}", {}
        name, what, revision, rest = found.groups()
        repo = self.state.root / name
        if not repo.is_dir():
            return _error(401, "RepoNotFound", "Repository not found")
        commit = commit_of(repo)
        if revision not in (None, "main", commit):
            return _error(404, "RevisionNotFound", "Invalid rev id")
        if name in self.state.gated and what == "resolve" and rest in self.state.gated[name]:
            return _error(403, "GatedRepo", "Access to it is restricted")
        if what in (None, "revision"):
            return 200, json.dumps({"id": name, "sha": commit, "lastModified": "2026-01-01T00:00:00.000Z", **_FACTS}).encode(), {}
        return self.tree(repo, rest or "") if what == "tree" else self.file(repo / (rest or ""), commit)

    def tree(self, repo: Path, below: str) -> Reply:
        folder = repo / below
        if not folder.is_dir():
            return _error(404, "EntryNotFound", "no such folder")
        paths = folder.rglob("*") if self.query.get("recursive", ["false"])[0].lower() in ("true", "1") else folder.iterdir()
        entries = []
        for path in sorted(paths):
            kind, size = ("directory", 0) if path.is_dir() else ("file", path.stat().st_size)
            oid = hashlib.sha1(str(path).encode()).hexdigest()
            entries.append({"path": path.relative_to(repo).as_posix(), "oid": oid, "type": kind, "size": size})
        return 200, json.dumps(entries).encode(), {}

    def file(self, path: Path, commit: str) -> Reply:
        if path.is_dir() and not commit:
            links = "".join(f'<a href="{p.name}{"/" if p.is_dir() else ""}">x</a>\n' for p in sorted(path.iterdir()))
            return 200, f"<html><body>{links}</body></html>".encode(), {"Content-Type": "text/html"}
        if not path.is_file():
            return _error(404, "EntryNotFound", "no such file")
        content = path.read_bytes()
        headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.handler.headers.get("Range", ""))
        if not found:
            return 200, content, headers
        start, end = int(found[1]), min(int(found[2] or len(content) - 1), len(content) - 1)
        return 206, content[start : end + 1], {**headers, "Content-Range": f"bytes {start}-{end}/{len(content)}"}


def _error(status: int, code: str, message: str) -> Reply:
    return status, b"{}", {"X-Error-Code": code, "X-Error-Message": message}
