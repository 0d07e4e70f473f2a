"""Make ``lab.ipynb``, for those who work in a notebook, from the commands of the lab text.

    python -m staff.notebook          writes lab.ipynb anew

Each block of commands in docs/lab.en.md becomes a cell with what the text says about it, and with what it wrote.
"""

import argparse
import json
import re
import sys

from hi_mnist import cli, files

TEXT, NOTEBOOK = files.ROOT / "docs" / "lab.en.md", files.ROOT / "lab.ipynb"
INTRO = """# HI MNIST: the lab as a notebook

The [lab text](docs/lab.en.md) explains the lab; the cells below run its commands. Open this file in Jupyter, in the
lab's folder: `python -m pip install notebook`, then `python -m notebook lab.ipynb`. Edit `submission.py` in a tab
beside this one and save it: each command is a process of its own, which reads the file anew. Clear all outputs before
you save the notebook, for the pages make it large."""
COLAB = """**On Google Colab** (we have not tried this): upload the handout's zip in the panel of files and run this
cell. To edit `submission.py`, double-click it in that panel. Elsewhere, the cell does nothing."""
UNPACK = """import os
from pathlib import Path
from zipfile import ZipFile

for archive in Path("/content").glob("*.zip"):
    ZipFile(archive).extractall("/content")
for script in Path("/content").glob("*/train.py"):
    os.chdir(script.parent)
    %pip install -q -r requirements.txt"""
SETUP = """import html
import sys

from IPython.display import HTML, Image, display

import utils

python = f'"{sys.executable}"'


def show(*names, width=600):
    \"\"\"The newest file of each name in results/: a picture, or a page in a frame.\"\"\"
    for name in names:
        path = max(utils.results_dir().glob(f"**/{name}"), key=lambda file: file.stat().st_mtime, default=None)
        if path is None:
            print(f"no {name} yet")
        elif path.suffix == ".png":
            display(Image(path, width=width))
        else:
            page = html.escape(path.read_text(encoding="utf-8"))
            display(HTML(f'<div><iframe srcdoc="{page}" width="100%" height="700"></iframe></div>'))"""
# What is shown after a command.
SHOWN = {
    "--sweep": 'show("sweep.png", width=1000)',
    "--cluster_label": 'show("true_tsne.png", "cluster_tsne.png")\nshow("explore.html")',
    "--sample_index k": 'show("gmm_sample.png", "ddpm_sample.png", width=140)\nshow("report.html")',
    "--report_draft": 'show("report_print.html")',
}


def cell(number: int, kind: str, source: str) -> dict:
    """A cell, ``kind`` "markdown" or "code"."""
    more = {"execution_count": None, "outputs": []} if kind == "code" else {}
    lines = source.splitlines(keepends=True)
    return {"cell_type": kind, "id": f"cell-{number:02}", "metadata": {}} | more | {"source": lines}


def make() -> str:
    """The notebook, without outputs."""
    parts = [("markdown", INTRO), ("markdown", COLAB), ("code", UNPACK), ("code", SETUP)]
    for section in re.split(r"^(?=##)", TEXT.read_text(encoding="utf-8"), flags=re.M):
        heading, *paragraphs = section.strip().split("\n\n")
        for before, block, after in zip([heading, *paragraphs], paragraphs, [*paragraphs[1:], ""], strict=False):
            if not block.startswith("```\npython "):
                continue
            code = block.strip("`\n")
            if after[:1].islower():  # the sentence begins with the commands
                after = ("The commands below " if "\n" in code else "The command below ") + after
            said = [heading, *[before] * before.endswith(":"), after]
            told, heading = "\n\n".join(said).replace("](", "](docs/").strip(), ""
            run = re.sub("^python", "!{python}", code, flags=re.M)
            run = re.sub("(.*--sample_index )k", r"k = 0  # the cluster that you take for the 6\n\1{k}", run)
            parts += [("markdown", told), ("code", run)]
            parts += [("code", text) for word, text in SHOWN.items() if word in code]
    cells = [cell(number, *part) for number, part in enumerate(parts)]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    whole = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def build_parser() -> argparse.ArgumentParser:
    return cli.make_parser("python -m staff.notebook", "Make lab.ipynb from the commands of the lab text.")


def main(argv: list[str] | None = None) -> int:
    build_parser().parse_args(argv)
    files.write_text(NOTEBOOK, make())
    print(f"wrote {NOTEBOOK}")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
