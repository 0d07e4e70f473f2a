"""Build the autograder bundle that is uploaded to Gradescope.

    python -m staff.gradescope OUT.zip                 the four questions on the code
    python -m staff.gradescope OUT.zip --lab NAME      the questions of a companion lab

See docs/staff_reference.md, Gradescope.
"""

import argparse
import json
import stat
import sys
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

from hi_mnist import cli
from hi_mnist.cli import LabError
from hi_mnist.files import ROOT, atomic_path
from hi_mnist.settings import add_flags, from_args, setting
from labs import catalog
from staff import appeal, handout
from staff.gradescope import autograder

TEMPLATES = ("setup.sh", "run_autograder")  # Gradescope expects them at the top of the bundle
STAFF_FILES = ["__init__.py", "archives.py", "entries.py", "tables.py"]
STAFF_FILES += ["gradescope/__init__.py", "gradescope/autograder.py"]
PACKAGES = ["numpy", "scipy", "scikit-learn", "pillow", "safetensors", "PyYAML", "tqdm", "threadpoolctl", "psutil"]
PACKAGES += ["filelock"]
VISIBILITIES = ("visible", "after_due_date", "after_published", "hidden")
TIMEOUT = 540  # s; Gradescope ends an autograder after 10 minutes


def requirements(packages: list[str]) -> str:
    """The packages that grading needs, as requirements.lock pins them."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = {line.partition("==")[0].lower(): line for line in lines if not line.startswith("#")}
    return "".join(pins[name.lower()] + "\n" for name in packages)


def bundle(settings: dict) -> dict[str, bytes]:
    """The files of the bundle by name; the regions of submission.py are empty, as in the student's copy."""
    its_own = [] if settings["lab"] == catalog.MAIN else ["labs/shared.py", f"labs/{settings['lab']}/*.py"]
    names = handout.find(handout.GRADING_FILES + its_own) + [f"staff/{name}" for name in STAFF_FILES]
    files = {name: handout.student_copy(name)[0] for name in names}
    files |= {name: (Path(__file__).parent / name).read_bytes() for name in TEMPLATES}
    made = {"settings.json": settings, "failed.json": autograder.FAILURE}
    files |= {name: json.dumps(content, indent=2).encode() + b"\n" for name, content in made.items()}
    return files | {"requirements.txt": requirements(PACKAGES + ["torch"] * bool(its_own)).encode()}


def write_zip(out: Path, files: dict[str, bytes]) -> None:
    """Write the bundle with its files at the top of the archive and the scripts executable."""
    with atomic_path(out) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name)  # dated 1980, so that the same sources give the same bytes
            mode = 0o755 if name in TEMPLATES else 0o600 if name == "settings.json" else 0o644
            entry.external_attr = (stat.S_IFREG | mode) << 16
            entry.create_system = 3  # Unix, so that the modes apply
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])


@dataclass
class Options:
    """The flags of this command."""

    seed: int | None = setting(None, "makes the bundle's secret key (default: a new key)", low=0, high=2**32 - 1)
    lab: str = setting(catalog.MAIN, "whose questions", choices=catalog.names())
    visibility: str = setting("visible", "when students see their results", choices=VISIBILITIES)


def build_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser("python -m staff.gradescope", "Build the bundle that is uploaded to Gradescope.")
    parser.add_argument("out", type=Path, metavar="OUT.zip", help="file to write; never overwritten")
    add_flags(parser, Options)
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    options, out = from_args(Options, args), args.out.expanduser().resolve()
    if out.suffix != ".zip":
        raise LabError(f"{out.name} does not end in .zip, as Gradescope requires; name it {out.name}.zip")
    if out.exists():
        raise LabError(f"{out} exists and is not overwritten; remove it or name another file")
    lab = catalog.load(options.lab)
    made = {"timeout": TIMEOUT, "points": lab.points, "key": appeal.key_of(options.seed)}
    write_zip(out, bundle(asdict(options) | made))
    print(f"wrote {out} ({lab.points} points); its key decides the numbers: keep it from students")
    print("next: upload it (Configure Autograder) and try it with the solution; see docs/staff_reference.md")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
