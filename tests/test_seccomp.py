"""The filter of system calls, on an interpreter of its instructions; test_sandbox.py and the corpus try it for real."""

import struct

from sandbox import seccomp


def filtered(machine: str, architecture: int, number: int, argument: int = 0) -> int:
    """What a filter returns for a system call: an interpreter of its instructions."""
    data, accumulator, at = struct.pack("=IIQQ", number, architecture, 0, argument), 0, 0
    steps = list(struct.iter_unpack("=HBBI", seccomp.program(machine)))
    while True:
        code, yes, no, value = steps[at]
        at += 1
        if code == seccomp.LOAD:
            accumulator = struct.unpack_from("=I", data, value)[0]
        elif code == seccomp.RETURN:
            return value
        else:
            at += yes if (accumulator == value if code == seccomp.EQUAL else accumulator >= value) else no


def test_the_filter_denies_what_it_lists_and_nothing_else():
    for column, (machine, architecture) in enumerate(seccomp.ARCHITECTURES.items()):
        denied = {numbers[column] for numbers in seccomp.DENIED.values()}
        by_argument = {rule[column]: rule[2] for rule in seccomp.BY_ARGUMENT.values()}
        for number in range(600):
            if number in by_argument:
                allowed = [n for n in range(50) if filtered(machine, architecture, number, n) == seccomp.ALLOW]
                assert allowed == list(by_argument[number]), (machine, number)
            else:
                allowed = filtered(machine, architecture, number) == seccomp.ALLOW
                assert allowed == (number not in denied), (machine, number)
        assert filtered(machine, 0x40000003, 1) == seccomp.EPERM, "i386 calls have other numbers"
    assert filtered("x86_64", seccomp.ARCHITECTURES["x86_64"], 0x40000000 + 1) == seccomp.EPERM
    assert seccomp.program("riscv64") == b""
