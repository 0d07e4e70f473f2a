"""Show the training images in two dimensions, by PCA, t-SNE and the AutoEncoder.

    python visualization.py                    coloured by the true digit:  true_pca.png, true_tsne.png, true_ae.png
    python visualization.py --cluster_label    coloured by the run's cluster: cluster_pca.png, cluster_tsne.png, ...
    python visualization.py --compare          measure instead of drawing, for question 7: comparison.csv

Both colourings show the same points in the same places, so that you can compare them. --cluster_label also writes
explore.html, in which pointing at a dot shows its digit. If grade.py has written report.html, the script updates it.
t-SNE is slow the first time (half a minute for 60,000 images); cache/ keeps the projections for later runs on the
same data.
"""

import argparse
import sys

from hi_mnist import cli, data, prepare, projections, runs, scatter


def build_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser(
        "visualization.py",
        "Plot the training images in two dimensions by PCA, t-SNE and the AutoEncoder.",
        "python visualization.py",
        "python visualization.py --cluster_label --results_path results/d20",
        "python visualization.py --compare",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--cluster_label", action="store_true", help="colour by cluster (default: by true digit)")
    text = "instead of drawing, measure the three projections, and the mixture against the diffusion model"
    what.add_argument("--compare", action="store_true", help=text)
    ae = "another AutoEncoder, a Hub id or a folder (default: the run's)"
    cli.add_options(parser, "results_path", "data_dir", ae=ae)
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    run = runs.load_run(args.results_path, to_write=True)
    prepare.ensure(run.config.dataset, args.data_dir)
    print(run)
    # The report imports scikit-learn: report mistakes in the command line before that slow import.
    if args.compare:
        from report import compare

        written = [compare.compare(run, args.ae).name]
        print(f"\n{compare.console(compare.read(run.path))}\n")
    else:
        images, _ = data.load_split("train", run.config.dataset)
        planes = projections.make_planes(images, args.ae or run.config.ae)
        written = scatter.draw_run(run, planes, args.cluster_label)
    if args.cluster_label:
        from report import explorer

        written.append(explorer.write(run, planes).name)
    if (run.path / "grade.json").is_file():  # update the page that grade.py wrote
        from report import report_page

        written.append(report_page.write(run).name)
    print(f"wrote {', '.join(written)} in {run.path}")
    print(runs.next_step(run))
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
