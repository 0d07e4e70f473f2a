"""What the scripts share of the command line: parsers, one-line errors and exit statuses."""

import argparse
import errno
import os
import re
import shlex
import subprocess
import sys
import traceback
from pathlib import Path

from safetensors import SafetensorError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
OPTIONS = {  # flag: metavar and help text
    "results_path": ("DIR", "folder of the run (default: the newest in results/)"),
    "data_dir": ("DIR", "folder of the four IDX files, gzipped or not (default: MNIST_DIR, else download)"),
    "ae": ("ID_OR_FOLDER", "another AutoEncoder, a Hub id or a folder (default: LAB_AE, else the shipped one)"),
    "ddpm": ("ID_OR_FOLDER", "another diffusion model, a Hub id or a folder (default: LAB_DDPM, else the shipped one)"),
}


class LabError(Exception):
    """An error that the user can fix: one line that names cause, value and remedy. Scripts exit with status 2."""


def make_parser(prog: str, description: str, *examples: str) -> argparse.ArgumentParser:
    """A parser that reports errors in one line, accepts no abbreviated flags, and ends its help with examples."""
    parser = argparse.ArgumentParser(
        prog=prog,
        allow_abbrev=False,
        description=description,
        epilog="\n".join(f"{'examples:' if i == 0 else '':<9} {example}" for i, example in enumerate(examples)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return one_line_errors(parser)


def one_line_errors(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Make a parser report a bad command line in one line; call this for each subparser too."""

    def error(message):
        raise LabError(f"{message} (see: {parser.prog} --help)")

    parser.error = error
    return parser


def add_options(parser: argparse.ArgumentParser, *names: str, **texts: str) -> None:
    """Add flags of ``OPTIONS`` in the order given; ``texts`` are further ones with a help text of their own."""
    for name, text in ({name: OPTIONS[name][1] for name in names} | texts).items():
        parser.add_argument(f"--{name}", metavar=OPTIONS[name][0], help=text)


def quoted(*words: object) -> str:
    """Words of a command as the user's terminal takes them: cmd.exe on Windows, a POSIX shell elsewhere."""
    if sys.platform != "win32":
        return shlex.join(map(str, words))
    # list2cmdline quotes spaces only, but cmd.exe also splits a command at these: C:\R&D.
    lines = [subprocess.list2cmdline([str(word)]) for word in words]
    return " ".join(f'"{line}"' if re.search('^[^"]*[&|<>^()%!,;=]', line) else line for line in lines)


def run_script(main) -> int:
    """Run a script's ``main()`` and turn errors that the user can fix into one line and an exit status.

    What the terminal's encoding lacks is printed as ``\\u5f52``: no text ends the script.

    Returns:
        What ``main`` returns; 2 for a user's error, 130 for Ctrl-C. Bugs keep their traceback.
    """
    # GNU OpenMP reads this when torch or scikit-learn is loaded. By default its threads spin for milliseconds while
    # they wait for each other; on a busy machine, drawing a digit then took minutes.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # The Hub's client reads this on import; without it, it would contact the Hub even for files in its cache.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ["MPLBACKEND"] = "agg"  # pictures become files; a name that matplotlib lacks would stop its import
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's has no encoding, pythonw has no stream
            stream.reconfigure(errors="backslashreplace")
    try:
        return main()
    except KeyboardInterrupt:
        print("\nstopped: nothing half-written is left behind", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in: python train.py | head
        sys.stdout = None
        return 1
    except (LabError, OSError, SafetensorError, MemoryError, RuntimeError, SystemExit) as error:
        line = explain(error)
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        return 2


def no_resources(error: BaseException | None) -> bool:
    """Whether an error, or one that it stands for, is the machine's: a file of ours that is whole could not be read."""
    while error is not None:
        # safetensors gives the system's errors no errno, and some only their text.
        if isinstance(error, OSError) and error.errno != errno.ENOENT:
            return True
        if isinstance(error, MemoryError) or (isinstance(error, SafetensorError) and "(os error " in str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def explain(error: BaseException) -> str | None:
    """One line for an error that the user can fix; None if only a traceback helps."""
    if isinstance(error, LabError):
        return " ".join(str(error).split())
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).name == "submission.py"]
    if isinstance(error, MemoryError) or "allocate memory" in str(error):  # the latter is torch's RuntimeError
        if frames:
            return f"not enough memory in {_where(frames[-1])}; check the shapes of the arrays there"
        return "not enough memory; close other programs and try again"
    if isinstance(error, NotImplementedError):
        frame = traceback.extract_tb(error.__traceback__)[-1]
        if Path(frame.filename).name != "submission.py":
            return None
        return f"{_where(frame)}: {error}: fill in this task first"
    # safetensors reports a full disk without an errno, only in the system's words.
    where = getattr(error, "filename", None) or error
    full = getattr(error, "errno", None) in (*DISK_FULL, errno.EFBIG)
    if full or "No space left" in str(error):
        return f"the disk is full ({where}); free some space and run the command again: nothing was lost"
    if frames and isinstance(error, SystemExit):
        return f"{_where(frames[-1])}: this ends the whole script; leave out exit()"
    if frames:
        return None  # a bug in the student's code, whose traceback shows where
    if isinstance(error, PermissionError):
        held = "close the spreadsheet or other program that has it open, or " if sys.platform == "win32" else ""
        return f"no permission for {where}; {held}choose a folder that you may write to"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{error.strerror}: {where}; check that the path is right and can be written to"
    if isinstance(error, SafetensorError):
        return f"safetensors: {error}; check the disk and run the command again"
    if isinstance(error, RuntimeError) and "home directory" in str(error):  # pathlib's, for ~nobody/data
        return "a path begins with ~ and the name of an unknown user; write it in full"
    return None


def _where(frame: traceback.FrameSummary) -> str:
    """A line of a submission.py; each lab has one, so its folder belongs to its name."""
    path, root = Path(frame.filename), Path(__file__).resolve().parent.parent
    return f"{path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name}, line {frame.lineno}"
