"""What only one process may use at a time: locks that name their holder."""

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hi_mnist.cli import LabError
from hi_mnist.files import held, read_json
from hi_mnist.text import one_line


class Held(LabError):
    """Another process uses it."""


@contextmanager
def lock(path: Path, what: str) -> Iterator[None]:
    """Hold something while a block runs, and name the holder in a file; nobody has to clear up after a kill.

    ``path`` is the file, in a folder that exists. Raises Held, which names ``what``, the holder and the remedy.
    """
    import psutil  # only in functions: most commands hold nothing
    from filelock import Timeout

    with ExitStack() as stack:
        try:
            stack.enter_context(held(path.with_name(f".{path.name}.lock")))
        except Timeout:
            holder = dict.fromkeys(("process", "user", "host", "since"), "?") | read_json(path)
            told = one_line("process {process} of {user} on {host}, since {since}".format_map(holder))
            raise Held(f"{what} is in use by {told}; wait until it ends") from None
        holder = {"host": platform.node(), "process": os.getpid(), "user": psutil.Process().username()}
        stack.callback(path.unlink, missing_ok=True)
        path.write_text(json.dumps(holder | {"since": time.strftime("%Y-%m-%d %H:%M:%S")}), encoding="utf-8")
        yield
