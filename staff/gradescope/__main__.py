"""Build the autograder bundle that is uploaded to Gradescope.

    python -m staff.gradescope OUT.zip                     the four questions on the code
    python -m staff.gradescope OUT.zip --dataset mnist     and question 6, from the results/ that are handed in

In Gradescope: a programming assignment, Configure Autograder, upload OUT.zip. See docs/staff.md.
"""

import argparse
import json
import re
import secrets
import stat
import sys
import zipfile
from pathlib import Path

from grading import scores, table
from hi_mnist import cli, data, prepare
from hi_mnist.cli import LabError
from hi_mnist.data import DATASETS
from hi_mnist.files import ROOT, atomic_path, cache_dir
from hi_mnist.runs import TrainConfig
from staff import handout
from staff.gradescope import autograder

TEMPLATES = ("setup.sh", "run_autograder")  # Gradescope wants them at the bundle's top
# What grading imports, named one by one: the solution and the staff's other files stay here.
FILES = [
    "hi_mnist/__init__.py",
    "hi_mnist/cli.py",
    "hi_mnist/data.py",
    "hi_mnist/files.py",
    "hi_mnist/networks.py",
    "hi_mnist/runs.py",
    "staff/__init__.py",
    "staff/archives.py",
    "staff/gradescope/__init__.py",
    "staff/gradescope/autograder.py",
]
FILES_FOR_RUNS = [  # in addition, where runs are graded
    "hi_mnist/download.py",
    "hi_mnist/idx.py",
    "hi_mnist/prepare.py",
    "staff/grade_one.py",
    "staff/gradebook.py",
    "staff/handout.py",
    "staff/rerun.py",
    "staff/tables.py",
]
PACKAGES = ["numpy", "scipy", "scikit-learn", "pillow", "safetensors", "PyYAML", "tqdm", "threadpoolctl", "psutil"]
VISIBILITIES = ("visible", "after_due_date", "after_published", "hidden")
TIMEOUT = 540  # s; Gradescope ends an autograder after 10 minutes,
TIMEOUT_FOR_RUNS = 2340  # or after up to 40, where the assignment's settings say so


def requirements() -> str:
    """The lines of requirements.txt that grading needs: neither torch nor the plots.

    Raises:
        LabError: requirements.txt lacks a package.
    """
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = {re.split(r"[<>=!~ ]", line)[0].lower(): line for line in lines if not line.startswith("#")}
    missing = [name for name in PACKAGES if name.lower() not in pins]
    if missing:
        raise LabError(f"requirements.txt lacks {', '.join(missing)}, which grading needs; add them")
    return "".join(pins[name.lower()] + "\n" for name in PACKAGES)


def bundle(settings: dict) -> dict[str, bytes]:
    """The files of the bundle by name."""
    root, dataset = ROOT, settings["dataset"]
    names = FILES + (FILES_FOR_RUNS if dataset else [])
    names += sorted(path.relative_to(root).as_posix() for path in (root / "grading").glob("*.py"))
    texts = {name: (root / name).read_text(encoding="utf-8") for name in names}
    texts |= {name: (Path(__file__).parent / name).read_text(encoding="utf-8") for name in TEMPLATES}
    # What of submission.py is given; its regions are empty, as in the students' copies.
    texts["submission.py"] = handout.strip_solution((root / "submission.py").read_text("utf-8"), "submission.py")[0]
    texts["requirements.txt"] = requirements()
    texts["settings.json"] = json.dumps(settings, indent=2) + "\n"
    texts["failed.json"] = json.dumps(autograder.failure(), indent=2) + "\n"
    return {name: text.encode() for name, text in texts.items()} | (data_files(dataset) if dataset else {})


def data_files(dataset: str) -> dict[str, bytes]:
    """The prepared data set and the baselines known here, so that no hand-in waits for the usual one."""
    prepare.ensure(dataset)
    folder = data.prepared_dir(dataset)
    images = [data.load_split(split, dataset)[0] for split in ("train", "test")]
    scores.baseline_davies_bouldin(dataset, TrainConfig().embedding_dim, *images)
    files = {f"data/{dataset}_encoded/{path.name}": path for path in folder.iterdir() if path.is_file()}
    files |= {f"data/cache/{path.name}": path for path in cache_dir().glob("baseline-*.json")}
    return {name: path.read_bytes() for name, path in files.items()}


def write_zip(out: Path, files: dict[str, bytes]) -> None:
    """Write the bundle, its files at the archive's top, the scripts executable."""
    with atomic_path(out) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name)  # dated 1980: the same sources make the same bytes
            mode = 0o755 if name in TEMPLATES else 0o600 if name == "settings.json" else 0o644
            entry.external_attr = (stat.S_IFREG | mode) << 16
            entry.create_system = 3  # Unix, whose modes these are
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m staff.gradescope", description="Build the autograder bundle that is uploaded to Gradescope."
    )
    parser.add_argument("out", type=Path, metavar="OUT.zip", help="the file to write; never overwritten")
    parser.add_argument("--seed", type=int, help="hidden seed of the checks (default: a fresh one, printed)")
    parser.add_argument(
        "--dataset",
        choices=list(DATASETS),
        help="grade question 6 as well, on runs of this data set, which goes into the bundle (default: the code only)",
    )
    parser.add_argument(
        "--visibility",
        choices=VISIBILITIES,
        default=VISIBILITIES[0],
        help="when students see their results (default: %(default)s)",
    )
    return cli.one_line_errors(parser)


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    out = args.out.expanduser().resolve()
    seed = secrets.randbelow(2**32) if args.seed is None else args.seed
    if not 0 <= seed < 2**32:
        raise LabError(f"--seed must be between 0 and {2**32 - 1}, got {seed}")
    if out.suffix != ".zip":
        raise LabError(f"{out.name} does not end in .zip, which Gradescope wants; name it {out.name}.zip")
    if out.exists():
        raise LabError(f"{out} exists and is never overwritten; remove it or name another file")
    settings = {
        "seed": seed,
        "visibility": args.visibility,
        "dataset": args.dataset,
        "timeout": TIMEOUT_FOR_RUNS if args.dataset else TIMEOUT,
        "points": table.AUTO_POINTS if args.dataset else table.CODE_POINTS,
    }
    write_zip(out, bundle(settings))
    print(f"wrote {out} ({settings['points']} points); its hidden seed is {seed}")
    print("next: upload it (Configure Autograder) and try it with the solution; see docs/staff.md, Gradescope")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
