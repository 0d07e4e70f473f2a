"""The zip to hand in, ``student_id+name+LAB3.zip``: submission.py, the run's folder and the report.

python grade.py --hand_in --student_id PB23000001 --name Ann
"""

import re
import zipfile
from pathlib import Path

from hi_mnist import networks
from hi_mnist.cli import LabError
from hi_mnist.files import atomic_path, read_json
from hi_mnist.projections import PROJECTIONS
from hi_mnist.runs import SavedRun, run_option
from hi_mnist.text import one_line
from report.draw import SIXES

RUN = "config.yaml trace.csv gmm/config.json gmm/gmm.safetensors pca/config.json pca/pca.safetensors"
MADE_BY = {  # what of the run's folder is handed in, by the command that makes it
    "python train.py --use_pca": RUN.split(),
    "python visualization.py": [f"true_{name}.png" for name in PROJECTIONS],
    "python visualization.py --cluster_label": [f"cluster_{name}.png" for name in PROJECTIONS],
    "python grade.py --sample_index k": ["grade.json", *SIXES],
}
NEED_TORCH = ("true_ae.png", "cluster_ae.png", *SIXES)
_ID = re.compile(r"(?=.*[0-9])[A-Za-z0-9][A-Za-z0-9.-]{0,39}")
_NAME = re.compile(r"(?=.*\D)[^+\uff0b/\\:*?\"<>|]{1,60}")


def make(run: SavedRun, source: Path, student_id: str, name: str, report: str | None = None) -> Path:
    """Check that everything is there, and write the zip beside the run's folder, whole or not at all.

    ``source`` is the path of submission.py, ``report`` that of the report; None takes report.pdf in the run's folder.

    Raises:
        LabError: the run is not a PCA run, id or name cannot be part of the zip's name, or something is missing.
    """
    student_id, name = student_id.strip(), one_line(name, 61)
    if not _ID.fullmatch(student_id):
        raise LabError(f"student_id must be letters and digits without spaces, with a digit, got {student_id!r}")
    if not _NAME.fullmatch(name):
        raise LabError(f'name must be 1 to 60 characters, not digits only, none of + / \\ : * ? " < > |, got {name!r}')
    if not run.config.use_pca:
        raise LabError(f"{run.path} is not a PCA run, and only these count; name one with --results_path")
    pdf = Path(report).expanduser() if report else run.path / "report.pdf"
    option, missing, contents = run_option(run.path), [], {"submission.py": source, "report.pdf": pdf}
    folder = re.sub(r"[^\w.,=-]", "_", run.path.name).lstrip(".") or "run"
    for command, names in MADE_BY.items():
        names = [each for each in names if networks.has_torch() or each not in NEED_TORCH]
        contents |= {f"results/{folder}/{each}": run.path / each for each in names}
        if lost := [each for each in names if not (run.path / each).is_file()]:
            missing.append(f"{', '.join(lost)}: {command}{option * ('train' not in command)}")
    if not missing and read_json(run.path / "grade.json").get("sample_index") is None:
        missing.append(f"an answer to question 6 in grade.json: python grade.py --sample_index k{option}")
    if not pdf.is_file():
        draft = f"python grade.py --report_draft{option}"
        missing.append(f"{pdf}: print report_print.html, which {draft} makes, or name --report FILE")
    elif b"%PDF" not in pdf.read_bytes()[:1024]:
        missing.append(f"a report that is a PDF, which {pdf} is not: print or export it again")
    if missing:
        raise LabError(f"no zip was made, because the run {run.path} lacks {'; '.join(missing)}")
    target = run.path.with_name(f"{student_id}+{name}+LAB3.zip")
    with atomic_path(target) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for inside, path in contents.items():
            archive.writestr(inside, path.read_bytes())
    return target
