"""Score a run: clustering against scikit-learn and against the true digits, and two sixes side by side.

    python grade.py                                      score the newest run
    python grade.py --sample_index 3                     say that cluster 3 is the "6": scored too, and both sixes drawn
    python grade.py --sample_index 3 --ddpm_steps 50     the same, the diffusion model in 50 steps instead of 1,000

Writes grade.json and, with --sample_index in a PCA run, gmm_sample.png and ddpm_sample.png into the run's folder.
"""

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

import load_resources
import utils
from utils import LabError

AUTO_POINTS = 70
SIXES = ["gmm_sample.png", "ddpm_sample.png"]
CODE_QUESTIONS = {
    "e_step": ("1.1 E-step", 10),
    "m_step": ("1.2 M-step", 10),
    "pca_fit": ("2.1 PCA.fit", 8),
    "sample_from_gmm": ("5.1 sampling", 7),
}


def build_parser() -> argparse.ArgumentParser:
    parser = utils.one_line_errors(
        argparse.ArgumentParser(
            prog="grade.py",
            allow_abbrev=False,
            description="Score a run of train.py and draw a six by the mixture and by the diffusion model.",
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
        default=utils.DDPM_STEPS,
        metavar="N",
        help="steps of the diffusion model, fewer than %(default)s by DDIM (default: %(default)s)",
    )
    parser.add_argument(
        "--guidance",
        type=float,
        default=utils.DEFAULT_GUIDANCE,
        metavar="W",
        help="weight of classifier-free guidance, 0 for none (default: %(default)s)",
    )
    parser.add_argument("--data_dir", metavar="DIR", help="folder of the IDX files (default: MNIST_DIR, else download)")
    parser.add_argument("--ae", metavar="ID_OR_FOLDER", help="the AutoEncoder of an AE run (default: the run's own)")
    parser.add_argument(
        "--ddpm", metavar="ID_OR_FOLDER", help="another diffusion model (default: LAB_DDPM, else shipped)"
    )
    return parser


def check_arguments(args: argparse.Namespace, run: utils.SavedRun) -> None:
    """Refuse what cannot work before anything slow starts.

    Raises:
        LabError: a value is out of range.
    """
    if args.sample_index is not None and not 0 <= args.sample_index < run.n_components:
        raise LabError(f"--sample_index must be between 0 and {run.n_components - 1}, got {args.sample_index}")
    if args.sample_seed is not None and not 0 <= args.sample_seed < 2**32:
        raise LabError(f"--sample_seed must be between 0 and {2**32 - 1}, got {args.sample_seed}")
    if not 1 <= args.ddpm_steps <= utils.DDPM_STEPS:
        raise LabError(f"--ddpm_steps must be between 1 and {utils.DDPM_STEPS}, got {args.ddpm_steps}")
    if not (np.isfinite(args.guidance) and 0 <= args.guidance <= 20):
        raise LabError(f"--guidance must be between 0 and 20, got {args.guidance}")


def grade(run: utils.SavedRun, sample_index: int | None = None) -> dict:
    """Everything that ``grade.json`` holds, from the saved parameters alone.

    Args:
        run: the run, whose data set is prepared.
        sample_index: the student's answer to question 6.
    """
    from grading import scores

    dataset = run.config.dataset
    (train, train_labels), (test, test_labels) = (utils.load_split(split, dataset) for split in ("train", "test"))
    mixture = utils.mixture(run)
    codes = utils.embed(run, test)
    clusters = mixture.predict(codes)
    db = scores.davies_bouldin(test, clusters)
    db_sklearn = None
    train_clusters = None  # only an answer to question 6 needs them
    if run.config.use_pca:
        db_sklearn = scores.baseline_davies_bouldin(dataset, run.config.embedding_dim, train, test)
        if sample_index is not None:
            train_clusters = utils.cluster_labels(run, train)
    not_checked = "not checked by this version"
    questions = [
        scores.question(name, label, points) | {"verdict": "SKIPPED", "message": not_checked}
        for name, (label, points) in CODE_QUESTIONS.items()
    ]
    questions.append(scores.sample_index(run, sample_index, train_labels, train_clusters))
    questions.append(scores.performance(run, db, db_sklearn, clusters))
    return {
        "questions": questions,
        "auto_score": round(sum(q["score"] for q in questions), 4),
        "auto_points": AUTO_POINTS,
        "sample_index": sample_index,
        "config": dataclasses.asdict(run.config),
        "db": db,
        "db_sklearn": db_sklearn,
        **scores.agreement(test_labels, clusters),
        "log_likelihood": float(mixture.score(codes)),
        "dataset": dataset,
        "guards": [],
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("numpy", "scikit-learn", "scipy")},
    }


def draw_sixes(run: utils.SavedRun, args: argparse.Namespace, ddpm) -> None:
    """Draw a six by the student's sampler and by the diffusion model: gmm_sample.png and ddpm_sample.png."""
    import submission
    from grading.scores import ASKED_DIGIT

    if args.sample_seed is not None:
        utils.set_seed(args.sample_seed)
    gmm = submission.GMM.from_pretrained(run.path / "gmm")
    pca = submission.PCA.from_pretrained(run.path / "pca")
    with tempfile.TemporaryDirectory(dir=run.path, prefix=".partial-") as folder:  # both sixes are replaced, or none
        submission.sample_from_gmm(gmm, pca, args.sample_index, folder)
        check_picture(Path(folder) / SIXES[0])
        utils.sample_from_ddpm(
            ASKED_DIGIT, folder, ddpm=ddpm, steps=args.ddpm_steps, guidance=args.guidance, seed=args.sample_seed
        )
        for name in SIXES:
            os.replace(Path(folder) / name, run.path / name)


def check_picture(path: Path) -> None:
    """Refuse what task 5.1 must not leave behind.

    Raises:
        LabError: no picture, or not one of 28 x 28 pixels of 8-bit grey.
    """
    from PIL import Image, UnidentifiedImageError

    remedy = "check task 5.1 of submission.py; the scores are in grade.json"
    if not path.is_file():
        raise LabError(f"sample_from_gmm wrote no {path.name} into its folder `path`; {remedy}")
    try:
        with Image.open(path) as image:
            form = (image.size, image.mode)
    except UnidentifiedImageError:
        raise LabError(f"sample_from_gmm wrote a {path.name} that is no picture; {remedy}") from None
    if form != ((28, 28), "L"):
        raise LabError(f"sample_from_gmm drew {form[0]} pixels of mode {form[1]}, not (28, 28) of mode L; {remedy}")


def print_report(report: dict) -> None:
    """The table that a student reads."""

    def number(value: float | None) -> str:
        return "undefined" if value is None else f"{value:.4f}"

    print(f"\n{'question':<26}{'score':>12}   verdict")
    for q in report["questions"]:
        points = "-" if q["verdict"] == "SKIPPED" else f"{q['score']:.2f}"
        print(f"{q['label']:<26}{points:>7} /{q['points']:>3}   {q['verdict']}: {q['message']}")
        if q["hint"]:
            print(f"{'':<41}hint: {q['hint']}")
    print(f"\non the test images of {utils.DATASETS[report['dataset']]}:")
    print(f"  Davies-Bouldin (784 pixels, lower is better)   {number(report['db'])}")
    if report["db_sklearn"] is not None:
        print(f"  Davies-Bouldin of scikit-learn                 {number(report['db_sklearn'])}")
    print(f"  accuracy (clusters matched to digits)          {number(report['accuracy'])}")
    print(f"  normalised mutual information                  {number(report['nmi'])}")
    print(f"  adjusted Rand index                            {number(report['ari'])}")
    print(f"  mean log-likelihood                            {number(report['log_likelihood'])}\n")


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    run = utils.load_run(args.results_path, to_write=True)
    check_arguments(args, run)
    if args.ae:
        run.config.ae = args.ae
    load_resources.ensure(run.config.dataset, args.data_dir)
    print(f"run: {run.path}")
    draws = args.sample_index is not None and run.config.use_pca
    ddpm = utils.load_ddpm(args.ddpm) if draws else None  # it may be missing: say so before the slow work
    report = grade(run, args.sample_index)
    print_report(report)
    # Before the sixes: a mistake in the sampler must not cost the scores of the rest.
    utils.write_text(run.path / "grade.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    written = ["grade.json"]
    if draws:
        draw_sixes(run, args, ddpm)
        written += SIXES
    print(f"wrote {', '.join(written)} in {run.path}")
    if draws:
        print("next: look at both sixes; run this again for two new ones")
    elif run.config.use_pca:
        option = utils.run_option(run.path)
        print(f"next: python grade.py --sample_index k{option}, with the number of the cluster that is the 6")
    else:
        print("next: python train.py --use_pca, for the run that counts")
    return 0


if __name__ == "__main__":
    sys.exit(utils.run_script(main))
