"""Points by hand: rubrics, their items and ready comments in marks.csv, and several markers."""

import pytest
from small_class import add, feedback, table

from hi_mnist.cli import LabError
from labs import catalog
from staff import grade_class, marks, merge, rubric

pytest_plugins = ["small_class"]
ITEM = "- {id: a, part: p, points: 2, text: t}\n"
OWN = """
- {id: figure, part: results, points: 3, text: 'a | figure', comments: {blur: It is blurred., late_figure: Too late.}}
- {id: table, part: results, points: 1.5, text: a table}
- {id: words, part: words, points: 0.5, text: some words}
"""


@pytest.fixture
def merged(final, tmp_path):
    """Grade the class, whose rubric is ``OWN``, merge this marks.csv, return final.csv by id."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / rubric.NAME).write_text(OWN, encoding="utf-8")
    return final


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
        **{
            ITEM.replace("part: p", f"part: {name}"): f"{name}: there is a column"
            for name in ("total", "marks", "email")
        },
        ITEM + ITEM.replace("id: a", "id: p"): "p: there is a column",
        ITEM.replace("id: a", "id: yes"): "item 1: True is no name",
        ITEM.replace("id: a", "id: a b"): "'a b' is no name",
        ITEM + ITEM.replace("id: a", "id: b").replace("2", "two"): "item 2: points: 'two' is not",
        ITEM.replace("2", "-1"): "points: -1",
        ITEM.replace("2", ".nan"): "points: nan",
        ITEM.replace("2", "true"): "points: True",
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
    out = tmp_path.parent / f"{tmp_path.name}.out"
    out.mkdir()
    (out / rubric.NAME).write_bytes(ITEM.replace("text: t", "text: 中文").encode("gbk"))
    add(tmp_path, "PB1")
    done = run_script(grade_class, tmp_path, "--unsandboxed", "--dataset", "digits", "--out", out)
    assert (done.status, done.err.count("\n")) == (2, 1) and "grading:" not in done.out
    assert "rubric.yaml: " in done.err and "invalid" in done.err


def test_items_ticks_and_ready_comments_make_points_and_feedback(merged, handins, tmp_path):
    for i in range(1, 6):
        add(handins, f"PB{i}")
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
    told = [feedback(tmp_path / "out", f"PB{i}") for i in (1, 2)]
    assert "75 of 75 points Well done" in told[0] and "report: results 4.5 / 4.5" in told[0]
    assert "results: a | figure 3 / 3 results: a table 1.5 / 1.5" in told[0]
    assert "results: a | figure of 3" in told[1] and "It is blurred. Too late." in told[1]
    template = list(table(tmp_path / "out" / marks.TEMPLATE)[0])
    assert template[3:] == ["results", "figure", "table", "words", *marks.OTHERS]  # words is a part and its only item


def test_wrong_items_name_line_and_column(merged, handins, tmp_path):
    add(handins, "PB1")
    head = "student_id,results,figure,table,words,comment_ids,marker\n"
    for text, cause in {
        f"{head}PB1,4,3,1.5,0,,\n": "line 2, column results: 4, but its items make 4.5",
        f"{head}PB1,,3.5,1,0,,\n": "line 2, column figure: 3.5 is not between 0 and 3",
        f"{head}PB1,,no,1,0,,\n": "line 2, column figure: 'no' is not a number",
        f"{head}PB1,1,,,0,blurr,\n": "line 2, column comment_ids: 'blurr' is none of the rubric's: blur, late_figure",
        f"{head}PB1,1,,,0,,\nPB1,2,,,0,,Bob\n": "line 3, column marker: the student has another row",
        f"{head}PB1,1,,,0,,Bob\nPB1,2,,,0,,bob\n": "line 3, column student_id: PB1 is already in line 2",
        "student_id,results,words,log\nPB1,1,0,1\n": "unknown column log",
    }.items():
        with pytest.raises(LabError) as caught:
            merged(text)
        assert cause in str(caught.value), text
    assert not {"final.csv", "audit.csv"} & {path.name for path in (tmp_path / "out").iterdir()}


def test_the_mean_of_several_markers_counts_and_differences_are_shown(merged, handins, tmp_path):
    for i in range(1, 5):
        add(handins, f"PB{i}")
    rows = merged(
        "student_id,results,figure,table,words,performance,comment,marker\n"
        "PB1,,3,0,x,,Good.,Ann\nPB1,,2,1.5,x,,Good.,Bob\n"  # of items
        "PB2,2,,,x,20,,Ann\nPB2,2,,,x,30,,Bob\n"  # of a question
        "PB3,,2,,,,,Ann\nPB3,,,1,x,,,Bob\n"  # each marked some of it
        "PB4,2,,,x,,,Ann\n"
    )
    columns = ("results", "total", "undecided", "markers", "difference")
    assert {i: tuple(row[name] for name in columns) for i, row in rows.items()} == {
        "PB1": ("3.25", "73.75", "", "Ann, Bob", "results differs by 0.5 (Ann 3, Bob 3.5)"),
        "PB2": ("2", "67.5", "", "Ann, Bob", "performance differs by 10 (Ann 20, Bob 30)"),
        "PB3": ("3", "73.5", "", "Ann, Bob", ""),
        "PB4": ("2", "72.5", "", "Ann", ""),
    }
    assert rows["PB1"]["comment"] == "Good."
    assert "markers differ on 2 students" in merge.merge(tmp_path / "out", tmp_path / "marks.csv")[1][0]


def test_late_work_costs_its_penalty_and_who_is_absent_has_no_total(merged, handins, tmp_path):
    for name, text in {
        "roster": "student_id,extension\nPB1,1d\nPB2,\nPB8,\nPB9,\n",
        "times": "student_id,submitted\nPB1,2026-12-03 04:00\nPB2,2026-12-09 00:00\n",
    }.items():
        (tmp_path / name).write_text(text)
    for i in (1, 2):
        add(handins, f"PB{i}", "wrong 1" if i == 1 else b"right")
    due = ["--roster", tmp_path / "roster", "--times", tmp_path / "times", "--deadline", "2026-12-01T00:00Z"]
    rows = merged("student_id,results,words\nPB1,4.5,x\nPB2,0,0\nPB9,2,0\nPB8,,\n", *due, "--penalty", "10")
    assert {i: (row["late"], row["penalty"], row["total"]) for i, row in rows.items()} == {
        "PB1": ("1 d 4 h", "20", "50"), "PB2": ("8 d 0 h", "80", "0"), "PB8": ("", "0", ""), "PB9": ("", "0", ""),
    }  # fmt: skip
    assert rows["PB8"]["undecided"] == "" and rows["PB9"]["undecided"].startswith("e_step")
    told = feedback(tmp_path / "out", "PB1")
    assert "50 of 75 points" in told and "late: 1 d 4 h. 20 points are deducted" in told
