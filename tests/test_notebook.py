"""lab.ipynb: it is what the lab text makes, and on the stand-in it runs, with pictures, pages and progress bars."""

import json
import re

import companion
import pytest
from hub import NOWHERE
from test_docs import LAB, commands

from hi_mnist.files import ROOT
from staff import handout, notebook


def test_the_notebook_is_the_one_that_the_lab_text_makes():
    text = notebook.NOTEBOOK.read_text(encoding="utf-8")
    assert text == notebook.make()
    cells = json.loads(text)["cells"]
    lines = [line for cell in cells if cell["cell_type"] == "code" for line in "".join(cell["source"]).splitlines()]
    run = [line.replace("!{python}", "python").replace("{k}", "k") for line in lines if line.startswith("!{")]
    assert run == commands(LAB["en"])
    links = re.findall(r"\]\(([^)]*)\)", "".join(line for cell in cells for line in cell["source"]))
    assert links and all((ROOT / link).is_file() for link in links)


@pytest.mark.slow
def test_it_runs_on_the_stand_in_and_reads_submission_py_anew(standin, tmp_path, monkeypatch):
    for name in ("HF_ENDPOINT", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, NOWHERE)
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    folder, solved = tmp_path / "lab", (ROOT / "submission.py").read_text(encoding="utf-8")
    handout.make_handout(folder)

    def edit_after_a_look(cells):
        at = next(i for i, cell in enumerate(cells) if "train.py --use_pca" in cell.source)
        edit = f"from pathlib import Path\nPath('submission.py').write_text({solved!r})"
        for source, name in ((edit, "edit"), (cells[at].source, "look")):
            cells.insert(at, type(cells[at])(cells[at] | {"source": source, "id": name}))

    outputs = companion.execute(folder / "lab.ipynb", folder, monkeypatch, edit_after_a_look)
    said = "".join(output.get("text", "") for output in outputs)
    assert "Traceback" not in said and "error: submission.py" in said.partition("wrote config.yaml")[0], said
    assert "training: 100%" in said.replace("\r", "\n")  # the sweep's bar
    shown = [output["data"] for output in outputs if "data" in output]
    assert sum("image/png" in data for data in shown) == 5
    assert sum("<iframe srcdoc=" in data.get("text/html", "") for data in shown) == 3
