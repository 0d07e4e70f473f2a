"""``explore.html``: the projections as scatter plots; pointing at a dot shows its image. It works offline.

PCA, t-SNE and the AutoEncoder's plane share one data source (Bokeh): a selection in one plot shows in all three.
"""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from hi_mnist import data, files, scatter
from hi_mnist.projections import PROJECTIONS
from hi_mnist.runs import SavedRun
from report import clusters, pages

SAMPLE = 5000
GREY = "#7d858e"  # readable on white and on near-black, for light and dark mode


def write(run: SavedRun, planes: dict[str, np.ndarray]) -> Path:
    """Write ``explore.html`` into the folder of a run whose data set is prepared; returns the page's path.

    ``planes`` are projections of all training images, from ``projections.make_planes``.
    """
    from bokeh.embed import components
    from bokeh.resources import Resources

    dataset = run.config.dataset
    images, labels = data.load_split("train", dataset)
    shown = sample(len(images))
    columns = make_columns(run, images[shown], labels[shown], {name: plane[shown] for name, plane in planes.items()})
    figures = make_figures(columns)
    script, divs = components(figures)
    names = data.class_names(dataset)
    page = pages.render(
        "explore.html.j2",
        name=pages.shown(run.path.name, 200),
        data=data.SHORT_NAMES[dataset],
        n_images=len(images),
        n_shown=len(shown),
        bokeh="\n".join(Resources(mode="inline", components=["bokeh"]).js_raw),
        script=script,
        plots=[(PROJECTIONS[name], divs[name]) for name in figures],
        label_groups=list(zip(names, scatter.PALETTE, strict=True)),
        cluster_groups=list(enumerate(scatter.cluster_colours(run.n_components))),
    )
    path = run.path / "explore.html"
    files.write_text(path, page)
    return path


def sample(n_images: int) -> np.ndarray:
    """Indices of the images to show: sorted int64, up to ``SAMPLE`` of them, always the same."""
    return np.sort(np.random.default_rng(0).choice(n_images, min(n_images, SAMPLE), replace=False))


def make_columns(run: SavedRun, images: np.ndarray, labels: np.ndarray, planes: dict[str, np.ndarray]) -> dict:
    """The data behind the dots, for images uint8 (n, 1, 28, 28), labels int64 (n,) and planes name -> float (n, 2)."""
    view = clusters.clustering(run, images)
    names = np.array(data.class_names(run.config.dataset))
    colours, cluster_colours = (np.array(each) for each in (scatter.PALETTE, scatter.cluster_colours(run.n_components)))
    progress = tqdm(images, desc="explorer", unit="image", delay=1, leave=False)
    columns = {
        "image": [pages.digit_uri(image) for image in progress],
        "label": labels.astype(np.int32),
        "name": names[labels].tolist(),
        "cluster": view.cluster.astype(np.int32),
        "certainty": np.round(view.certainty, 3).tolist(),
        "percent": [pages.percent(certainty) for certainty in view.certainty],
        "true_colour": colours[labels].tolist(),
        "cluster_colour": cluster_colours[view.cluster].tolist(),
        "colour": colours[labels].tolist(),
    }
    for name, plane in planes.items():
        columns |= {f"{name}_{axis}": plane[:, i].astype(np.float32) for i, axis in enumerate("xy")}
    return columns


TOOLTIP = """
<div style="display:flex; gap:10px; align-items:center; font:14px/1.35 system-ui, sans-serif; color:#1b1f24">
  <img src="@image" alt="" width="84" height="84" style="image-rendering:pixelated; background:#000; border-radius:3px">
  <div>true label <b>@name</b><br>cluster <b>@cluster</b><br>certainty <b>@percent</b></div>
</div>
"""


def make_figures(columns: dict) -> dict:
    """A scatter plot of each plane in ``columns``, all with one data source: name -> Bokeh figure."""
    from bokeh.models import ColumnDataSource, HoverTool, Scatter
    from bokeh.plotting import figure

    source = ColumnDataSource(columns, name="images")
    size = float(np.clip(300 / np.sqrt(len(columns["image"])), 4, 9))
    figures = {}
    for name in [name for name in PROJECTIONS if f"{name}_x" in columns]:
        plot = figure(
            name=name, width=380, height=380, sizing_mode="scale_width", match_aspect=True, toolbar_location="above",
            tools="pan,wheel_zoom,box_zoom,lasso_select,box_select,tap,reset",
            active_drag="lasso_select", active_scroll=None,
            background_fill_color=None, border_fill_color=None, outline_line_color=GREY,
        )  # fmt: skip
        plot.toolbar.logo = None
        plot.toolbar.stylesheets = ["@media print { :host { display: none !important; } }"]
        plot.grid.visible = False
        plot.axis.visible = False
        place = {"x": f"{name}_x", "y": f"{name}_y", "fill_color": "colour"}
        dots = plot.add_glyph(
            source,
            Scatter(size=size, fill_alpha=0.75, line_color=None, **place),
            selection_glyph=Scatter(size=size * 1.3, fill_alpha=1.0, line_color=GREY, line_width=0.5, **place),
            nonselection_glyph=Scatter(size=size, fill_alpha=0.08, line_color=None, **place),
        )
        plot.add_tools(HoverTool(tooltips=TOOLTIP, renderers=[dots], limit=1, point_policy="snap_to_data"))
        figures[name] = plot
    return figures
