"""Show the training images in two dimensions, by PCA, t-SNE and the AutoEncoder.

    python visualization.py                    coloured by the true digit:  true_pca.png, true_tsne.png, true_ae.png
    python visualization.py --cluster_label    coloured by the run's cluster: cluster_pca.png, cluster_tsne.png, ...
    python visualization.py --compare          no pictures but measurements, for question 7: comparison.csv

Both colourings show the same points at the same places, so that they can be compared. With --cluster_label it writes
explore.html as well, in which pointing at a dot shows its digit; and it brings report.html up to date where grade.py
has written one. t-SNE is slow the first time (a minute or two for 60,000 images); what was projected once is kept in
cache/ for every later run on the same data.
"""

import argparse
import sys

import numpy as np

from hi_mnist import cli, data, prepare, projections, runs, scatter
from hi_mnist.data import FASHION_NAMES, N_CLASSES, SHORT_NAMES
from hi_mnist.projections import PROJECTIONS
from hi_mnist.runs import SavedRun


def build_parser() -> argparse.ArgumentParser:
    parser = cli.one_line_errors(
        argparse.ArgumentParser(
            prog="visualization.py",
            allow_abbrev=False,
            description="Plot the training images in two dimensions by PCA, t-SNE and the AutoEncoder.",
            epilog="examples: python visualization.py\n"
            "          python visualization.py --cluster_label --results_path results/d20\n"
            "          python visualization.py --compare",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    parser.add_argument("--results_path", metavar="DIR", help="folder of the run (default: the newest in results/)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--cluster_label", action="store_true", help="colour by cluster; left out, by the true digit")
    what.add_argument(
        "--compare",
        action="store_true",
        help="measure the three projections, and the mixture beside the diffusion model, instead of drawing pictures",
    )
    parser.add_argument("--data_dir", metavar="DIR", help="folder of the IDX files (default: MNIST_DIR, else download)")
    parser.add_argument(
        "--ae",
        metavar="ID_OR_FOLDER",
        help="another AutoEncoder, a Hub id or a folder (default: the run's, else shipped)",
    )
    return parser


# --------------------------------------------------------------------------- projections


# --------------------------------------------------------------------------- pictures


def visualize(
    run: SavedRun,
    cluster_label: bool = False,
    ae_source: str | None = None,
    planes: dict[str, np.ndarray] | None = None,
) -> list[str]:
    """Write the three pictures of a run, whose data set is prepared.

    Args:
        run: the run.
        cluster_label: colour by cluster; else by true label.
        ae_source: another AutoEncoder than the run's own or the shipped one.
        planes: of the training images, where they are at hand; else they are made.

    Returns:
        the names of the files written.
    """
    dataset = run.config.dataset
    images, labels = data.load_split("train", dataset)
    if planes is None:
        planes = projections.make_planes(images, ae_source or run.config.ae)
    if cluster_label:
        groups, legend_title = runs.cluster_labels(run, images), "cluster\n(images)"
        names = [str(k) for k in range(run.n_components)]
    else:
        groups, legend_title = labels, "true label\n(images)"
        is_fashion = dataset == "fashion_mnist"
        names = [f"{i}  {FASHION_NAMES[i]}" if is_fashion else str(i) for i in range(N_CLASSES)]
    kind = "cluster" if cluster_label else "true"
    what = "cluster" if cluster_label else "true label"
    written = []
    for name, plane in planes.items():
        file = f"{kind}_{name}.png"
        title = f"{PROJECTIONS[name]} of {len(images):,} training images ({SHORT_NAMES[dataset]}), coloured by {what}"
        scatter.plot_plane(plane, groups, names, run.path / file, title, legend_title)
        written.append(file)
    return written


def compare(run: SavedRun, ae_source: str | None) -> int:
    """``--compare``: write comparison.csv and print its two tables."""
    from report import compare

    path = compare.compare(run, ae_source)
    print(f"\n{compare.console(compare.read(run.path))}\n")
    written = [path.name]
    if (run.path / "grade.json").is_file():
        from report import report_page

        written.append(report_page.write(run).name)
    print(f"wrote {', '.join(written)} in {run.path}")
    print(f"next: python grade.py --report_draft{runs.run_option(run.path)}")
    return 0


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    run = runs.load_run(args.results_path, to_write=True)
    prepare.ensure(run.config.dataset, args.data_dir)
    print(f"run: {run.path}")
    if args.compare:
        return compare(run, args.ae)
    images, _ = data.load_split("train", run.config.dataset)
    planes = projections.make_planes(images, args.ae or run.config.ae)
    written = visualize(run, args.cluster_label, planes=planes)
    if args.cluster_label:
        from report import explorer

        written.append(explorer.write(run, planes).name)
    if (run.path / "grade.json").is_file():  # the page that grade.py wrote, with these pictures
        from report import report_page

        written.append(report_page.write(run).name)
    print(f"wrote {', '.join(written)} in {run.path}")
    option = runs.run_option(run.path)
    if args.cluster_label and not run.config.use_pca:
        print(f"next: python grade.py{option}")
    elif args.cluster_label:
        print('next: find the cluster k that lies where the true "6" lies')
        print(f"then: python grade.py --sample_index k{option}")
    else:
        print(f"next: python visualization.py --cluster_label{option}")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
