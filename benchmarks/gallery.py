"""Draw a run's six projections as one picture for the README, docs/gallery/projections.png.

python train.py --use_pca && python -m benchmarks.gallery
"""

import argparse
import io
import sys

from PIL import Image

from hi_mnist import cli, data, files, prepare, projections, runs, scatter

OUT = files.ROOT / "docs" / "gallery" / "projections.png"


def build_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser("python -m benchmarks.gallery", "Draw the README's picture of a run's projections.",
                             "python -m benchmarks.gallery --results_path results/d20")  # fmt: skip
    cli.add_options(parser, "results_path")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    from matplotlib.figure import Figure

    run = runs.load_run(args.results_path)
    prepare.ensure(run.config.dataset)
    images, labels = data.load_split("train", run.config.dataset)
    figure = Figure(figsize=(8.3, 5.6), dpi=160, layout="constrained")  # GitHub shows it 830 pixels wide
    rows = (
        ("by true label", labels, scatter.PALETTE),
        ("by cluster", runs.cluster_labels(run, images), scatter.cluster_colours(run.n_components)),
    )
    planes = projections.make_planes(images, run.config.ae)
    for line, (what, groups, palette) in zip(figure.subplots(2, len(planes)), rows, strict=True):
        for axes, (name, plane) in zip(line, planes.items(), strict=True):
            scatter.draw_plane(axes, plane, groups, palette, font=9, gap=0.1)
            axes.set_title(f"{projections.PROJECTIONS[name]}, {what}", fontsize=11)
    buffer = io.BytesIO()
    figure.savefig(buffer)
    with files.atomic_path(OUT) as partial:
        Image.open(buffer).convert("RGB").quantize(128).save(partial, "PNG", optimize=True)
    print(f"wrote {OUT}")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
