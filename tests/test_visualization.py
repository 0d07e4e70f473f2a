"""The pictures: the same points in both colourings, t-SNE computed once, readable numbers."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from safetensors.numpy import save
from scipy.spatial.distance import cdist, pdist
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

import grade
import visualization
from hi_mnist import data, networks, projections, runs, scatter, tsne
from hi_mnist.projections import PROJECTIONS, TSNE_SETTINGS
from report.measures import knn_accuracy


@pytest.fixture
def planes(monkeypatch):
    """Record the plots instead of drawing them: a list of (plane, groups, names, file)."""
    plotted = []
    monkeypatch.setattr(
        scatter, "plot_plane", lambda plane, groups, names, path, *_: plotted.append((plane, groups, names, path))
    )
    return plotted


# --------------------------------------------------------------------------- projections


def test_both_colourings_show_the_same_points(trained_run, cheap_tsne, planes, digits):
    run, (images, labels) = runs.load_run(trained_run), digits["train"]
    true, cluster = (scatter.draw_run(run, projections.make_planes(images), by_cluster) for by_cluster in (False, True))
    assert sorted(true) == ["true_ae.png", "true_pca.png", "true_tsne.png"]
    assert sorted(cluster) == ["cluster_ae.png", "cluster_pca.png", "cluster_tsne.png"]
    assert cheap_tsne == [len(images)]  # computed once for both
    for (plane, groups, names, path), (other, clusters, other_names, _) in zip(planes[:3], planes[3:], strict=True):
        assert np.array_equal(plane, other), path.name
        assert plane.shape == (len(images), 2)
        assert np.array_equal(groups, labels)
        assert np.array_equal(clusters, runs.cluster_labels(run, images))
        assert names == other_names == [str(i) for i in range(10)]


def test_pca_plane_is_scikit_learns_with_fixed_signs(digits):
    images = digits["train"].images
    plane = projections.project_pca(images)
    pca = PCA(2, svd_solver="full")
    expected = pca.fit_transform(images.reshape(-1, 784).astype(float))
    signs = np.sign((plane * expected).sum(axis=0))
    np.testing.assert_allclose(plane, expected * signs, atol=0.05)  # ours works in float32, and spans +-1500
    components = pca.components_ * signs[:, None]
    assert (components[[0, 1], np.abs(components).argmax(axis=1)] > 0).all()


def test_tsne_keeps_neighbours_together(digits, standin):
    images, labels = digits["train"]
    plane = projections.project_tsne(images)
    assert plane.shape == (len(images), 2)
    near = KNeighborsClassifier(6).fit(plane, labels).kneighbors(return_distance=False)
    assert (labels[near] == labels[:, None]).mean() > 0.9  # the neighbours in the plane are of the same digit


def test_what_replaces_parts_of_open_tsne_is_as_exact():
    rng = np.random.default_rng(0)
    for name, rows in {
        "far apart": rng.normal(size=(1100, 9)),
        "three of each": np.repeat(rng.normal(size=(400, 9)), 3, axis=0),
        "nearly all alike": np.eye(1100, 9),
    }.items():
        rows = rows.astype(np.float32)
        found, distances = tsne.nearest(rows, 7)
        expected = NearestNeighbors(n_neighbors=7, algorithm="brute").fit(rows.astype(float)).kneighbors()[0]
        np.testing.assert_allclose(np.sort(distances), expected, atol=1e-5, err_msg=name)
        own = np.arange(len(rows))[:, None]
        assert all(len(set(row)) == 7 for row in found.tolist()) and not (found == own).any(), name
    for scale, tolerance in ((0, 0), (1e-4, 0.2), (1, 0.1), (10, 0.05), (50, 0.05)):
        plane = scale * rng.normal(size=(1100, 2))
        apart = plane[:, None] - plane
        similar = 1 / (1 + (apart**2).sum(axis=2))
        force, total = tsne.repulsion(plane)
        expected = (similar[..., None] ** 2 * apart).sum(axis=1)
        assert np.linalg.norm(force - expected) <= tolerance * np.linalg.norm(expected) + 1e-4, scale
        assert total == pytest.approx(similar.sum() - len(plane), rel=0.05), scale


def test_many_images_are_embedded_quickly_alike_and_by_open_tsne_of_another_version(digits, monkeypatch, empty_cache):
    images, labels = digits["train"]
    slow = projections.project_tsne(images)
    monkeypatch.setattr(tsne, "MANY", 1_000)
    once, again = (projections.compute_tsne(images) for _ in range(2))
    assert np.array_equal(once, again) and not np.array_equal(once, slow)
    assert np.array_equal(projections.project_tsne(images), once)  # not the other one from the cache
    assert knn_accuracy(once, labels) > 0.95
    assert not projections.compute_tsne(np.full((1_100, 1, 28, 28), 7, np.uint8)).any()
    monkeypatch.setattr(tsne, "version", lambda _: "1.1.0")
    monkeypatch.setattr(tsne, "repulsion", None)
    assert np.array_equal(projections.project_tsne(images), slow)


def test_a_tsne_is_computed_once_for_the_same_images_and_settings(cheap_tsne, digits, monkeypatch):
    images = digits["test"].images
    first, again = (projections.project_tsne(images) for _ in range(2))
    assert len(cheap_tsne) == 1
    assert np.array_equal(first, again)
    other = projections.project_tsne(np.where(np.arange(28) == 3, 9, images).astype(np.uint8))
    assert len(cheap_tsne) == 2
    assert not np.array_equal(first, other)
    for calls, (setting, value) in enumerate([("perplexity", 12), ("pca_dimensions", 20), ("seed", 1)], start=3):
        monkeypatch.setitem(TSNE_SETTINGS, setting, value)
        projections.project_tsne(images)
        assert len(cheap_tsne) == calls, setting


def test_a_damaged_cache_is_computed_again(cheap_tsne, digits, empty_cache):
    images = digits["test"].images
    projections.project_tsne(images)
    (path,) = empty_cache.glob("tsne-*.safetensors")
    whole, good = path.read_bytes(), {"plane": np.zeros((360, 2)), "seconds": np.array(1.0)}
    for name, content in {
        "empty": b"",
        "cut": whole[:-100],
        "cut in the header": whole[:50],
        "junk": b"junk" * 100,
        "pickle": b"\x80\x04N.",
        "nan": save(good | {"plane": np.full((360, 2), np.nan)}),
        "short": save(good | {"plane": np.zeros((359, 2))}),
        "another name": save({"place": good["plane"], "seconds": good["seconds"]}),
    }.items():
        calls = len(cheap_tsne)
        path.write_bytes(content)
        plane = projections.project_tsne(images)
        assert len(cheap_tsne) == calls + 1, name
        assert plane.shape == (360, 2) and np.isfinite(plane).all(), name
        assert np.array_equal(projections.project_tsne(images), plane), name


def test_every_plane_is_kept_and_another_ae_gets_one_of_its_own(cheap_tsne, digits, tmp_path, monkeypatch):
    import model

    images = digits["test"].images
    for name in ("one", "two"):
        networks.save_network(model.AE(), tmp_path / name)
    first = projections.make_planes(images, str(tmp_path / "one"))
    other = projections.make_planes(images, str(tmp_path / "two"))
    assert not np.array_equal(first["ae"], other["ae"])
    assert np.array_equal(first["pca"], other["pca"])
    for name in ("project_pca", "project_ae"):
        monkeypatch.setattr(projections, name, None)  # not called again
    again = projections.make_planes(images, str(tmp_path / "one"))
    assert all(np.array_equal(again[method], first[method]) for method in PROJECTIONS)
    with pytest.raises(TypeError):  # other images: computed
        projections.make_planes(images[1:], str(tmp_path / "one"))


def test_without_torch_and_open_tsne_pca_and_t_sne_are_drawn_all_the_same(
    run_folder, run_script, empty_cache, digits, monkeypatch
):
    few = digits["train"].images[:60], digits["train"].labels[:60]
    monkeypatch.setattr(data, "load_split", lambda *_: few)
    monkeypatch.setattr(networks, "has_torch", lambda: False)
    monkeypatch.setattr(projections, "find_spec", lambda _: None)
    outcome = run_script(visualization, "--cluster_label", "--results_path", run_folder)
    assert outcome.status == 0 and "torch" in outcome.err and "openTSNE" in outcome.err
    pictures = {path.name for path in run_folder.glob("*.png")}
    assert pictures == {"cluster_pca.png", "cluster_tsne.png"} and (run_folder / "explore.html").is_file()
    outcome = run_script(grade, "--results_path", run_folder, "--sample_index", 0)
    assert outcome.status == 0 and "sixes are not drawn" in outcome.err and (run_folder / "grade.json").is_file()


def test_an_ae_of_any_dimension_gives_a_plane(digits, tmp_path):
    import model

    images = digits["test"].images[:100]
    for d in (1, 2, 5):
        networks.save_network(model.AE(embedding_dim=d), tmp_path / f"{d}")
        plane = projections.project_ae(images, str(tmp_path / f"{d}"))
        assert plane.shape == (100, 2)
        if d == 2:
            codes = networks.ae_encode(networks.load_ae(tmp_path / f"{d}"), images)
            np.testing.assert_allclose(plane, codes, rtol=1e-5, atol=1e-6)


# --------------------------------------------------------------------------- where the numbers stand


def test_the_number_stands_in_the_densest_part_of_its_group():
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 3000)
    angle[:2000] = rng.normal(1.0, 0.1, 2000)  # a ring, most of it at one angle: the mean lies elsewhere
    ring = 10 * np.column_stack([np.cos(angle), np.sin(angle)])
    blob = rng.normal([2, 3], 0.3, size=(500, 2))
    plane, groups = np.concatenate([ring, blob]), np.repeat([0, 1], [3000, 500])
    places = scatter.densest_points(plane, groups, 2)
    assert np.linalg.norm(places[0] - 10 * np.array([np.cos(1), np.sin(1)])) < 1
    assert np.linalg.norm(places[1] - [2, 3]) < 1


def test_odd_groups_and_planes_have_finite_places():
    plane = np.random.default_rng(0).normal(size=(100, 2))
    assert set(scatter.densest_points(plane, np.repeat([1, 3], 50), 5)) == {1, 3}  # an empty one gets no number
    for plane in (np.zeros((50, 2)), np.column_stack([np.arange(50.0), np.zeros(50)])):
        spread = scatter.spread_labels(scatter.densest_points(plane, np.arange(50) % 3, 3), plane, 0.07)
        assert set(spread) == {0, 1, 2}
        assert all(np.isfinite(spot).all() for spot in spread.values())


def test_numbers_are_pushed_apart_and_no_farther_than_they_must():
    gap = 0.05  # as a share of the picture
    for K in (2, 10, 30):
        rng = np.random.default_rng(K)
        plane = rng.uniform([0, -50], [10, 50], size=(1000, 2))
        span = plane.max(axis=0) - plane.min(axis=0)
        for kind, spots, farthest in (
            ("one place", np.full((K, 2), 5.0), K * gap),
            ("one line", np.column_stack([np.linspace(4, 6, K), np.zeros(K)]), K * gap),
            ("random", rng.uniform([4, -10], [6, 10], size=(K, 2)), K * gap),
            ("in a corner", rng.uniform([0, -50], [1, -45], size=(K, 2)), K * gap),
            ("apart", np.column_stack([np.linspace(0, 10, K), np.tile([-40, 40], K // 2)]), 1e-12),
        ):
            spread = np.array(list(scatter.spread_labels(dict(enumerate(spots)), plane, gap).values()))
            assert pdist(spread / span).min() > 0.9 * gap, (kind, K)
            assert (np.linalg.norm((spread - spots) / span, axis=1) <= farthest).all(), (kind, K)
            np.testing.assert_allclose(spread.mean(axis=0), spots.mean(axis=0), atol=1e-6)  # pushed both ways alike


# --------------------------------------------------------------------------- pictures


def test_pictures_are_png_of_a_size_that_fits_a_page(tmp_path):
    rng = np.random.default_rng(0)
    for K in (1, 10, 60):
        plane, groups = rng.normal(size=(500, 2)), rng.integers(0, K, 500)
        groups[groups == 3] = 0  # one without images
        path = tmp_path / "picture.png"
        scatter.plot_plane(
            plane, groups, [str(k) for k in range(K)], path, "title", "cluster", scatter.cluster_colours(K)
        )
        assert [p.name for p in tmp_path.iterdir()] == ["picture.png"]
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG"
            assert 800 <= image.width <= 2000 and 600 <= image.height <= 2000
            pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
        assert path.stat().st_size < 2_000_000
        assert 0.2 < (pixels == 255).all(axis=1).mean() < 0.98, K  # neither empty nor full


def test_a_point_lies_at_the_same_place_in_both_colourings(tmp_path):
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(300, 2))
    drawn = []
    for names in (["0", "1"], ["a much longer name of a group"] * 10):
        groups = np.zeros(300, int)  # one number, in one place
        scatter.plot_plane(plane, groups, names, tmp_path / "p.png", "title", "legend", ["#5a00c3"] * len(names))
        with Image.open(tmp_path / "p.png") as image:
            area = np.asarray(image.convert("L"))[80:, : scatter.PLANE[2]]
        drawn.append(area < 250)
    assert 0.002 < drawn[0].mean() < 0.5
    assert np.array_equal(*drawn)


# Linear RGB as readers without red cones and without green cones see it, and its OKLab, in which distances are those
# that people see (Machado, Oliveira and Fernandes 2009; Ottosson 2020).
SEEN = {
    "all cones": np.eye(3),
    "no red": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "no green": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
}
LMS = [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]
OKLAB = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]


def test_clusters_have_colours_of_their_own_that_colour_blind_readers_tell_apart():
    def look(colours, seen):
        rgb = np.array([to_rgb(colour) for colour in colours])
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return np.cbrt(np.clip(linear @ np.transpose(seen), 0, 1) @ np.transpose(LMS)) @ np.transpose(OKLAB)

    for count, least in ((1, 0), (10, 0.13), (20, 0.06), (30, 0.05)):
        for name, seen in SEEN.items():  # labels: 0.007 between two of them without red cones
            assert pdist(look(scatter.cluster_colours(count), seen)).min(initial=9) > least, (count, name)
    apart = cdist(look(scatter.cluster_colours(30), np.eye(3)), look(scatter.PALETTE, np.eye(3)))
    assert apart.min() > 0.08
    assert scatter.cluster_colours(45)[30:] == scatter.cluster_colours(15)
