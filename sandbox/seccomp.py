"""A filter for system calls (Linux) that student code has no use for: each of these fails with EPERM.

They would let it talk to other hand-ins or the grader (kernel keys, shared memory and queues, vsock), hold what no
limit counts, look into other processes or hold them up, or reach much-attacked parts of the kernel.
"""

import platform
import struct
import sys

# Numbers on x86-64 and aarch64, from the kernel's tables.
DENIED = {
    "add_key": (248, 217), "bpf": (321, 280), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425), "kcmp": (312, 272), "keyctl": (250, 219), "memfd_create": (319, 279),
    "memfd_secret": (447, 447), "mq_open": (240, 180), "msgget": (68, 186), "open_by_handle_at": (304, 265),
    "perf_event_open": (298, 241), "pidfd_getfd": (438, 438), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "ptrace": (101, 117), "request_key": (249, 218), "semget": (64, 190),
    "fanotify_init": (300, 262), "inotify_init1": (294, 26), "setns": (308, 268), "setpriority": (141, 140),
    "shmget": (29, 194), "unshare": (272, 97), "userfaultfd": (323, 282),
}  # fmt: skip
# Allowed with these first arguments only: local and internet sockets, and limits and schedules of the caller itself.
FAMILIES, ITSELF = (1, 2, 10), (0,)
BY_ARGUMENT = {
    "ioprio_set": (251, 30, ()), "prlimit64": (302, 261, ITSELF), "sched_setaffinity": (203, 122, ITSELF),
    "sched_setattr": (314, 274, ITSELF), "sched_setparam": (142, 118, ITSELF),
    "sched_setscheduler": (144, 119, ITSELF), "socket": (41, 198, FAMILIES), "socketpair": (53, 199, FAMILIES),
}  # fmt: skip
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
MACHINE = platform.machine() if sys.platform.startswith("linux") else ""
X32 = 0x40000000  # x86-64's calls with 32-bit pointers, under numbers of their own, begin here
# linux/bpf_common.h and linux/seccomp.h: load a word, jump if equal or if greater or equal, return.
LOAD, EQUAL, GREATER, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, EPERM = 0x7FFF0000, 0x00050001
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data


def program(machine: str = MACHINE) -> bytes:
    """The filter as classic BPF, eight bytes an instruction; empty off Linux, and on machines that are not listed."""
    if machine not in ARCHITECTURES:
        return b""
    column = list(ARCHITECTURES).index(machine)
    steps = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, ARCHITECTURES[machine]), (RETURN, 0, 0, EPERM)]
    steps += [(LOAD, 0, 0, NUMBER)]
    if machine == "x86_64":
        steps += [(GREATER, 0, 1, X32), (RETURN, 0, 0, EPERM)]
    for numbers in DENIED.values():
        steps += [(EQUAL, 0, 1, numbers[column]), (RETURN, 0, 0, EPERM)]
    for *numbers, values in BY_ARGUMENT.values():
        check = [(LOAD, 0, 0, FIRST_ARGUMENT), *((EQUAL, len(values) - i, 0, v) for i, v in enumerate(values))]
        check += [(RETURN, 0, 0, EPERM), (RETURN, 0, 0, ALLOW)]
        steps += [(EQUAL, 0, len(check), numbers[column]), *check]
    return b"".join(struct.pack("=HBBI", *step) for step in [*steps, (RETURN, 0, 0, ALLOW)])
