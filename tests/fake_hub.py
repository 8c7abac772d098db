"""A Hugging Face Hub of one repository on 127.0.0.1: the few endpoints that a download uses."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34


@dataclass
class FakeHub:
    repo: str
    folder: Path
    revisions: tuple[str, ...] = ("main", COMMIT)
    token: str | None = None  # the only one that may read files; None: anybody may
    refusal: str = "GatedRepo"  # the code of a 403
    refused: dict[str, int] = field(default_factory=dict)  # file name to status of its GET
    cut_once: set[str] = field(default_factory=set)  # files whose first GET breaks off half-way
    fetched: list[tuple[str, str]] = field(default_factory=list)  # (file, Range header)
    endpoint: str = ""

    @contextmanager
    def running(self) -> Iterator["FakeHub"]:
        handler = type("Handler", (_Handler,), {"hub": self})
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            self.endpoint = f"http://127.0.0.1:{server.server_port}"
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        api = re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/([^/]+)", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        repo, revision = (api[1], api[2]) if api else (file[1], file[2]) if file else ("", "")
        if repo != self.hub.repo:
            self._fail(401 if self._token() is None else 404, "RepoNotFound")
        elif self._token() == "unknown":
            self._fail(401, "", "Invalid credentials in Authorization header")
        elif revision not in self.hub.revisions:
            self._fail(404, "RevisionNotFound")
        elif api:
            self._send_json(_model(self.hub))
        elif self.hub.token not in (None, self._token()):
            self._fail(401 if self._token() is None else 403, self.hub.refusal)
        elif file:
            self._send_file(self.hub.folder / file[3])

    def _token(self) -> str | None:
        header = self.headers.get("Authorization")
        return header.removeprefix("Bearer ") if header else None

    def _fail(self, status: int, code: str, message: str = "no") -> None:
        self._send(status, b"", {"X-Error-Code": code, "X-Error-Message": message})

    def _send_json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send_file(self, path: Path) -> None:
        content, name, status = path.read_bytes(), path.name, 200
        headers = {"ETag": f'"{_sha256(path)}"', "X-Repo-Commit": COMMIT}
        if self.command == "GET":
            wanted = self.headers.get("Range", "")
            self.hub.fetched.append((name, wanted))
            if refused := self.hub.refused.get(name):
                return self._fail(refused, "")
            if start := re.fullmatch(r"bytes=(\d+)-", wanted):
                headers["Content-Range"] = f"bytes {start[1]}-{len(content) - 1}/{len(content)}"
                content, status = content[int(start[1]) :], 206
        self._send(status, content, headers, is_cut=self._is_cut(name))

    def _is_cut(self, name: str) -> bool:
        is_cut = self.command == "GET" and name in self.hub.cut_once
        if is_cut:
            self.hub.cut_once.remove(name)
        return is_cut

    def _send(
        self, status: int, content: bytes, headers: dict[str, str], *, is_cut: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[: len(content) // 2] if is_cut else content)
        if is_cut:
            self.close_connection = True


def _model(hub: FakeHub) -> dict[str, object]:
    siblings = [
        {
            "rfilename": str(path.relative_to(hub.folder)),
            "size": path.stat().st_size,
            "blobId": "0" * 40,
            "lfs": _lfs(path),
        }
        for path in sorted(path for path in hub.folder.rglob("*") if path.is_file())
    ]
    return {"id": hub.repo, "modelId": hub.repo, "sha": COMMIT, "siblings": siblings}


def _lfs(path: Path) -> dict[str, object] | None:
    if path.suffix == ".json":
        return None
    return {"size": path.stat().st_size, "sha256": _sha256(path), "pointerSize": 134}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
