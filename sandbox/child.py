"""The process in which student code runs: requests in, answers out.

``sandbox.Box`` starts it as ``python -I -B child.py MODE FOLDER...``. Requests come through standard input, answers go
through what was standard output, both as safetensors. It imports what is needed once; then, on Linux, each question
runs in a fork of its own with a pipe of its own. Only under bubblewrap, where all that a question leaves behind can be
ended and emptied, does it take another question.
"""

import ctypes
import importlib.util
import json
import os
import re
import shutil
import signal
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path

if __name__ == "__main__":
    sys.path += sys.argv[2:]  # packages in folders that -I ignores, NumPy perhaps among them
import numpy as np
from safetensors.numpy import load as unpack
from safetensors.numpy import save as pack

_spec = importlib.util.spec_from_file_location("worker", Path(__file__).with_name("worker.py"))
worker = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(worker)

FRAME = struct.Struct("<cqQ")  # kind, exit status, length of what follows
READY, ENDED, FILES, LENGTH, FAULT = b"R", b"E", b"D", b"L", b"F"  # kinds of frames; the sandbox reads them
LARGEST_ANSWER = 64 * 2**20  # bytes
UNLOADED = ("fingerprint", "thumbnails")  # tasks that read what was handed in, and do not run it
MOST_FILES = 5000  # that one question may make: the kernel's limit is that of memory
POLL = 50  # milliseconds


def receive(source) -> bytes:
    """The next frame from the sandbox; empty if it has nothing more to ask."""
    length = source.read(8)
    return source.read(int.from_bytes(length, "little")) if length else b""


def send(target, kind: bytes, status: int = 0, content: bytes = b"") -> None:
    target.write(FRAME.pack(kind, status, len(content)) + content)
    target.flush()


# --------------------------------------------------------------------------- one question


def run(content: bytes, about: dict, tasks: dict | None, write) -> None:
    """Answer one request in this process, and end it; ``write`` takes the answer, as safetensors.

    Args:
        content: the request, as safetensors: the task's arrays, "request", JSON, and perhaps "tasks.py", its own tasks.
        about: the opening frame's arrays.
        tasks: another lab's.
    """
    leave, encode = os._exit, pack  # kept, because student code may replace them
    inputs = unpack(content)
    asked = json.loads(inputs.pop("request").tobytes())
    source = about["source"].tobytes()
    Path(worker.FILE).write_bytes(source)
    sys.path.append(os.getcwd())  # for processes that start anew and look for the functions of the file
    limit(asked["limits"])
    if asked["settings"].get("seed") is not None:
        worker.seed_everything(int(asked["settings"]["seed"]))
    answers, outcome = {}, {"status": "done"}
    try:
        if "tasks.py" in inputs:
            tasks = worker.load(inputs.pop("tasks.py").tobytes(), "tasks").TASKS
        if asked["task"] in UNLOADED:
            answers = tasks[asked["task"]](source, inputs)
        else:
            submission = worker.load(source, "submission")
            answers = worker.answer(asked["task"], submission, inputs, asked["settings"], tasks)
    except MemoryError:
        outcome = {"status": "memory"}
    except SystemExit:
        outcome = {"status": "exit"}
    except BaseException as error:
        answers, outcome = getattr(error, "answers", {}), worker.describe(error)
    parts = {f"{name}.imag": array.imag for name, array in answers.items() if array.dtype.kind == "c"}
    parts |= {name: array.real for name, array in answers.items()}  # safetensors has no complex numbers
    parts["outcome"] = np.frombuffer(json.dumps(outcome).encode(), np.uint8)
    write(encode({name: np.array(array, order="C") for name, array in parts.items()}))
    leave(0)  # at once: without the student's exit handlers and threads


def limit(limits: dict) -> None:
    """Lower this process's limits if the system has them; the sandbox watches as well."""
    try:
        import resource
    except ImportError:  # Windows
        return
    wanted = {
        "RLIMIT_CPU": int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) + limits["cpu_seconds"]) + 1,
        "RLIMIT_AS": limits["memory"],
        "RLIMIT_FSIZE": limits["file_size"],
        "RLIMIT_NOFILE": limits["open_files"],
        "RLIMIT_CORE": 0,
    }
    if limits["own_namespace"]:  # else they would count everything that this account runs
        # Processes, which the sandbox ends before, with a clear message; signals and timers.
        wanted |= dict.fromkeys(("RLIMIT_NPROC", "RLIMIT_SIGPENDING"), 4 * limits["tasks"])
    for name, value in wanted.items():
        with suppress(AttributeError, ValueError, OSError):  # macOS refuses RLIMIT_AS, and the report says so
            # One second between SIGXCPU, which reveals the cause, and SIGKILL.
            hard = value + 1 if name == "RLIMIT_CPU" else value
            resource.setrlimit(getattr(resource, name), (int(value), int(hard)))


# --------------------------------------------------------------------------- Linux: a fork for each question

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 4, 22, 24  # of prctl(2)
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, SECCOMP_FILTER = 36, 38, 2
CAPABILITY_VERSION = 0x20080522


def drop_rights(program: bytes) -> bool:
    """Give up what student code could inherit; whether the filter of system calls works."""
    libc = ctypes.CDLL(None)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # in a namespace, no signal without a handler reaches process 1
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # nobody looks into this process
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # orphans come to this process, which ends them
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.capset(struct.pack("=Ii", CAPABILITY_VERSION, 0), bytes(24))
    steps = ctypes.create_string_buffer(program, len(program) + 1)
    filters = struct.pack("HP", len(program) // 8, ctypes.addressof(steps))
    return bool(program) and libc.prctl(PR_SET_SECCOMP, SECCOMP_FILTER, filters, 0, 0) == 0


def ask(content: bytes, about: dict, tasks: dict | None, requests: int, sealed: bool) -> tuple[bytes, int, bytes]:
    """Let a fork answer a request: the kind of frame, its exit status, and what it wrote.

    ``requests`` is our standard input, watched for its end: then the sandbox is gone.
    """
    import fcntl
    import select

    receive, give = os.pipe()
    child = os.fork()
    if child == 0:
        # Under a number that code that closes all its files seldom reaches.
        end = fcntl.fcntl(give, fcntl.F_DUPFD_CLOEXEC, 500)
        os.closerange(3, end)
        os.closerange(end + 1, os.sysconf("SC_OPEN_MAX"))
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # else nobody could see how much memory it shares
        libc.prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        pipe = os.fdopen(end, "wb")
        run(content, about, tasks, lambda answer, write=pipe.write, flush=pipe.flush: (write(answer), flush()))
    os.close(give)
    poll, written, status, kind = select.poll(), bytearray(), None, ENDED
    poll.register(receive, select.POLLIN)
    poll.register(requests, 0)
    files = files_in_memory() if sealed else 0
    while kind == ENDED:
        over = status is not None  # then all that it wrote is there
        events = dict(poll.poll(0 if over else POLL))
        if requests in events:
            end_others(sealed)
            os._exit(0)
        chunk = os.read(receive, 1 << 20) if receive in events else b""
        written += chunk
        if receive in events and not chunk:  # closed
            poll.unregister(receive)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                status = os.waitstatus_to_exitcode(ended[1]) if ended[0] == child else status
        if len(written) > LARGEST_ANSWER:
            kind = LENGTH
        elif sealed and files_in_memory() - files > MOST_FILES:
            kind = FILES
        elif over and not chunk:
            break  # who else still holds the pipe has nothing to say
    os.close(receive)
    return kind, status or 0, bytes(written) if kind == ENDED else b""


def files_in_memory() -> int:
    """The number of files and folders below /tmp."""
    found = os.statvfs("/tmp")
    return found.f_files - found.f_ffree


def end_others(sealed: bool) -> None:
    """End all processes below this one and reap them."""
    while True:
        with suppress(OSError):
            if sealed:
                os.kill(-1, 9)
            else:
                for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
                    os.kill(int(pid), 9)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.001)


def serve(source, target, about: dict, tasks: dict | None, sealed: bool, filtered: bool) -> None:
    """Answer requests until none comes, or until something that a question left cannot be removed."""
    folders = [Path("/tmp"), *filter(Path.is_dir, Path("/tmp").iterdir())] if sealed else []
    kept, files = [os.listdir(folder) for folder in folders], files_in_memory()
    while files_in_memory() == files or not sealed:
        send(target, READY, int(filtered))
        content = receive(source)
        if b'"images"' in content[:4096] and b"sklearn" in about["source"].tobytes():
            import sklearn.cluster  # noqa: F401  # once, not in each fork
        if not content:
            return
        try:
            frame = ask(content, about, tasks, source.fileno(), sealed)
        except OSError as error:  # no process or pipe is to be had
            send(target, FAULT, 0, error.strerror.encode())
            return
        if sealed:
            end_others(sealed)
        send(target, *frame)
        try:
            for folder, names in zip(folders, kept, strict=True):
                for path in (Path(folder, name) for name in set(os.listdir(folder)) - set(names)):
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        except (OSError, RecursionError):
            return


def main(mode: str) -> None:
    """Do what the sandbox asks; ``mode`` is "sealed" under bubblewrap, else "plain"."""
    sys.argv, worker.HERE = [worker.FILE], os.getcwd()
    source, target, linux = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb"), sys.platform.startswith("linux")
    for number in (0, 1):
        os.dup2(os.open(os.devnull, os.O_RDWR), number)
    about = unpack(receive(source))
    try:
        # Before the clock starts: these imports do not count. More is imported only for those who use it.
        import PIL.PngImagePlugin  # noqa: F401
        import scipy.linalg
        import scipy.special  # noqa: F401

        code = about["source"].tobytes()
        if b"stats" in code:
            import scipy.stats  # noqa: F401
        if re.search(rb"^(from|import) sklearn", code, re.M):
            import sklearn.cluster  # noqa: F401
        tasks = worker.load(about["tasks.py"].tobytes(), "tasks").TASKS if "tasks.py" in about else None
        filtered = linux and drop_rights(about["filter"].tobytes())
    except Exception as error:
        return send(target, FAULT, 0, f"{type(error).__name__}: {error}"[:1000].encode())
    if linux:
        return serve(source, target, about, tasks, mode == "sealed", filtered)
    send(target, READY)
    return run(receive(source), about, tasks, lambda answer: send(target, ENDED, 0, answer))


if __name__ == "__main__":
    main(sys.argv[1])
