"""Downloads that give up when nothing arrives: from the Hugging Face Hub by its own client, or by plain HTTP.

    patience = download.Patience(download.TOTAL_LIMIT)
    paths = download.dataset_from_hub("ylecun/mnist", ["mnist/test-00000-of-00001.parquet"], folder, patience)
    paths = download.files_by_http("https://some.mirror/mnist/", ["t10k-images-idx3-ubyte.gz"], folder, patience, 10**8)
    config, weights = download.network_from_hub("owner/name", ["config.json", "model.safetensors"])

Each returns the paths of complete files. It raises ``SourceDropped`` with the reason after five seconds without a byte,
or at once if the source refuses, and ``OSError`` if this machine's disk is at fault. A download that makes progress,
however slowly, is never cut off.
"""

import errno
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from hi_mnist.text import one_line

SILENCE_LIMIT = 5.0  # seconds without a byte before a source is dropped
CACHED_LIMIT = 2.0  # the same when a copy is in the cache and the Hub is only asked for a newer one
TOTAL_LIMIT = 20.0  # seconds of waiting for answers, over all sources together
MOST_TRIES = 3  # requests for a file from the same byte on
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES}  # the same for every source


class SourceDropped(Exception):
    """A source did not deliver; the text says why in a few words."""


class Patience:
    """The seconds that all sources together may still take to answer; a download in progress uses none of them."""

    def __init__(self, seconds: float):
        self.seconds = seconds

    def answer(self, ask: Callable):
        """What ``ask`` returns: a connection with the start of an answer. Raises ``SourceDropped`` if it is late.

        ``ask`` runs in a thread that is abandoned when it is late: nothing else ends the wait for a silent name server,
        or for a host with one dead address after another.
        """
        limit, started = min(SILENCE_LIMIT, self.seconds), time.monotonic()
        if limit <= 0:
            raise SourceDropped("the earlier sources used up all the time")
        answer: Future = Future()

        def run() -> None:
            try:
                answer.set_result(ask())
            except BaseException as error:
                answer.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        try:
            return answer.result(limit)
        except TimeoutError:
            raise _silent(limit) from None
        finally:
            self.seconds -= time.monotonic() - started


def files_by_http(url: str, names: list[str], folder: Path, patience: Patience, largest: int) -> list[Path]:
    """Download the files ``url + name``, each of at most ``largest`` bytes, into a new folder."""
    from urllib.request import urlopen  # late, like the Hub's client below: they would slow every script's start

    from tqdm import tqdm

    folder.mkdir(parents=True)
    with _dropping(short):
        for name in names:
            response = patience.answer(lambda name=name: urlopen(url + name, timeout=SILENCE_LIMIT))
            total = response.length
            bar = tqdm(desc=name, total=total, unit="B", unit_scale=True, delay=1, leave=False)
            with response, bar, open(folder / name, "wb") as file:
                while block := response.read1(65_536):
                    bar.update(file.write(block))
                    if file.tell() > largest:
                        raise SourceDropped(f"{name} is far too large")
                if total is not None and file.tell() != total:
                    raise SourceDropped(f"it cut {name} short at {file.tell()} of {total} bytes")
    return [folder / name for name in names]


def files_in_hub_cache(repo_type: str, repo_id: str, names: list[str]) -> list[Path]:
    """Paths of files in the user's Hub cache; empty if one of them is missing."""
    from huggingface_hub import try_to_load_from_cache

    with _dropping(_reason):
        paths = [try_to_load_from_cache(repo_id, name, repo_type=repo_type) for name in names]
    return [Path(path) for path in paths] if all(isinstance(path, str) for path in paths) else []


def dataset_from_hub(repo_id: str, names: list[str], folder: Path, patience: Patience) -> list[Path]:
    """Download files of a public data set into a folder, past the user's Hub cache, which may hold a bad copy."""
    return _from_hub("dataset", repo_id, names, patience, local_dir=folder, cache_dir=folder / "cache")


def network_from_hub(repo_id: str, names: list[str]) -> list[Path]:
    """Get files of a model through the user's Hub cache, with the user's token if there is one.

    As usual with the Hub's client, each call asks for a newer version. If the Hub cannot be reached, the copy in the
    cache is used, and a line on standard error says so.
    """
    copy = files_in_hub_cache("model", repo_id, names)
    try:
        return _from_hub("model", repo_id, names, Patience(CACHED_LIMIT if copy else TOTAL_LIMIT))
    except (SourceDropped, OSError) as error:
        if not copy:
            raise
        print(f"{repo_id}: taking the copy in the Hub's cache ({short(error)})", file=sys.stderr, flush=True)
        return copy


def _from_hub(repo_type: str, repo_id: str, names: list[str], patience: Patience, **where: Path) -> list[Path]:
    from huggingface_hub import get_token, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    def get(token: bool | None) -> list[Path]:
        options = {"repo_type": repo_type, "endpoint": os.environ.get("HF_ENDPOINT"), "token": token} | where
        return [Path(hf_hub_download(repo_id, name, **options)) for name in names]

    with _dropping(_reason), _impatient_client(patience):
        if repo_type == "model" and get_token():  # it may be private
            try:
                return get(None)
            except HfHubHTTPError as error:
                if error.response.status_code != 401:
                    raise
        return get(False)  # public files need no token, but a stale token is refused


@contextmanager
def _impatient_client(patience: Patience) -> Iterator[None]:
    """Make the Hub's client give up on a server that is silent or fails.

    The client's own settings cannot enforce our limits: after HF_HUB_ETAG_TIMEOUT it asks six more times, a minute
    each, and it retries a download that stalled or was cut for as long as each try brings bytes, even the same ones.
    """
    from huggingface_hub import get_session, set_client_factory

    standard = get_session()
    http = sys.modules[type(standard).__module__.partition(".")[0]]  # httpx or httpx2, whichever the client uses
    tries: Counter = Counter()

    class Body(http.SyncByteStream):
        def __init__(self, stream):
            self._stream, self.close = stream, stream.close

        def __iter__(self):
            try:
                yield from self._stream
            except http.TimeoutException:
                raise _silent(SILENCE_LIMIT) from None

    class Client(type(standard)):
        def send(self, request, **options):
            request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), SILENCE_LIMIT)
            tries[part := (request.method, request.url, request.headers.get("Range"))] += 1
            if request.method == "GET" and tries[part] > MOST_TRIES:
                raise SourceDropped("it cut the download short again and again")
            try:
                response = patience.answer(lambda: super(Client, self).send(request, **options))
            except http.TimeoutException:
                raise _silent(SILENCE_LIMIT) from None
            except http.TransportError as error:
                raise SourceDropped(f"it cannot be reached ({short(error)})") from None
            if response.status_code in (408, 429) or response.status_code >= 500:
                response.close()
                raise SourceDropped(f"it answers with HTTP status {response.status_code}")
            response.headers.pop("X-Xet-Hash", None)  # Xet transfers would bypass this client
            response.stream = Body(response.stream)
            return response

    settings = {"event_hooks": standard.event_hooks, "follow_redirects": True, "timeout": None}
    set_client_factory(lambda: Client(**settings))
    try:
        yield
    finally:
        set_client_factory(lambda: type(standard)(**settings))


@contextmanager
def _dropping(reason: Callable[[Exception], str]) -> Iterator[None]:
    """Turn whatever a client raises into ``SourceDropped``, unless this machine's disk is at fault."""
    try:
        yield
    except SourceDropped:
        raise
    except TimeoutError:
        raise _silent(SILENCE_LIMIT) from None
    except Exception as error:
        if getattr(error, "errno", None) in DISK_ERRORS:
            raise
        raise SourceDropped(reason(error)) from None


def _silent(seconds: float) -> SourceDropped:
    return SourceDropped(f"no byte for {seconds:.0f} s")


def _reason(error: Exception) -> str:
    """Why the Hub's client gave up, in a few words."""
    from huggingface_hub import errors

    if isinstance(error, errors.LocalEntryNotFoundError):
        error = error.__cause__ or error
    match error:
        case errors.HFValidationError():
            return "that is not a Hub id (owner/name)"
        case errors.OfflineModeIsEnabled():
            return "HF_HUB_OFFLINE is set"
        case errors.GatedRepoError():
            return "its owner must first give your Hub account access"
        case errors.RepositoryNotFoundError():
            return "no public repository has this name, and a private one needs your token"
        case errors.RemoteEntryNotFoundError():
            return f"it lacks the file {error.response.url.path.rpartition('/')[2]}"
        case errors.HfHubHTTPError():
            return f"it answers with HTTP status {error.response.status_code}"
    return short(error)


def short(error: object) -> str:
    """Another library's error on one short line."""
    return one_line(str(error) or type(error).__name__, 120)
