"""Points by hand: rubrics, their items and ready comments in marks.csv, and several markers."""

import json

import pytest
from small_class import add, table

from hi_mnist.cli import LabError
from labs import catalog
from staff import grade_class, gradebook, marks, merge, rubric

pytest_plugins = ["small_class"]
ITEM = "- {id: a, part: p, points: 2, text: t}\n"
OWN = """
- {id: figure, part: results, points: 3, text: 'a | figure', comments: {blur: It is blurred., late_figure: Too late.}}
- {id: table, part: results, points: 1.5, text: a table}
- {id: words, part: words, points: 0.5, text: some words}
"""


@pytest.fixture
def merged(handins, grade, tmp_path):
    """Grade the class, merge this marks.csv, return final.csv by id; a rubric named once stays the class's."""
    (tmp_path / "own.yaml").write_text(OWN, encoding="utf-8")
    own = ["--rubric", tmp_path / "own.yaml"]

    def run(text: str) -> dict[str, dict]:
        grade("--resume", *own)
        own.clear()
        (tmp_path / "marks.csv").write_text(text, encoding="utf-8")
        merge.merge(tmp_path / "out", tmp_path / "marks.csv")
        return {row["student_id"]: row for row in table(tmp_path / "out/final.csv")}

    return run


def test_the_labs_rubrics_hold_what_their_reports_ask_for(tmp_path, monkeypatch):
    assert rubric.parts(catalog.MAIN) == {"log": 2, "tuning": 5, "results": 2, "questions": 20, "feedback": 1}
    questions = {item.id: item.points for item in rubric.load(catalog.MAIN)["questions"]}
    for start in ("projections_", "generators_"):
        assert sum(points for name, points in questions.items() if name.startswith(start)) == 10
    for lab in catalog.names():
        assert all(item.text for items in rubric.load(lab).values() for item in items)  # each can be read
    monkeypatch.setattr(rubric, "ROOT", tmp_path)
    assert rubric.parts("fashion_tutorial") == {}
    (tmp_path / "labs/fashion_tutorial").mkdir(parents=True)
    (tmp_path / "labs/fashion_tutorial" / rubric.NAME).write_text(ITEM)
    assert rubric.parts("fashion_tutorial") == {"p": 2}


def test_a_fault_in_a_rubric_is_one_line_with_its_place(tmp_path, run_script):
    path = tmp_path / "own.yaml"
    for text, cause in {
        "": "no list of items",
        "a: 1": "no list of items",
        "- 1": "item 1 needs id, part, points and text",
        ITEM.replace("text", "txt"): "item 1 needs",
        ITEM + ITEM: "a: there is a column",
        ITEM.replace("id: a", "id: e_step"): "e_step: there is a column",
        ITEM.replace("part: p", "part: total"): "total: there is a column",
        ITEM + ITEM.replace("id: a", "id: p"): "p: there is a column",
        ITEM.replace("id: a", "id: yes"): "item 1: True is no name",
        ITEM.replace("id: a", "id: a b"): "'a b' is no name",
        ITEM + ITEM.replace("id: a", "id: b").replace("2", "two"): "item 2: points is 'two'",
        ITEM.replace("2", "-1"): "points is -1",
        ITEM.replace("2", ".nan"): "points is nan",
        ITEM.replace("2", "true"): "points is True",
        ITEM.replace("text: t", "text: ''"): "'' is not text",
        ITEM.replace("text: t", "text: t, comments: [x]"): "not ready comments by id",
        ITEM.replace("text: t", "text: t, comments: {x: 1}"): "1 is not text",
        "- id: a\n  text: one: two\n": "line 2: mapping values",
        "- {id: a": "line 1",
        "- !!python/object:os.system {}": "line 1: could not",
        "- 2026-13-45": "month",
    }.items():
        path.write_text(text, encoding="utf-8")
        with pytest.raises(LabError) as caught:
            rubric.read(path, catalog.MAIN)
        assert str(path) in str(caught.value) and cause in str(caught.value), text
    path.write_bytes(ITEM.replace("text: t", "text: 中文").encode("gbk"))
    for command in (["merge", "--marks", path], [tmp_path, "--unsandboxed", "--dataset", "digits"]):
        add(tmp_path, "PB1")
        done = run_script(grade_class, *command, "--out", tmp_path.parent / f"{tmp_path.name}.out", "--rubric", path)
        assert (done.status, done.err.count("\n")) == (2, 1) and "grading:" not in done.out
    assert "own.yaml: " in done.err and "invalid" in done.err


def test_items_ticks_and_ready_comments_make_points_and_feedback(merged, handins, tmp_path):
    for i in range(1, 6):
        add(handins, f"PB{i}")
    (tmp_path / "out").mkdir()
    rows = merged(
        "student_id,results,figure,table,words,comment,comment_ids\n"
        "PB1,,x,✔️,ｘ,Well done,\nPB2,3.5,,,0.5,,blur;LATE_figure\nPB3,,2.5,,√,,\nPB4,4.5,3,1.5,0,,\nPB5,3,1,,x,,\n"
    )
    columns = ("results", "words", "report_score", "total", "undecided")
    assert {i: tuple(row[name] for name in columns) for i, row in rows.items()} == {
        "PB1": ("4.5", "0.5", "5", "75", ""),
        "PB2": ("3.5", "0.5", "4", "74", ""),
        "PB3": ("", "0.5", "0.5", "", "results"),
        "PB4": ("4.5", "0", "4.5", "74.5", ""),
        "PB5": ("3", "0.5", "3.5", "73.5", ""),
    }
    told = [(tmp_path / f"out/feedback/PB{i}+Ann+LAB3/feedback.md").read_text(encoding="utf-8") for i in (1, 2)]
    assert "| report: results | 4.5 / 4.5 |\n| - a \\| figure | 3 / 3 |\n| - a table | 1.5 / 1.5 |\n" in told[0]
    assert told[0].endswith("| total | 75 / 75 |\n\n    Well done\n")
    assert "| - a \\| figure | of 3 |" in told[1] and told[1].endswith("    It is blurred.\n    Too late.\n")
    template = list(table(tmp_path / "out" / marks.TEMPLATE)[0])
    assert template[3:] == ["results", "figure", "table", "words", *marks.OTHERS]  # words is a part and its only item


def test_wrong_items_name_line_and_column(merged, handins, tmp_path):
    add(handins, "PB1")
    head = "student_id,results,figure,table,words,comment_ids,marker\n"
    for text, cause in {
        f"{head}PB1,4,3,1.5,0,,\n": "line 2, column results: 4, but its items make 4.5",
        f"{head}PB1,,3.5,1,0,,\n": "line 2, column figure: 3.5 is not between 0 and 3",
        f"{head}PB1,,no,1,0,,\n": "line 2, column figure: 'no' is not a number",
        f"{head}PB1,1,,,0,blurr,\n": "line 2, column comment_ids: 'blurr' is none of blur, late_figure",
        f"{head}PB1,1,,,0,,\nPB1,2,,,0,,Bob\n": "line 3, column marker: the student has another row",
        f"{head}PB1,1,,,0,,Bob\nPB1,2,,,0,,bob\n": "line 3, column student_id: PB1 is already in line 2",
        "student_id,figure,words\nPB1,1,0\n": "it lacks the column results",
        "student_id,figure,table\nPB1,1,0\n": "it lacks the column words",
        "student_id,results,words,log\nPB1,1,0,1\n": "unknown column log",
    }.items():
        with pytest.raises(LabError) as caught:
            merged(text)
        assert cause in str(caught.value), text
    assert not {"final.csv", "audit.csv"} & {path.name for path in (tmp_path / "out").iterdir()}


def test_several_markers_count_in_the_mean_where_they_are_near(merged, handins, tmp_path):
    for i in range(1, 7):
        add(handins, f"PB{i}")
    rows = merged(
        "student_id,results,figure,table,words,performance,comment,marker\n"
        "PB1,,3,0,x,,Good.,Ann\nPB1,,2,1.5,x,,Good.,Bob\n"  # near, and far in an item
        "PB2,1,,,x,,,Ann\nPB2,3,,,x,,,Bob\n"  # far
        "PB3,1,,,x,,,Ann\nPB3,3,,,x,,,Bob\nPB3,2,,,,,,final\n"  # far, and decided
        "PB4,,2,,,,,Ann\nPB4,,,1,x,,,Bob\n"  # each marked some of it
        "PB5,2,,,x,20,,Ann\nPB5,2,,,x,30,,Bob\n"  # of a question
        "PB6,2,,,x,,,Ann\n"
    )
    columns = ("results", "total", "undecided", "markers", "difference")
    apart = "results differs by 2 (Ann 1, Bob 3)"
    assert {i: tuple(row[name] for name in columns) for i, row in rows.items()} == {
        "PB1": ("3.25", "73.75", "", "Ann, Bob", "results differs by 0.5 (Ann 3, Bob 3.5)"),
        "PB2": ("", "", apart, "Ann, Bob", apart),
        "PB3": ("2", "72.5", "", "Ann, Bob, final", ""),
        "PB4": ("3", "73.5", "", "Ann, Bob", ""),
        "PB5": ("2", "", "performance differs by 10 (Ann 20, Bob 30)", "Ann, Bob", rows["PB5"]["undecided"]),
        "PB6": ("2", "72.5", "", "Ann", ""),
    }
    assert rows["PB1"]["comment"] == "Good."
    told = (tmp_path / "out/feedback/PB1+Ann+LAB3/feedback.md").read_text(encoding="utf-8")
    assert "| report: results | 3.25 / 4.5 |\n| - a \\| figure | 2.5 / 3 |\n| - a table | 0.75 / 1.5 |\n" in told
    summary = (tmp_path / "out/summary.md").read_text(encoding="utf-8")
    assert "- 6 students, 2 undecided\n- mean of 4 totals: 73.06\n" in summary
    assert "results, marked by several 3 times: differs by 0.83 in the mean, by 2 at most" in summary


def test_late_work_costs_its_penalty_and_who_is_absent_has_no_total(merged, handins, tmp_path):
    """What the roster and the deadline put into gradebook.json."""
    for i in (1, 2):
        add(handins, f"PB{i}", "wrong 1" if i == 1 else b"right")
    merged("student_id,results,words\n")
    path = tmp_path / "out" / gradebook.GRADEBOOK
    kept = json.loads(path.read_text(encoding="utf-8"))
    absent = dict.fromkeys(kept["rows"][0]) | {"student_id": "PB8", "hand_in": "", "name": "Eve", "status": "ABSENT"}
    absent |= {"look": False, "note": "handed in nothing", "late": "", "penalty": 0.0}
    kept["rows"][0] |= {"late": "1 d 4 h", "penalty": 10.0}
    kept["rows"][1] |= {"late": "30 d 0 h", "penalty": 100.0}
    kept["rows"] += [absent, absent | {"student_id": "PB9"}]
    path.write_text(json.dumps(kept), encoding="utf-8")
    (tmp_path / "marks.csv").write_text("student_id,results,words\nPB1,4.5,x\nPB2,0,0\nPB9,2,0\nPB8,,\n")
    merge.merge(tmp_path / "out", tmp_path / "marks.csv")
    rows = {row["student_id"]: row for row in table(tmp_path / "out/final.csv")}
    assert {i: (row["late"], row["penalty"], row["total"]) for i, row in rows.items()} == {
        "PB1": ("1 d 4 h", "10", "60"), "PB2": ("30 d 0 h", "100", "0"), "PB8": ("", "0", ""), "PB9": ("", "0", ""),
    }  # fmt: skip
    assert rows["PB8"]["undecided"] == "" and rows["PB9"]["undecided"].startswith("e_step")
    told = (tmp_path / "out/feedback/PB1+Ann+LAB3/feedback.md").read_text(encoding="utf-8")
    assert "| late: 1 d 4 h | -10 | |\n| with the report | 60 / 75 | |" in told and "| late: 1 d 4 h | -10 |\n" in told
