"""What a class's points tell: quartiles, why points were lost, and the plots of ``summary.html``."""

import io
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from grading.scores import PERFORMANCE_POINTS
from report import pages
from staff import gradebook, merge

SMALLEST = 5  # students; of fewer, quartiles would tell who has how many points
LOST = 0.005  # points; less is rounding
ODD = 0.1  # so far below the class's median accuracy, a Performance above the median is looked at
OPTIONAL = {"email": "", "section": "", "late": "", "penalty": 0, "comment": "", "items": []}  # keys of a row
BLUE, PALE, RED, GREY = "#1f6fb2", "#9ecae1", "#c8501e", "#c9ced3"


@dataclass
class Part:
    """A question, or a part of the points given by hand.

    Attributes:
        label, points: its name for people, and its most points.
        counts: how many have all points, some, none, and how many wait for a person.
        quartiles: of its points; None where fewer than ``SMALLEST`` have any.
        correlation: with the totals in which nothing is open; None where it is not defined.
        seconds: median and longest processor time, and the row with the longest; None if it was not measured.
        causes: why points were lost or are open, each with the rows, those of most rows first.
    """

    label: str
    points: float
    counts: tuple[int, int, int, int]
    quartiles: list[float] | None
    correlation: float | None
    seconds: tuple[float, float, dict] | None
    causes: list[tuple[str, list[dict]]]


class Class:
    """A class that is graded, and perhaps merged.

    Args:
        out: its folder.
        final: the rows of final.csv; None if it is not merged.

    Attributes:
        graded: from ``gradebook.load``.
        records: by ``hand_in``.
        scored: rows with the points of those who handed in, by column; None where a person still decides.
        by_hand, worth: label and most points of each part given by hand, and of all parts, by column.
        total, most: the column of the totals, and the most points in it, without a bonus.
    """

    def __init__(self, out: Path, final: list[dict] | None = None):
        self.out, self.graded = out, gradebook.load(out)
        self.graded.rows = [OPTIONAL | row for row in self.graded.rows]
        loaded = [gradebook.load_record(out, row["hand_in"]) for row in self.graded.rows]
        self.records = {record["hand_in"]: record for record in loaded if record}
        self.scored = [row for row in final or self.graded.rows if row["hand_in"]]
        self.total = "total" if final else "auto_score"
        by_hand = merge.report(self.graded.lab) if final else {}
        self.by_hand = {name: (f"report: {name}", points) for name, points in by_hand.items()}
        asked = {name: (q.label, q.points) for name, q in gradebook.questions(self.graded.lab).items()}
        self.worth, self.most = asked | self.by_hand, gradebook.auto_points(self.graded.lab) + sum(by_hand.values())

    def is_closed(self, row: dict) -> bool:
        """Whether nothing of a total is open."""
        return all(row[name] is not None for name in (*self.worth, self.total))

    def totals(self, closed: bool = True) -> list[float]:
        """Those in which nothing is open, or those in which something is."""
        return [row[self.total] for row in self.scored if row[self.total] is not None and self.is_closed(row) == closed]

    @cached_property
    def parts(self) -> dict[str, Part]:
        return {name: self._part(name, *worth) for name, worth in self.worth.items()}

    def _part(self, name: str, label: str, most: float) -> Part:
        known = [row[name] for row in self.scored if row[name] is not None]
        full, none = sum(p >= most - LOST for p in known), sum(p <= LOST for p in known)
        counts = (full, len(known) - full - none, none, len(self.scored) - len(known))
        pairs = np.array([(row[name], row[self.total]) for row in filter(self.is_closed, self.scored)]).reshape(-1, 2)
        varied = len(pairs) >= SMALLEST and pairs.std(axis=0).min() > 0
        correlation = float(np.corrcoef(pairs.T)[0, 1]) if varied else None
        whose, times = defaultdict(list), []
        for row in self.scored:
            record = self.records.get(row["hand_in"], {"questions": []})
            times += [(record["seconds"][name], row)] if name in record.get("seconds", {}) else []
            for q in record["questions"]:
                if q["id"] == name and (q["score"] < q["points"] - LOST or gradebook.decided(q) is None):
                    for cause in gradebook.causes(q):
                        whose[cause].append(row)
        times.sort(key=lambda pair: pair[0])
        seconds = (times[len(times) // 2][0], *times[-1]) if times else None
        causes = sorted(whose.items(), key=lambda item: (-len(item[1]), item[0]))
        return Part(label, most, counts, quartiles(known), correlation, seconds, causes)

    @cached_property
    def runs(self) -> list[dict]:
        """The runs with a known index: ``row``, ``accuracy``, ``db``, the formula's ``points``, ``open``.

        ``odd`` are those with more points than the median at an accuracy ``ODD`` below the median.
        """
        found = []
        for row in self.scored:
            record = self.records.get(row["hand_in"], {})
            if record.get("db") and record.get("db_sklearn") and record.get("accuracy") is not None:
                points = min(PERFORMANCE_POINTS * record["db_sklearn"] / record["db"], PERFORMANCE_POINTS)
                run = {"row": row, "accuracy": record["accuracy"], "db": record["db"], "points": points}
                found.append(run | {"open": row["performance"] is None})
        accuracy, points = (np.median([run[name] for run in found] or [0]) for name in ("accuracy", "points"))
        return [run | {"odd": run["accuracy"] < accuracy - ODD and run["points"] >= points} for run in found]


def quartiles(known: list[float]) -> list[float] | None:
    """The lower quartile, the median and the upper one; None for fewer than ``SMALLEST``."""
    return np.percentile(known, [25, 50, 75]).tolist() if len(known) >= SMALLEST else None


# --------------------------------------------------------------------------- plots


def _plot(draw: Callable, height: float) -> str:
    """A plot on white as the ``data:`` address of an SVG, the same for the same numbers."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    style = {"svg.hashsalt": "class", "font.size": 11, "axes.spines.right": False, "axes.spines.top": False}
    with rc_context(style):
        figure = Figure(figsize=(5.2, height), layout="constrained")
        draw(figure.add_subplot())
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return pages.encoded("svg+xml", buffer.getvalue())


def histogram(totals: list[float], opens: list[float], most: float) -> str:
    """Totals in which nothing is open, and those in which something is, on top of them."""

    def draw(axes):
        width = max(1, int(np.ceil(most / 16)))
        edges = np.arange(0, max([most, *totals, *opens]) + width, width)
        shown = {"nothing open": (totals, BLUE), "with open points": (opens, PALE)}
        shown = {label: one for label, one in shown.items() if one[0]}
        values, colours = zip(*shown.values(), strict=True)
        axes.hist(values, edges, stacked=True, color=colours, label=list(shown), edgecolor="white")
        axes.set(xlabel=f"points of {most:g}", ylabel="students", xlim=(0, edges[-1]))
        axes.yaxis.get_major_locator().set_params(integer=True)
        if opens:
            axes.legend(frameon=False)

    return _plot(draw, 3.2)


def bars(found: list[Part]) -> str:
    """For each part a bar: how many have all points, some, none, and how many wait for a person."""

    def draw(axes):
        left = np.zeros(len(found))
        kinds = {"all points": (BLUE, "white"), "some": (PALE, "black"), "none": (RED, "white")}
        kinds["open"] = (GREY, "black")
        for i, (label, (colour, ink)) in enumerate(kinds.items()):
            widths = np.array([part.counts[i] for part in found])
            drawn = axes.barh(range(len(found)), widths, left=left, color=colour, label=label, edgecolor="white")
            told = [str(n) if n >= 0.07 * sum(found[0].counts) else "" for n in widths]
            axes.bar_label(drawn, told, label_type="center", color=ink)
            left += widths
        axes.set_yticks(range(len(found)), [part.label for part in found], parse_math=False)
        axes.invert_yaxis()
        axes.set(xlabel="students", xlim=(0, max(1, left.max())))
        axes.get_figure().legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=4, frameon=False)

    return _plot(draw, 1.2 + 0.42 * len(found))


def scatter(found: list[dict]) -> str:
    """Performance against accuracy: crosses are open, and odd runs are red."""

    def draw(axes):
        for is_open, marker, label in ((False, "o", "counts"), (True, "x", "a person decides")):
            some = [run for run in found if run["open"] == is_open]
            colours = [RED if run["odd"] else BLUE for run in some]
            places = ([run[name] for run in some] for name in ("accuracy", "points"))
            axes.scatter(*places, c=colours, marker=marker, label=label, alpha=0.75, s=28)
        axes.set(xlabel="accuracy of the clusters", ylabel="Performance, points by formula")
        axes.grid(alpha=0.3)
        if any(run["open"] for run in found):
            axes.legend(frameon=False)

    return _plot(draw, 3.6)
