"""Merging: report points and decisions by hand make 100, and tables survive spreadsheets."""

import csv
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_class import add, add_copies, said, table, zipped

from hi_mnist.cli import LabError
from hi_mnist.text import one_line
from staff import grade_class, marks, merge, rubric, tables

pytest_plugins = ["small_class"]
REPORT = "student_id,log,tuning,results,questions,feedback"
FULL = "2,5,2,20,1"


def test_tables_are_read_as_spreadsheets_write_them(tmp_path):
    path = tmp_path / "t.csv"
    for encoding in ("utf-8", "utf-8-sig", "gbk", "utf-16"):
        for delimiter in ",;\t":
            text = 'id,Name\r\n\r\n1,"张三"\r\n2,李四,\r\n,\r\n'.replace(",", delimiter)
            path.write_bytes(text.encode(encoding))
            rows, notes = tables.read(path, ["id"])
            assert [(row.line, row.cells) for row in rows] == [
                (3, {"id": "1", "name": "张三"}),
                (4, {"id": "2", "name": "李四"}),
            ]
            assert bool(notes) == (encoding == "gbk")
    for delimiter in ";\t":  # where no commas part cells, numbers may have one
        for comment in ("one,two", "3,5"):
            text = f"hand_in;log;comment\r\n1,5;13,5;{comment}\r\n"
            path.write_text(text.replace(";", delimiter), newline="")
            ((row,), _) = tables.read(path, ["hand_in"], ["log", "comment"])
            assert row.cells == {"hand_in": "1,5", "log": "13.5", "comment": comment}


def test_gbk_is_read_with_a_note_and_what_may_be_something_else_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    for encoding, texts in (
        ("gbk", "张三|王玥,很好|李喆，很好|的|参数a和b都对，E-step很好|欧阳娜娜 (very good)|１２"),
        ("cp1252", "très bien Müller|élève|Füße|João: ações|¿Cómo, José?|“l’été” – 10 µm, R² = 0,9|NOËL|é"),
        ("cp1250", "Łukasz Wałęsa|Kovář|Tomáš|Michał|Erdős|Němec"),
        ("mac_roman", "Müller|très bien|café"),
        ("big5", "很好|陳大文"),
    ):
        for text in texts.split("|"):
            path.write_bytes(f'id,comment\n1,"{text}"\n'.encode(encoding))
            try:
                ((row,), notes) = tables.read(path, ["id"], ["comment"])
                found = encoding == "gbk" and row.cells["comment"] == text and "read as GBK;" in notes[0]
            except LabError as error:
                found = encoding != "gbk" and "CSV UTF-8" in str(error)
            assert found, (encoding, text)


def test_what_is_not_text_is_one_line(tmp_path):
    half = "\ufeffid,name\n1,张三\n".encode()[:-2]
    for content in (b"id\n\x00\x01\x02", b"\xff\xfe\xff", b"id\n\x81", half, half[3:], half[:-2] + b"\xe9"):
        (tmp_path / "t.csv").write_bytes(content)
        with pytest.raises(LabError, match="not text"):
            tables.read(tmp_path / "t.csv", ["id"])
    with pytest.raises(LabError, match="cannot be read"):
        tables.read(tmp_path, ["id"])
    (tmp_path / "t.csv").write_text('id,name\n1,"Ann\n2,Bob\n')  # Bob's line would be part of Ann's name
    with pytest.raises(LabError, match="save it as CSV once more"):
        tables.read(tmp_path / "t.csv", ["id"])


TEXTS = st.text(
    st.sampled_from("ab'\"=+-@＝＋,;1.é \t\n\r\u3000\xa0\x85\u2028\x1b[\u202e\u200b\ufeff") | st.characters()
)


@settings(deadline=None, max_examples=60)
@given(texts=st.lists(TEXTS, max_size=8))
@example(texts=["=1", "+1", "-1", "@a", "\t=1", " =1", "＝1", "", 'a,"b"', "'=1", "''=1", "' =1", '="1"'])
@example(texts=["=1+1", "'=1+1", "''=1+1", "a  b", "a b", "1,5", '="007"', "Ａ+B", "x" * 31_996 + " " + "y" * 9])
def test_any_text_is_found_again_after_its_way_through_a_table(texts):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        tables.write(path, ["id", "text"], [{"id": "1", "text": text} for text in texts])
        cells = [row.cells["text"] for row in tables.read(path, ["id"], ["text"])[0]]
        with path.open(encoding="utf-8-sig", newline="") as file:
            formulas = [cell for _, cell in csv.reader(file) if cell.lstrip().startswith(tuple("=+-@＝＋－＠"))]
    assert formulas == []
    assert cells == [one_line(text, tables.LONGEST_CELL) for text in texts]
    assert [tables.key(cell) for cell in cells] == [tables.key(text) for text in texts]
    by_key = {tables.key(text): text for text in texts if tables.key(text)}  # hand-ins differ in this form
    rows = [tables.Row(line, {"student_id": "", "hand_in": cell}) for line, cell in enumerate(cells) if cell]
    rows = {tables.key(row.cells["hand_in"]): row for row in rows}
    found, _ = tables.whose(list(rows.values()), [("", text) for text in by_key.values()])
    assert [(meant, wrong) for _, meant, wrong in found] == [([by_key[name]], "") for name in rows]


def test_merge_adds_up_to_100_and_lists_what_is_open(handins, final, tmp_path, run_script):
    for student, word in {"PB1": "right", "PB2": "wrong 1", "PB3": "review"}.items():
        add(handins, student, word, "张三")
    rows = final(f"{REPORT},comment\nPB1,{FULL},=very good\npb2,0,2.5,1,0,0,\nPB3,{FULL},\n")
    assert (rows["PB1"]["total"], rows["PB1"]["report_score"], rows["PB1"]["undecided"]) == ("100", "30", "")
    assert rows["PB1"]["comment"] == "'=very good"
    assert (rows["PB2"]["total"], rows["PB2"]["auto_score"]) == ("68.5", "65")
    (tmp_path / "marks.csv").write_bytes(f"{REPORT},name\nPB3,{FULL},张三\n".encode("gbk"))
    done = run_script(grade_class, "merge", "--out", tmp_path / "out", "--marks", tmp_path / "marks.csv")
    assert done.status == 0 and "read as GBK" in done.out and "3 students, 3 undecided" in done.out
    assert "undecided: PB3 张三 (PB3+张三+LAB3): performance" in done.out


def test_what_is_not_decided_has_no_total_until_marks_decide(handins, final):
    for i, word in enumerate(("review", "unanswered", "right", "right", "copy", "copy")):
        add(handins, f"PB{i}", word)
    rows = final(f"{REPORT}\n" + "".join(f"PB{i},{FULL}\n" for i in (0, 1, 4, 5)) + "PB2,2,,2,20,1\n")
    assert {i: row["undecided"] for i, row in rows.items()} == {
        "PB0": "performance",
        "PB1": "sample_index",
        "PB2": "tuning",
        "PB3": "log, tuning, results, questions, feedback",
        "PB4": "status",
        "PB5": "status",
    }
    assert {row["total"] for row in rows.values()} == {""}
    rows = final(
        f"{REPORT},performance,sample_index,e_step,status\n"
        f"PB0,{FULL},25.5,,,\nPB1,{FULL},,5,,\nPB2,{FULL},,,7,\nPB3,{FULL},,,,\nPB4,{FULL},,,,ok\nPB5,{FULL},,,0,OK\n"
    )
    assert [row["total"] for row in rows.values()] == ["95.5", "100", "97", "100", "100", "90"]
    assert "performance by hand, graded open" in rows["PB0"]["note"]
    assert "e_step by hand, graded 10" in rows["PB2"]["note"]


def test_a_hand_in_without_an_id_is_marked_by_its_name(handins, final):
    add(handins, "PB1").rename(handins / "my  homework.zip")  # two spaces, which the gradebook shows as one
    for text in (f"{REPORT},status\nmy homework,{FULL},OK\n", f"hand_in,{REPORT},status\nmy homework,,{FULL},OK\n"):
        assert final(text)[""]["total"] == "100"
    with pytest.raises(LabError, match="line 3, column hand_in: my homework is already in line 2"):
        final(f"hand_in,{REPORT}\n,my homework,{FULL}\nmy homework,,{FULL}\n")
    with pytest.raises(LabError, match="line 2, column hand_in: 'other' is not in the gradebook"):
        final(f"hand_in,{REPORT}\nother,,{FULL}\n")


def test_a_file_named_after_another_student_gets_none_of_that_ones_marks(handins, final):
    zipped(handins / "PB2.zip", {"PB1+Eve+LAB3/submission.py": b"right"})
    add(handins, "PB2", name="Rex")
    rows = final(f"{REPORT},comment\nPB1,0,0,0,0,0,\nPB2,{FULL},Rex: excellent\n")
    assert (rows["PB1"]["report_score"], rows["PB1"]["comment"]) == ("0", "")
    assert (rows["PB2"]["report_score"], rows["PB2"]["comment"]) == ("30", "Rex: excellent")


def test_students_who_handed_nothing_in_have_only_their_own_marks(handins, final, tmp_path):
    """Not in the roster and without marks, they are left out; nobody's file can be named like an absent student."""
    (tmp_path / "roster.csv").write_text("student_id\nPB1\nPB7\n")
    for name in ("PB1", "(PB7)", "absent\uff0fPB7"):
        add(handins, "PB1").rename(handins / f"{name}.zip")
    rows = final(f"{REPORT},comment\nPB7,{FULL},\nPB8,,,,,,ill\nPB9,,,,,,\n", "--roster", tmp_path / "roster.csv")
    assert (rows["PB7"]["report_score"], rows[""]["report_score"]) == ("30", "0")
    final_rows, notes = merge.merge(tmp_path / "out", tmp_path / "marks.csv")
    assert notes == ["not in the gradebook and without marks, left out: PB8, PB9"]
    assert [row["report_score"] for row in final_rows if row["hand_in"]] == [0, 0, 0]


def test_hand_in_names_rows_whose_ids_a_spreadsheet_changed(handins, grade, tmp_path):
    """Every row of the template is accepted, with one note; what names two students is refused."""
    for student_id, name in {"0023001": "Ann", "202312345678": "Bob", "PB7": "Eve", "0023002": "Dan"}.items():
        add(handins, student_id, "unanswered", name)
    add(handins, "PB8", "unanswered").rename(handins / "'=1+1.zip")
    add(handins, "PB9").rename(handins / "PB7.zip")  # without an id; only named like one
    grade()
    path = tmp_path / "marks.csv"
    changed = {"0023001": "23001", "202312345678": "2,02312E+11", "0023002": '="0023002"'}
    template = table(tmp_path / "out/marks_template.csv")
    for column, points in (("sample_index", "３"), *rubric.parts("main").items()):
        for row in template:
            row[column] = str(points)
    lines = [";".join(template[0])]
    for row in template:
        row["student_id"] = changed.get(row["student_id"], "")
        lines.append(";".join(row.values()))
    path.write_text("\n".join(lines), encoding="utf-8")
    rows, notes = merge.merge(tmp_path / "out", path)
    assert {row["hand_in"]: row["report_score"] for row in rows} == dict.fromkeys(
        ["0023001+Ann+LAB3", "0023002+Dan+LAB3", "202312345678+Bob+LAB3", "PB7+Eve+LAB3", "'=1+1", "PB7"], 30
    )
    (note,) = notes
    assert "23001 (0023001+Ann+LAB3), 2,02312E+11 (202312345678+Bob+LAB3)" in note and "Dan" not in note
    for student, hand_in, cause in (
        ("PB7", "0023001+Ann+LAB3", "hand_in"),
        ("PB1", "0023001+Ann+LAB3", "student_id"),
        ("23002", "0023001+Ann+LAB3", r"student_id: '23002' is not in the gradebook \(did you mean 0023002\?"),
        ("23001", "PB7+Eve+LAB3", r"student_id: '23001' is not in the gradebook \(did you mean 0023001\?"),
        ("2.1E+11", "", r"student_id: '2.1E\+11' is not in the gradebook \(a spreadsheet"),
        ("7", "", "student_id: '7' is not in the gradebook;"),
    ):
        path.write_text(f"{REPORT},hand_in\n{student},{FULL},{hand_in}\n")
        with pytest.raises(LabError, match=f"line 2, column {cause}"):
            merge.merge(tmp_path / "out", path)


def test_numbers_are_short_and_what_people_write():
    for value, text in {None: "", 30.0: "30", 28.92314: "28.9231", 0.0: "0", 100: "100", 0.00001: "0"}.items():
        assert tables.guarded(value) == text
    for text, points in {"": None, "5": 5, "4.5": 4.5, ".5": 0.5, "５": 5, "４．５": 4.5, "+5": 5, "05": 5}.items():
        assert marks.number(text, 5) == points, text
    for text in ["1_0", "1e1", "1E0", "nan", "infinity", "٣", "²", "-1", "5.1", "0x5", "3,5", "1 0", ".", "５分"]:
        with pytest.raises(ValueError):
            marks.number(text, 5)


def test_the_template_has_a_line_for_each_student_and_is_accepted_once_it_is_filled(handins, grade, tmp_path):
    add_copies(handins, a=1_000_000, b=1_000_000)
    add(handins, "PB2", "review", "张三")
    grade()
    path = tmp_path / "out" / "marks_template.csv"
    add(handins, "PB3").rename(handins / "homework.zip")
    grade("--resume")
    rows = table(path)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert list(rows[0]) == ["hand_in", "student_id", "name", *rubric.load("main").most(), "performance", *marks.OTHERS]
    assert [list(row.values())[1:3] for row in rows] == [["", ""], ["PB1", "Ann"], ["PB2", "张三"]]
    assert not any(text for row in rows for text in list(row.values())[3:])
    filled = [row | rubric.parts("main") | {"performance": 25, "status": "OK"} for row in rows]
    tables.write(path, list(rows[0]), filled)
    before = path.read_bytes()
    grade("--resume")
    assert path.read_bytes() == before
    assert "is filled in and was left as it is" in said(tmp_path / "out" / "summary.html")
    totals = {row["hand_in"]: row["total"] for row in merge.merge(tmp_path / "out", path)[0]}
    assert totals == {"homework": 95, "PB1+Ann+LAB3_a": None, "PB1+Ann+LAB3_b": None, "PB2+张三+LAB3": 95}


def test_wrong_marks_name_line_and_column(handins, final, tmp_path):
    add(handins, "PB1")
    for text, cause in {
        f"{REPORT}\nPB1,{FULL}\nPB9,{FULL}\n": "line 3, column student_id: 'PB9' is not in the gradebook",
        f"{REPORT}\nPB1,2,6,2,20,1\n": "line 2, column tuning: 6 is not between 0 and 5",
        f"{REPORT}\nPB1,2,-1,2,20,1\n": "line 2, column tuning: -1",
        f"{REPORT}\nPB1,nan,5,2,20,1\n": "line 2, column log: 'nan' is not a number",
        f"{REPORT}\nPB1,1,5,2,1_0,1\n": "line 2, column questions: '1_0' is not a number",
        f"{REPORT}\nPB1,2,5,two,20,1\n": "line 2, column results: 'two' is not a number",
        f"{REPORT}\nPB1,{FULL}\nPB1,{FULL}\n": "line 3, column student_id: PB1",
        f"{REPORT}\n,{FULL}\n": "line 2, column student_id: it is empty",
        f"{REPORT}\nPB1,{FULL},9\n": "line 2: 7 cells, but 6 columns",
        f"{REPORT}\nPB1,9,9,9,99,9\n": "column questions: 99",
        f"{REPORT},performence\n": "unknown column performence",
    }.items():
        with pytest.raises(LabError) as caught:
            final(text)
        assert str(caught.value).startswith("marks.csv, line") and cause in str(caught.value), text
        assert not (tmp_path / "out" / "final.csv").exists()
    with pytest.raises(LabError, match="no file"):
        merge.merge(tmp_path / "out", tmp_path / "no.csv")
    (tmp_path / "marks.csv").write_text(f"{REPORT}\nPB1,{FULL}\n")
    for content in ('{"missing": 0, "rows": [{}]}', "[]"):
        (tmp_path / "out/gradebook.json").write_text(content)
        with pytest.raises(LabError, match="gradebook.json is damaged"):
            merge.merge(tmp_path / "out", tmp_path / "marks.csv")
    assert not (tmp_path / "out/final.csv").exists()
