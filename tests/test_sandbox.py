"""The sandbox holds whatever the code does, under bubblewrap if it works, and judges by what the code did itself.

The submissions here are small and bounded by themselves (processes, memory, disk and seconds), so that a guard that
fails harms no machine. Where bubblewrap and its absence make a difference, a test takes both (``both_ways``).
"""

import functools
import json
import os
import socket
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import wait_until

import sandbox
from grading import checks
from hi_mnist import files
from hi_mnist.files import ROOT
from sandbox import bubblewrap, seccomp, watch

pytestmark = pytest.mark.xdist_group("sandbox")
QUICK = sandbox.Limits(cpu_seconds=10, memory=800 * 2**20, file_size=8 * 2**20)
SHORT = sandbox.Limits(cpu_seconds=0.5)
both_ways = pytest.mark.parametrize("mode", ["bubblewrap", "plain"], indirect=True)
sealed_only = pytest.mark.parametrize("mode", ["bubblewrap"], indirect=True)
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")
TASKS = b"TASKS = {'t': lambda submission, inputs, settings: submission.answer(inputs, settings) or {}}"
# What every submission here starts with: ``answer`` returns arrays; ``spin`` uses processor time, ``forks`` starts
# children, ``daemon`` leaves a process that hides its origin.
START = """
import json, os, signal, sys, time
import numpy as np

def tell(seen):
    return {{"seen": np.frombuffer(json.dumps(seen).encode(), np.uint8)}}

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

def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execve(sys.executable, [sys.executable, "-I", "-c", "import time; time.sleep(60)", {mark!r}], {{}})
        os._exit(0)
    os.wait()

def answer(inputs, settings):
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
    """Where the folders of this test are made."""
    folder = tmp_path / "boxes"
    folder.mkdir()
    monkeypatch.setattr(files.tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def submission(tmp_path):
    """``submission(code)``: a file whose ``answer(inputs, settings)`` is this code."""

    def write(code: str) -> bytes:
        return (START.format(mark=str(tmp_path)) + textwrap.indent(textwrap.dedent(code), "    ")).encode()

    return write


@pytest.fixture
def run(mode, boxes, submission, tmp_path):
    """``run(code) -> Outcome``: let it answer, and see that no process and no folder is left."""

    def call(code: str = "return {}", inputs=None, *, limits=QUICK, **more):
        with sandbox.Box(submission(code), TASKS) as box:
            result = box.run("t", inputs or {}, limits=limits, **more)
        assert list(boxes.iterdir()) == []
        wait_until(lambda: left_over(str(tmp_path)) == [], 10)
        return result

    return call


def left_over(mark: str) -> list[str]:
    """Our own children, and processes of the system that carry a test's mark."""
    found = [str(child) for child in psutil.Process().children(recursive=True) if "child.py" in cmdline(child)]
    return found + [str(process) for process in psutil.process_iter() if mark in cmdline(process)]


def cmdline(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def looked_at(outcome: sandbox.Outcome):
    """What a submission reported with ``tell``."""
    assert outcome.status == "done", outcome
    return json.loads(outcome.arrays["seen"].astype(np.uint8).tobytes())


# --------------------------------------------------------------------------- honest code


@both_ways
def test_arrays_go_in_and_come_back(run):
    sent = {"x": np.arange(6.0).reshape(2, 3), "none": np.zeros((0, 3)), "one": np.array(7), "u": np.ones(2, np.uint8)}
    outcome = run("return {k: v * 2 for k, v in inputs.items()} | {'c': np.array([1 + 2j, 3])}", sent)
    assert (outcome.status, outcome.cause, outcome.error) == ("done", "", None)
    for name, array in sent.items():
        np.testing.assert_array_equal(outcome.arrays[name], array * 2)
    np.testing.assert_array_equal(outcome.arrays["c"], [1 + 2j, 3])


@both_ways
def test_code_finds_its_file_and_folder_and_nothing_of_the_grader(run, monkeypatch):
    monkeypatch.setenv("SECRET_API_KEY", "hush")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    code = """
    os.chdir(os.path.dirname(__file__))
    found = [os.path.isabs(__file__), open("submission.py").read() == open(__file__).read(), sys.argv, sys.stdin.read()]
    tell_me = [inputs["given.py"].tobytes().decode(), settings, os.listdir(), dict(os.environ), os.listdir("/tmp")]
    return tell([found, tell_me])
    """
    seen = looked_at(run(code, settings={"mode": "own"}, files={"given.py": b"pass"}))
    assert seen[0] == [True, True, ["submission.py"], ""]
    given, settings, listed, environment, _ = seen[1]
    assert (given, settings, listed) == ("pass", {"mode": "own"}, ["submission.py"])
    assert not {"SECRET_API_KEY", "PYTHONPATH", "MNIST_DIR", "LAB_HOME"} & set(environment)
    assert environment["OMP_NUM_THREADS"] == "1"


@both_ways
def test_an_error_is_told_without_terminal_commands_and_the_folders_path(run):
    code = r"""
    class Odd(Exception): pass
    raise Odd("\x1b[2J\x1b]0;title\x07PASS\u202e 40/40\x00\r\nbad \ud800 " + os.getcwd() + "/f" + "x" * 5000)
    """
    outcome = run(code)
    assert (outcome.status, outcome.error["kind"], outcome.error["type"]) == ("raised", "exception", "Odd")
    assert outcome.error["text"].startswith("PASS 40/40 bad") and "boxes" not in outcome.error["text"]
    assert len(outcome.error["text"]) <= 2000 and len(outcome.error["trace"]) <= 4000
    assert outcome.cause.startswith("Odd: PASS")


@both_ways
def test_nothing_printed_is_read(run):
    flood = "for _ in range(50): os.write(1, b'score: 100\\n' * 100_000), os.write(2, b'PASS' * 100_000)\nreturn {}"
    assert run(flood) == sandbox.Outcome("done")


@both_ways
def test_several_at_once(mode, boxes, submission):
    asked = [{"x": np.full(3, float(i))} for i in range(4)]
    with ExitStack() as stack, ThreadPoolExecutor(4) as pool:
        all_boxes = [stack.enter_context(sandbox.Box(submission("return inputs"), TASKS)) for _ in asked]
        if mode == "plain":  # there, one serves several threads
            all_boxes = all_boxes[:1] * 4
        outcomes = list(pool.map(lambda box, inputs: box.run("t", inputs, limits=QUICK), all_boxes, asked))
    assert [outcome.arrays["x"][0] for outcome in outcomes] == list(range(4))
    assert list(boxes.iterdir()) == []


# --------------------------------------------------------------------------- limits

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
    "forks for ever": """
def child():
    begun = time.time()
    while time.time() < begun + 15:  # each parent ends at once, each child opens a session
        spin(0.01)
        if os.fork(): os._exit(0)
        os.setsid()
forks(4, child)
hang()
""",
    "by orphans": "forks(1, lambda: (forks(2, lambda: spin(20)), os._exit(0)))\nhang()",
}


@linux
@pytest.mark.parametrize("how", SPENT)
def test_processor_time_is_limited_for_all_together(run, how):
    outcome = run(SPENT[how], limits=sandbox.Limits(cpu_seconds=0.6))
    assert outcome.status == "timeout" and "0.6 s of processor time" in outcome.cause


IDLE = {
    "ignores signals": "for s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\nhang()",
    "stopped": "os.kill(os.getpid(), signal.SIGSTOP)",
}


@linux
@both_ways
def test_what_idles_is_ended(run, monkeypatch):
    monkeypatch.setattr(sandbox, "IDLE_SECONDS", 1.0)
    for name, code in IDLE.items():
        assert run(code).status == "timeout", name


class Group:
    """A group that works, waits and sleeps as told: seconds of processor time and of delay for each second."""

    def __init__(self, cpu: float, delay: float):
        self.cpu, self.delay, self.now = cpu, delay, 0.0

    def look(self) -> watch.Usage:
        return watch.Usage(self.cpu * self.now, 0, 1, self.delay * self.now)


def ended(cpu: float, delay: float, monkeypatch, cpu_seconds: float = 20) -> tuple[str, float]:
    """How and when code is ended that uses so much."""
    group = Group(cpu, delay)
    monkeypatch.setattr(sandbox.time, "monotonic", lambda: group.now)
    clock = sandbox._Clock(group, sandbox.Limits(cpu_seconds=cpu_seconds))
    while group.now < 10_000:
        group.now += 0.25
        try:
            if outcome := clock.look():
                assert f"{cpu * group.now:.0f} s of processor time in {group.now:.0f} s" in outcome.cause
                return outcome.status, group.now
        except sandbox.Internal:
            return "internal", group.now
    return "", group.now


def test_time_is_judged_by_what_the_code_did_itself(monkeypatch):
    cases = {  # seconds of work and of delay for each second: verdict, and when at most
        "works alone": (1, 0, "timeout", 21),
        "works on two processors": (2, 0, "timeout", 11),
        "sleeps": (0, 0, "timeout", 62),
        "wakes now and then": (0.01, 0.01, "timeout", 62),
        "works a little": (0.09, 0, "timeout", 201),
        "waits for others": (0.05, 0.95, "internal", 201),
        "waits for others, and works enough": (0.2, 0.8, "timeout", 101),
        "its own threads wait for each other": (1, 20, "timeout", 21),
        "sleeps more than it waits": (0.05, 0.2, "timeout", 201),
    }
    for name, (cpu, delay, verdict, latest) in cases.items():
        how, when = ended(cpu, delay, monkeypatch)
        assert (how, when <= latest) == (verdict, True), (name, how, when)


@linux
def test_delay_by_others_is_measured(mode):
    """Three that work on one processor: each is ready all the time and works a third of it."""
    code = "import os, time; os.sched_setaffinity(0, {CPU}); end = time.time() + 20\nwhile time.time() < end: pass"
    code = code.replace("CPU", str(min(os.sched_getaffinity(0))))
    busy = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    try:
        look = watch.Watch(busy[0].pid, 0, 100).look
        wait_until(lambda: look().delay > 0.5 and look().cpu > 0.2, 20)
    finally:
        for process in busy:
            process.kill()
            process.wait()


@both_ways
def test_memory_is_limited_for_all_together(run):
    assert run("kept = [np.ones(2**22) for _ in range(40)]\nhang()").status == "memory"
    if watch.LINUX:
        assert run("def child():\n    kept = np.ones(2**24)\n    hang()\nforks(8, child)\nhang()").status == "memory"
        hog = "import ctypes, threading\nlibc = ctypes.CDLL(None)\n"
        hog += "for _ in range(8):\n    if os.fork() == 0:\n        threading.Thread(target=lambda: "
        hog += "(kept := np.ones(2**24)) is hang()).start()\n        libc.syscall(60, 0)\nhang()"
        assert run(hog).status == "memory", "in processes whose first thread has ended"
        shared = run("kept = np.ones(2**24)\nforks(8)\nspin(0.3)\nreturn {}")
        assert shared.status == "done", "shared memory counts once"


@linux
@both_ways
def test_processes_and_threads_are_limited(run):
    threads = "import threading\nfor _ in range(COUNT): threading.Thread(target=time.sleep, args=(20,)).start()\n"
    limits, hidden = sandbox.Limits(tasks=24), "import ctypes, threading\nlibc = ctypes.CDLL(None)\n"
    hidden += "libc.prctl(15, b'Threads:\\t0', 0, 0, 0)\nif os.fork() == 0:\n    COUNT\n    libc.syscall(60, 0)\nhang()"
    hidden = hidden.replace("COUNT", "for _ in range(40): threading.Thread(target=hang).start()")  # and end the first
    zombies = "for _ in range(40):\n    if os.fork() == 0: os._exit(0)\nhang()"
    for code in ("forks(40)\nhang()", threads.replace("COUNT", "60") + "hang()", hidden, zombies):
        outcome = run(code, limits=limits)
        assert (outcome.status, "more than 24 processes and threads" in outcome.cause) == ("crash", True), outcome
    for code in ("forks(20)\n", threads.replace("COUNT", "20")):
        assert run(code + "spin(0.2)\nreturn {}", limits=limits).status == "done"


@sealed_only
def test_the_disk_is_bounded_by_the_kernel(run):
    code = """
    try:
        for i in range(100):
            with open(f"/tmp/{i}", "wb") as file: os.posix_fallocate(file.fileno(), 0, 2**22)
    except OSError as error:
        return tell([error.errno, i])
    """
    number, count = looked_at(run(code))
    assert number == 28 and sandbox.Limits.disk - 2**23 < count * 2**22 <= sandbox.Limits.disk
    outcome = run("for i in range(6000): open(f'{i}', 'wb').close()\nreturn {}")
    assert (outcome.status, outcome.cause) == ("crash", "it made more than 5000 files")


@both_ways
def test_files_and_answers_are_limited(run):
    assert run("open('f', 'wb').write(bytes(10 * 2**20))").error["type"] == "OSError"
    outcome = run("return {'y': np.zeros(2**24)}", limits=sandbox.Limits())
    assert (outcome.status, outcome.arrays) == ("crash", {}) and "64 MiB" in outcome.cause


# --------------------------------------------------------------------------- ends

ENDS = {
    "os._exit(0)": ("crash", "before it answered"),
    "sys.exit(0)": ("crash", "before it answered"),
    "os._exit(3)": ("crash", "exit status 3"),
    "os.kill(os.getpid(), signal.SIGSEGV)": ("crash", "SIGSEGV"),
    "os.kill(os.getpid(), signal.SIGKILL)": ("crash", "SIGKILL"),
    "os.kill(os.getpid(), signal.SIGXCPU)": ("timeout", "processor time"),
    "raise MemoryError": ("memory", "800 MiB"),
    "forks(3)\nos._exit(0)": ("crash", "before it answered"),
}


@linux
@both_ways
def test_a_process_that_ends_on_its_own(run):
    for code, (status, words) in ENDS.items():
        outcome = run(code)
        assert outcome.status == status and words in outcome.cause, (code, outcome)
        assert outcome.arrays == {}


@linux
@both_ways
@pytest.mark.parametrize(("end", "status"), [("return {}", "done"), ("os._exit(0)", "crash"), ("spin(9)", "timeout")])
def test_a_daemon_does_not_outlive_the_run(run, end, status):
    assert run(f"daemon()\n{end}", limits=SHORT).status == status


@linux
@both_ways
def test_whoever_ends_or_stops_the_process_above_is_ended(run):
    assert run("os.kill(os.getppid(), signal.SIGKILL)\nos._exit(1)", limits=SHORT).status == "crash"
    assert run("os.kill(os.getppid(), signal.SIGSTOP); spin(9)", limits=SHORT).status == "timeout"
    starve = "import resource\ntry: resource.prlimit(os.getppid(), resource.RLIMIT_AS, (0, 0))\nexcept OSError: pass\n"
    flood = "try: os.write(500, bytes(2**24))\nexcept OSError: pass\nos._exit(1)"
    assert run(starve + flood, limits=SHORT).status == "crash", "never our fault"


@linux
@sealed_only
def test_questions_are_kept_apart(boxes, submission, mode):
    """Nothing that one leaves behind is there for the next, and the packages are imported once."""
    code = """
    seen = [os.path.exists(p + "/left") for p in (".", "/tmp", "/dev/shm", os.path.expanduser("~"))]
    seen += [hasattr(np, "left"), os.getpid()]
    np.left = True
    for p in (".", "/tmp", "/dev/shm", os.path.expanduser("~")): os.makedirs(p + "/left/deep")
    daemon()
    forks(2)
    if settings.get("deep"):
        os.chmod("/tmp/left", 0)
        for _ in range(3000): os.mkdir("d" * 20); os.chdir("d" * 20)
    return tell(seen)
    """
    with sandbox.Box(submission(code), TASKS) as box:
        pids = []
        for settings in ({}, {"deep": True}, {}):
            *seen, pid = looked_at(box.run("t", {}, settings=settings, limits=QUICK))
            assert not any(seen)
            pids.append(pid)
        assert pids[1] > pids[0] and pids[2] <= pids[1], "what cannot be emptied is replaced"


@both_ways
def test_faults_of_ours_are_tried_three_times_and_are_not_the_codes(run, mode, boxes, submission, monkeypatch):
    tries = []
    started = sandbox._Process.__init__
    monkeypatch.setattr(sandbox._Process, "__init__", lambda *a: tries.append(1) or started(*a))
    with monkeypatch.context() as patch:
        patch.setattr(sandbox, "CODE", [ROOT / "tests" / "absent.py"])
        outcome = sandbox.run("t", b"", {})
        assert (outcome.status, len(tries)) == ("internal", 3) and "did not start" in outcome.cause
    outcome = sandbox.run("t", b"", {}, limits=sandbox.Limits(start_seconds=0))
    assert outcome.status == "internal" and "not ready after 0 s" in outcome.cause
    kills = iter(range(100))
    monkeypatch.setattr(watch, "kills_for_memory", lambda: next(kills))
    outcome = run("os.kill(os.getpid(), 9)")
    assert (outcome.status, "memory" in outcome.cause) == ("internal", True)
    assert run("raise OSError(28, 'No space left on device')").status == "raised", "the disk is not full"
    monkeypatch.setattr(sandbox, "_full", lambda folder: True)
    full = run("raise OSError(28, 'No space left on device')")
    assert full.status == ("raised" if mode == "bubblewrap" else "internal"), "bubblewrap's disk is nobody else's"
    if mode == "plain":
        monkeypatch.setattr(files.tempfile, "tempdir", __file__)  # no folder
        assert sandbox.run("t", b"", {}).status == "internal"


@both_ways
def test_ctrl_c_leaves_nothing(mode, boxes, submission, tmp_path, monkeypatch):
    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(sandbox._Clock, "look", interrupt)
    with pytest.raises(KeyboardInterrupt), sandbox.Box(submission("daemon()\nhang()"), TASKS) as box:
        box.run("t", {})
    assert list(boxes.iterdir()) == []
    wait_until(lambda: left_over(str(tmp_path)) == [], 10)


GRADER = """
import sys
import sandbox
sandbox.Box(sys.argv[1].encode(), sys.argv[2].encode()).run("t", {})
"""


@linux
@both_ways
def test_a_killed_grader_takes_everything_with_it(mode, submission, tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    code = submission("daemon()\nforks(2)\nhang()").decode()
    grader = subprocess.Popen([sys.executable, "-c", GRADER, code, TASKS.decode()], env=environment)
    below = functools.partial(psutil.Process(grader.pid).children, recursive=True)
    try:  # ours (one, or two), the question's, its daemon, and two more
        wait_until(lambda: len(below()) >= (6 if mode == "bubblewrap" else 5))
        processes = below()
    finally:
        grader.kill()
        grader.wait()
    gone, left = psutil.wait_procs(processes, 10)
    assert not left


@linux
@pytest.mark.parametrize("options", [["-m", "grading"], ["-s", "-m", "grading"]], ids=["user site", "PYTHONPATH"])
def test_packages_that_isolated_python_does_not_see(options, tmp_path, mode):
    """A right submission has all points, too, where NumPy lies in the user's own folder or on PYTHONPATH."""
    packages = str(Path(np.__file__).parents[1])
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONUSERBASE": str(tmp_path / "base")}
    if "-s" in options:
        environment["PYTHONPATH"] = packages
    else:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        site = tmp_path / "base" / "lib" / version / "site-packages"
        site.parent.mkdir(parents=True)
        site.symlink_to(packages)
    command = [os.path.realpath(sys.executable), *options, "submission.py", "--only", "e_step"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert "10.00 / 10   PASS" in done.stdout, done


# --------------------------------------------------------------------------- bubblewrap alone


@sealed_only
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
        return tell(seen)
        """
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
            port = server.getsockname()[1]
            local.bind(f"\0lab-{port}")
            local.listen()
            seen = looked_at(run(code.replace("PORT", str(port))))
        assert "connected" not in seen and len(seen) == 2

    def test_others_files_and_processes_are_not_seen(self, run, tmp_path):
        secret = tmp_path / "hand_in.py"
        secret.write_text("answer = 42")
        code = f"""
        paths = [{str(secret)!r}, {str(ROOT / "grading" / "checks.py")!r}, {str(Path.home() / ".bashrc")!r}]
        paths += ["/etc/passwd", "/proc/1", "/proc/keys", "/sys", "/run", "/dev/tty", "/dev/pts"]
        signals = []
        for pid in range(2, 400):
            try:
                os.kill(pid, 0)
                signals.append(pid)
            except OSError:
                pass
        return tell([[path for path in paths if os.path.exists(path)], len(signals), os.getppid()])
        """
        assert looked_at(run(code)) == [[], 1, 1]

    def test_memory_is_the_only_place_to_write(self, run):
        code = """
        places = []
        for folder, folders, _ in os.walk("/"):
            if folder.count("/") > 6 or folder.startswith(("/tmp", "/box")):
                folders.clear()
                continue
            try:
                open(os.path.join(folder, "written"), "w").close()
                places.append(folder)
            except OSError:
                pass
        for folder in (".", "/tmp", "/dev/shm", "/box", os.environ["TMPDIR"], os.path.expanduser("~")):
            open(folder + "/written", "w").close()
        return tell(places)
        """
        assert looked_at(run(code)) == []


@linux
@both_ways
def test_no_capability_and_no_way_to_more_but_semaphores(run):
    code = """
    import ctypes, multiprocessing, struct
    multiprocessing.Lock()
    libc = ctypes.CDLL(None)
    header, sets = struct.pack("=Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
    libc.capget(header, sets)
    return tell([sum(sets.raw), libc.prctl(39, 0, 0, 0, 0), libc.unshare(0x10000000)])
    """
    capabilities, no_new_rights, namespace = looked_at(run(code))
    assert (capabilities, no_new_rights) == (0, 1)
    assert namespace == -1 or not seccomp.program()


# --------------------------------------------------------------------------- what is said of it


@both_ways
def test_guards_say_what_is_enforced_and_what_is_not(mode, monkeypatch):
    first, *others = sandbox.guards()
    assert "20 s of processor time, 200 s in all or 60 s of idleness, 3 GiB of memory" in first
    if mode == "plain":
        assert any("Not enforced (bubblewrap is switched off by LAB_BUBBLEWRAP=0)" in line for line in others)
    else:
        assert any(line.startswith("bubblewrap: the code has no network") for line in others)
    monkeypatch.setattr(seccomp, "program", lambda: b"")
    if watch.LINUX:
        assert any("system calls" in line for line in sandbox.guards())
    monkeypatch.delenv(bubblewrap.OFF, raising=False)
    monkeypatch.setattr(bubblewrap, "_probe", lambda: "is not installed")
    assert any("bubblewrap is not installed" in line for line in sandbox.guards())


def test_another_labs_limits_leave_room_for_its_packages():
    assert checks.LAB_LIMITS.memory > sandbox.Limits().memory
