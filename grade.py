"""Score your code and a run: question by question, clustering against scikit-learn, and two sixes side by side.

    python grade.py                                      check submission.py, score the newest run
    python grade.py --sample_index 3                     say that cluster 3 is the "6": scored too, and both sixes drawn
    python grade.py --sample_index 3 --ddpm_steps 50     the same, the diffusion model in 50 steps instead of 1,000
    python grade.py --report_draft                       write report.md, the skeleton of the report

Writes grade.json, report.html and, with --sample_index in a PCA run, gmm_sample.png and ddpm_sample.png into the run's
folder.
"""

import argparse
import json
import sys
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
    sample_seed: int | None = setting(
        None, "draw the same sixes again (default: fresh ones each time)", low=0, high=2**32 - 1
    )
    ddpm_steps: int = setting(
        DDPM_STEPS, "steps of the diffusion model; fewer than 1,000 use DDIM", low=1, high=DDPM_STEPS, metavar="N"
    )
    guidance: float = setting(
        DEFAULT_GUIDANCE, "weight of classifier-free guidance; 0 turns it off", low=0, high=20, metavar="W"
    )


def build_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser(
        "grade.py",
        "Check submission.py, score a run of train.py, draw a six by the mixture and by diffusion.",
        "python grade.py --sample_index 3",
        "python grade.py --sample_index 3 --results_path results/d20 --ddpm_steps 50",
    )
    settings.add_flags(parser, Options)
    parser.add_argument(
        "--report_draft",
        action="store_true",
        help="write report.md, the skeleton of the hand-in report; the run is scored only if it has no grade.json or "
        "--sample_index is given",
    )
    cli.add_options(parser, "results_path", "data_dir", "ddpm", ae="the AutoEncoder of an AE run (default: its own)")
    return parser


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
    print()
    print(f"{table.guard_lines(report['guards'])}\n")


def check_alone() -> None:
    """Check the code while there is no run, and print its scores."""
    from grading import checks, table

    print(f"{table.table(checks.check_code(SUBMISSION.read_bytes()))}\n", flush=True)


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    options = settings.from_args(Options, args)
    try:
        run = runs.load_run(args.results_path, to_write=True)
    except runs.NoRunYet:
        check_alone()
        raise
    k = options.sample_index
    if k is not None and k >= run.n_components:
        raise LabError(f"sample_index must be between 0 and {run.n_components - 1}, got {k}")
    if args.ae:
        run.config.ae = args.ae
    prepare.ensure(run.config.dataset, args.data_dir)
    print(f"run: {run.path}")
    # These import scikit-learn: report mistakes in the command line before that slow import.
    from grading import scores
    from report import draft, draw, report_page

    if args.report_draft:
        draft.refuse_edited(run.path)  # before the slow work
    draws = k is not None and run.config.use_pca and networks.has_torch()
    if k is not None and not networks.has_torch():
        print("torch is not installed: the sixes are not drawn; everything else is scored", file=sys.stderr)
    written, failure = [], None
    if not args.report_draft or k is not None or not (run.path / "grade.json").is_file():
        ddpm = networks.load_ddpm(args.ddpm) if draws else None  # before the slow work: it may be missing
        source = SUBMISSION.read_bytes()
        report = scores.grade(run, source, k)
        print_report(report)
        # Before the sixes: a mistake in the sampler must not cost the scores of the rest.
        files.write_text(run.path / "grade.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
        written.append("grade.json")
        if draws:
            how = {"steps": options.ddpm_steps, "guidance": options.guidance, "seed": options.sample_seed}
            try:
                draw.draw_sixes(run, k, source, ddpm=ddpm, **how)
                written += draw.SIXES
            except LabError as error:
                failure = error
        written.append(report_page.write(run, report, ddpm=ddpm, seed=options.sample_seed).name)
    if args.report_draft and not failure:
        written.append(draft.write(run).name)
    print(f"wrote {', '.join(written)} in {run.path}")
    if failure:
        raise failure
    option = runs.run_option(run.path)
    if args.report_draft:
        print("next: write your answers into report.md; it is never overwritten once you have changed it")
    elif draws:
        print("next: open report.html, look at both sixes; run this again for two new ones")
    elif run.config.use_pca:
        print(f"next: python grade.py --sample_index k{option}, with the number of the cluster that is the 6")
    else:
        print("next: python train.py --use_pca, for the run that counts")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
