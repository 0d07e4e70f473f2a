"""explore.html: always the same images, the right data behind each dot, hovering and selecting in a browser."""

import base64
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from browser import Browser
from PIL import Image
from test_report_page import Tags

from hi_mnist import runs
from hi_mnist.projections import PROJECTIONS
from report import explorer

READY = "return document.documentElement.dataset.ready === 'yes'"
# Where a dot of a plot lies on the screen.
PLACE = """
const doc = Bokeh.documents[0], source = doc.get_model_by_name('images'), plot = doc.get_model_by_name(arguments[0]);
const view = Bokeh.index.find_one(plot), box = view.canvas_view.el.getBoundingClientRect(), i = arguments[1];
const at = axis => view.frame[axis + '_scale'].compute(source.data[arguments[0] + '_' + axis][i]);
return [box.left + at('x'), box.top + at('y')];
"""
# Elements of Bokeh's stand in shadow trees.
DEEP = """
const found = [], walk = root => { for (const e of root.querySelectorAll('*')) {
  if (e.matches(arguments[0])) found.push(e); if (e.shadowRoot) walk(e.shadowRoot); } };
walk(document);
"""
TOOLTIP = DEEP + "return found.filter(e => e.getClientRects().length).map(e => e.src)"


@pytest.fixture(scope="session")
def planes(digits) -> dict[str, np.ndarray]:
    """Cheap projections in which no two dots coincide."""
    n = len(digits["train"].images)
    side = int(np.ceil(np.sqrt(n)))
    grid = np.column_stack([np.arange(n) % side, np.arange(n) // side]).astype(float)
    return {"pca": grid, "tsne": grid[:, ::-1] * [1, -1], "ae": grid[::-1]}


@pytest.fixture(scope="session")
def page(trained_run, planes, tmp_path_factory) -> Path:
    """The page of a run whose folder has a name that would be markup."""
    folder = tmp_path_factory.mktemp("explorer") / "<script>document.title='owned'<"
    shutil.copytree(trained_run, folder)
    return explorer.write(runs.load_run(folder), planes)


# --------------------------------------------------------------------------- the data


def test_the_sample_is_always_the_same_and_bounded():
    first = explorer.sample(60_000)
    assert np.array_equal(first, explorer.sample(60_000)) and len(np.unique(first)) == 5000
    assert first.min() >= 0 and first.max() < 60_000
    assert np.array_equal(explorer.sample(300), np.arange(300))


def test_behind_each_dot_lie_its_image_label_cluster_and_certainty(run_folder, digits, planes):
    run = runs.load_run(run_folder)
    images, labels = digits["train"]
    columns = explorer.make_columns(run, images, labels, planes)
    gamma = runs.mixture(run).predict_proba(runs.embed(run, images))
    assert np.array_equal(columns["cluster"], gamma.argmax(axis=1))
    np.testing.assert_allclose(columns["certainty"], gamma.max(axis=1), atol=6e-4)
    assert (">99%" in columns["percent"]) and ("100%" in columns["percent"]) == (gamma.max() == 1)  # as in the report
    assert np.array_equal(columns["label"], labels)
    assert columns["name"] == [str(label) for label in labels]
    for i in (0, 7, len(images) - 1):
        with Image.open(io.BytesIO(base64.b64decode(columns["image"][i].partition(",")[2]))) as image:
            assert np.array_equal(np.asarray(image), images[i, 0])
    for name, plane in planes.items():
        np.testing.assert_allclose(np.column_stack([columns[f"{name}_x"], columns[f"{name}_y"]]), plane)
    by_label = {label: {columns["true_colour"][i] for i in np.flatnonzero(labels == label)} for label in range(10)}
    assert all(len(colours) == 1 for colours in by_label.values())
    assert len(set.union(*by_label.values())) == 10


def test_the_page_stays_small_at_its_largest(page, digits):
    images = digits["train"].images
    assert page.stat().st_size < 3_000_000 + len(images) * 450  # a digit of MNIST takes 390: below 6 MB with 5,000


def test_names_of_folders_are_never_markup_and_nothing_is_fetched(page):
    text = page.read_text(encoding="utf-8")
    assert len(Tags(text).named("script")) == 3  # Bokeh, the data, the page's own
    assert "default-src 'none'" in text
    assert "<link" not in text and "<script src" not in text


# --------------------------------------------------------------------------- in a browser


@pytest.fixture
def opened(page, browser) -> Browser:
    browser.open(page, ready=READY)
    return browser


def test_pointing_at_a_dot_shows_its_image(opened):
    for plot in PROJECTIONS:
        for i in (400, 700):
            opened.run("window.scrollTo(0, 0)")
            x, y = opened.run(PLACE, plot, i)
            opened.mouse("mouseMoved", x, y)
            wanted = opened.run("return Bokeh.documents[0].get_model_by_name('images').data.image[arguments[0]]", i)
            opened.wait(f"const shown = (() => {{ {TOOLTIP} }})(); return shown.includes(arguments[1])", "img", wanted)
            texts = DEEP + "return found.map(e => e.textContent).join(' ')"
            text = opened.run(texts, ".bk-tooltip-content, .bk-content")
            data = opened.run(
                "const d = Bokeh.documents[0].get_model_by_name('images').data, i = arguments[0];"
                "return [d.name[i], d.cluster[i], d.percent[i]]",
                i,
            )
            assert "true label {}cluster {}certainty {}".format(*data) in text.replace("\n", "")
        opened.mouse("mouseMoved", 2, 2)
    assert opened.messages() == []
    assert opened.driver.title == "<script>document.title='owned'<: explore the projections"


def test_dots_selected_in_one_plot_are_selected_in_all(opened):
    x, y = opened.run(PLACE, "pca", 700)
    opened.mouse("mouseMoved", x - 20, y - 20)
    opened.mouse("mousePressed", x - 20, y - 20, button="left", buttons=1, clickCount=1)
    for dx, dy in ((20, -20), (20, 20), (-20, 20), (-20, -18)):
        for step in (0.5, 1):
            opened.mouse("mouseMoved", x + dx * step, y + dy * step, button="left", buttons=1)
    opened.mouse("mouseReleased", x - 20, y - 18, button="left", clickCount=1)
    chosen = opened.wait(
        "const i = Bokeh.documents[0].get_model_by_name('images').selected.indices; return i.length && [...i]"
    )
    assert 700 in chosen and len(chosen) < 400
    sources = opened.run("return new Set(Bokeh.documents[0].roots().map(p => p.renderers[0].data_source.id)).size")
    assert sources == 1  # all three plots show this one selection
    assert opened.run("return document.querySelectorAll('#gallery img').length") == min(len(chosen), 60)
    assert f"{len(chosen)} images selected" in opened.run("return document.getElementById('summary').textContent")
    opened.run("document.getElementById('clear').click()")
    opened.wait("return document.querySelectorAll('#gallery img').length === 0")
    assert opened.messages() == []


def test_colours_and_legend_follow_the_choice(opened, digits):
    assert opened.run("return document.getElementById('legend-cluster').hidden")
    opened.run("document.querySelector('input[value=cluster]').click()")
    data = "Bokeh.documents[0].get_model_by_name('images').data"
    assert opened.run(f"return {data}.colour.every((c, i) => c === {data}.cluster_colour[i])")
    assert opened.run("return document.getElementById('legend-true').hidden")
    opened.run("document.querySelector('#legend-cluster button[data-group=\"3\"]').click()")
    assert opened.run(
        f"const i = Bokeh.documents[0].get_model_by_name('images').selected.indices, c = {data}.cluster;"
        "return i.length === [...c].filter(k => k === 3).length && [...i].every(j => c[j] === 3)"
    )
    assert opened.messages() == []


def test_it_fits_phone_and_screen(page, browser):
    for width, dark, rows in ((390, True, 3), (1280, False, 1)):
        browser.expect_whole(page, width, dark, READY)
        sizes = browser.run(
            "return [...document.querySelectorAll('.plots section')].map(s => { const r = s.getBoundingClientRect();"
            "return [r.top, r.width, r.height]; })"
        )
        assert len(sizes) == 3
        assert all(300 < w < 600 and 300 < h < 700 for _, w, h in sizes)
        assert len({top for top, *_ in sizes}) == rows  # below each other, beside each other


def test_a_finger_on_a_plot_scrolls_the_page(page, browser):
    def touch(kind: str, y: float | None = None):
        points = [] if y is None else [{"x": 195, "y": y}]
        browser.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch_screen = "Emulation.setTouchEmulationEnabled"
    browser.driver.execute_cdp_cmd(touch_screen, {"enabled": True, "maxTouchPoints": 2})
    try:
        browser.open(page, 390, ready=READY)
        top = browser.run("const s = document.querySelector('.plots section'); s.scrollIntoView(); return scrollY")
        touch("touchStart", 300)
        for y in range(290, 100, -10):
            touch("touchMove", y)
        touch("touchEnd")
        browser.wait("return scrollY > arguments[0] + 100", top)
        assert browser.run("return Bokeh.documents[0].get_model_by_name('images').selected.indices.length") == 0
        assert browser.messages() == []
    finally:
        browser.driver.execute_cdp_cmd(touch_screen, {"enabled": False})
