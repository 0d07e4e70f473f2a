"""The main job: the lab on the real 60,000 + 10,000 images. Skips if ``MNIST_DIR`` is not set."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest
from test_cli import ALLOWED, PICTURES, SETTLED, SIXES

import grade
import train
import visualization
from hi_mnist import cli, runs

MODELS = SETTLED | {"trace.csv"}


class Graded(NamedTuple):
    home: Path
    run: Path
    tree: set[str]
    report: dict


@pytest.fixture(scope="module")
def graded(real_mnist, files_below) -> Graded:
    """``train.py --use_pca`` and ``grade.py`` with default settings, in a separate home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_HOME", str(real_mnist))
        assert cli.run_script(lambda: train.main(["--use_pca"])) == 0
        assert cli.run_script(lambda: grade.main([])) == 0
        run = runs.find_run(None)
        return Graded(real_mnist, run, set(files_below(run)), json.loads((run / "grade.json").read_text()))


def test_default_settings_reach_the_full_score_and_the_figures_that_were_measured(graded):
    (performance,) = (q for q in graded.report["questions"] if q["id"] == "performance")
    assert performance["verdict"] == "PASS"
    assert performance["score"] >= 29.9
    assert graded.report["dataset"] == "mnist"
    assert graded.report["db_sklearn"] == pytest.approx(2.98, abs=0.05)
    assert graded.report["accuracy"] > 0.55
    required = MODELS | {"grade.json"}
    assert required <= graded.tree <= required | ALLOWED


@pytest.mark.slow
def test_pictures_and_sixes(graded, monkeypatch, files_below):
    monkeypatch.setenv("LAB_HOME", str(graded.home))
    for script, *arguments in ((visualization,), (visualization, "--cluster_label"), (grade, "--sample_index", "0")):
        assert cli.run_script(lambda script=script, arguments=arguments: script.main(arguments)) == 0
    assert set(files_below(graded.run)) - ALLOWED == MODELS | PICTURES | SIXES | {"grade.json"}
