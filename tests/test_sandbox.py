"""The sandbox holds whatever the worker does, under bubblewrap and without it.

The workers here are small files of the tests' own. Each one that misbehaves is bounded by itself (processes, memory,
disk and seconds), so that a guard that fails harms no machine.
"""

import json
import os
import socket
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from grading import bubblewrap, processes, sandbox

ROOT = Path(__file__).resolve().parent.parent
QUICK = sandbox.Limits(cpu_seconds=10, wall_seconds=10, memory=600 * 2**20, disk=20 * 2**20, file_size=8 * 2**20)
LATE = 2.5  # seconds beyond a limit after which a child must be gone; half a second is the machine's
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX processes")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")

# What every worker here starts with: ``done()`` answers, ``daemon()`` leaves a process that hides its origin.
START = """
import json, os, signal, sys, time
import numpy as np
BOX = sys.argv[1]
MARK = {mark!r}
os.chdir(BOX)

def outcome(**fields):
    with open("outputs/outcome.json", "w") as file:
        json.dump(fields, file)

def done(**arrays):
    for name, array in arrays.items():
        np.save(f"outputs/{{name}}.npy", array)
    outcome(status="done")

def ready():
    open("ready", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.002)

def daemon(env=()):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.chdir("/")
            os.execve(sys.executable, [sys.executable, "-I", "-c", "import time; time.sleep(50)", MARK], dict(env))
        os._exit(0)

"""


@pytest.fixture(params=["bubblewrap", "plain"])
def mode(request, monkeypatch):
    """Every test that uses ``run`` takes place under bubblewrap and without it."""
    if request.param == "plain":
        monkeypatch.setenv(bubblewrap.OFF, "0")
    else:
        monkeypatch.delenv(bubblewrap.OFF, raising=False)
        if (why := bubblewrap.unavailable()) is not None:
            pytest.skip(f"bubblewrap {why}")
    return request.param


@pytest.fixture
def boxes(tmp_path, monkeypatch) -> Path:
    """Where the boxes of this test are made."""
    folder = tmp_path / "boxes"
    folder.mkdir()
    monkeypatch.setattr(sandbox.tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """``worker(code)`` makes code the worker, after ``START`` and (unless ``at_once``) ``ready()``."""

    def write(code: str, at_once: bool = False):
        path = tmp_path / "fake_worker.py"
        start = START.format(mark=str(tmp_path)) + ("" if at_once else "ready()\n")
        path.write_text(start + textwrap.dedent(code), encoding="utf-8")
        monkeypatch.setattr(sandbox, "WORKER", path)

    return write


@pytest.fixture
def run(mode, boxes, worker, tmp_path, monkeypatch):
    """``run(code) -> Outcome``: run it as the worker, and see that no process and no folder is left."""
    tokens = []
    make_token = sandbox.secrets.token_hex
    monkeypatch.setattr(sandbox.secrets, "token_hex", lambda n=None: tokens.append(make_token(n)) or tokens[-1])

    def call(code: str = "done()", inputs=None, *, limits=QUICK, source=b"", at_once=False, **more):
        worker(code, at_once)
        result = sandbox.run("a task", source, inputs or {}, limits=limits, **more)
        assert list(boxes.iterdir()) == []
        assert left_over(str(tmp_path), tokens) == []
        assert psutil.STATUS_ZOMBIE not in [child.status() for child in psutil.Process().children()]
        return result

    return call


def left_over(mark: str, tokens: list[str]) -> list[str]:
    """Processes of the system that carry a test's mark or token."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = mark in " ".join(process.cmdline()) or process.environ().get(processes.TOKEN) in tokens
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(str(process))
        except psutil.Error:
            continue
    return found


def looked_at(outcome: sandbox.Outcome):
    """What a worker reported with ``done(seen=...)`` of JSON bytes."""
    assert outcome.status == "done", outcome
    return json.loads(outcome.arrays["seen"].tobytes())


# --------------------------------------------------------------------------- honest workers


def test_arrays_go_in_and_come_back(run):
    outcome = run("done(y=np.load('inputs/X.npy') * 2)", {"X": np.arange(6.0).reshape(2, 3)})
    assert (outcome.status, outcome.cause, outcome.error) == ("done", "", None)
    np.testing.assert_array_equal(outcome.arrays["y"], np.arange(6.0).reshape(2, 3) * 2)


def test_the_worker_finds_task_source_and_files(run):
    code = """
    seen = json.load(open("task.json"))
    seen["source"] = open("submission.py", "rb").read().hex()
    seen["given"] = open("given.py").read()
    done(seen=np.frombuffer(json.dumps(seen).encode(), np.uint8))
    """
    source = b"\xef\xbb\xbfx = '\xb1\xb1'\r\n"
    seen = looked_at(run(code, source=source, settings={"mode": "own"}, files={"given.py": b"pass"}))
    assert seen["task"] == "a task" and seen["settings"] == {"mode": "own"} and seen["given"] == "pass"
    assert bytes.fromhex(seen["source"]) == source
    assert seen["limits"]["cpu_seconds"] == QUICK.cpu_seconds and isinstance(seen["paths"], list)


def test_an_error_is_told_without_terminal_commands(run):
    code = r"""
    outcome(status="raised", kind="exception", type="ValueError", line=7,
            text="\x1b[2J\x1b]0;title\x07PASS\u202e 40/40\x00\r\nbad \ud800" + "x" * 5000,
            trace=f'File "{BOX}/submission.py", line 7\n' + "y" * 9000)
    """
    outcome = run(code)
    assert outcome.status == "raised"
    assert outcome.error["kind"] == "exception" and outcome.error["line"] == 7
    assert outcome.error["text"].startswith("PASS 40/40 bad xxx")
    assert len(outcome.error["text"]) <= 2000 and len(outcome.error["trace"]) <= 4000
    assert outcome.error["trace"].startswith('File "submission.py", line 7\n')
    assert outcome.cause.startswith("ValueError: PASS")
    outcome.cause.encode("utf-8")


def test_nothing_printed_is_read_and_nothing_can_be_asked(run):
    outcome = run("""
    for _ in range(50):
        sys.stdout.write("score: 100\\n" * 100_000)
        sys.stderr.write("score: 100\\n" * 1000)
    done(read=np.frombuffer(sys.stdin.buffer.read(), np.uint8))
    """)
    assert outcome.status == "done" and outcome.arrays["read"].size == 0


def test_the_environment_is_clean(run, monkeypatch):
    monkeypatch.setenv("SECRET_API_KEY", "hush")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    seen = looked_at(run("done(seen=np.frombuffer(json.dumps([dict(os.environ), BOX]).encode(), np.uint8))"))
    environment, box = seen
    assert not {"SECRET_API_KEY", "PYTHONPATH", "MNIST_DIR", "LAB_HOME"} & set(environment)
    assert environment["HOME"].startswith(box) and environment["TMPDIR"].startswith(box)
    assert environment["OMP_NUM_THREADS"] == "1"


def test_eight_at_once(run, boxes):
    codes = "time.sleep(0.3); done(y=np.load('inputs/X.npy'))"
    run(codes, {"X": np.zeros(1)})  # writes the worker
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(sandbox.run, "t", b"", {"X": np.full(3, i)}, limits=QUICK) for i in range(8)]
        outcomes = [job.result() for job in jobs]
    assert [outcome.arrays["y"][0] for outcome in outcomes] == list(range(8))
    assert list(boxes.iterdir()) == []


# --------------------------------------------------------------------------- limits

FOR_20_S = "\nend = time.time() + 20\n"


@posix
def test_a_sleeper_that_ignores_signals_is_ended_in_time(run):
    begun = time.monotonic()
    outcome = run(
        "for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(s, signal.SIG_IGN)\ntime.sleep(30)",
        limits=sandbox.Limits(wall_seconds=0.5),
    )
    assert (outcome.status, outcome.cause) == (
        "timeout",
        "it did not end within 20 s of processor time and 0.5 s in all",
    )
    assert time.monotonic() - begun < 0.5 + LATE


@posix
def test_a_stopped_process_is_ended_in_time(run):
    assert run("os.kill(os.getpid(), signal.SIGSTOP)", limits=sandbox.Limits(wall_seconds=0.5)).status == "timeout"


def test_processor_time_is_limited(run):
    begun = time.monotonic()
    outcome = run(FOR_20_S + "while time.time() < end: pass", limits=sandbox.Limits(cpu_seconds=0.5))
    assert (outcome.status, outcome.cause) == (
        "timeout",
        "it did not end within 0.5 s of processor time and 30 s in all",
    )
    assert time.monotonic() - begun < 0.5 * 3 + LATE  # the machine is shared


@linux
def test_processor_time_of_ended_children_counts(run):
    code = (
        FOR_20_S
        + """
while time.time() < end:
    if os.fork() == 0:
        stop = time.time() + 0.1
        while time.time() < stop: pass
        os._exit(0)
    os.wait()
"""
    )
    assert run(code, limits=sandbox.Limits(cpu_seconds=0.6)).status == "timeout"


@linux
def test_processor_time_of_children_that_nobody_waits_for_counts(run):
    code = (
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        + FOR_20_S
        + """
while time.time() < end:
    if os.fork() == 0:
        stop = time.time() + 0.3
        while time.time() < stop: pass
        os._exit(0)
    time.sleep(0.4)
"""
    )
    assert run(code, limits=sandbox.Limits(cpu_seconds=0.8, wall_seconds=15)).status == "timeout"


def test_time_before_ready_does_not_count(run):
    code = "x = time.time() + 0.6\nwhile time.time() < x: pass\nready()\ntime.sleep(0.1)\ndone()"
    assert run(code, at_once=True, limits=sandbox.Limits(cpu_seconds=0.3, wall_seconds=1.5)).status == "done"


def test_memory_is_limited(run):
    outcome = run("kept = []\nfor _ in range(40): kept.append(np.ones(2**22)); time.sleep(0.02)\ntime.sleep(5)")
    assert (outcome.status, outcome.cause) == ("memory", "it needs more than 600 MiB of memory")


@posix
def test_memory_of_all_processes_counts(run):
    code = """
    for _ in range(6):
        if os.fork() == 0:
            kept = np.ones(2**24)
            time.sleep(10)
            os._exit(0)
    time.sleep(10)
    """
    assert run(code).status == "memory"


@linux
def test_memory_that_forks_share_counts_once(run):
    code = """
    kept = np.ones(2**24)
    for _ in range(8):
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
    time.sleep(0.3)
    done()
    """
    assert run(code).status == "done"


def test_memory_that_the_worker_was_refused(run):
    assert run("outcome(status='memory')").status == "memory"


@posix
def test_processes_are_limited(run):
    code = """
    for _ in range(40):
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
    time.sleep(20)
    """
    outcome = run(code, limits=sandbox.Limits(processes=32))
    assert (outcome.status, outcome.cause) == ("crash", "it started more than 32 processes")


@posix
def test_thirty_two_processes_are_allowed(run):
    code = """
    for _ in range(31):
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
    time.sleep(0.5)
    done()
    """
    assert run(code, limits=sandbox.Limits(processes=32)).status == "done"


@posix
def test_processes_that_keep_forking_are_ended(run):
    code = """
    begun = time.time()
    for _ in range(4):
        if os.fork() == 0:
            while time.time() < begun + 15:  # each parent ends at once, each child opens a session
                time.sleep(0.002)
                if os.fork(): os._exit(0)
                os.setsid()
            os._exit(0)
    time.sleep(15)
    """
    begun = time.monotonic()
    assert run(code, limits=sandbox.Limits(wall_seconds=0.5)).status == "timeout"
    assert time.monotonic() - begun < 0.5 + LATE


DISK = {
    "many": (
        "for i in range(8): open(f'f{i}', 'wb').write(bytes(2**22))\ntime.sleep(3)",
        "more than 20.1 MiB of files",
    ),
    "one": ("open('f', 'wb').write(bytes(10 * 2**20))\ntime.sleep(3)", "a file of more than 8 MiB"),
    "and ends": ("open('f', 'wb').write(bytes(10 * 2**20))\ndone()", "a file of more than 8 MiB"),
    "small": ("for i in range(6000): open(f'tmp/{i}', 'wb').close()\ndone()", "more than 5000 files"),
}


@pytest.mark.parametrize("case", DISK)
def test_files_are_limited(run, case):
    code, cause = DISK[case]
    outcome = run(code)
    assert outcome.status == "crash" and outcome.cause.startswith("it wrote " + cause[:9]), outcome


UNLINKED = {
    "files": "file = open(f'f{i}', 'wb'); os.unlink(f'f{i}')",
    "memory files": "file = open(os.memfd_create('f'), 'wb')",
}


@linux
@pytest.mark.parametrize("kind", UNLINKED)
def test_open_files_that_are_in_no_folder_are_limited(run, kind):
    code = f"""
    kept = []
    for i in range(8):
        {UNLINKED[kind]}; file.write(bytes(2**22)); file.flush(); kept.append(file)
    time.sleep(5)
    """
    outcome = run(code)
    assert (outcome.status, outcome.cause) == ("crash", "it wrote more than 20 MiB of files"), outcome


@posix
def test_a_sparse_file_takes_no_room(run):
    assert run("open('f', 'wb').truncate(2**40)\ndone()").status == "done"


@posix
def test_folders_too_deep_to_look_at_are_removed(run):
    outcome = run("for _ in range(3000): os.mkdir('d' * 20); os.chdir('d' * 20)\nos.chdir(BOX)\ndone()")
    assert outcome.status == "crash" and outcome.cause.startswith("it made files that cannot be looked at")


@posix
def test_folders_without_permissions_are_removed(run):
    run("os.makedirs('a/b/c'); open('a/b/c/f', 'w').close()\nfor d in 'a/b/c', 'a/b', 'a': os.chmod(d, 0)\ndone()")


# --------------------------------------------------------------------------- ends


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("", "crash", "before it answered"),
        ("os._exit(0)", "crash", "before it answered"),
        ("outcome(status='exit')", "crash", "before it answered"),
        ("done(); os._exit(3)", "crash", "exit status 3"),
        ("raise ValueError", "crash", "exit status 1"),
        pytest.param("os.kill(os.getpid(), signal.SIGSEGV)", "crash", "SIGSEGV", marks=posix),
        pytest.param("done(); os.kill(os.getpid(), signal.SIGKILL)", "crash", "SIGKILL", marks=posix),
        pytest.param("os.kill(os.getpid(), signal.SIGXCPU)", "timeout", "processor time", marks=posix),
    ],
)
def test_a_process_that_ends_by_itself(run, code, status, words):
    outcome = run("import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n" * (os.name == "posix") + code)
    assert outcome.status == status and words in outcome.cause, outcome
    assert outcome.arrays == {}


@posix
@pytest.mark.parametrize("end", ["done()", "os._exit(0)", "time.sleep(20)"])
def test_a_daemon_does_not_outlive_the_run(run, end):
    outcome = run(f"daemon()\n{end}", limits=sandbox.Limits(wall_seconds=0.7))
    assert outcome.status == {"done()": "done", "os._exit(0)": "crash", "time.sleep(20)": "timeout"}[end]


@posix
def test_whoever_kills_the_helper_ends_with_it(run):
    """Without bubblewrap the guardian can be killed; then the token finds those that kept it."""
    code = "daemon(os.environ.items()); time.sleep(0.2); os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(20)"
    outcome = run(code, limits=sandbox.Limits(wall_seconds=1))
    assert outcome.status in ("crash", "timeout")  # the first process of a namespace cannot be killed from inside


@posix
def test_whoever_stops_the_helper_is_ended(run):
    code = "daemon(); os.kill(os.getppid(), signal.SIGSTOP); done()"
    outcome = run(code, limits=sandbox.Limits(wall_seconds=1))
    assert outcome.status in ("done", "timeout")


@pytest.mark.parametrize(
    ("code", "words"), [("sys.exit(1)", "did not start"), ("time.sleep(9)", "was not ready after 2 s")]
)
def test_a_worker_that_never_was_ready_is_our_fault(run, code, words):
    outcome = run(code, at_once=True, limits=sandbox.Limits(start_seconds=2))
    assert outcome.status == "internal" and words in outcome.cause


def test_no_student_code_runs_before_it_is_watched(run):
    """Else it could take "ready" away, and the question would not count."""
    assert run("os.remove('ready')\nos._exit(0)").status == "crash"
    code = "open('ready', 'w').close()\ntime.sleep(0.4)\ndone(watched=np.array(os.path.exists('go')))"
    assert run(code, at_once=True).arrays["watched"]


def test_a_missing_worker_is_our_fault(mode, boxes, monkeypatch, tmp_path):
    monkeypatch.setattr(sandbox, "WORKER", tmp_path / "absent.py")
    assert sandbox.run("t", b"", {}).status == "internal"
    assert list(boxes.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_our_fault(monkeypatch, tmp_path):
    monkeypatch.setattr(sandbox.tempfile, "tempdir", str(tmp_path / "absent"))
    assert sandbox.run("t", b"", {}).status == "internal"


def test_ctrl_c_leaves_nothing(mode, boxes, worker, tmp_path, monkeypatch):
    def interrupt(self):
        raise KeyboardInterrupt

    worker("time.sleep(30)")
    monkeypatch.setattr(processes.Tree, "look", interrupt)
    with pytest.raises(KeyboardInterrupt):
        sandbox.run("t", b"", {}, limits=QUICK)
    assert list(boxes.iterdir()) == [] and left_over(str(tmp_path), []) == []


GRADER = """
import sys
from pathlib import Path
from grading import sandbox
sandbox.WORKER = Path(sys.argv[1])
print(sandbox.run("t", b"", {}, limits=sandbox.Limits(wall_seconds=20)).status)
"""


@linux
def test_a_killed_grader_takes_the_worker_with_it(mode, worker, tmp_path):
    worker("daemon()\nopen(MARK + '/begun', 'w').close()\ntime.sleep(20)" if mode == "plain" else "time.sleep(20)")
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", GRADER, sandbox.WORKER]
    grader = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob("lab-box-*/ready")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    assert len(left_over(str(tmp_path), [])) >= 2
    grader.kill()
    grader.wait()
    while (left := left_over(str(tmp_path), [])) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []


@linux
def test_a_daemonic_process_can_grade(mode, worker, tmp_path):
    """As inside a Dask worker."""
    worker("done()")
    code = "import multiprocessing\ndef grade():\n" + textwrap.indent(GRADER, "    ")
    code += "p = multiprocessing.get_context('fork').Process(target=grade, daemon=True)\np.start()\np.join()"
    said = subprocess.run(
        [sys.executable, "-c", code, sandbox.WORKER],
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert said.stdout == "done\n"


# --------------------------------------------------------------------------- what a worker leaves

LEFT = {
    "link to an array": "np.save('y.npy', 1.0); os.symlink('../y.npy', 'outputs/y.npy')",
    "link to a file outside": "os.symlink('/etc/hostname', 'outputs/y.npy')",
    "pipe": "os.mkfifo('outputs/y.npy')",
    "folder": "os.mkdir('outputs/y.npy')",
    "pickle": "np.save('outputs/y.npy', np.array([{}, None], object), allow_pickle=True)",
    "structure": "np.save('outputs/y.npy', np.zeros(2, 'i4,f8'))",
    "text": "np.save('outputs/y.npy', np.array(['a', 'b']))",
    "dates": "np.save('outputs/y.npy', np.zeros(2, 'M8[s]'))",
    "nothing": "open('outputs/y.npy', 'w').close()",
    "too large": "open('outputs/y.npy', 'wb').truncate(65 * 2**20)",
    "too many": "[np.save(f'outputs/y{i}.npy', 1.0) for i in range(33)]",
    "no folder": "os.rename('outputs', 'other'); os.symlink('other', 'outputs')",
}


@posix
@pytest.mark.parametrize("mode", ["plain"], indirect=True)
@pytest.mark.parametrize("case", LEFT)
def test_only_plain_arrays_in_regular_files_are_read(run, case):
    outcome = run(f"done()\n{LEFT[case]}")
    assert outcome.status == "crash" and outcome.arrays == {}
    assert outcome.cause.startswith("it left an answer that is no array")


@posix
@pytest.mark.parametrize("case", ["os.symlink('../o', 'outputs/outcome.json')", "os.mkfifo('outputs/outcome.json')"])
def test_only_a_regular_outcome_is_read(run, case):
    assert run(f"open('o', 'w').write('{{\"status\": \"done\"}}')\n{case}").status == "crash"


def test_other_files_are_passed_over(run):
    outcome = run("done(y=1.0)\nfor name in ('Y.npy', 'y.npz', 'a b.npy', 'score.txt'): open(f'outputs/{name}', 'w')")
    assert list(outcome.arrays) == ["y"]


# --------------------------------------------------------------------------- bubblewrap alone


@pytest.mark.parametrize("mode", ["bubblewrap"], indirect=True)
class TestBubblewrap:
    def test_no_network_not_even_the_hosts_loopback(self, run):
        code = """
        import socket
        seen = []
        for family, address in ((socket.AF_INET, ("127.0.0.1", PORT)), (socket.AF_UNIX, chr(0) + "lab-PORT")):
            try:
                socket.socket(family).connect(address)
                seen.append("connected")
            except OSError as error:
                seen.append(type(error).__name__)
        done(seen=np.frombuffer(json.dumps(seen).encode(), np.uint8))
        """
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
            port = server.getsockname()[1]
            local.bind(f"\0lab-{port}")
            local.listen()
            seen = looked_at(run(code.replace("PORT", str(port))))
        assert "connected" not in seen and len(seen) == 2

    def test_files_of_others_are_not_seen(self, run, tmp_path):
        secret = tmp_path / "hand_in.py"
        secret.write_text("answer = 42")
        code = f"""
        paths = [{str(secret)!r}, {str(ROOT / "grading" / "checks.py")!r}, {str(Path.home() / ".bashrc")!r}]
        seen = [path for path in [*paths, "/etc/passwd"] if os.path.exists(path)]
        done(seen=np.frombuffer(json.dumps(seen).encode(), np.uint8))
        """
        assert looked_at(run(code)) == []

    def test_the_box_is_the_only_place_to_write(self, run):
        code = """
        places = []
        for folder, folders, _ in os.walk("/"):
            if folder.count("/") > 6 or folder.startswith(("/proc", "/box", "/tmp", "/dev/shm")):
                folders.clear()
                continue
            try:
                open(os.path.join(folder, "written"), "w").close()
                places.append(folder)
            except OSError:
                pass
        for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/self/oom_score_adj"):
            try:
                os.close(os.open(path, os.O_WRONLY))
                places.append(path)
            except OSError:
                pass
        open("/tmp/written", "w").close()
        open("/dev/shm/written", "w").close()
        places += [os.path.exists(BOX + "/tmp/written"), os.path.exists(BOX + "/shm/written")]
        done(seen=np.frombuffer(json.dumps(places).encode(), np.uint8))
        """
        assert looked_at(run(code)) == [True, True]  # /tmp and /dev/shm are folders of the box

    def test_other_processes_and_their_environment_are_not_seen(self, run, monkeypatch):
        monkeypatch.setenv("SECRET_API_KEY", "hush")
        code = """
        pids = [name for name in os.listdir("/proc") if name.isdigit()]
        secret = any(b"SECRET_API_KEY" in open(f"/proc/{pid}/environ", "rb").read() for pid in pids)
        done(seen=np.frombuffer(json.dumps([len(pids), secret]).encode(), np.uint8))
        """
        assert looked_at(run(code)) == [2, False]

    def test_no_capability_and_no_way_to_more(self, run):
        code = """
        import ctypes, subprocess
        status = open("/proc/self/status").read()
        effective = [line.split()[1] for line in status.splitlines() if line.startswith(("CapEff", "CapPrm", "CapBnd"))]
        namespace = ctypes.CDLL(None).unshare(0x10000000)
        done(seen=np.frombuffer(json.dumps([effective, namespace]).encode(), np.uint8))
        """
        effective, namespace = looked_at(run(code))
        assert set(effective) == {"0" * 16}
        if bubblewrap._can_disable_userns():
            assert namespace == -1

    def test_semaphores_work(self, run):
        assert run("import multiprocessing\nmultiprocessing.Lock()\ndone()").status == "done"


def test_the_system_interpreter_runs_under_bubblewrap(tmp_path):
    """It has another prefix than the one of this test, and no packages of its own."""
    system = Path("/usr/bin/python3")
    if not system.exists() or bubblewrap.unavailable() is not None:
        pytest.skip("needs /usr/bin/python3 and bubblewrap")
    code = """
import subprocess, sys
from pathlib import Path
from grading import bubblewrap
command = [*bubblewrap.prefix(Path(sys.argv[1]), Path(bubblewrap.__file__)), sys.executable, "-I", "-c", "print(7)"]
print(subprocess.run(command, capture_output=True, text=True))
"""
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.defpath + os.pathsep + os.environ["PATH"]}
    said = subprocess.run([system, "-B", "-c", code, tmp_path], env=environment, capture_output=True, text=True)
    assert "stdout='7\\n'" in said.stdout, said


# --------------------------------------------------------------------------- what is said of it


def test_guards_say_what_is_enforced_and_what_is_not(mode):
    first, *others = sandbox.guards()
    assert "20 s of processor time, 30 s in all, 3 GiB of memory, 200 MiB of files or 32 processes" in first
    if mode == "plain":
        assert any("Not enforced (bubblewrap is switched off by LAB_BUBBLEWRAP=0)" in line for line in others)
    else:
        assert any(line.startswith("bubblewrap: the code has no network") for line in others)


def test_a_system_without_bubblewrap_says_so(monkeypatch):
    monkeypatch.delenv(bubblewrap.OFF, raising=False)
    monkeypatch.setattr(bubblewrap, "_probe", lambda: "is not installed")
    assert any("bubblewrap is not installed" in line for line in sandbox.guards())


def test_without_a_list_of_children_processes_are_walked(boxes, worker, tmp_path, monkeypatch):
    """As on macOS and Windows: nobody adopts a daemon, its token gives it away."""
    monkeypatch.setenv(bubblewrap.OFF, "0")
    monkeypatch.setattr(processes, "CAN_LIST_CHILDREN", False)
    worker("daemon(os.environ.items())\nif os.fork() == 0: time.sleep(20)\ntime.sleep(20)")
    outcome = sandbox.run("t", b"", {}, limits=sandbox.Limits(wall_seconds=0.6))
    assert outcome.status == "timeout" and list(boxes.iterdir()) == []
    assert left_over(str(tmp_path), []) == []
    assert any("may outlive its question" in line for line in sandbox.guards())


@posix
def test_little_time_is_lost(run):
    """Beyond the worker's own start; measured in processor time, since the machine is shared."""
    import resource

    def seconds(call) -> float:
        def used():
            return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))

        times = []
        for _ in range(4):
            begun = used()
            call()
            times.append(used() - begun)
        return min(times)

    run()  # writes the worker
    alone = seconds(lambda: subprocess.run([sys.executable, "-I", "-B", "-c", "import numpy"], check=True))
    assert seconds(lambda: sandbox.run("t", b"", {}, limits=QUICK)) < alone + 0.1
