"""How EM went: what train.py keeps, what the report makes of it, the player in a browser, the README's animation."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save
from sklearn.cluster import KMeans
from test_report_page import read

from benchmarks import gallery
from hi_mnist import runs, trace, training
from hi_mnist.trace import Trace
from report import player, report_page
from submission import GMM


def test_watching_changes_nothing_and_keeps_the_start_and_each_iteration(one_blas_thread):
    X = np.random.default_rng(0).normal(size=(3000, 3)) * [9, 5, 1]
    free, watched, kept = GMM(4, 3), GMM(4, 3), Trace(X)
    free.fit(X, seed=1)
    with training.observed(watched, kept):
        watched.fit(X, seed=1)
    for name in ("means", "covs", "pi", "log_likelihoods"):
        assert np.array_equal(getattr(free, name), getattr(watched, name)), name
    arrays = kept.arrays()
    assert arrays["iteration"].tolist() == list(range(len(free.log_likelihoods) + 1))
    assert np.array_equal(arrays["points"], X[kept.shown, :2].astype(np.float32)) and len(kept.shown) == 2500
    assert np.array_equal(arrays["clusters"][0], KMeans(4, n_init=1, random_state=1).fit(X).labels_[kept.shown])
    assert np.array_equal(arrays["covs"][-1], free.covs[:, :2, :2].astype(np.float32))
    assert np.array_equal(arrays["means"][-1], free.means[:, :2].astype(np.float32))


@pytest.mark.parametrize("K, d, iterations", [(10, 784, 3), (200, 5, 1000), (256, 1, 119), (257, 2, 9)])
def test_a_trace_has_at_most_2_mb_and_the_page_grows_by_at_most_1_5_mb(K, d, iterations):
    kept, gamma, means = Trace(np.eye(2600, d)), np.eye(2600, K), np.eye(K, d)
    mixture = SimpleNamespace(n_components=K, means=means, covs=np.tile(np.eye(d), (K, 1, 1)), pi=np.full(K, 1 / K))
    for _ in range(iterations + 1):
        kept(mixture, "m_step", (None, gamma), None)
    arrays = kept.arrays()
    assert bool(arrays) == (K <= 256) and len(save(arrays)) < 2_000_000
    if arrays:
        steps = np.diff(arrays["iteration"])
        assert arrays["iteration"][[0, -1]].tolist() == [0, iterations] and len(set(steps[:-1])) == 1
        assert len(str(player.film(arrays, np.linspace(-9, -8, iterations)))) < 1_480_000  # the script is small


def test_a_damaged_trace_is_one_line_and_the_page_is_whole(run_folder):
    run, path = runs.load_run(run_folder), run_folder / trace.FILE
    whole, values = load_file(path), runs.read_trace(run_folder)
    wrong = [b"", b"junk", b"\0" * 2_000_001, save({"points": whole["points"]})]
    changes = {"covs": whole["covs"] * np.float32("nan"), "pi": whole["pi"].astype(np.float64), "means": whole["covs"]}
    changes |= {"clusters": whole["clusters"] + np.uint8(9), "points": whole["points"][:0]}
    changes |= {"iteration": whole["iteration"] * np.int32(2)}  # of another training
    wrong += [save(whole | {name: array}) for name, array in changes.items()]
    for content in wrong:
        path.write_bytes(content)
        found = player.section(run)
        assert found["film"] is None and trace.FILE in found["damage"] and "\n" not in found["damage"], content[:50]
        assert len(found["curve"]) == len(values) + 1
    assert "There is no player: " in read(report_page.write(run)).text


CENTRES = "return [...document.querySelectorAll('.em ellipse')].map(e => ['cx', 'cy'].map(c => +e.getAttribute(c)))"
SEE = "document.querySelector('.em').scrollIntoView({block: 'center', behavior: 'instant'}); return true"
WATCH = "new IntersectionObserver(() => { window.seen = true; }).observe(document.querySelector('.em'));" + SEE
STATE = "return [+document.querySelector('.em').dataset.state, document.getElementById('em-play').textContent]"
MIDDLE = "const r = document.getElementById(arguments[0]).getBoundingClientRect();"
MIDDLE += "return [r.left + r.width / 2, r.top + r.height / 2]"


def test_it_plays_by_keyboard_and_mouse_and_prints_its_last_state(run_folder, browser):
    page, found = report_page.write(runs.load_run(run_folder)), load_file(run_folder / trace.FILE)
    mixtures, last = player.layout(found)[1], len(found["iteration"]) - 1

    def press(key: str) -> list:
        for kind in ("keyDown", "keyUp"):
            browser.driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": kind, "key": key})
        return browser.run(STATE)

    def click(name: str) -> list:
        for kind in ("mousePressed", "mouseReleased"):
            browser.mouse(kind, *browser.run(MIDDLE, f"em-{name}"), button="left", clickCount=1)
        return browser.run(STATE)

    for width in (1280, 400):
        browser.expect_whole(page, width, False, SEE)  # it begins when a reader gets there
        browser.wait("return (() => {" + STATE + "})()[1] === 'Pause' && (() => {" + STATE + "})()[0] > 0")
        assert click("play")[1] == "Play"
    browser.open(page, ready=WATCH, calm=True)
    browser.wait("return window.seen")
    assert browser.run(STATE) == [last, "Play"]  # not for one who wants no motion
    assert abs(click("slider")[0] - last / 2) <= 1
    keys = {"Home": 0, "ArrowRight": 1, "End": last, "ArrowLeft": last - 1}
    assert {key: press(key)[0] for key in keys} == keys
    assert press(" ")[1] == "Pause"
    browser.wait("return (() => {" + STATE + "})()[1] === 'Play'")
    assert browser.run(STATE)[0] == last
    np.testing.assert_allclose(browser.run(CENTRES), mixtures[-1, :, :2], rtol=1e-5)
    assert press("Home") == [0, "Play"] and click("step")[0] == 1 and click("back")[0] == 0
    np.testing.assert_allclose(browser.run(CENTRES), mixtures[0, :, :2], rtol=1e-5)
    assert "k-means" in browser.run("return document.getElementById('em-caption').textContent")
    browser.run(
        "addEventListener('beforeprint', () => { window.printed = document.querySelector('.em').dataset.state })"
    )
    browser.driver.execute_cdp_cmd("Page.printToPDF", {})
    assert browser.run("return window.printed") == str(last) and browser.run(STATE) == [0, "Play"]
    assert browser.messages() == []


def test_the_gallery_is_made_and_the_readmes_is_small(run_folder, tmp_path, cheap_tsne, monkeypatch):
    shipped = gallery.OUT
    monkeypatch.setattr(gallery, "GLIDE", 1)
    monkeypatch.setattr(gallery, "OUT", tmp_path)
    assert gallery.main(["--results_path", str(run_folder)]) == 0
    with Image.open(tmp_path / "em.gif") as image:
        assert image.n_frames == len(load_file(run_folder / trace.FILE)["iteration"]) and image.size == gallery.SIZE
    with Image.open(tmp_path / "projections.png") as image:
        assert image.width == 1328  # 1.6 times what GitHub shows
    assert (shipped / "em.gif").stat().st_size < 1_500_000 and (shipped / "projections.png").stat().st_size < 500_000
