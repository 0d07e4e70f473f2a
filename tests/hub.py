"""A small Hugging Face Hub on loopback, with faults on demand, for tests with the real client.

    with FakeHub() as hub:
        hub.add_file("dataset", "owner/name", "folder/file.parquet", data)
        hub.add_file("model", "owner/net", "model.safetensors", weights, fault="cut")
        hub.add_path("/idx/train-images-idx3-ubyte.gz", data)      # a plain file, for tests of HTTP mirrors
        ...                                                        # HF_ENDPOINT=hub.url

It speaks as much of the Hub's protocol as ``hf_hub_download`` needs: HEAD and GET of ``/resolve/``, with the headers
from which the client takes a file's size, version and kind of error.

Faults, of one file (``fault=``) or of the whole server (``hub.mode``):

    404          as if it did not exist
    500          a server error
    cut          the answer ends in the middle
    corrupt      the right number of bytes, but a quarter of them wrong
    silent       the connection is accepted, but nothing is ever sent
    silent_body  the file's first half, then nothing
    trickle      all of it, in ``hub.pieces`` pieces ``hub.pause`` seconds apart
    private      as if it did not exist, unless ``TOKEN`` is sent
    redirect     the answer redirects to another host, as the real Hub does for large files
    loop         a redirection to itself

Any other token is refused for every request, as by the real Hub.
"""

import hashlib
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest
from conftest import wait_until

from hi_mnist.files import ROOT

NOWHERE = "http://127.0.0.1:9"  # the discard port: refused at once
POSIX = pytest.mark.skipif(os.name == "nt", reason="needs signals and limits of POSIX")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_the_good_one"
# Faults of every download, each with a pattern of the reason that must be told.
REASONS = {"silent": "no byte", "silent_body": "no byte", "cut": "cut ", "500": "HTTP status 500", "loop": "redirect"}
RESOLVE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/[^/]+/(.+)")


def use_hub(monkeypatch, home: Path, url: str) -> None:
    """Point this process at a Hub, without token and with an empty cache in ``home``.

    The client read the user's variables when it was imported, so its settings are changed as well.
    """
    from huggingface_hub import constants

    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setenv("HF_HOME", str(home))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # FakeHub has none


def stopped_download(hub, by: int) -> tuple[int, str, str]:
    """``load_resources.py``, sent a signal once it downloads: its status and output."""
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # pytest may ignore it
    code += "import load_resources as l; sys.exit(l.cli.run_script(lambda: l.main([])))"
    hub.requests.clear()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, **pipes)
    wait_until(lambda: hub.requests)
    process.send_signal(by)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a silent answer's thread waits for the thread that would wait for it

    def handle_error(self, request, client_address) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client may hang up, as on a full disk
            super().handle_error(request, client_address)


class FakeHub:
    """The server; it runs between ``__enter__`` and ``__exit__``."""

    def __init__(self, mode: str | None = None):
        self.mode = mode  # the fault of files without their own; None is a working server
        self.requests: list[tuple[str, str]] = []  # as (method, path)
        self.pieces, self.pause = 10, 0.1  # of the fault trickle
        self.commit = COMMIT  # the version of every repository
        self.closing = threading.Event()
        self._files: dict[str, tuple[bytes, str | None]] = {}
        self._repos: set[str] = set()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        # By default the server checks for its end every half second, which would slow each test.
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def add_file(self, repo_type: str, repo_id: str, filename: str, data: bytes, fault: str | None = None) -> None:
        """Put a file into a repository of ``repo_type`` dataset or model; the repository exists from then on."""
        prefix = {"dataset": "/datasets/", "model": "/"}[repo_type]
        self._repos.add(f"{prefix}{repo_id}")
        self.add_path(f"{prefix}{repo_id}/{filename}", data, fault)

    def add_path(self, path: str, data: bytes, fault: str | None = None) -> None:
        """Put a plain file at a path of the server."""
        self._files[path] = data, fault

    def lookup(self, path: str) -> tuple[bytes | None, str | None, str]:
        """A path's file (None if it is missing), its fault, and the Hub's code for what is missing."""
        resolved = RESOLVE.fullmatch(path)
        if resolved is None:
            data, fault = self._files.get(path, (None, None))
            return data, fault or self.mode, ""
        repo = f"/{resolved[1] or ''}{resolved[2]}"
        data, fault = self._files.get(f"{repo}/{resolved[3]}", (None, None))
        return data, fault or self.mode, "EntryNotFound" if repo in self._repos else "RepoNotFound"

    def __enter__(self) -> "FakeHub":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        pass  # the tests read hub.requests

    def do_GET(self) -> None:
        path = unquote(self.path).removeprefix("/elsewhere")
        elsewhere = path != unquote(self.path)
        self.hub.requests.append((self.command, path))
        data, fault, missing = self.hub.lookup(path)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in ("", TOKEN):
            self._head(401, {"X-Error-Message": "Invalid credentials in Authorization header"})
        elif fault == "private" and not token:
            self._head(401, {"X-Error-Code": "RepoNotFound"})
        elif fault == "silent":
            self.hub.closing.wait()
            self.close_connection = True
        elif fault == "500":
            self._head(500)
        elif data is None or fault == "404":
            self._head(404, {"X-Error-Code": missing})
        elif fault == "loop" or (fault == "redirect" and not elsewhere):
            place = "" if fault == "loop" else f"http://localhost:{self.server.server_port}/elsewhere"
            linked = {"X-Linked-ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Linked-Size": len(data)}
            self._head(302, {"Location": place + self.path, **linked})
        else:
            try:
                self._send(data, fault)
            except ConnectionError:
                self.close_connection = True  # the client was killed, as it should be

    do_HEAD = do_GET

    def _head(self, status: int, headers: dict | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": 0, "X-Repo-Commit": self.hub.commit, **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()

    def _send(self, data: bytes, fault: str | None) -> None:
        etag, half = hashlib.sha256(data).hexdigest(), len(data) // 2
        if fault == "corrupt":
            data = data[: half // 2] + bytes(255 - byte for byte in data[half // 2 : half]) + data[half:]
        self._head(200, {"ETag": f'"{etag}"', "Content-Length": len(data)})
        if self.command == "HEAD":
            return
        if fault in ("silent_body", "cut"):
            self.wfile.write(data[:half])
            if fault == "silent_body":
                self.hub.closing.wait()
            self.close_connection = True
        elif fault == "trickle":
            size = -(-len(data) // self.hub.pieces)
            for i in range(0, len(data), size):
                self.wfile.write(data[i : i + size])
                self.hub.closing.wait(self.hub.pause)
        else:
            self.wfile.write(data)
