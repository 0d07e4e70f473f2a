"""Downloads that give up when nothing arrives: files of the data sets, and networks from the Hugging Face Hub.

Each returns the paths of complete files. It raises ``SourceDropped`` with the reason if the source refuses, and
``OSError`` if this machine's disk is at fault. A data set's source is dropped after five seconds without a byte; a
download that makes progress, however slowly, is never cut off.
"""

import errno
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from hi_mnist.text import one_line

SILENCE_LIMIT = 5.0  # seconds without a byte before a source is dropped
TOTAL_LIMIT = 20.0  # seconds of waiting for answers, over all sources together
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
            raise SourceDropped(f"no byte for {limit:.0f} s") from None
        finally:
            self.seconds -= time.monotonic() - started


def files_by_http(urls: list[str], parent: Path, patience: Patience, largest: int) -> list[Path]:
    """Download files, each of at most ``largest`` bytes, into a new folder in ``parent``."""
    # Late: they would slow every script's start. The Hub's client brings certificates, unlike Python on some Macs.
    from huggingface_hub import get_session
    from huggingface_hub.utils import hf_raise_for_status
    from tqdm import tqdm

    session, headers = get_session(), {"Accept-Encoding": "identity"}
    folder = Path(tempfile.mkdtemp(dir=parent))
    paths = [folder / url.rpartition("/")[2] for url in urls]
    with _dropping():
        for url, path in zip(urls, paths, strict=True):
            request = session.build_request("GET", url, headers=headers, timeout=SILENCE_LIMIT)
            send = {"stream": True, "follow_redirects": True}
            response = patience.answer(lambda request=request, send=send: session.send(request, **send))
            try:
                hf_raise_for_status(response)
                total = int(response.headers.get("Content-Length", 0)) or None
                bar = tqdm(desc=path.name, total=total, unit="B", unit_scale=True, delay=1, leave=False)
                with bar, open(path, "wb") as file:
                    for block in response.iter_raw():
                        bar.update(file.write(block))
                        if file.tell() > largest:
                            raise SourceDropped(f"{path.name} is far too large")
            finally:
                response.close()
    return paths


def hub_urls(repo_id: str, names: list[str]) -> list[str]:
    """Where the Hub, or the mirror that ``HF_ENDPOINT`` names, has files of a public data set."""
    from huggingface_hub import hf_hub_url

    endpoint = os.environ.get("HF_ENDPOINT")
    return [hf_hub_url(repo_id, name, repo_type="dataset", endpoint=endpoint) for name in names]


def files_in_hub_cache(repo_type: str, repo_id: str, names: list[str]) -> list[Path]:
    """Paths of files in the user's Hub cache; empty if one of them is missing."""
    from huggingface_hub import try_to_load_from_cache

    with _dropping():
        paths = [try_to_load_from_cache(repo_id, name, repo_type=repo_type) for name in names]
    return [Path(path) for path in paths] if all(isinstance(path, str) for path in paths) else []


def network_from_hub(repo_id: str, names: list[str]) -> list[Path]:
    """Get files of a model by the Hub's client, through the user's cache and with the user's token if there is one.

    The client asks for a newer version each time, and takes the copy in the cache if the Hub cannot be reached.
    """
    from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_download, hf_hub_url

    endpoint = os.environ.get("HF_ENDPOINT")
    with _dropping():
        if not files_in_hub_cache("model", repo_id, names):  # without a copy, it would ask a silent Hub for minutes
            url, token = hf_hub_url(repo_id, names[0], endpoint=endpoint), get_token()
            Patience(TOTAL_LIMIT).answer(lambda: get_hf_file_metadata(url, token=token, timeout=SILENCE_LIMIT))
        how = {"endpoint": endpoint, "etag_timeout": SILENCE_LIMIT}
        return [Path(hf_hub_download(repo_id, name, **how)) for name in names]


@contextmanager
def _dropping() -> Iterator[None]:
    """Turn whatever a client raises into ``SourceDropped``, unless this machine's disk is at fault."""
    try:
        yield
    except SourceDropped:
        raise
    except Exception as error:
        if getattr(error, "errno", None) in DISK_ERRORS:
            raise
        raise SourceDropped(_reason(error)) from None


def _reason(error: Exception) -> str:
    """Why a client gave up, in a few words."""
    from huggingface_hub import errors

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
    kinds = {kind.__name__ for kind in type(error).__mro__}  # of httpx or httpx2, whichever the Hub's client uses
    if "TimeoutException" in kinds:
        return f"no byte for {SILENCE_LIMIT:.0f} s"
    if "RemoteProtocolError" in kinds:
        return f"it cut the download short ({short(error)})"
    return f"it cannot be reached ({short(error)})" if "TransportError" in kinds else short(error)


def short(error: object) -> str:
    """Another library's error on one short line."""
    return one_line(str(error) or type(error).__name__, 120)
