"""A download that is dropped when it goes silent.

    patience = download.Patience(download.TOTAL_LIMIT)
    paths, cached = download.dataset_from_hub("ylecun/mnist", ["mnist/test-00000-of-00001.parquet"], folder, patience)
    paths = download.files_by_http("https://some.mirror/mnist/", ["train-images-idx3-ubyte.gz"], folder, patience)
    config, weights = download.network_from_hub("owner/name", ["config.json", "model.safetensors"])

Each returns the paths of whole files, or raises ``SourceDropped`` with the reason: after five seconds without a byte,
or at once where the answer is clear. A download that moves, however slowly, is never cut.

It runs in a process of its own, because only a process can be stopped for certain: a name server that does not answer,
or a client that waits before it tries again, blocks a thread for as long as it likes. That process is this very file,
run as a script (the second half below); it reports each answer and each byte on its standard output, and the first half
watches how long it says nothing. Neither half imports anything of the lab, so that it starts quickly.
"""

import contextlib
import errno
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

SILENCE_LIMIT = 5.0  # seconds without a byte after which a source is given up
CACHED_LIMIT = 2.0  # the same where the Hub is only asked for something newer than the copy in its cache
TOTAL_LIMIT = 20.0  # seconds without a byte of a file, over all sources together
CLEAR_UP_LIMIT = 0.5  # seconds in which a stopped download may clear up after itself


class SourceDropped(Exception):
    """A source does not give what was asked of it; the text says why, in a few words.

    Attributes:
        lacks: what there is not, where that is the reason: ``name`` (it is no Hub id), ``repository``, ``file`` or
            ``network`` (``HF_HUB_OFFLINE`` is set).
    """

    def __init__(self, text: str, lacks: str = ""):
        super().__init__(text)
        self.lacks = lacks


class Patience:
    """How many seconds all sources together may still pass without a byte of a file."""

    def __init__(self, seconds: float):
        self.seconds = seconds


def dataset_from_hub(
    repo_id: str, names: list[str], folder: Path, patience: Patience, use_cache: bool = True
) -> tuple[list[Path], bool]:
    """Get files of a public data set from the Hub's cache or, by its own client, from the Hub.

    Args:
        repo_id: ``owner/name``.
        names: of the files, with their folders in the repository.
        folder: where files from the Hub go; what it holds is deleted first. The user's Hub cache stays as it is.
        patience: is used up by waiting, never by a download that moves.
        use_cache: False leaves the cache aside (it holds a bad copy).

    Returns:
        The files, and whether they are those in the Hub's cache.

    Raises:
        SourceDropped: nothing arrived in time, or the Hub does not have them.
        OSError: they could not be written.
    """
    _clear(folder)
    task = {"kind": "dataset", "repo_id": repo_id, "names": names, "folder": str(folder), "use_cache": use_cache}
    return _fetch(task, patience)


def files_by_http(url: str, names: list[str], folder: Path, patience: Patience, largest: int) -> list[Path]:
    """Get the files ``url + name`` by plain HTTP, none of more than ``largest`` bytes; the rest as above."""
    _clear(folder)
    task = {"kind": "http", "url": url, "names": names, "folder": str(folder), "largest": largest}
    return _fetch(task, patience)[0]


def network_from_hub(repo_id: str, names: list[str]) -> list[Path]:
    """Get files of a model by way of the user's Hub cache, with the user's token where there is one.

    The Hub is asked for a newer version each time, as its client does. A copy in the cache is used where the Hub
    cannot be had, which a line on standard error says.

    Raises:
        SourceDropped: nothing arrived in time, or the Hub does not have them; and there is no copy.
        OSError: they could not be written.
    """
    task = {"kind": "model", "repo_id": repo_id, "names": names}
    return _fetch(task, Patience(TOTAL_LIMIT))[0]


def short(error: object) -> str:
    """A foreign error's text in one short line of ASCII, which every console can show."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.encode("ascii", "replace").decode()[:120]


# --------------------------------------------------------------------------- the watch over the download process


def _clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _fetch(task: dict, patience: Patience) -> tuple[list[Path], bool]:
    """Let another process download files, and stop it when nothing arrives any more.

    Args:
        task: for ``_worker``.
        patience: is used up by waiting, never by a download that moves.

    Returns:
        The files, and whether they were in the Hub's cache already.

    Raises:
        SourceDropped: nothing arrived in time, or the source does not have them.
        OSError: they could not be written.
    """
    environment = os.environ | {
        "HF_HUB_DISABLE_XET": "1",  # Xet transfers go around the HTTP client, so that no byte could be counted
        "HF_HUB_DISABLE_TELEMETRY": "1",  # for it the client asks the Hub for a list, also when it should ask nothing
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), WORKER_FLAG, json.dumps(task)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    events: queue.Queue = queue.Queue()
    reader = threading.Thread(target=_read_events, args=(process.stdout, events), daemon=True)
    reader.start()
    try:
        return _watch(events, patience)
    finally:
        if task["kind"] == "model":
            _let_clear_up(process)
        process.kill()
        process.wait()
        reader.join(SILENCE_LIMIT)


def _watch(events: queue.Queue, patience: Patience) -> tuple[list[Path], bool]:
    """Follow a worker's reports up to its last one, or to the silence in which it is given up; as ``_fetch``."""
    from tqdm import tqdm

    last_body = last_sign = time.monotonic()
    silence_limit = float("inf")  # to start a process is slow on some machines, and not the source's fault
    copy, copy_of = None, ""  # the files in the Hub's cache, if it has them
    bar = None
    try:
        while True:
            now = time.monotonic()
            left = min(patience.seconds - (now - last_body), silence_limit - (now - last_sign))
            if left <= 0:
                raise SourceDropped(f"no byte for {now - last_sign:.0f} s")
            try:
                event = events.get(timeout=left)
            except queue.Empty:
                continue
            last_sign = time.monotonic()
            silence_limit = CACHED_LIMIT if copy else SILENCE_LIMIT
            match event:
                case {"copy": names, "of": repo_id}:
                    copy, copy_of, silence_limit = names, repo_id, CACHED_LIMIT
                case {"file": name, "total": total, "at": at}:
                    if bar is not None and bar.desc != name:
                        bar.close()
                        bar = None
                    bar = bar or tqdm(desc=name, total=total, unit="B", unit_scale=True, delay=1, leave=False)
                    bar.n = at
                case {"bytes": count}:
                    last_body = last_sign
                    bar.update(count)
                case {"done": names, "cached": cached}:
                    last_body = last_sign
                    return [Path(name) for name in names], cached
                case {"errno": number, "error": text}:
                    raise OSError(number, os.strerror(number), text)
                case {"error": text, "lacks": lacks}:
                    raise SourceDropped(text, lacks)
                case None:
                    raise SourceDropped("the download stopped without a word")
    except (SourceDropped, OSError) as error:  # a cache that cannot be written to may still be read
        if not copy:
            raise
        if bar is not None:
            bar.close()
        print(f"{copy_of}: taking the copy in the Hub's cache ({error})", file=sys.stderr, flush=True)
        return [Path(name) for name in copy], True
    finally:
        patience.seconds -= time.monotonic() - last_body
        if bar is not None:
            bar.close()


def _read_events(stream, events: queue.Queue) -> None:
    """Pass on a worker's lines, and None at their end."""
    with stream:
        for line in stream:
            try:
                events.put(json.loads(line))
            except ValueError:
                break
    events.put(None)


def _let_clear_up(process: subprocess.Popen) -> None:
    """Give a worker time to remove its unfinished file from the user's Hub cache."""
    process.terminate()  # on Windows this is as hard as kill(), and the file stays
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(CLEAR_UP_LIMIT)


# --------------------------------------------------------------------------- the download process

WORKER_FLAG = "--download-worker"
# Errors of this machine's disk, as against those of a source: no other source would fare better.
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES}


def _worker(task: dict) -> None:
    """Download files and report on standard output, one JSON object a line: ``_watch`` reads them."""

    def tell(**event) -> None:
        print(json.dumps(event), flush=True)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # an exception, so that clients clear up
    try:
        names, cached = (_by_http if task["kind"] == "http" else _from_hub)(task, tell)
        tell(done=names, cached=cached)
    except SourceDropped as error:
        tell(error=str(error), lacks=error.lacks)
    except OSError as error:
        if error.errno in DISK_ERRORS:
            tell(errno=error.errno, error=str(error.filename or task.get("folder") or "the Hub's cache"))
        else:
            tell(error=short(error), lacks="")
    except Exception as error:  # whatever a client may raise is a reason to take the next source
        tell(error=short(error), lacks="")


def _from_hub(task: dict, tell) -> tuple[list[str], bool]:
    """Get files by the Hub's own client: a data set from its cache or into a folder, a model by way of its cache."""
    from huggingface_hub import get_token, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    is_model, names = task["kind"] == "model", task["names"]
    repo = {"repo_id": task["repo_id"], "repo_type": task["kind"]}
    if task.get("use_cache", True):
        try:
            copy = [hf_hub_download(filename=name, local_files_only=True, **repo) for name in names]
            if not is_model:
                return copy, True
            tell(copy=copy, of=task["repo_id"])
        except HFValidationError:
            raise SourceDropped(f"{task['repo_id']} is no Hub id", lacks="name") from None
        except OSError:  # not there, or not readable
            pass
    progress = _watch_hub_client(tell)
    tell(ready=True)
    if not is_model:
        # An empty cache, else the client would take a bad copy from the user's.
        repo |= {"local_dir": task["folder"], "cache_dir": str(Path(task["folder"]) / "cache")}
    # A model may be private. Public ones, and the data sets, need no token, but a stale one would get a refusal.
    token = None if is_model and get_token() else False
    try:
        return [_hub_file(name, progress, token=token, **repo) for name in names], False
    except HfHubHTTPError as error:
        if token is False or error.response.status_code != 401:
            raise SourceDropped(_reason(error)) from None
    return [_hub_file(name, progress, token=False, **repo) for name in names], False


def _hub_file(name: str, progress: "_Progress", **options) -> str:
    """One file by the Hub's client; a refused token's error is passed on, others are put in a few words."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    kind = {"dataset": "data set", "model": "model"}[options["repo_type"]]
    progress.start(Path(name).name)
    try:
        return hf_hub_download(filename=name, **options)
    except GatedRepoError:
        raise SourceDropped(f"the owner of {options['repo_id']} must first give your Hub account access") from None
    except RepositoryNotFoundError as error:
        if options["token"] is None and error.response.status_code == 401:
            raise
        raise SourceDropped(f"it has no public {kind} {options['repo_id']}", lacks="repository") from None
    except LocalEntryNotFoundError as error:
        if isinstance(error.__cause__, OfflineModeIsEnabled):
            raise SourceDropped("HF_HUB_OFFLINE is set", lacks="network") from None
        raise SourceDropped(_reason(error.__cause__ or error)) from None
    except EntryNotFoundError:
        raise SourceDropped(f"it lacks the file {name}", lacks="file") from None


def _reason(error: Exception) -> str:
    response = getattr(error, "response", None)
    return short(error) if response is None else f"it answers with HTTP status {response.status_code}"


class _Progress:
    """Reports one file's download, and notices one that starts at the same place again and again.

    The Hub's client tries a cut download again without end as long as each try brings bytes, even the same bytes.
    """

    MOST_TRIES = 2  # beyond the first that bring nothing new

    def __init__(self, tell):
        self._tell = tell

    def start(self, name: str) -> None:
        self.name, self.furthest, self.tries = name, -1, 0

    @property
    def moved(self) -> bool:
        return self.furthest >= 0

    def answer(self, total: int | None, asked_from: int, at: int) -> None:
        """A server begins to send, from byte ``at``; it was asked to begin at ``asked_from``."""
        self.tries = 0 if asked_from > self.furthest else self.tries + 1
        self.furthest = max(self.furthest, asked_from)
        if self.tries >= self.MOST_TRIES:
            raise SourceDropped(f"it cut {self.name} short again and again, at byte {asked_from}")
        self._tell(file=self.name, total=None if total is None else at + total, at=at)

    def bytes(self, count: int) -> None:
        self._tell(bytes=count)


def _watch_hub_client(tell) -> _Progress:
    """Make the Hub's client report each answer and each byte, and give up where it would wait and try again.

    The client's own progress reports come every ten megabytes, which is too coarse to see whether a download moves.
    """
    from huggingface_hub import get_session, set_client_factory

    progress = _Progress(tell)
    standard = get_session()
    http = sys.modules[type(standard).__module__.partition(".")[0]]  # httpx or httpx2, whichever the client uses

    class CountedStream(http.SyncByteStream):
        def __init__(self, stream):
            self.stream = stream

        def __iter__(self):
            for block in self.stream:
                progress.bytes(len(block))
                yield block

        def close(self):
            self.stream.close()

    class WatchedClient(type(standard)):
        def send(self, request, **options):
            try:
                response = super().send(request, **options)
            except http.TransportError as error:
                if progress.moved:  # the client may try to go on with what it has
                    raise
                raise SourceDropped(f"it cannot be reached ({short(error)})") from None
            if response.status_code in (408, 429) or response.status_code >= 500:
                response.close()
                raise SourceDropped(f"it answers with HTTP status {response.status_code}")
            tell(answered=response.status_code)
            if request.method == "GET" and response.status_code in (200, 206):
                asked_from = int(request.headers.get("Range", "bytes=0-")[6:].partition("-")[0] or 0)
                length = response.headers.get("Content-Length", "")
                at = asked_from if response.status_code == 206 else 0
                progress.answer(int(length) if length.isdigit() else None, asked_from, at)
                response.stream = CountedStream(response.stream)
            return response

    hooks = standard.event_hooks
    set_client_factory(lambda: WatchedClient(event_hooks=hooks, follow_redirects=True, timeout=None))
    return progress


def _by_http(task: dict, tell) -> tuple[list[str], bool]:
    """Get files by plain HTTP into ``task["folder"]``; the proxies in the environment are used."""
    import urllib.error
    import urllib.request

    tell(ready=True)
    names = []
    for name in task["names"]:
        path = Path(task["folder"]) / name
        try:
            response = urllib.request.urlopen(task["url"] + name, timeout=60)
        except urllib.error.HTTPError as error:
            raise SourceDropped(f"it answers with HTTP status {error.code} for {name}") from None
        except urllib.error.URLError as error:
            raise SourceDropped(f"it cannot be reached ({short(error.reason)})") from None
        with response, open(path, "wb") as file:
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdigit() else None
            tell(file=name, total=total, at=0)
            done = 0
            while block := response.read1(65_536):
                file.write(block)
                done += len(block)
                tell(bytes=len(block))
                if done > task["largest"]:
                    raise SourceDropped(f"{name} is far too large")
        if total is not None and done != total:
            raise SourceDropped(f"it cut {name} short at {done} of {total} bytes")
        names.append(str(path))
    return names, False


if __name__ == "__main__" and sys.argv[1:2] == [WORKER_FLAG]:
    _worker(json.loads(sys.argv[2]))
