"""The sandbox holds whatever the worker does, under bubblewrap if it works.

The workers here are small files of the tests' own. Each one that misbehaves is bounded by itself (processes, memory,
disk and seconds), so that a guard that fails harms no machine. Where bubblewrap and its absence make a difference, a
test takes place with both (``both_ways``).
"""

import json
import os
import socket
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import wait_until

from grading import bubblewrap, processes, sandbox

pytestmark = pytest.mark.xdist_group("sandbox")
ROOT = Path(__file__).resolve().parent.parent
QUICK = sandbox.Limits(cpu_seconds=10, wall_seconds=30, memory=600 * 2**20, disk=20 * 2**20, file_size=8 * 2**20)
SHORT = sandbox.Limits(wall_seconds=0.7)
both_ways = pytest.mark.parametrize("mode", ["bubblewrap", "plain"], indirect=True)
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX processes")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")

# What every worker here starts with: ``done()`` answers, ``hang()`` sleeps longer than any limit here, ``spin()`` uses
# processor time, ``forks()`` starts children, ``daemon()`` leaves a process that hides its origin.
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

def tell(seen):
    done(seen=np.frombuffer(json.dumps(seen).encode(), np.uint8))

def ready():
    open("ready", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.002)

def hang():
    time.sleep(60)

def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end: pass

def forks(count, child=hang):
    for _ in range(count):
        if os.fork() == 0:
            child()
            os._exit(0)

def daemon(env=()):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.chdir("/")
            os.execve(sys.executable, [sys.executable, "-I", "-c", "import time; time.sleep(60)", MARK], dict(env))
        os._exit(0)
    os.wait()

"""


@pytest.fixture
def mode(request, monkeypatch):
    """``bubblewrap`` where it works, unless a test asks for it (and is skipped elsewhere) or for ``plain``."""
    wanted = getattr(request, "param", None)
    if wanted == "plain":
        monkeypatch.setenv(bubblewrap.OFF, "0")
        return wanted
    monkeypatch.delenv(bubblewrap.OFF, raising=False)
    why = bubblewrap.unavailable()
    if why and wanted:
        pytest.skip(f"bubblewrap {why}")
    return "plain" if why else "bubblewrap"


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
        wait_until(lambda: psutil.STATUS_ZOMBIE not in [child.status() for child in psutil.Process().children()], 10)
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
    """What a worker reported with ``tell``."""
    assert outcome.status == "done", outcome
    return json.loads(outcome.arrays["seen"].tobytes())


# --------------------------------------------------------------------------- honest workers


@both_ways
def test_arrays_go_in_and_come_back(run):
    outcome = run("done(y=np.load('inputs/X.npy') * 2)", {"X": np.arange(6.0).reshape(2, 3)})
    assert (outcome.status, outcome.cause, outcome.error) == ("done", "", None)
    np.testing.assert_array_equal(outcome.arrays["y"], np.arange(6.0).reshape(2, 3) * 2)


@both_ways
def test_the_worker_finds_task_source_and_files_in_a_clean_environment(run, monkeypatch):
    monkeypatch.setenv("SECRET_API_KEY", "hush")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    code = """
    source = open("submission.py", "rb").read().hex()
    tell([json.load(open("task.json")), source, open("given.py").read(), dict(os.environ), BOX, sys.stdin.read()])
    """
    source = b"\xef\xbb\xbfx = '\xb1\xb1'\r\n"
    seen = looked_at(run(code, source=source, settings={"mode": "own"}, files={"given.py": b"pass"}))
    task, found, given, environment, box, typed = seen
    assert task["task"] == "a task" and task["settings"] == {"mode": "own"} and given == "pass"
    assert task["limits"]["cpu_seconds"] == QUICK.cpu_seconds and isinstance(task["paths"], list)
    assert bytes.fromhex(found) == source and typed == ""
    assert not {"SECRET_API_KEY", "PYTHONPATH", "MNIST_DIR", "LAB_HOME"} & set(environment)
    assert environment["HOME"].startswith(box) and environment["TMPDIR"].startswith(box)
    assert environment["OMP_NUM_THREADS"] == "1"


@both_ways
def test_an_error_is_told_without_terminal_commands_and_the_boxs_path(run):
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


def test_nothing_printed_is_read(run):
    outcome = run("""
    for _ in range(50):
        sys.stdout.write("score: 100\\n" * 100_000)
        sys.stderr.write("score: 100\\n" * 1000)
    done()
    """)
    assert outcome.status == "done" and outcome.arrays == {}


def test_several_at_once(run, boxes):
    run("done(y=np.load('inputs/X.npy'))", {"X": np.zeros(1)})  # writes the worker
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(sandbox.run, "t", b"", {"X": np.full(3, i)}, limits=QUICK) for i in range(4)]
        outcomes = [job.result() for job in jobs]
    assert [outcome.arrays["y"][0] for outcome in outcomes] == list(range(4))
    assert list(boxes.iterdir()) == []


# --------------------------------------------------------------------------- limits

IGNORING = "for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(s, signal.SIG_IGN)\nhang()"


@posix
@pytest.mark.parametrize("code", [IGNORING, "os.kill(os.getpid(), signal.SIGSTOP)"], ids=["ignores signals", "stopped"])
def test_wall_time_is_limited(run, code):
    outcome = run(code, limits=sandbox.Limits(wall_seconds=0.5))
    wanted = ("timeout", "it did not end within 20 s of processor time and 0.5 s in all")
    assert (outcome.status, outcome.cause) == wanted


SPENT = {
    "by itself": "spin(20)",
    "by children that ended": "while True:\n    forks(1, lambda: spin(0.1))\n    os.wait()",
    "by children that nobody waits for": """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in range(20):
    forks(1, lambda: spin(0.3))
    try: os.wait()  # returns when all have ended, and tells of none
    except ChildProcessError: pass
""",
}


@linux
@pytest.mark.parametrize("how", SPENT)
def test_processor_time_is_limited(run, how):
    outcome = run(SPENT[how], limits=sandbox.Limits(cpu_seconds=0.6))
    wanted = ("timeout", "it did not end within 0.6 s of processor time and 30 s in all")
    assert (outcome.status, outcome.cause) == wanted


def test_time_before_ready_does_not_count(run):
    assert run("spin(0.6)\nready()\ndone()", at_once=True, limits=sandbox.Limits(cpu_seconds=0.4)).status == "done"


def test_memory_is_limited(run):
    outcome = run("kept = [np.ones(2**22) for _ in range(40)]\nhang()")
    assert (outcome.status, outcome.cause) == ("memory", "it needs more than 600 MiB of memory")


@linux
@both_ways
def test_memory_of_all_processes_counts_what_they_share_once(run):
    assert run("def child():\n    kept = np.ones(2**24)\n    hang()\nforks(6, child)\nhang()").status == "memory"
    assert run("kept = np.ones(2**24)\nforks(8)\nspin(0.3)\ndone()").status == "done"


def test_memory_that_the_worker_was_refused(run):
    assert run("outcome(status='memory')").status == "memory"


@posix
@both_ways
def test_processes_are_limited(run):
    outcome = run("forks(40)\nhang()", limits=sandbox.Limits(processes=32))
    assert (outcome.status, outcome.cause) == ("crash", "it started more than 32 processes")
    assert run("forks(31)\nspin(0.3)\ndone()", limits=sandbox.Limits(processes=32)).status == "done"


@posix
@both_ways
def test_processes_that_keep_forking_are_ended(run):
    code = """
    def child():
        begun = time.time()
        while time.time() < begun + 15:  # each parent ends at once, each child opens a session
            time.sleep(0.002)
            if os.fork(): os._exit(0)
            os.setsid()
    forks(4, child)
    hang()
    """
    assert run(code, limits=sandbox.Limits(wall_seconds=0.5)).status == "timeout"


DISK = {
    "many": ("for i in range(8): open(f'f{i}', 'wb').write(bytes(2**22))\nhang()", "more than 20"),
    "one": ("open('f', 'wb').write(bytes(10 * 2**20))\nhang()", "a file of more than 8 MiB"),
    "and ends": ("open('f', 'wb').write(bytes(10 * 2**20))\ndone()", "a file of more than 8 MiB"),
    "small": ("for i in range(6000): open(f'tmp/{i}', 'wb').close()\ndone()", "more than 5000 files"),
}


@pytest.mark.parametrize("case", DISK)
def test_files_are_limited(run, case):
    code, cause = DISK[case]
    outcome = run(code)
    assert outcome.status == "crash" and outcome.cause.startswith("it wrote " + cause), outcome


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
    hang()
    """
    outcome = run(code)
    assert (outcome.status, outcome.cause) == ("crash", "it wrote more than 20 MiB of files"), outcome


@posix
def test_folders_are_removed_however_deep_and_whatever_their_permissions(run):
    code = """
    os.makedirs('a/b/c'); open('a/b/c/f', 'w').close()
    for d in 'a/b/c', 'a/b', 'a': os.chmod(d, 0)
    open('sparse', 'wb').truncate(2**40)  # takes no room
    done()
    """
    run(code)
    outcome = run("for _ in range(3000): os.mkdir('d' * 20); os.chdir('d' * 20)\nos.chdir(BOX)\ndone()")
    assert outcome.status == "crash" and outcome.cause.startswith("it made files")


# --------------------------------------------------------------------------- ends

ENDS = {
    "": ("crash", "before it answered"),
    "outcome(status='exit')": ("crash", "before it answered"),
    "done(); os._exit(3)": ("crash", "exit status 3"),
    "os.kill(os.getpid(), signal.SIGSEGV)": ("crash", "SIGSEGV"),
    "done(); os.kill(os.getpid(), signal.SIGKILL)": ("crash", "SIGKILL"),
    "os.kill(os.getpid(), signal.SIGXCPU)": ("timeout", "processor time"),
}


@posix
@both_ways
def test_a_process_that_ends_on_its_own(run):
    for code, (status, words) in ENDS.items():
        outcome = run("import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n" + code)
        assert outcome.status == status and words in outcome.cause, outcome
        assert outcome.arrays == {}


@posix
@both_ways
@pytest.mark.parametrize(("end", "status"), [("done()", "done"), ("os._exit(0)", "crash"), ("hang()", "timeout")])
def test_a_daemon_does_not_outlive_the_run(run, end, status):
    assert run(f"daemon()\n{end}", limits=SHORT).status == status


@posix
@both_ways
def test_whoever_kills_or_stops_the_helper_is_ended(run):
    """Without bubblewrap the guardian can be killed; then the token finds those that kept it."""
    killing = "daemon(os.environ.items()); os.kill(os.getppid(), signal.SIGKILL)\nhang()"
    assert run(killing, limits=SHORT).status in ("crash", "timeout")  # a namespace's first process cannot be killed
    assert run("daemon(); os.kill(os.getppid(), signal.SIGSTOP); done()", limits=SHORT).status in ("done", "timeout")


def test_a_worker_that_never_was_ready_is_our_fault(run):
    outcome = run("sys.exit(1)", at_once=True)
    assert outcome.status == "internal" and "did not start" in outcome.cause
    outcome = run("hang()", at_once=True, limits=sandbox.Limits(start_seconds=1))
    assert outcome.status == "internal" and "was not ready after 1 s" in outcome.cause


def test_code_that_takes_away_ready_is_at_fault_itself(run):
    """It runs only after "go", when it is watched."""
    assert run("os.remove('ready')\nos._exit(0)").status == "crash"


def test_a_missing_worker_and_a_folder_that_cannot_be_made_are_our_fault(mode, boxes, monkeypatch, tmp_path):
    monkeypatch.setattr(sandbox, "WORKER", tmp_path / "absent.py")
    assert sandbox.run("t", b"", {}).status == "internal"
    assert list(boxes.iterdir()) == []
    monkeypatch.setattr(sandbox.tempfile, "tempdir", str(tmp_path / "absent"))
    assert sandbox.run("t", b"", {}).status == "internal"


@both_ways
def test_ctrl_c_leaves_nothing(mode, boxes, worker, tmp_path, monkeypatch):
    def interrupt(self):
        raise KeyboardInterrupt

    worker("hang()")
    monkeypatch.setattr(processes.Tree, "look", interrupt)
    with pytest.raises(KeyboardInterrupt):
        sandbox.run("t", b"", {}, limits=QUICK)
    assert list(boxes.iterdir()) == [] and left_over(str(tmp_path), []) == []


GRADER = """
import sys
from pathlib import Path
from grading import sandbox
sandbox.WORKER = Path(sys.argv[1])
print(sandbox.run("t", b"", {}, limits=sandbox.Limits(wall_seconds=60)).status)
"""


@linux
@both_ways
def test_a_killed_grader_takes_the_worker_with_it(mode, worker, tmp_path):
    worker("daemon()\nhang()" if mode == "plain" else "hang()")
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", GRADER, sandbox.WORKER]
    grader = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    wait_until(lambda: list(tmp_path.glob("lab-box-*/go")))
    wait_until(lambda: len(left_over(str(tmp_path), [])) >= 2)
    grader.kill()
    grader.wait()
    wait_until(lambda: left_over(str(tmp_path), []) == [])


@linux
@pytest.mark.slow
def test_a_daemonic_process_can_grade(mode, worker, tmp_path):
    """As inside a Dask worker."""
    worker("done()")
    code = "import multiprocessing\ndef grade():\n" + textwrap.indent(GRADER, "    ")
    code += "p = multiprocessing.get_context('fork').Process(target=grade, daemon=True)\np.start()\np.join()"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", code, sandbox.WORKER]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert said.stdout == "done\n"


@posix
def test_what_a_worker_leaves_is_read_only_where_it_is_plain(run):
    """All else that it may leave: test_answers.py."""
    outcome = run("done(y=1.0)\nfor name in ('Y.npy', 'y.npz', 'a b.npy', 'score.txt'): open(f'outputs/{name}', 'w')")
    assert list(outcome.arrays) == ["y"]
    outcome = run("done()\nnp.save('y.npy', 1.0); os.symlink('../y.npy', 'outputs/y.npy')")
    assert outcome.status == "crash" and outcome.arrays == {}
    assert outcome.cause.startswith("it left an answer")
    assert run("os.mkfifo('outputs/outcome.json')").status == "crash"


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
        tell(seen)
        """
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
            port = server.getsockname()[1]
            local.bind(f"\0lab-{port}")
            local.listen()
            seen = looked_at(run(code.replace("PORT", str(port))))
        assert "connected" not in seen and len(seen) == 2

    def test_others_files_processes_and_environments_are_not_seen(self, run, tmp_path, monkeypatch):
        monkeypatch.setenv("SECRET_API_KEY", "hush")
        secret = tmp_path / "hand_in.py"
        secret.write_text("answer = 42")
        code = f"""
        paths = [{str(secret)!r}, {str(ROOT / "grading" / "checks.py")!r}, {str(Path.home() / ".bashrc")!r}]
        pids = [name for name in os.listdir("/proc") if name.isdigit()]
        secret = any(b"SECRET_API_KEY" in open(f"/proc/{{pid}}/environ", "rb").read() for pid in pids)
        tell([[path for path in [*paths, "/etc/passwd"] if os.path.exists(path)], len(pids), secret])
        """
        assert looked_at(run(code)) == [[], 2, False]

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
        tell(places + [os.path.exists(BOX + "/tmp/written"), os.path.exists(BOX + "/shm/written")])
        """
        assert looked_at(run(code)) == [True, True]  # /tmp and /dev/shm are folders of the box

    def test_no_capability_and_no_way_to_more_but_semaphores(self, run):
        code = """
        import ctypes, multiprocessing
        multiprocessing.Lock()
        status = open("/proc/self/status").read()
        effective = [line.split()[1] for line in status.splitlines() if line.startswith(("CapEff", "CapPrm", "CapBnd"))]
        tell([effective, ctypes.CDLL(None).unshare(0x10000000)])
        """
        effective, namespace = looked_at(run(code))
        assert set(effective) == {"0" * 16}
        if bubblewrap._can_disable_userns():
            assert namespace == -1


def test_the_system_interpreter_runs_under_bubblewrap(tmp_path):
    """It has another prefix than this test's interpreter, and no packages."""
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


@both_ways
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
    """As on macOS and Windows: nothing adopts a daemon, but its token reveals it."""
    monkeypatch.setenv(bubblewrap.OFF, "0")
    monkeypatch.setattr(processes, "CAN_LIST_CHILDREN", False)
    worker("daemon(os.environ.items())\nforks(1)\nhang()")
    outcome = sandbox.run("t", b"", {}, limits=SHORT)
    assert outcome.status == "timeout" and list(boxes.iterdir()) == []
    assert left_over(str(tmp_path), []) == []
    assert any("may outlive its question" in line for line in sandbox.guards())
