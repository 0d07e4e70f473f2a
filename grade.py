"""Score your code and a run: question by question, clustering against scikit-learn, and two sixes side by side.

    python grade.py                                      check submission.py, score the newest run
    python grade.py --sample_index 3                     say that cluster 3 is the "6": scored too, and both sixes drawn
    python grade.py --sample_index 3 --ddpm_steps 50     the same, the diffusion model in 50 steps instead of 1,000
    python grade.py --report_draft                       write report.md, the skeleton of the report, from what is there

Writes grade.json, report.html and, with --sample_index in a PCA run, gmm_sample.png and ddpm_sample.png into the run's
folder.
"""

import argparse
import dataclasses
import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from hi_mnist import cli, data, files, networks, prepare, runs
from hi_mnist.cli import LabError
from hi_mnist.data import DATASETS
from hi_mnist.files import ROOT
from hi_mnist.networks import DDPM_STEPS, DEFAULT_GUIDANCE
from hi_mnist.runs import SavedRun

SUBMISSION = ROOT / "submission.py"
SIXES = ["gmm_sample.png", "ddpm_sample.png"]


def build_parser() -> argparse.ArgumentParser:
    parser = cli.one_line_errors(
        argparse.ArgumentParser(
            prog="grade.py",
            allow_abbrev=False,
            description="Check submission.py, score a run of train.py, draw a six by the mixture and by diffusion.",
            epilog="examples: python grade.py --sample_index 3\n"
            "          python grade.py --sample_index 3 --results_path results/d20 --ddpm_steps 50",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    parser.add_argument(
        "--sample_index", type=int, metavar="k", help='the cluster that is the digit "6"; left out, that is not scored'
    )
    parser.add_argument("--results_path", metavar="DIR", help="folder of the run (default: the newest in results/)")
    parser.add_argument("--sample_seed", type=int, help="draw the same sixes again (default: fresh ones each time)")
    parser.add_argument(
        "--ddpm_steps",
        type=int,
        default=DDPM_STEPS,
        metavar="N",
        help="steps of the diffusion model, fewer than %(default)s by DDIM (default: %(default)s)",
    )
    parser.add_argument(
        "--guidance",
        type=float,
        default=DEFAULT_GUIDANCE,
        metavar="W",
        help="weight of classifier-free guidance, 0 for none (default: %(default)s)",
    )
    parser.add_argument(
        "--report_draft",
        action="store_true",
        help="write report.md, the skeleton of the hand-in report; scores the run only where it has no grade.json or "
        "--sample_index is given",
    )
    parser.add_argument("--data_dir", metavar="DIR", help="folder of the IDX files (default: MNIST_DIR, else download)")
    parser.add_argument("--ae", metavar="ID_OR_FOLDER", help="the AutoEncoder of an AE run (default: the run's own)")
    parser.add_argument(
        "--ddpm", metavar="ID_OR_FOLDER", help="another diffusion model (default: LAB_DDPM, else shipped)"
    )
    return parser


def check_arguments(args: argparse.Namespace, run: SavedRun) -> None:
    """Refuse what cannot work before anything slow starts.

    Raises:
        LabError: a value is out of range.
    """
    if args.sample_index is not None and not 0 <= args.sample_index < run.n_components:
        raise LabError(f"--sample_index must be between 0 and {run.n_components - 1}, got {args.sample_index}")
    if args.sample_seed is not None and not 0 <= args.sample_seed < 2**32:
        raise LabError(f"--sample_seed must be between 0 and {2**32 - 1}, got {args.sample_seed}")
    if not 1 <= args.ddpm_steps <= DDPM_STEPS:
        raise LabError(f"--ddpm_steps must be between 1 and {DDPM_STEPS}, got {args.ddpm_steps}")
    if not (np.isfinite(args.guidance) and 0 <= args.guidance <= 20):
        raise LabError(f"--guidance must be between 0 and 20, got {args.guidance}")


def grade(run: SavedRun, sample_index: int | None = None) -> dict:
    """Everything that ``grade.json`` holds: the code is checked in processes of its own, the run by its parameters.

    Args:
        run: the run, whose data set is prepared.
        sample_index: the student's answer to question 6.
    """
    from grading import scores, table

    dataset = run.config.dataset
    with ThreadPoolExecutor(1) as pool:
        code = pool.submit(table.check_code, SUBMISSION.read_bytes())  # meanwhile the run is scored
        (train, train_labels), (test, test_labels) = (data.load_split(split, dataset) for split in ("train", "test"))
        mixture = runs.mixture(run)
        codes = runs.embed(run, test)
        clusters = mixture.predict(codes)
        db = scores.davies_bouldin(test, clusters)
        db_sklearn = None
        train_clusters = None  # only an answer to question 6 needs them
        if run.config.use_pca:
            db_sklearn = scores.baseline_davies_bouldin(dataset, run.config.embedding_dim, train, test)
            if sample_index is not None:
                train_clusters = runs.cluster_labels(run, train)
        questions = code.result()
    questions.append(scores.sample_index(run, sample_index, train_labels, train_clusters))
    questions.append(scores.performance(run, db, db_sklearn, clusters))
    return table.summary(questions) | {
        "sample_index": sample_index,
        "config": dataclasses.asdict(run.config),
        "db": db,
        "db_sklearn": db_sklearn,
        **scores.agreement(test_labels, clusters),
        "log_likelihood": float(mixture.score(codes)),
        "dataset": dataset,
    }


def draw_sixes(run: SavedRun, args: argparse.Namespace, ddpm) -> None:
    """Draw a six by the student's sampler and by the diffusion model: gmm_sample.png and ddpm_sample.png."""
    from PIL import Image

    from grading.checks import ASKED_DIGIT

    six = sampled_by_student(run, args.sample_index, args.sample_seed)
    with tempfile.TemporaryDirectory(dir=run.path, prefix=".partial-") as folder:  # both sixes are replaced, or none
        Image.fromarray(six).save(Path(folder) / SIXES[0])
        networks.sample_from_ddpm(
            ASKED_DIGIT, folder, ddpm=ddpm, steps=args.ddpm_steps, guidance=args.guidance, seed=args.sample_seed
        )
        for name in SIXES:
            os.replace(Path(folder) / name, run.path / name)


def sampled_by_student(run: SavedRun, k: int, seed: int | None) -> np.ndarray:
    """A picture of component k by ``sample_from_gmm`` of submission.py, in a process of its own: uint8 (28, 28).

    Raises:
        LabError: the sampler fails, or leaves no picture of 28 x 28 pixels of 8-bit grey.
    """
    from grading import checks, sandbox, table

    inputs = {name: getattr(run, name) for name in ("means", "covs", "pi", "components", "mean")}
    outcome = sandbox.run("draw", SUBMISSION.read_bytes(), inputs, settings={"label": k, "seed": seed})
    if outcome.status == "raised":
        cause = table.explain_error(outcome.error)[0].splitlines()[0]
    elif outcome.status != "done":
        cause = outcome.cause
    elif "image" not in outcome.arrays:
        cause = checks.wrong_file(outcome.arrays.get("form", np.zeros(1)))[0]
    else:
        image = outcome.arrays["image"]
        if image.shape == (28, 28) and image.dtype == np.uint8:
            return image
        cause = "it left no picture"
    raise LabError(f"no sixes were drawn, {cause}; mend task 5.1 of submission.py; the scores are in grade.json")


def write_draft(run: SavedRun) -> int:
    """``--report_draft``, once the run is scored."""
    from report import draft

    print(f"wrote {draft.write(run)}")
    print("next: write your answers into it; it is never overwritten once you have changed it")
    return 0


def print_report(report: dict) -> None:
    """The table that a student reads."""

    def number(value: float | None) -> str:
        return "undefined" if value is None else f"{value:.4f}"

    from grading import table as tables

    print(f"\n{tables.table(report['questions'])}")
    print(f"{'sum':<26}{report['auto_score']:>7.2f} /{report['auto_points']:>3}")
    print(f"\non the test images of {DATASETS[report['dataset']]}:")
    print(f"  Davies-Bouldin (784 pixels, lower is better)   {number(report['db'])}")
    if report["db_sklearn"] is not None:
        print(f"  Davies-Bouldin of scikit-learn                 {number(report['db_sklearn'])}")
    print(f"  accuracy (clusters matched to digits)          {number(report['accuracy'])}")
    print(f"  normalised mutual information                  {number(report['nmi'])}")
    print(f"  adjusted Rand index                            {number(report['ari'])}")
    print(f"  mean log-likelihood                            {number(report['log_likelihood'])}\n")
    print(f"{tables.guard_lines(report['guards'])}\n")


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    run = runs.load_run(args.results_path, to_write=True)
    check_arguments(args, run)
    if args.ae:
        run.config.ae = args.ae
    prepare.ensure(run.config.dataset, args.data_dir)
    print(f"run: {run.path}")
    if args.report_draft:
        from report import draft

        draft.refuse_edited(run.path)  # before the slow work
        if args.sample_index is None and (run.path / "grade.json").is_file():
            return write_draft(run)
    draws = args.sample_index is not None and run.config.use_pca
    ddpm = networks.load_ddpm(args.ddpm) if draws else None  # it may be missing: say so before the slow work
    report = grade(run, args.sample_index)
    print_report(report)
    # Before the sixes: a mistake in the sampler must not cost the scores of the rest.
    files.write_text(run.path / "grade.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    written, failure = ["grade.json"], None
    if draws:
        try:
            draw_sixes(run, args, ddpm)
            written += SIXES
        except LabError as error:
            failure = error
    from report import report_page  # here, because it stands on everything else

    written.append(report_page.write(run, report, ddpm=ddpm, seed=args.sample_seed).name)
    print(f"wrote {', '.join(written)} in {run.path}")
    if failure:
        raise failure
    if args.report_draft:
        return write_draft(run)
    if draws:
        print("next: open report.html, look at both sixes; run this again for two new ones")
    elif run.config.use_pca:
        option = runs.run_option(run.path)
        print(f"next: python grade.py --sample_index k{option}, with the number of the cluster that is the 6")
    else:
        print("next: python train.py --use_pca, for the run that counts")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
