"""How the sixes come about: the stations begin with noise and end in the six, the point makes its picture."""

import numpy as np
import pytest
import torch
from PIL import Image
from test_report_page import add_sixes, read, scored

import grade
import model
from hi_mnist import files, networks, runs
from model import ClassUNet
from report import draw, report_page, stations


@pytest.fixture(scope="module")
def ddpm() -> ClassUNet:
    torch.manual_seed(0)
    net = ClassUNet(channels=8, inner_channels=16)
    torch.nn.init.normal_(net.conv_out.weight, std=0.3)
    return net.eval()


write = report_page.write  # tests of the scripts replace it


def films(page) -> list[str]:
    return [i["src"] for i in read(page).named("img") if i["alt"].startswith("The stations")]


def test_the_way_begins_with_noise_and_ends_in_the_six_that_is_drawn_unwatched(ddpm, monkeypatch):
    monkeypatch.setattr(networks, "DDPM_STEPS", 60)
    monkeypatch.setattr(model, "cosine_schedule", lambda whole=model.cosine_schedule: whole(60))
    for steps, guidance, other in ((60, 2.0, 0.0), (50, 0.0, networks.DEFAULT_GUIDANCE), (3, 1.0, 0.0)):
        with stations.diffusing(ddpm, steps=steps, guidance=guidance, seed=7) as drawn:
            found = drawn()
        assert found["guidance"].tolist() == [guidance, other]
        for weight, way in zip(found["guidance"], found["ways"], strict=True):
            alone = networks.draw_digits(ddpm, [6], steps=steps, guidance=weight, seed=7)[0, 0]
            assert np.array_equal(way[-1, 1], alone), (steps, weight)
        assert np.array_equal(found["six"], found["ways"][0, -1, 1])
        assert np.array_equal(*found["ways"][:, 0, 0])  # both start from the same noise
        assert 0.25 < np.isin(found["ways"][0, 0, 0], (0, 255)).mean() < 0.4  # a normal one: a third is beyond 1
        times = found["times"].tolist()
        assert len(times) == min(steps, stations.STATIONS) and times == sorted(times, reverse=True)
        assert (times[0], times[-1]) == (59, 0)


def test_leaving_early_ends_the_drawing(ddpm):
    with pytest.raises(KeyboardInterrupt), stations.diffusing(ddpm, steps=1000, guidance=1.0, seed=None) as drawn:
        raise KeyboardInterrupt
    with pytest.raises(BaseException, match="^$"):  # cancelled
        drawn()


def test_a_point_is_found_from_its_picture_and_none_for_another_picture(trained_run):
    run, rng = runs.load_run(trained_run), np.random.default_rng(0)
    for k in range(10):
        code = rng.multivariate_normal(run.means[k], run.covs[k])
        six = np.clip(code @ run.components + run.mean, 0, 255).reshape(28, 28)
        for levels in (six.round(), six):  # rounded, or cut
            steps = stations.mixture_steps(run, levels.astype(np.uint8))
            assert np.abs(np.array(steps["code"], dtype=float) - code).max() < 5
    assert stations.mixture_steps(run, rng.integers(0, 256, (28, 28), dtype=np.uint8)) is None


def test_the_page_shows_the_ways_of_its_own_sixes_only(run_folder, empty_cache):
    run = runs.load_run(run_folder)
    add_sixes(run, 3)
    page = report_page.write(run, scored())
    assert len(films(page)) == 2 and "How a point becomes a picture" in read(page).text
    for name in ("ddpm", "gmm"):
        Image.fromarray(np.eye(28, dtype=np.uint8)).save(run_folder / f"{name}_sample.png")
        page = report_page.write(run, scored())
        assert films(page) == []
    assert "becomes" not in read(page).text
    add_sixes(run, 3)
    assert films(report_page.write(run, scored(sample_index=None))) == []
    (kept,) = files.cache_dir().glob("sixes-*")
    kept.write_bytes(b"junk")
    assert films(report_page.write(run, scored())) == []


def test_grading_keeps_what_the_page_shows(run_folder, empty_cache, ddpm, run_script, monkeypatch):
    monkeypatch.setattr(networks, "load_ddpm", lambda *_: ddpm)
    command = ["--sample_index", 4, "--results_path", run_folder, "--ddpm_steps", 15, "--sample_seed", 1]
    assert run_script(grade, *command).status == 0
    monkeypatch.setattr(report_page, "write", write)
    assert len(films(report_page.write(runs.load_run(run_folder)))) == 2
    (six,) = networks.draw_digits(ddpm, [6], steps=15, seed=1)[0]
    assert np.array_equal(np.asarray(Image.open(run_folder / draw.SIXES[1])), six)


@pytest.mark.parametrize("motion", ["no-preference", "reduce", "print"])
def test_the_film_plays_by_mouse_and_keyboard_where_motion_is_wanted(run_folder, empty_cache, browser, motion):
    add_sixes(runs.load_run(run_folder), 3)
    browser.open(report_page.write(runs.load_run(run_folder), scored()))
    features = [{"name": "prefers-reduced-motion", "value": motion if motion != "print" else "no-preference"}]
    media = {"media": "print" if motion == "print" else "screen", "features": features}
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    plays = "return document.getAnimations().length"
    last = "return document.querySelector('.film img').getBoundingClientRect().right"
    edge = "return document.querySelector('.film').getBoundingClientRect().right"
    if motion == "no-preference":
        box = browser.driver.find_element("id", "play")
        browser.run("arguments[0].scrollIntoView({behavior: 'instant', block: 'center'})", box)
        assert browser.run(plays) == 2
        for press, playing in ((box.click, 0), (lambda: box.send_keys(" "), 2), (box.click, 0)):
            press()
            assert browser.run(plays) == playing
    assert browser.run(plays) == 0
    assert browser.run(last) == pytest.approx(browser.run(edge), abs=0.5)  # the six
