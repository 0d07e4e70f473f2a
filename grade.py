"""Score your code and a run: question by question, clustering against scikit-learn, and two sixes side by side.

    python grade.py                                      check submission.py, score the newest run
    python grade.py --sample_index 3                     say that cluster 3 is the "6": scored too, and both sixes drawn
    python grade.py --sample_index 3 --ddpm_steps 50     the same, the diffusion model in 50 steps instead of 1,000
    python grade.py --report_draft                       write report.md, the skeleton of the report; once you have
                                                         filled it in: report_print.html, to print as report.pdf
    python grade.py --hand_in --student_id PB23000001 --name Ann     check that all is there, make the zip to hand in

Writes grade.json, report.html and, with --sample_index in a PCA run, gmm_sample.png and ddpm_sample.png into the run's
folder. The zip lies beside that folder. Without --results_path, --sample_index and --hand_in take the newest PCA run.
"""

import argparse
import json
import sys
from contextlib import nullcontext
from dataclasses import dataclass

from hi_mnist import cli, files, networks, prepare, runs, settings
from hi_mnist.cli import LabError
from hi_mnist.data import DATASETS
from hi_mnist.files import ROOT
from hi_mnist.networks import DDPM_STEPS, DEFAULT_GUIDANCE
from hi_mnist.settings import setting

SUBMISSION = ROOT / "submission.py"


@dataclass
class Options:
    """The settings that flags of this script choose."""

    sample_index: int | None = setting(
        None, 'the cluster that is the digit "6"; without it, that question is not scored', metavar="k", low=0
    )
    sample_seed: int | None = setting(None, "draw the same sixes again (default: fresh ones)", low=0, high=2**32 - 1)
    ddpm_steps: int = setting(
        DDPM_STEPS, "steps of the diffusion model; fewer than 1,000 use DDIM", low=1, high=DDPM_STEPS, metavar="N"
    )
    guidance: float = setting(
        DEFAULT_GUIDANCE, "weight of classifier-free guidance; 0 turns it off", low=0, high=20, metavar="W"
    )
    report_draft: bool = setting(
        False,
        "write report.md, the skeleton of the hand-in report, and report_print.html, report.md to print; text "
        "of yours in report.md is kept; the run is scored only if it has no grade.json or --sample_index is given",
    )
    hand_in: bool = setting(False, "only make the zip to hand in, ID+NAME+LAB3.zip, or say what is missing")
    student_id: str | None = setting(None, "with --hand_in: your student id", metavar="ID")
    name: str | None = setting(None, "with --hand_in: your name", metavar="NAME")
    report: str | None = setting(None, "with --hand_in: the report (default: the run's report.pdf)", metavar="FILE")


def build_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser(
        "grade.py",
        "Check submission.py, score a run of train.py, draw a six by the mixture and by diffusion.",
        "python grade.py --sample_index 3",
        "python grade.py --sample_index 3 --results_path results/d20 --ddpm_steps 50",
    )
    settings.add_flags(parser, Options)
    cli.add_options(parser, "results_path", "data_dir", "ddpm", ae="the AutoEncoder of an AE run (default: its own)")
    return parser


def make_zip(options: Options, results_path: str | None) -> int:
    """``--hand_in``: check and zip, and score nothing."""
    from report import hand_in

    run = runs.load_run(runs.find_run(results_path, pca_first=True))
    print(run)
    path = hand_in.make(run, SUBMISSION, options.student_id, options.name, options.report)
    print(f"wrote {path}\nnext: hand in this file")
    return 0


def print_doubts(run: runs.SavedRun, k: int, results_path: str | None) -> None:
    """Say what may make ``k`` another cluster than the one that was meant."""
    if not run.config.use_pca:
        found = "this is not a PCA run" if results_path else "there is no PCA run in results/"
        print(f"note: {found}, so --sample_index {k} is not used; train one: python train.py --use_pca")
    elif not results_path and run.path != runs.find_run(None):
        print(f"note: this is the newest PCA run; {runs.find_run(None).name} is newer, but of the AutoEncoder")
    elif not any(run.path.glob("cluster_*.png")):
        print(f"note: cluster {k} is meant, but visualization.py has not drawn this run's clusters")


def print_report(report: dict) -> None:
    """Print the scores for the student."""
    from grading import scores, table

    print(f"\n{table.table(report['questions'])}")
    print(f"{'sum':<26}{report['auto_score']:>7.2f} /{report['auto_points']:>3}")
    print(f"\non the test images of {DATASETS[report['dataset']]}:")
    for name, label in scores.FIGURES.items():
        value = report[name]
        if name != "db_sklearn" or value is not None:  # PCA runs only
            print(f"  {label:<46} {'undefined' if value is None else format(value, '.4f')}")
    print(f"\n{table.guard_lines(report['guards'])}\n")


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    options = settings.from_args(Options, args)
    k = options.sample_index
    if options.hand_in != bool(options.student_id and options.name) or (options.report and not options.hand_in):
        raise LabError("--hand_in needs --student_id and --name, and these and --report need --hand_in")
    if options.hand_in:
        if k is not None or options.report_draft:
            raise LabError("--hand_in makes the zip of what is there; give --sample_index or --report_draft before it")
        return make_zip(options, args.results_path)
    try:
        run = runs.load_run(runs.find_run(args.results_path, pca_first=k is not None), to_write=True)
    except runs.NoRunYet:
        from grading import checks, table

        print(f"{table.table(checks.check_code(SUBMISSION.read_bytes()))}\n", flush=True)  # the code is there
        raise
    if k is not None and k >= run.n_components:
        raise LabError(f"sample_index must be between 0 and {run.n_components - 1}, got {k}")
    if args.ae:
        run.config.ae = args.ae
    prepare.ensure(run.config.dataset, args.data_dir)
    print(run)
    if k is not None:
        print_doubts(run, k, args.results_path)
    if k is not None and not networks.has_torch():
        print("torch is not installed: the sixes are not drawn; everything else is scored", file=sys.stderr)
    written, failure, draws = [], None, nullcontext()
    is_scored = not options.report_draft or k is not None or not (run.path / "grade.json").is_file()
    if k is not None and run.config.use_pca and networks.has_torch():
        from report import stations

        ddpm = networks.load_ddpm(args.ddpm)  # before the slow work: it may be missing
        draws = stations.diffusing(ddpm, steps=options.ddpm_steps, guidance=options.guidance, seed=options.sample_seed)
    with draws as drawn:
        # These import scikit-learn: report mistakes in the command line before that slow import.
        from threadpoolctl import threadpool_limits  # comes with scikit-learn
        from tqdm import tqdm

        from grading import scores
        from report import draft, draw, report_page

        own_text = options.report_draft and draft.own_text(run.path) is not None  # an error comes before the slow work
        if is_scored:
            source = SUBMISSION.read_bytes()
            with threadpool_limits(1 if drawn else None):  # more threads would wait for the cores that the draws have
                report = scores.grade(run, source, k)
            # Before all else: neither a closed pipe nor a mistake in the sampler must cost the scores.
            files.write_text(run.path / "grade.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
            written.append("grade.json")
            with tqdm.external_write_mode(sys.stdout):  # the progress bar steps aside
                print_report(report)
        if drawn:
            try:
                draw.draw_sixes(run, k, source, drawn, options.sample_seed)
                written += draw.SIXES
            except LabError as error:
                failure = error
    if is_scored:
        written.append(report_page.write(run, report, str(failure or "")).name)
    if options.report_draft and not failure:
        written += draft.write(run)
    print(f"wrote {', '.join(written)} in {run.path}")
    if failure:
        raise failure
    if own_text:
        print(f"kept your text in {run.path / draft.FILE}; for a new draft, move it out of the run's folder")
    print(runs.next_step(run))
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
