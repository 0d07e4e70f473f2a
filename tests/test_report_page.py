"""report.html: everything is there, nothing from outside is markup, nothing is fetched, it fits phone and screen."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sandbox
import train
import visualization
from grading import scores
from hi_mnist import projections, runs, scatter
from hi_mnist.cli import LabError
from hi_mnist.files import ROOT
from hi_mnist.projections import PROJECTIONS
from report import clusters, compare, draw, pages, report_page, stations

HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">'\"&{{ 7*7 }}\u202e\x1b[31m"
)
PARTS = ["scores", "settings", "likelihood", "projections", "sixes", "clusters", "table"]


class Tags(HTMLParser):
    """Every tag with its attributes, and the text between them."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data

    def named(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


def read(path: Path) -> Tags:
    return Tags(path.read_text(encoding="utf-8"))


def scored(**changes) -> dict:
    """What grade.json holds."""
    questions = [
        ("1.1 E-step", 10, 10.0, "PASS", "gamma is right", ""),
        ("1.2 M-step", 10, 0.0, "WRONG", "covs are wrong\ninput: x (5, 2)\ngot: 1\nwant: 2", "divide by n_k"),
        ("2.1 PCA.fit", 8, 0.0, "ERROR", f"submission.py, line 9: ValueError: {HOSTILE}\n{HOSTILE}", HOSTILE),
        ("6 Performance", 30, 0.0, "SKIPPED", "no", ""),
    ]
    names = ("label", "points", "score", "verdict", "message", "hint")
    return {
        "questions": [{"id": "x"} | dict(zip(names, q, strict=True)) for q in questions],
        **{"auto_score": 10.0, "auto_points": 70, "sample_index": 3},
        **{"db": 2.5, "db_sklearn": 2.25, "accuracy": 0.75, "nmi": 0.5, "ari": 0.25, "log_likelihood": -66.125},
        "guards": [HOSTILE],
        "versions": {HOSTILE: HOSTILE},
    } | changes


def add_pictures(folder: Path) -> None:
    """The six projections, as visualization.py leaves them."""
    rng = np.random.default_rng(0)
    for kind in ("true", "cluster"):
        for name in PROJECTIONS:
            picture = Image.new("RGB", (1442, 1008), tuple(rng.integers(0, 256, 3).tolist()))
            picture.save(folder / f"{kind}_{name}.png")


def add_sixes(run, k: int) -> None:
    """Both sixes and what is kept of them, as grade.py leaves them; the mixture's is the centre of component k."""
    ways = np.random.default_rng(0).integers(0, 256, (2, 12, 2, 28, 28), dtype=np.uint8)
    drawn = {"ways": ways, "times": np.arange(12)[::-1], "guidance": np.array([1.0, 0.0])}
    stations.kept(run, k, drawn | {"gmm": ways[0, :10, 0], "ddpm": ways[1, :10, 0]})
    six = np.clip(run.means[k] @ run.components + run.mean, 0, 255).round().reshape(28, 28)
    for name, image in (("gmm", six.astype(np.uint8)), ("ddpm", ways[0, -1, 1])):
        Image.fromarray(image).save(run.path / f"{name}_sample.png")


@pytest.fixture
def page(run_folder, empty_cache) -> Path:
    """The page of a run that holds everything."""
    add_pictures(run_folder)
    add_sixes(runs.load_run(run_folder), 3)
    return report_page.write(runs.load_run(run_folder), scored())


# --------------------------------------------------------------------------- what is on it


def test_the_page_holds_every_part(page, digits):
    tags = read(page)
    assert page.name == "report.html"
    assert [s["id"] for s in tags.named("section")] == PARTS
    assert {f"#{part}" for part in PARTS} == {a["href"] for a in tags.named("a")}
    for text in ("gamma is right", "got: 1", "want: 2", "Hint: divide by n_k", "2.5000", "2.2500", "-66.1250"):
        assert text in tags.text
    text = " ".join(tags.text.split())
    assert "10.00 / 10 PASS" in text
    assert "0.00 / 10 WRONG" in text
    assert "- / 30 SKIPPED" in text  # what was not found out has no points
    images = tags.named("img")
    assert sum(i["class"] == "plane" for i in images) == 6
    assert sum(i["class"] == "digit six" for i in images) == 2
    assert sum(i["class"] == "digit mean" for i in images) == 10
    assert sum(i["class"] == "digit" for i in images) == 2 * 10 + 10 * (10 + 10) + 4
    assert page.stat().st_size < 3_000_000


def scripts(tags: Tags) -> list[str]:
    """The nonces of the scripts that the page may run; all others are dead, and data."""
    (policy,) = [m["content"] for m in tags.named("meta") if m.get("http-equiv")]
    assert "default-src 'none'" in policy and "script-src 'unsafe" not in policy
    allowed = re.findall("script-src 'nonce-([0-9a-f]{32})'", policy)
    assert all(
        s.get("nonce") in allowed or s == {"type": "application/json", "id": "em-data"} for s in tags.named("script")
    )
    return allowed


def test_the_page_needs_no_network_and_no_script_but_the_players(page, run_folder):
    tags = read(page)
    text = page.read_text(encoding="utf-8")
    assert not tags.named("link") and not tags.named("iframe")
    assert all(i["src"].startswith("data:image/") for i in tags.named("img"))
    assert "http://" not in text and "https://" not in text and "url(" not in text and "@import" not in text
    assert len(scripts(tags)) == 1
    (run_folder / "trace.safetensors").unlink()  # a run of an earlier year
    tags = read(report_page.write(runs.load_run(run_folder)))
    assert scripts(tags) == [] and "There is no player" not in tags.text


def test_the_page_can_be_read_aloud(page):
    tags = read(page)
    assert tags.named("html") == [{"lang": "en"}]
    assert all(i.get("alt") for i in tags.named("img"))
    assert all(th.get("scope") in ("row", "col") for th in tags.named("th"))
    assert len(tags.named("thead")) == len(tags.named("table")) >= 4
    assert len(tags.named("h1")) == 1


def test_the_table_counts_the_training_images(page, run_folder, digits):
    images, labels = digits["train"]
    cluster = runs.cluster_labels(runs.load_run(run_folder), images)
    table = scores.count_labels(labels, cluster, 10)
    assert table.sum() == len(images)
    assert all(table[k, d] == ((cluster == k) & (labels == d)).sum() for k in range(10) for d in range(10))
    (body,) = re.findall(r'<table class="counts">.*?<tbody>(.*?)</tbody>', page.read_text(encoding="utf-8"), re.DOTALL)
    rows = [[int(n) for n in re.findall(r">(\d+)<", row)] for row in body.split("</tr>")[:-1]]
    assert rows == [[k, *table[k], table[k].sum()] for k in range(10)]


def test_the_answer_to_question_6_is_not_given_away(run_folder, empty_cache):
    for k, verdict in ((None, "SKIPPED"), (3, "WRONG")):
        report = scored(sample_index=k)
        report["questions"].append({"id": "sample_index", "verdict": verdict})
        tags = read(report_page.write(runs.load_run(run_folder), report))
        assert "mostly" not in tags.text and not tags.named("article") and "most frequent" not in tags.text, verdict
        assert [s["id"] for s in tags.named("section")] == PARTS


def test_typical_is_near_and_doubtful_is_uncertain(run_folder, digits):
    run, images = runs.load_run(run_folder), digits["train"].images
    view = clusters.clustering(run, images)
    assert np.array_equal(view.cluster, runs.cluster_labels(run, images))
    codes = runs.embed(run, images)
    for k in range(10):
        members, typical, doubtful = view.members(k), view.typical(k), view.doubtful(k)
        assert set(typical) | set(doubtful) <= set(members)
        assert len(typical) == len(doubtful) == 10
        diff = codes[members] - run.means[k]
        distance = np.einsum("nd,de,ne->n", diff, np.linalg.inv(run.covs[k]), diff)
        np.testing.assert_allclose(view.distance[members], distance, rtol=1e-6)
        assert np.sort(distance)[9] == pytest.approx(view.distance[typical].max())
        assert np.sort(view.certainty[members])[9] == pytest.approx(view.certainty[doubtful].max())
    assert (view.certainty > 0.1).all() and (view.certainty <= 1 + 1e-9).all()


def test_pictures_lose_their_legends_not_their_dots(run_folder):
    """The page cuts a picture where visualization.py puts the plane."""
    plane = np.random.default_rng(0).normal(size=(300, 2))
    path = run_folder / "true_pca.png"
    scatter.plot_plane(plane, np.arange(300) % 2, ["0", "1"], path, "title", "legend")
    whole = pages.read_picture(path)
    cut = scatter.cut(whole)
    inked = [(np.asarray(image.convert("HSV"))[..., 1] > 60).sum() for image in (whole, cut)]
    assert 0.95 * inked[0] < inked[1] <= inked[0]  # the legend's two dots are all that is lost
    assert cut.width == Image.open(path).crop(scatter.PLANE).width < whole.width
    rest = np.asarray(whole.convert("L"))[:, scatter.PLANE[2] + 5 :]
    assert 0 < rest.shape[1] - np.flatnonzero((rest < 200).any(axis=0)).max() < 40  # no margin beside the legend


# --------------------------------------------------------------------------- what comes from outside


def test_text_from_outside_is_never_markup(run_folder, empty_cache):
    folder = run_folder.with_name("<script>alert(1)<")
    run_folder.rename(folder)
    run = runs.load_run(folder)
    run.config.results_path = "</td><script>alert(2)</script>"
    run.config.use_pca, run.config.ae = False, "<script>alert(3)</script>"
    run.ae = None
    tags = read(report_page.write(run, scored()))
    assert len(scripts(tags)) == 1
    assert not any(name.startswith("on") for _, attributes in tags.tags for name in attributes)
    assert "<script>document.title='owned'</script>" in tags.text  # to be read
    assert "{{ 7*7 }}" in tags.text
    assert "\x1b" not in tags.text and "\u202e" not in tags.text
    assert "alert(1)" in tags.text and "alert(2)" in tags.text and "alert(3)" in tags.text


def test_a_damaged_grade_json_still_gives_a_page(run_folder, empty_cache):
    run = runs.load_run(run_folder)
    for report in (
        {},
        {"questions": 5, "guards": "x", "versions": [1], "sample_index": True, "auto_score": "7"},
        {"questions": [None, {}, {"label": None, "points": [], "score": float("nan"), "verdict": 3, "message": {}}]},
        scored(sample_index=10**6, db=float("inf"), accuracy=None, auto_score=None),
        scored(sample_index=-1, log_likelihood=10**400),
        {"questions": [{"label": "a" * 999, "message": "b" * 9999, "verdict": "PASS x\" onclick='1'"}] * 70},
        {"questions": [{"label": "\ud800 lone", "message": "\x00"}]},
    ):
        (run_folder / "grade.json").write_text(json.dumps(report), encoding="utf-8")
        path = report_page.write(run)
        tags = read(path)
        assert [s["id"] for s in tags.named("section")] == PARTS, report
        assert not any("onclick" in attributes for _, attributes in tags.tags)
        assert path.stat().st_size < 3_000_000


def test_without_scores_and_pictures_the_page_says_what_to_do(run_folder, empty_cache):
    text = read(report_page.write(runs.load_run(run_folder))).text
    assert "python grade.py" in text
    assert "python visualization.py --cluster_label" in text
    assert "--sample_index k" in text


def test_damaged_pictures_are_left_out(run_folder, empty_cache):
    run = runs.load_run(run_folder)
    Image.new("L", (5000, 4001)).save(run_folder / "cluster_pca.png")
    Image.new("L", (29, 28)).save(run_folder / "ddpm_sample.png")
    for content in (b"", b"junk", b"\x89PNG\r\n\x1a\n" + b"\0" * 50, b"GIF89a" + b"\0" * 20):
        for name in ("true_pca.png", "gmm_sample.png"):
            (run_folder / name).write_bytes(content)
        images = read(report_page.write(run)).named("img")
        assert not [i for i in images if i["class"] in ("plane", "digit six")], content


def curves(path: Path) -> list[str]:
    return [i["points"] for i in read(path).named("polyline")]


def test_the_trace_is_drawn_and_judged_and_a_damaged_one_left_out(run_folder, empty_cache):
    drawn, run = [], runs.load_run(run_folder)
    (run_folder / "trace.csv").write_text("iteration,mean_log_likelihood\n1,x\n")  # test_runs.py has more of these
    path = report_page.write(run)
    assert curves(path) == [] and "python train.py" in read(path).text
    for values, sentence in (
        ([-3.0, -2.0, -1.5], "never falls"),
        ([-3.0, -2.0, -2.5], "the log-likelihood fell at iteration 3; EM never does: check 1.1 and 1.2"),
        ([-1.0], "in 1 iteration."),
    ):
        lines = ["iteration,mean_log_likelihood", *(f"{i},{v}" for i, v in enumerate(values, 1))]
        (run_folder / "trace.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        path = report_page.write(run)
        assert sentence in read(path).text
        drawn += curves(path)
    assert len(set(drawn)) == 3


# --------------------------------------------------------------------------- the student's draws


def test_a_strip_is_drawn_by_the_student_in_the_sandbox(run_folder):
    run = runs.load_run(run_folder)
    images = draw.draw_by_student(run, 4, 10, (ROOT / "submission.py").read_bytes(), seed=5)
    assert images.shape == (10, 28, 28) and images.dtype == np.uint8
    assert len({image.tobytes() for image in images}) == 10
    # They are of that component: in the mean they lie at its centre.
    centre = run.means[4] @ run.components + run.mean
    assert np.corrcoef(images.mean(axis=0).ravel(), np.clip(centre, 0, 255))[0, 1] > 0.9


def test_a_sampler_that_fails_is_told_of(run_folder, empty_cache, monkeypatch):
    run, error = runs.load_run(run_folder), {"kind": "exception", "type": "E", "text": HOSTILE, "line": 3, "trace": ""}
    for outcome, cause in (
        (sandbox.Outcome("timeout", cause="it did not end within 30 s"), "did not end"),
        (sandbox.Outcome("done", arrays={"form": np.array([4.0, 20, 28])}), "28"),
        (sandbox.Outcome("done", arrays={"images": np.zeros((3, 28, 28), np.uint8)}), "pictures"),
        (sandbox.Outcome("raised", error=error), "submission.py, line 3"),
    ):
        monkeypatch.setattr(sandbox, "run", lambda *_, outcome=outcome, **__: outcome)
        with pytest.raises(LabError, match="no sixes were drawn") as raised:
            draw.draw_sixes(run, 4, b"", lambda: pytest.fail("waited for"))
        tags = read(report_page.write(run, scored(), str(raised.value)))
        assert "no sixes were drawn" in tags.text and cause in tags.text
        assert len(scripts(tags)) == 1


# --------------------------------------------------------------------------- other runs


def test_many_clusters_do_not_burst_the_page_and_an_empty_one_has_its_place(run_folder, empty_cache, monkeypatch):
    run = runs.load_run(run_folder)
    run.means[2] += 1e5
    tags = read(report_page.write(run, scored()))
    assert "no images" in tags.text
    assert len(tags.named("article")) == 10
    monkeypatch.setattr(report_page, "MOST_CLUSTERS", 4)
    tags = read(report_page.write(run, scored()))
    assert len(tags.named("article")) == 4
    assert "6 further clusters are not shown" in tags.text


def test_an_ae_run_draws_no_sixes(standin, tmp_path, empty_cache):
    path = tmp_path / "ae"
    assert train.main(["--dataset", "digits", "--max_iter", "3", "--results_path", str(path)]) == 0
    tags = read(report_page.write(runs.load_run(path), scored(sample_index=None)))
    assert "Only PCA runs draw sixes" in tags.text and "mostly" in tags.text
    assert "AutoEncoder to 2 dimensions" in tags.text


def test_visualization_brings_the_page_up_to_date(run_folder, empty_cache, monkeypatch, capsys):
    planes = dict.fromkeys(PROJECTIONS)
    monkeypatch.setattr(projections, "make_planes", lambda *_: planes)
    monkeypatch.setattr(scatter, "plot_plane", lambda *_: None)
    command = ["--results_path", str(run_folder)]
    assert visualization.main(command) == 0
    assert not (run_folder / "report.html").exists()  # nothing to report yet
    (run_folder / "grade.json").write_text(json.dumps(scored()), encoding="utf-8")
    assert visualization.main(command) == 0
    assert "report.html" in capsys.readouterr().out
    assert "gamma is right" in read(run_folder / "report.html").text


# --------------------------------------------------------------------------- in a browser


@pytest.mark.parametrize("width, dark", [(1280, False), (390, True)])
def test_chromium_shows_the_page(page, browser, width, dark):
    compared = [("generators", "seconds", method, 3.3e-5) for method in ("GMM", "DDPM", "real images")]
    compare.write(page.parent, [*compared, ("projections", "fit_seconds", "AutoEncoder", 3420.0)])
    report_page.write(runs.load_run(page.parent), scored())
    assert "--use_pca" in read(page).text and "0.000033" in read(page).text
    browser.expect_whole(page, width, dark, "return document.readyState === 'complete'")
    assert browser.run("return [...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert browser.driver.title == "run: report of a run"
    back = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert browser.broken() == []
    assert back == ("rgb(20, 23, 28)" if dark else "rgb(255, 255, 255)")
    small = browser.run(
        "return [...document.querySelectorAll('p, td, th, li, .label')].filter(e => e.textContent.trim())"
        ".map(e => parseFloat(getComputedStyle(e).fontSize)).sort((a, b) => a - b)[0]"
    )
    assert small >= 10  # pixels: readable without zooming
    broken = browser.run("return [...document.querySelectorAll('.strip')].some(e => e.scrollWidth > e.clientWidth + 1)")
    assert not broken
