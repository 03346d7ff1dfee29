"""A loopback server of a folder as the hub serves it (`root/ORG/NAME/...`), which counts what it is asked.

The endpoints are those that `datasets` and `huggingface_hub` use: a repository's facts, its tree, its files with byte ranges.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
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
    gated: set[str] = field(default_factory=set)
    fail_after: int | None = None  # data answers, after which it answers 503
    ranges: bool = True

    def data(self, suffix: str = "") -> list[Asked]:
        """Return the answered requests for files of that ending."""
        return [
            entry
            for entry in self.asked
            if entry.method == "GET"
            and entry.sent
            and "/resolve/" in entry.path + "/resolve/" * ("/plain/" in entry.path)
            and entry.path.endswith(suffix)
        ]

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


class _Answer:
    def __init__(self, handler: BaseHTTPRequestHandler, state: HubServer) -> None:
        self.handler, self.state = handler, state
        parsed = urlparse(handler.path)
        self.path, self.query = unquote(parsed.path), parse_qs(parsed.query)

    def give(self) -> None:
        if self.path.startswith("/plain/"):
            return self.file(self.state.root / self.path.removeprefix("/plain/"), "")
        found = re.fullmatch(r"(?:/api)?/datasets/([^/]+/[^/]+)(?:/(revision|tree|resolve|paths-info)/([^/]+)(?:/(.*))?)?", self.path)
        if not found:
            return self.text(404, "{}")
        name, what, revision, rest = found.groups()
        repo = self.state.root / name
        if not repo.is_dir():
            return self.text(401, "{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        commit = commit_of(repo)
        if revision not in (None, "main", commit):
            return self.text(404, "{}", {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"})
        if name in self.state.gated:
            return self.text(403, "{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to it is restricted"})
        if what in (None, "revision"):
            return self.text(
                200,
                json.dumps(
                    {
                        "id": name,
                        "sha": commit,
                        "private": False,
                        "gated": False,
                        "disabled": False,
                        "downloads": 0,
                        "likes": 0,
                        "tags": [],
                        "siblings": [],
                        "lastModified": "2026-01-01T00:00:00.000Z",
                    }
                ),
            )
        if what == "tree":
            return self.tree(repo, rest or "")
        return self.file(repo / (rest or ""), commit)

    def tree(self, repo: Path, below: str) -> None:
        folder = repo / below
        if not folder.is_dir():
            return self.text(404, "{}", {"X-Error-Code": "EntryNotFound", "X-Error-Message": "no such folder"})
        paths = folder.rglob("*") if self.query.get("recursive", ["false"])[0].lower() in ("true", "1") else folder.iterdir()
        entries = []
        for path in sorted(paths):
            about = {"path": path.relative_to(repo).as_posix(), "oid": hashlib.sha1(str(path).encode()).hexdigest()}
            entries.append(
                {**about, "type": "directory", "size": 0} if path.is_dir() else {**about, "type": "file", "size": path.stat().st_size}
            )
        self.text(200, json.dumps(entries))

    def file(self, path: Path, commit: str) -> None:
        if path.is_dir() and not commit:
            links = "".join(f'<a href="{p.name}{"/" if p.is_dir() else ""}">x</a>\n' for p in sorted(path.iterdir()))
            return self.text(200, f"<html><body>{links}</body></html>", {"Content-Type": "text/html"})
        if not path.is_file():
            return self.text(404, "", {"X-Error-Code": "EntryNotFound", "X-Error-Message": "no such file", "X-Repo-Commit": commit})
        if self.state.fail_after is not None and self.handler.command == "GET" and path.suffix != ".md":
            if self.state.fail_after <= 0:
                return self.text(500, "{}")
            self.state.fail_after -= 1
        content = path.read_bytes()
        headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        asked = self.handler.headers.get("Range", "")
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
        if found and self.state.ranges:
            start, end = int(found[1]), min(int(found[2] or len(content) - 1), len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            return self.bytes(206, content[start : end + 1], headers, asked)
        self.bytes(200, content, headers, asked)

    def text(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
        self.bytes(status, body.encode(), {"Content-Type": "application/json", **(headers or {})}, "", count=False)

    def bytes(self, status: int, body: bytes, headers: dict[str, str], asked: str, count: bool = True) -> None:
        handler = self.handler
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        with_body = handler.command != "HEAD"
        if with_body:
            handler.wfile.write(body)
        self.state.asked.append(Asked(handler.command, self.path, asked, len(body) if with_body and count else 0))
