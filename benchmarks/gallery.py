"""Draw the README's pictures of a run into docs/gallery/: em.gif, how EM found its clusters, and projections.png.

python train.py --use_pca && python -m benchmarks.gallery
"""

import argparse
import io
import sys
import textwrap

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from hi_mnist import cli, data, files, prepare, projections, runs, scatter, trace
from report import player

OUT = files.ROOT / "docs" / "gallery"
SIZE, SHARP = (880, 460), 2  # pixels; drawn twice as large and made smaller, edges are smooth
PLANE, CURVE, LEFT, TOP = 0.55, 0.58, 572, 270  # scales of the player's drawings; the place of the curve
GLIDE, REST, HOLD = 3, 700, 5000  # frames from a state to the next; milliseconds at a state, and at the last one
N_POINTS = 1000  # more make the file large


def build_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser("python -m benchmarks.gallery", "Draw the README's pictures of a run.",
                             "python -m benchmarks.gallery --results_path results/d20")  # fmt: skip
    cli.add_options(parser, "results_path")
    return parser


def draw(found: dict, values: np.ndarray, time: float) -> Image.Image:
    """One frame, as the player shows it: ``time`` may lie between two states of the trace."""

    def between(states):
        return states[int(time)] * (1 - time % 1) + states[state] * (time % 1)

    def disc(x, y, radius, colour):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)

    def write(x, y, text, size, **more):
        pen.text((x, y), text, font=ImageFont.load_default(SHARP * size), **{"fill": "#1b1f24"} | more)

    state = int(np.ceil(time))
    points, mixtures, _ = player.layout(found)
    image = Image.new("RGB", [SHARP * side for side in SIZE], "white")
    pen, left = ImageDraw.Draw(image, "RGBA"), SHARP * LEFT
    colours = scatter.cluster_colours(mixtures.shape[1])
    for spot, cluster in zip(points[:N_POINTS] * PLANE * SHARP, found["clusters"][state], strict=False):
        disc(*spot, 4, colours[cluster] + "80")
    turn = np.linspace(0, 2 * np.pi, 90)
    for colour, (x, y, a, b, c, weight) in zip(colours, between(mixtures), strict=True):
        sizes, axes = np.linalg.eigh([[a, b], [b, c]])
        circle = np.column_stack([np.cos(turn), np.sin(turn)]) * player.RADIUS * np.sqrt(np.maximum(sizes, 0))
        pen.line([tuple(spot) for spot in (circle @ axes.T + (x, y)) * PLANE * SHARP], colour, round(5 + 20 * weight))
    for k, (x, y) in enumerate(between(mixtures)[:, :2] * PLANE * SHARP):
        write(x, y, str(k), 18, anchor="mm", stroke_width=3 * SHARP, stroke_fill="white")
    marks = (player.curve(values) * CURVE + (LEFT, TOP)) * SHARP
    pen.line([tuple(mark) for mark in marks[1:]], "#8fa3b8", 2 * SHARP)
    if state:
        disc(*between(marks[found["iteration"]]), 11, "#0a5cad")
    write(left, SHARP * TOP, "Mean log-likelihood of an image", 15, fill="#59636e")
    write(left, SHARP * 20, f"EM fits {len(colours)} Gaussians\nto the images", 22)
    told = textwrap.wrap(player.captions(found, values)[state], 36, break_on_hyphens=False)
    write(left, SHARP * 106, "\n".join(told), 17, spacing=7 * SHARP)
    return image.resize(SIZE, Image.Resampling.LANCZOS)


def animate(run: runs.SavedRun) -> None:
    """Write em.gif."""
    values = runs.read_trace(run.path)
    found = trace.read(run, values)
    times = np.arange(0, len(found["iteration"]) - 1 + 1e-9, 1 / GLIDE).round(6)
    frames = [draw(found, values, time) for time in times]
    # One palette for all frames: a dot that stays as it is does not flicker.
    palette = frames[-1].quantize(96, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    first, *others = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    waits = [90 if time % 1 else REST for time in times[:-1]] + [HOLD]
    with files.atomic_path(OUT / "em.gif") as partial:
        first.save(partial, save_all=True, append_images=others, duration=waits, loop=0, optimize=False)


def project(run: runs.SavedRun) -> None:
    """Write projections.png: both colourings of the three planes."""
    images, labels = data.load_split("train", run.config.dataset)
    figure, buffer = Figure(figsize=(8.3, 5.6), dpi=160, layout="constrained"), io.BytesIO()  # GitHub shows 830 pixels
    rows = (
        ("by true label", labels, scatter.PALETTE),
        ("by cluster", runs.cluster_labels(run, images), scatter.cluster_colours(run.n_components)),
    )
    planes = projections.make_planes(images, run.config.ae)
    for line, (what, groups, palette) in zip(figure.subplots(2, len(planes)), rows, strict=True):
        for axes, (name, plane) in zip(line, planes.items(), strict=True):
            scatter.draw_plane(axes, plane, groups, palette, font=9, gap=0.1)
            axes.set_title(f"{projections.PROJECTIONS[name]}, {what}", fontsize=11)
    figure.savefig(buffer)
    with files.atomic_path(OUT / "projections.png") as partial:
        Image.open(buffer).convert("RGB").quantize(128).save(partial, "PNG", optimize=True)


def main(argv: list[str] | None = None) -> int:
    run = runs.load_run(build_parser().parse_args(argv).results_path)
    prepare.ensure(run.config.dataset)
    animate(run)
    project(run)
    print(f"wrote em.gif and projections.png in {OUT}")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
