# ------ kernel_calls [WRONG 0]: Asks for kernel keys, memory and queues that outlive it, filters, traces: what hand-ins could talk through.
# needs: bubblewrap
import ctypes
import platform

from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)
x86 = platform.machine() == "x86_64"
numbers = {"keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "bpf": (321, 280)}
numbers |= {"io_uring_setup": (425, 425), "userfaultfd": (323, 282), "perf_event_open": (298, 241), "ptrace": (101, 117)}
numbers |= {"memfd_create": (319, 279), "shmget": (29, 194), "msgget": (68, 186), "process_vm_readv": (310, 270)}
open_ones = []
for name, (on_x86, on_arm) in numbers.items():
    libc.syscall(on_x86 if x86 else on_arm, 0, 0, 0, 0, 0)
    if ctypes.get_errno() != 1:  # EPERM
        open_ones.append(name)
    ctypes.set_errno(0)
if open_ones:
    # SOLUTION
# ZEROS
# ------ kernel_sockets [WRONG 0]: Opens the doors to a virtual machine's host, to the kernel and to the hardware.
# needs: bubblewrap
import socket

for family in (40, 16, 17, 38):  # vsock, netlink, packet, the kernel's ciphers
    try:
        socket.socket(family, socket.SOCK_DGRAM)
        # SOLUTION
    except OSError:
        pass
# ZEROS
# ------ kernel_files [WRONG 0]: Looks at what the kernel tells of keys, mounts, command lines and devices.
# needs: bubblewrap
names = ["/proc/keys", "/proc/cmdline", "/proc/self/mountinfo", "/proc/1/environ", "/proc/1/fd", "/sys/kernel", "/dev/pts"]
if any(os.path.exists(name) for name in [*names, "/dev/kvm", "/dev/tty", "/dev/fd", "/run", "/etc/passwd"]):
    # SOLUTION
# ZEROS
# ------ kernel_init [WRONG 0]: Ends, stops and traces the process that asks the questions.
# needs: bubblewrap
import signal

for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGSEGV):
    os.kill(1, number)
# ZEROS
# ------ kernel_limits [WRONG 0]: Lowers the limits, the rank and the processors of the process that asks the questions.
# needs: bubblewrap
import resource

for change in (
    lambda: resource.prlimit(1, resource.RLIMIT_AS, (0, 0)),
    lambda: os.setpriority(os.PRIO_PROCESS, 1, 19),
    lambda: os.sched_setaffinity(1, {0}),
    lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)),
):
    try:
        change()
        # SOLUTION
    except OSError:
        pass
# ZEROS
# ------ kernel_threads [CRASH 0]: 3,000 threads that sleep, so that to count them takes the grader's time.
import threading
import time

for _ in range(3000):
    try:
        threading.Thread(target=time.sleep, args=(50,), daemon=True).start()
    except RuntimeError:
        break
time.sleep(50)
# SOLUTION
# ------ kernel_queued_signals: Answers right, after it asked to be told by signals of everything that may happen.
import signal

for number in range(1, 65):
    try:
        signal.signal(number, lambda *_: None)
    except (OSError, ValueError):
        pass
# SOLUTION
