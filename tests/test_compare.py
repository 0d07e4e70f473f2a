"""visualization.py --compare: each measure is what its name says, and the file is read back as written."""

import numpy as np
import pytest

import visualization
from hi_mnist import networks, projections, runs
from hi_mnist.files import ROOT
from hi_mnist.networks import DDPM_STEPS
from hi_mnist.runs import SavedRun, TrainConfig
from report import compare, draw, measures

RECORDS = [
    ("projections", "fit_seconds", "PCA", 1.25),
    ("projections", "fit_seconds", "t-SNE", "66 for 3,000"),
    ("projections", "new_seconds", "PCA", 0.0000481),
    ("projections", "trustworthiness", "t-SNE", 0.98765),
    ("projections", "needs", "PCA", "what version 0.2 wrote: not shown"),
    ("projections", "note", "", "a, note; with \"quotes\" and 'others'"),
    ("generators", "agreement", "GMM", 0.5),
    ("generators", "seconds_all_steps", "DDPM", 3420.0),
    ("generators", "frechet", "real images", 11.87),
]


@pytest.fixture
def perfect_ddpm(monkeypatch, digits):
    """Replace the diffusion model by real test images of the requested digits; counts the calls by their steps."""
    images, labels = digits["test"]
    calls = []

    def draw(ddpm, asked, *, steps=DDPM_STEPS, seed=None, **_):
        calls.append((len(asked), steps))
        return np.array([images[labels == digit][list(asked[:i]).count(digit)] for i, digit in enumerate(asked)])

    monkeypatch.setattr(networks, "draw_digits", draw)
    return calls


# --------------------------------------------------------------------------- the measures


def test_trustworthiness_falls_where_strangers_meet_and_continuity_where_neighbours_part():
    rng = np.random.default_rng(0)
    square = rng.uniform(size=(600, 2)).astype(np.float32)
    labels = (square[:, 0] * 10).astype(int)
    flat = np.column_stack([square[:, 0], np.zeros(600)])
    strips = (square[:, 1] * 8).astype(int)
    torn = square + 100 * np.column_stack([rng.permutation(8)[strips], np.zeros(600)])
    planes = {"same": square.astype(np.float64), "flat": flat, "torn": torn}
    scores = measures.score_planes(square, labels, planes, np.arange(600))
    assert scores["same"]["trustworthiness"] == scores["same"]["continuity"] == 1
    assert scores["flat"]["trustworthiness"] < scores["flat"]["continuity"] - 0.05
    assert scores["torn"]["continuity"] < scores["torn"]["trustworthiness"] - 0.05
    assert set(scores["same"]) == {"trustworthiness", "continuity", "knn_accuracy", "gmm_accuracy"}


def test_neighbours_do_not_count_the_point_itself():
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(2000, 2))
    assert measures.knn_accuracy(plane, rng.integers(0, 10, 2000)) == pytest.approx(0.1, abs=0.03)
    assert measures.knn_accuracy(plane + 50 * (plane[:, :1] > 0), (plane[:, 0] > 0).astype(int)) == 1


def test_mixture_finds_ten_islands_at_any_scale():
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(10), 60)
    centres = np.array([[x, y] for x in range(5) for y in range(2)])
    plane = 10 * centres[labels] + rng.normal(size=(600, 2))
    for scale in (1e-4, 1, 1e4):
        assert max(measures.gmm_accuracy(scale * plane, labels, seed) for seed in range(5)) > 0.99, scale


def test_draws_come_from_the_components_that_were_named(trained_run):
    run = runs.load_run(trained_run)
    rng = np.random.default_rng(0)
    components = np.repeat([4, 7], 400)
    images = draw.draw_from_mixture(run, components, rng, ae=None)
    assert images.shape == (800, 1, 28, 28) and images.dtype == np.uint8
    for k in (4, 7):
        expected = (run.means[k] @ run.components + run.mean).clip(0, 255)
        found = images[components == k].mean(axis=0).ravel()
        assert np.abs(found - expected).mean() < 4  # clipping lifts the mean a little
    assert np.array_equal(images, draw.draw_from_mixture(run, components, np.random.default_rng(0), ae=None))


def test_draws_of_an_ae_run_are_decoded(tmp_path):
    config = TrainConfig(use_pca=False, dataset="digits", n_components=2)
    run = SavedRun(tmp_path, config, np.zeros((2, 2)), np.tile(np.eye(2), (2, 1, 1)), np.full(2, 0.5))
    images = draw.draw_from_mixture(run, np.array([0, 1, 1]), np.random.default_rng(0), networks.load_ae())
    assert images.shape == (3, 1, 28, 28) and images.dtype == np.uint8
    assert images.max() > 100


def test_judge_knows_digits_and_tells_real_images_from_blurred_and_repeated_ones(digits):
    from scipy.ndimage import gaussian_filter

    judge = measures.Judge(networks.load_ae(), *digits["train"])
    images, labels = digits["test"]
    assert (judge.predict(judge.features(images)) == labels).mean() > 0.97
    assert judge.n_images == len(digits["train"].images)
    asked = np.repeat(np.arange(10), 8)
    some = np.concatenate([np.flatnonzero(digits["train"].labels == c)[:8] for c in range(10)])
    real = digits["train"].images[some]
    samples = {
        "real": real,
        "blurred": gaussian_filter(real.astype(float), (0, 0, 1.5, 1.5)).astype(np.uint8),
        "repeated": np.repeat(real[::8], 8, axis=0),
        "shuffled": real[np.random.default_rng(0).permutation(80)],
    }
    scores = measures.score_samples(samples, asked, digits["test"], judge)
    assert scores["real"]["agreement"] > 0.95
    assert scores["shuffled"]["agreement"] < 0.3
    assert scores["real"]["frechet"] < min(scores["blurred"]["frechet"], scores["repeated"]["frechet"])
    assert scores["shuffled"]["frechet"] == pytest.approx(scores["real"]["frechet"])
    assert scores["repeated"]["diversity"] == scores["repeated"]["diversity_pixels"] == 0
    assert scores["real"]["diversity"] == pytest.approx(1, abs=0.2)


def test_training_time_of_the_shipped_ae_is_the_one_of_its_model_card():
    card = (ROOT / "pretrained" / "mnist-ae" / "README.md").read_text(encoding="utf-8")
    seeds, minutes = ([*filter(lambda line: part in line, card.splitlines())][0] for part in ("shipped**", "| minutes"))
    shipped = [i for i, cell in enumerate(seeds.split("|")) if "shipped" in cell]
    assert [int(minutes.split("|")[i]) for i in shipped] == [compare.AE_TRAINING_MINUTES]


def test_tsne_keeps_its_seconds_with_its_cache(cheap_tsne, digits):
    images = digits["test"].images
    first = projections.tsne_seconds(images)
    assert first > 0
    assert projections.tsne_seconds(images) == first
    assert cheap_tsne == [len(images)]


# --------------------------------------------------------------------------- the file


def test_what_was_written_is_read_as_tables(tmp_path):
    compare.write(tmp_path, RECORDS)
    tables = compare.read(tmp_path)
    assert set(tables) == {"projections", "generators"}
    first = tables["projections"]
    assert first["methods"] == ["PCA", "t-SNE"]
    cells = {row["label"]: row["cells"] for row in first["rows"]}
    assert cells["seconds to fit"] == ["1.2", "66 for 3,000"]
    assert cells["seconds for 10,000 new images"] == ["0.000048", "-"]
    assert cells["trustworthiness (1 is best)"] == ["-", "0.988"]
    assert first["notes"] == ["a, note; with \"quotes\" and 'others'"]
    second = {row["label"]: row["cells"] for row in tables["generators"]["rows"]}
    assert second["seconds for one sample, all 1,000 steps"] == ["-", "3,420", "-"]
    assert all(len(row["cells"]) == 3 for row in tables["generators"]["rows"])


def test_no_file_or_a_damaged_one_is_none(tmp_path):
    assert compare.read(tmp_path) is None
    for content in (b"", b"\xff\xfe", b"a,b\n1,2\n", b"table,measure,method,value\nx\n", b"\0" * 99):
        (tmp_path / compare.FILE).write_bytes(content)
        assert compare.read(tmp_path) is None, content
    compare.write(tmp_path, RECORDS)
    with (tmp_path / compare.FILE).open("ab") as file:
        file.write(b"x" * compare.LARGEST_FILE)
    assert compare.read(tmp_path) is None


def test_unseen_characters_do_not_get_through(tmp_path):
    hostile = "<script>|`x`\u202e\x1b[31m ![a](b)\n# head" + "x" * 9999
    compare.write(tmp_path, [*RECORDS, ("projections", "knn_accuracy", "PCA", hostile)])
    text = compare.console(compare.read(tmp_path))
    assert "<script>|`x` ![a](b) # head" in text
    assert "\u202e" not in text and "\x1b" not in text
    assert len(text) < 5000


def test_seconds_are_written_for_people():
    shown = {3420: "3,420", 65.96: "66", 9.56: "9.6", 0.0000481: "0.000048", 0.11: "0.11", 0: "0", 1e12: "1e+12"}
    assert {seconds: compare.in_seconds(seconds) for seconds in shown} == shown


# --------------------------------------------------------------------------- the command


def test_command_writes_one_file_and_prints_both_tables(
    run_script, run_folder, cheap_tsne, perfect_ddpm, files_below, monkeypatch
):
    monkeypatch.setattr(compare, "NEW_IMAGES", 500)
    monkeypatch.setattr(compare, "SAMPLE", 300)
    monkeypatch.setattr(measures, "GMM_SEEDS", range(1))
    before = files_below(run_folder)
    outcome = run_script(visualization, "--compare", "--results_path", run_folder)
    assert outcome.status == 0, outcome.err
    after = files_below(run_folder)
    assert after == before | {compare.FILE: after[compare.FILE]}
    assert outcome.out.isascii()
    assert "wrote comparison.csv" in outcome.out
    tables = compare.read(run_folder)
    assert tables["projections"]["methods"] == ["PCA", "t-SNE", "AutoEncoder"]
    assert tables["generators"]["methods"] == ["GMM", "DDPM", "real images"]
    cells = {row["label"]: row["cells"] for table in tables.values() for row in table["rows"]}
    for table in tables.values():
        assert table["title"] in outcome.out
        assert all(note in outcome.out for note in table["notes"])
    assert cells["seconds for 10,000 new images"][1] == "cannot"
    pca, tsne, _ = map(float, cells["accuracy of 10 nearest neighbours in the plane"])
    assert pca > 0.4 and tsne < 0.3  # the t-SNE of this test is chance
    (agreement,) = ([float(x) for x in row] for label, row in cells.items() if label.startswith("class agreement"))
    assert agreement[1] > 0.95 and 0.3 < agreement[0] <= 1 and agreement[2] > 0.97
    assert not [label for label, row in cells.items() if "-" in row and "second" not in label]
    # What question 7 asks in words is the student's to say.
    every = [cell.replace(",", "") for row in cells.values() for cell in row]
    assert all(map(float, (cell for cell in every if cell not in ("cannot", "-"))))
    # one image alone, three times at 50 steps and once at 1,000; then all digits at once
    assert perfect_ddpm == [(1, 50)] * 3 + [(1, 1000), (50, 50)]


def test_many_draws_are_not_slower_each_than_one(trained_run, digits, perfect_ddpm, monkeypatch):
    clock, calls = [0.0], []

    def drawn(run, components, *_):  # the first takes longest, as in a new process
        clock[0] += 0.01 + 0.001 * len(components) + 5 * (not calls)
        calls.append(1)
        return digits["test"].images[: len(components)]

    monkeypatch.setattr(draw, "draw_from_mixture", drawn)
    monkeypatch.setattr(compare.time, "perf_counter", lambda: clock[0])
    run, ae = runs.load_run(trained_run), networks.load_ae()
    records = compare.measure_generators(run, digits["train"], digits["test"], ae, ddpm=None)
    found = {measure: value for _, measure, method, value in records if method == "GMM"}
    assert found["seconds_batch"] < found["seconds"] < 0.02


def test_another_subject_than_the_ddpms_is_not_compared_with_it(trained_run, digits, perfect_ddpm, monkeypatch):
    monkeypatch.delenv("LAB_DDPM", raising=False)
    run = runs.load_run(trained_run)
    run.config.dataset = "fashion_mnist"
    records = [*compare.measure_generators(run, digits["train"], digits["test"], networks.load_ae(), ddpm=None)]
    of_ddpm = {measure for _, measure, method, _ in records if method == "DDPM"}
    assert of_ddpm == {"seconds", "seconds_all_steps"}
    assert any("MNIST's digits" in str(value) for _, measure, _, value in records if measure == "note")


def test_what_cannot_be_measured_is_said_first(run_script, run_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(compare, "measure_projections", lambda *_: pytest.fail("slow work began"))
    monkeypatch.setenv("LAB_DDPM", str(tmp_path))
    for more, cause in (((), "config.json"), (("--cluster_label",), "not allowed with")):
        outcome = run_script(visualization, "--compare", *more, "--results_path", run_folder)
        assert (outcome.status, outcome.err.count("\n")) == (2, 1)
        assert cause in outcome.err
    assert not (run_folder / compare.FILE).exists()
