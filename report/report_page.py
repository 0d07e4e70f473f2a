"""``report.html``: one page with all results of a run; it works offline.

    >>> from report import report_page
    >>> report_page.write(runs.load_run(None))          # with the scores of grade.json, if there is one

Content from a student's code or a file of the run is not trusted: texts are escaped and cut, pictures are decoded and
encoded again, and the page forbids all scripts but the player's.
"""

from datetime import datetime
from pathlib import Path

import numpy as np

from grading import scores
from hi_mnist import data, files, runs, scatter
from hi_mnist.data import DATASETS
from hi_mnist.projections import PROJECTIONS
from hi_mnist.runs import SavedRun
from report import clusters, compare, pages, player, stations

MOST_CLUSTERS = 40  # shown in full; nobody would read more


def write(run: SavedRun, report: dict | None = None, failure: str = "") -> Path:
    """Write ``report.html`` into the folder of a run whose data set is prepared; returns the page's path.

    Args:
        report: the content of grade.json, from ``scores.grade``; None reads the folder's.
        failure: why no sixes were drawn just now.
    """
    report = files.read_json(run.path / "grade.json") if report is None else report
    # Question 6 asks which cluster is the 6: until it is answered, the page tells no cluster's digit.
    told = not run.config.use_pca or runs.six_is_found(report)
    report = checked_report(report)
    dataset = run.config.dataset
    images, labels = data.load_split("train", dataset)
    view = clusters.clustering(run, images)
    table = scores.count_labels(labels, view.cluster, run.n_components)
    asked = report["sample_index"]
    drawn = run.config.use_pca and asked is not None and asked < run.n_components
    page = pages.render(
        "report.html.j2",
        name=pages.shown(run.path.name, 200),
        made=datetime.now().strftime("%Y-%m-%d %H:%M"),
        data=data.SHORT_NAMES[dataset],
        n_images=len(images),
        run=run,
        report=report,
        settings=_settings(run),
        projections=_projections(run),
        legends=_legends(run, labels, view.cluster),
        sixes=stations.section(run, asked if drawn else None) | {"failure": pages.shown(failure, 500)},
        clusters=_clusters(run, images, labels, view, table) if told else None,
        hidden=max(0, run.n_components - MOST_CLUSTERS),
        table=_table(table) if told else None,
        class_names=data.class_names(dataset),
        comparison=list((compare.read(run.path) or {}).values()),
        em=player.section(run),
    )
    path = run.path / "report.html"
    files.write_text(path, page)
    return path


# --------------------------------------------------------------------------- scores and settings


def checked_report(report: dict) -> dict:
    """The parts of grade.json that people are shown, with checked types: the file may hold anything.

    Numbers are float, or None for what is missing; texts are cleaned and cut, not escaped.
    """

    def number(value) -> float | None:
        good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15  # nor NaN
        return float(value) if good else None

    def items(value, kind=list):
        return value if isinstance(value, kind) else kind()

    questions = []
    for q in items(report.get("questions"))[:50]:
        if isinstance(q, dict):
            cause, *lines = pages.shown(q.get("message") or "").splitlines() or [""]
            verdict = pages.shown(q.get("verdict") or "", 20)
            questions.append(
                {
                    "label": pages.shown(q.get("label") or "", 100),
                    "points": number(q.get("points")),
                    # These were not scored: a dash, not a zero.
                    "score": None if verdict in ("SKIPPED", "INTERNAL") else number(q.get("score")),
                    "verdict": verdict,
                    "cause": cause,
                    "lines": "\n".join(lines),
                    "hint": pages.shown(q.get("hint") or "", 500),
                }
            )
    k = report.get("sample_index")
    figures = {label: number(report.get(name)) for name, label in scores.FIGURES.items()}
    versions = items(report.get("versions"), dict)
    return {
        "auto_score": number(report.get("auto_score")),
        "auto_points": number(report.get("auto_points")),
        "figures": {label: value for label, value in figures.items() if value is not None},
        "questions": questions,
        "sample_index": k if isinstance(k, int) and not isinstance(k, bool) and k >= 0 else None,
        "guards": [pages.shown(guard, 500) for guard in items(report.get("guards"))[:20]],
        "versions": [(pages.shown(k, 40), pages.shown(v, 40)) for k, v in list(versions.items())[:20]],
    }


def _settings(run: SavedRun) -> list[tuple[str, str]]:
    """The settings as (label, value)."""
    config = run.config
    settings = {
        "data set": DATASETS[config.dataset],
        "embedded by": "PCA (--use_pca)" if config.use_pca else "AutoEncoder (no --use_pca)",
        "dimensions of the embedding (--embedding_dim)": run.means.shape[1],
        "clusters, K (--n_components)": config.n_components,
        "maximum number of EM iterations (--max_iter)": config.max_iter,
        "random seed (--seed)": config.seed,
        "AutoEncoder (--ae)": None if config.use_pca else config.ae or "the shipped one",
        "folder asked for (--results_path)": config.results_path or "none: results/<date and time>",
    }
    return [(label, pages.shown(value, 300)) for label, value in settings.items() if value is not None]


# --------------------------------------------------------------------------- pictures


def _projections(run: SavedRun) -> list[dict]:
    """The six pictures in pairs, without legends: the page has them as text."""
    pairs = []
    for name, title in PROJECTIONS.items():
        pair = {"title": title}
        for kind in ("true", "cluster"):
            image = pages.read_picture(run.path / f"{kind}_{name}.png")
            pair[kind] = pages.data_uri(scatter.cut(image), "WEBP", quality=82, method=4) if image else None
        pairs.append(pair)
    return pairs


def _legends(run: SavedRun, labels: np.ndarray, cluster: np.ndarray) -> dict[str, list]:
    """(name, colour, number of images) of each group, for both colourings."""
    legends = {}
    K = run.n_components
    for kind, groups, names, palette in (
        ("true", labels, data.class_names(run.config.dataset), scatter.PALETTE),
        ("cluster", cluster, [str(k) for k in range(K)], scatter.cluster_colours(K)),
    ):
        sizes = np.bincount(groups, minlength=len(names))
        legends[kind] = list(zip(names, palette, sizes, strict=True))[: pages.MOST_ROWS]
    return legends


# --------------------------------------------------------------------------- clusters


def _clusters(run: SavedRun, images, labels, view: clusters.Clustering, table: np.ndarray) -> list[dict]:
    """What the page shows of each cluster, in numerical order."""
    names = data.class_names(run.config.dataset)
    shown = []

    def digits(indices: np.ndarray, main: int) -> list[dict]:
        return [
            {
                "uri": pages.digit_uri(images[i]),
                "label": names[labels[i]],
                "short": str(labels[i]),
                "other": bool(labels[i] != main),
                "certainty": pages.percent(view.certainty[i]),
            }
            for i in indices
        ]

    for k in range(min(run.n_components, MOST_CLUSTERS)):
        members, size, main = view.members(k), int(table[k].sum()), int(table[k].argmax())
        entry = {"k": k, "size": size, "share": pages.percent(size / len(images)), "weight": pages.percent(run.pi[k])}
        if size:
            entry |= {
                "main": names[main],
                "main_share": pages.percent(table[k, main] / size),
                "mean": pages.digit_uri(images[members].mean(axis=0)),
                "typical": digits(view.typical(k), main),
                "doubtful": digits(view.doubtful(k), main),
            }
        shown.append(entry)
    return shown


def _table(table: np.ndarray) -> dict:
    """The cluster-by-digit table: rows of counts, each with its share of the row for the shade."""
    rows = []
    for k, row in enumerate(table[: pages.MOST_ROWS].tolist()):
        cells = [{"count": n, "shade": round(n / max(sum(row), 1), 3), "main": n == max(row) > 0} for n in row]
        rows.append({"k": k, "cells": cells, "total": sum(row)})
    return {"rows": rows, "totals": table.sum(axis=0).tolist(), "total": int(table.sum())}
