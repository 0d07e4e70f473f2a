"""What a class's points tell: quartiles, why points were lost, and the plots of ``summary.html``."""

import io
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from grading.scores import PERFORMANCE_POINTS
from labs import catalog
from report import pages
from staff import gradebook, rubric

SMALLEST = 5  # students; of fewer, quartiles would tell who has how many points
LOST = 0.005  # points; less is rounding
ODD = 0.1  # so far below the class's median accuracy, a Performance above the median is looked at
MERGED = {"comment": "", "items": []}  # what a row has of the marks
BLUE, PALE, RED = "#1f6fb2", "#9ecae1", "#c8501e"
LEGEND = {"frameon": False, "loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 2}  # above the bars
LABELS = ("nothing open", "with open points")


class Class:
    """A class in its folder ``out`` that is graded, and merged if the rows ``final`` of final.csv are given."""

    def __init__(self, out: Path, final: list[dict] | None = None):
        graded = gradebook.load(out)
        self.out, self.lab, self.facts, self.alike = out, graded.lab, graded.facts, graded.alike
        self.rows = [MERGED | row for row in graded.rows]
        loaded = [gradebook.load_record(out, row["hand_in"]) for row in self.rows]
        self.records = {record["hand_in"]: record for record in loaded if record}
        # Rows with the points of those who handed in, by column; None where a person still decides.
        self.scored = [row for row in final or self.rows if row["hand_in"]]
        # The column of totals, label and most points by column, and the most points in all without a bonus.
        self.total, by_hand = ("total", rubric.parts(self.lab, out)) if final else ("auto_score", {})
        self.by_hand = {name: (f"report: {name}", points) for name, points in by_hand.items()}
        self.worth = {name: (q.label, q.points) for name, q in gradebook.questions(self.lab).items()} | self.by_hand
        self.most = catalog.total_points(gradebook.questions(self.lab)) + sum(by_hand.values())

    def is_closed(self, row: dict) -> bool:
        """Whether nothing of a total is open."""
        return all(row[name] is not None for name in (*self.worth, self.total))

    def totals(self, closed: bool = True) -> list[float]:
        """Those in which nothing is open, or those in which something is."""
        return [row[self.total] for row in self.scored if row[self.total] is not None and self.is_closed(row) == closed]

    @cached_property
    def quartiles(self) -> list[float] | None:
        """Of the totals in which nothing is open."""
        return quartiles(self.totals())

    @cached_property
    def parts(self) -> dict[str, dict]:
        """What is known of each part, by column.

        ``counts``: how many have all points, some, none, and how many wait for a person. ``correlation``: with the
        totals in which nothing is open, if it is defined. ``seconds``: median, longest, and whose that is, if measured.
        """
        found = {}
        for name, (label, most) in self.worth.items():
            known = [row[name] for row in self.scored if row[name] is not None]
            full, none = sum(p >= most - LOST for p in known), sum(p <= LOST for p in known)
            counts = (full, len(known) - full - none, none, len(self.scored) - len(known))
            pairs = [(row[name], row[self.total]) for row in self.scored if self.is_closed(row)]
            varied = len(pairs) >= SMALLEST and np.std(pairs, axis=0).min() > 0
            part = {"label": label, "points": most, "counts": counts, "quartiles": quartiles(known)}
            part["correlation"] = np.corrcoef(np.transpose(pairs))[0, 1] if varied else None
            times, lost = [], []
            for row in self.scored:
                record = self.records.get(row["hand_in"], {"questions": []})
                times += [(record["seconds"][name], row)] if name in record.get("seconds", {}) else []
                asked = (q for q in record["questions"] if q["id"] == name)
                lost += [(q, row) for q in asked if q["score"] < q["points"] - LOST or gradebook.decided(q) is None]
            times.sort(key=lambda pair: pair[0])
            seconds = (times[len(times) // 2][0], *times[-1]) if times else None
            found[name] = part | {"seconds": seconds, "causes": gradebook.causes(lost)}
        return found

    @cached_property
    def runs(self) -> list[dict]:
        """The runs with a known index and the formula's points; ``odd``: many points, but a low accuracy."""
        found = []
        for row in self.scored:
            record = self.records.get(row["hand_in"], {})
            if record.get("db") and record.get("db_sklearn") and record.get("accuracy") is not None:
                points = min(PERFORMANCE_POINTS * record["db_sklearn"] / record["db"], PERFORMANCE_POINTS)
                run = {"row": row, "points": points, "open": row["performance"] is None}
                found.append(run | {name: record[name] for name in ("accuracy", "db")})
        accuracy, points = (np.median([run[name] for run in found] or [0]) for name in ("accuracy", "points"))
        return [run | {"odd": run["accuracy"] < accuracy - ODD and run["points"] >= points} for run in found]


def quartiles(known: list[float]) -> list[float] | None:
    """The lower quartile, the median and the upper one; None for fewer than ``SMALLEST``."""
    return np.percentile(known, [25, 50, 75]).tolist() if len(known) >= SMALLEST else None


def _plot(draw: Callable) -> str:
    """A plot on white as the ``data:`` address of an SVG, the same for the same numbers."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "class", "axes.spines.right": False, "axes.spines.top": False, "font.size": 11}):
        figure = Figure(figsize=(5.2, 3.4), layout="constrained")
        draw(figure.add_subplot())
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return pages.encoded("svg+xml", buffer.getvalue())


def histogram(totals: list[float], opens: list[float], most: float) -> str:
    """Totals in which nothing is open, and those in which something is, on top of them."""

    def draw(axes):
        width = max(1, int(np.ceil(most / 16)))
        edges = np.arange(0, max([most, *totals, *opens]) + width, width)
        axes.hist([totals, opens], edges, stacked=True, color=[BLUE, PALE], edgecolor="white", label=LABELS)
        axes.set(xlabel=f"points of {most:g}", ylabel="students", xlim=(0, edges[-1]))
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.legend(**LEGEND)

    return _plot(draw)


def scatter(found: list[dict]) -> str:
    """Performance against accuracy of ``Class.runs``: crosses are open, and odd runs are red."""

    def draw(axes):
        for is_open, marker in enumerate("ox"):
            some = [run for run in found if run["open"] == is_open]
            places = ([run[name] for run in some] for name in ("accuracy", "points"))
            colours = [RED if run["odd"] else BLUE for run in some]
            axes.scatter(*places, c=colours, marker=marker, label=LABELS[is_open], alpha=0.75, s=28)
        lowest = min(run["points"] for run in found)
        axes.set(xlabel="accuracy of the clusters", ylabel="Performance, points by formula")
        axes.set_ylim(min(lowest - 1, PERFORMANCE_POINTS - 10), PERFORMANCE_POINTS + 0.5)
        axes.grid(alpha=0.3)
        for handle in axes.legend(**LEGEND).legend_handles:
            handle.set_color("black")

    return _plot(draw)
