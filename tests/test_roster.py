"""The class's list, late work, and the files that course systems import: all in the forms that they publish."""

import io
import zipfile

import pytest
from small_class import add, feedback, said, table

from staff import export, grade_class, gradebook, late, merge, roster, rubric, tables

pytest_plugins = ["small_class"]
CANVAS = (
    "Student,ID,SIS User ID,SIS Login ID,Section,Lab 3 (4711),Lab 30 (4712),Final Score\r\n"
    ",,,,,Manual Posting,,\r\n"
    "    Points Possible,,,,,100,10,(read only)\r\n"
    '"Lee, Ann",12345,0021,ann,"A and B",,7,80\r\n'
    "=Bob,12346,PB20002,bob,B,,8,\r\n"
    '"Cy, C",12347,PB30003,cy,B,,,\r\n'
    '"Student, Test",99,,f00,A,,,\r\n'
)
MOODLE = (
    '\ufeffIdentifier,"Full name","Email address",Status,Grade,"Maximum Grade","Grade can be changed",'
    '"Last modified (submission)","Last modified (grade)","Feedback comments"\r\n'
    '"Participant 501","Lee Ann",0021@x.edu,"Submitted for grading - ",,100.00,Yes,"Tuesday, 1 December 2026",-,\r\n'
    '"Participant 502",=Bob,bob@x.edu,"Submitted for grading - ",,100.00,Yes,-,-,\r\n'
    '"Participant 503","Cy C",cy@x.edu,"No submission - ",,100.00,Yes,-,-,\r\n'
)
BLACKBOARD = (
    '"Last Name"\t"First Name"\t"Username"\t"Student ID"\t"Total [Total Pts: up to 100 Score] |9"\t'
    '"Lab 3 [Total Pts: 100 Score] |123456"\t"Feedback to Learner"\t"Quiz [Total Pts: 5 Score] |7"\t'
    '"Feedback to Learner"\r\n'
    '"Lee"\t"Ann"\t"ann"\t"0021"\t""\t""\t""\t"3.00"\t"x"\r\n'
    '"=Bob"\t"B"\t"b_b"\t"PB20002"\t""\t""\t""\t""\t""\r\n'
    '"Cy"\t"C"\t"cy"\t"PB30003"\t""\t""\t""\t""\t""\r\n'
    '"T"\t"T"\t"t_previewuser"\t""\t""\t""\t""\t""\t""\r\n'
)
# The file, its encoding and ending; the lines of Ann, Bob and Cy and the column of points in it; Ann's account.
EXPORTS = {
    "canvas": (CANVAS, "utf-8", "csv", (3, 4, 5), 5, "12345"),
    "moodle": (MOODLE, "utf-8", "csv", (1, 2, 3), 4, "501"),
    "blackboard": (BLACKBOARD, "utf-16", "xls", (1, 2, 3), 5, "ann"),
}
UPLOADS = {  # names of Ann's and Bob's downloads
    "canvas": ("annlee_LATE_12345_700001_{}", "bob_12346_700002_{}"),
    "moodle": ("Lee Ann_501_assignsubmission_file_{}", "Bob_502_assignsubmission_file_{}"),
    "blackboard": ("Lab 3_ann_attempt_2026-12-02-00-30-00_{}", "Lab 3_b_b_attempt_2026-12-01-23-58-00_{}"),
}
DEADLINE = "2026-12-01T23:59+08:00"


@pytest.fixture
def written(tmp_path):
    """A table's file: ``written(text) -> Path``."""

    def write(text: str, name: str = "t.csv", encoding: str = "utf-8"):
        (tmp_path / name).write_bytes(text.encode(encoding))
        return tmp_path / name

    return write


# --------------------------------------------------------------------------- who is in the class


def test_exports_are_known_by_their_headers_and_staffs_own_lists_are_read(written):
    for system, (text, encoding, *_, account) in EXPORTS.items():
        found, students, _ = roster.read(written(text, encoding=encoding))
        assert (found, len(students), students[0].ids[0], students[0].account) == (system, 3, "0021", account)
        assert students[0].name.replace(",", "") == "Lee Ann"
    for text in ("student_id,name,email,section\n0021,Ann,a@x.edu,A\n", "学号;姓名;邮箱;班级\n0021;Ann;a@x.edu;A\n"):
        for encoding in ("utf-8-sig", "gbk"):
            found, (ann,), _ = roster.read(written(text, encoding=encoding))
            assert (found, ann.ids, ann.name, ann.email, ann.section) == ("", ["0021"], "Ann", "a@x.edu", "A")


def test_ids_are_matched_and_near_misses_are_named():
    ids = ["PB1", "23001", "ＰＢ１２", "2.1E+09", "PB007", "x", "2.2E+09", "2.20E+09", "m"]
    students = [roster.Student(line, [one], f"S{line}") for line, one in enumerate(ids, 1)]
    students[5].ids.append("login")
    students[8] = roster.Student(9, ["m"], "S9", account="501")
    upload = "Ann_501_assignsubmission_file_x"
    for student_id, hand_in, line, remark in (
        ("PB1", "", 1, ""),
        ("pb1", "", 1, "in the roster as PB1 S1"),
        ("0023001", "", 2, "in the roster as 23001 S2"),
        ("PB12", "", 3, "in the roster as ＰＢ１２ S3"),
        ("2100000003", "", 4, "in the roster as 2.1E+09 S4"),
        ("PB7", "", 5, "in the roster as PB007 S5"),
        ("login", "", 6, ""),
        ("2200000001", "", None, "not in the roster; perhaps 2.2E+09 S7, 2.20E+09 S8"),
        ("PB9", "", None, "not in the roster"),
        ("", upload, 9, "in the roster as m S9"),
        ("", "００２３００１＋Ann＋LAB3", 2, "in the roster as 23001 S2"),
        ("", "my homework", None, "not in the roster"),
        ("PB1", upload, 1, "its id is that of PB1 S1, but m S9 uploaded it"),
        ("PB9", upload.replace("501", "502"), None, "not in the roster"),
    ):
        ((found, told, other),) = roster.match(roster.Course("moodle", students), [(student_id, hand_in)]).values()
        assert (found and found.line, told) == (line, remark), student_id
        assert (other and other.ids) == (["m"] if "uploaded it" in remark else None), student_id


def test_from_the_gradebook_on_a_student_has_the_rosters_id(handins, grade, tmp_path, written, capsys):
    """Ann's id lost its zeros, Bob's file has none, Cy's came twice, and Di uploaded hers under Eve's id."""
    for i, name in enumerate(("PB1001+Ann+LAB3", "LAB3", "PB3003+Cy+LAB3", "PB5005+Di+LAB3", "PB03003+Cy+LAB3"), 501):
        upload = f"Ann_{i}_assignsubmission_file_" if i < 505 else ""
        add(handins, f"{i}").rename(handins / f"{upload}{name}.zip")
    ids, out = ["PB001001", "PB2002", "PB3003", "PB4004", "PB5005", "PB6006"], tmp_path / "out"
    lines = [f"Participant {501 + i},S{i},{one},\n" for i, one in enumerate(ids)]
    worksheet = written("Identifier,Full name,ID number,Grade\n" + "".join(lines), "moodle.csv")
    times = written("student_id,submitted\n" + "".join(f"{one},2026-12-02 10:00\n" for one in ids))
    grade("--roster", worksheet, "--deadline", DEADLINE, "--times", times)
    rows = table(out / "gradebook.csv")
    assert [(row["student_id"], row["status"], row["late"]) for row in rows] == [
        ("PB001001", "OK", late := "0 d 11 h"),
        ("PB2002", "REVIEW", late),  # its name
        ("PB3003", "REVIEW", late),
        ("PB3003", "REVIEW", late),
        ("PB4004", "ABSENT", ""),
        ("PB5005", "REVIEW", late),
        ("PB6006", "ABSENT", ""),
    ]
    assert rows[1]["name"] == "S1" and "PB4004 S3 uploaded it" in rows[4]["note"]
    head = ["student_id,status", *rubric.parts("main"), *gradebook.questions("main")]
    lines = [",".join(head), *(f"{ids[i]},OK,2,5,2,20,1,,,,,," for i in (0, 1, 2, 4))]
    lines.append(f"{ids[5]},,2,5,2,20,1,10,10,8,7,5,20")  # all on paper
    merge.merge(out, written("\n".join(lines), "marks.csv"))
    totals = [row["total"] for row in table(out / "mail_merge.csv")]
    assert totals == ["100", "100", "", "", "", "100", "90"]
    export.main(["--out", f"{out}", "--for", "moodle", "--gradebook", f"{worksheet}", "--absent", "zero"])
    assert [row["Grade"] for row in table(out / "moodle_grades.csv")] == ["100", "100", "", "", "100", "90"]
    assert "more than one hand-in, so empty: PB3003 S2" in capsys.readouterr().out


def test_absent_students_have_rows_and_another_roster_grades_nothing_again(handins, grade, tmp_path, written):
    log = tmp_path / "log"
    for i in (1, 2):
        add(handins, f"PB{i}", f"log {log}")
    rows = grade("--roster", written("student_id,name,section\nPB1,Ann,A\npb2,Bob,B\nPB3,=Cy,C\nPB4,Di,C\n"))
    assert [row["section"] for row in table(tmp_path / "out/gradebook.csv")] == ["A", "C", "C", "B"]
    assert (rows[""]["student_id"], rows[""]["status"], rows[""]["e_step"]) == ("PB4", "ABSENT", "")
    summary = said(tmp_path / "out/summary.html")
    assert "2 hand-ins: 2 OK, 2 ABSENT" in summary and "absent: PB3 =Cy; PB4 Di" in summary and "as pb2 Bob" in summary
    assert grade("--resume") == rows
    again = grade("--resume", "--roster", written("id,name\nPB1,Ann\n"))
    assert list(again) == ["PB1", "PB2"] and "not in the roster" in again["PB2"]["note"]
    assert "section" not in again["PB1"] and len(log.read_text().split()) == 2


# --------------------------------------------------------------------------- late work


def test_how_late_a_hand_in_is_and_what_it_costs():
    berlin = {"deadline": "2026-10-25T02:30", "timezone": "Europe/Berlin"}  # where clocks show that twice
    for policy, at, student, expected in (
        ({}, "2026-12-01 23:59", (), ("no", 0)),
        ({}, "2026/12/2 0:00", (), ("0 d 1 h", 0)),  # nothing is deducted unless asked
        ({"penalty": 5}, "", (), ("unknown", 0)),
        ({"penalty": 5}, "2026-12-02T00:00", (), ("0 d 1 h", 5)),
        ({"penalty": 5}, "2026-12-01T16:00Z", (), ("0 d 1 h", 5)),  # another zone
        ({"penalty": 5, "grace": "15m"}, "2026-12-02 00:14", (), ("no", 0)),
        ({"penalty": 5, "grace": "15m"}, "2026-12-03 00:14", (), ("1 d 1 h", 5)),
        ({"penalty": 5, "grace": "15m"}, "2026-12-03 00:15", (), ("1 d 1 h", 10)),
        ({"penalty": 5}, "2026-12-03 12:00", ("2 d",), ("no", 0)),
        ({"penalty": 5}, "2026-12-03 12:00", ("2026-12-03T11:00",), ("0 d 1 h", 5)),
        ({"penalty": 5, "late_days": 2}, "2026-12-04 12:00", (), ("2 d 13 h", 5)),
        ({"penalty": 5, "late_days": 2}, "2026-12-04 12:00", ("", "0"), ("2 d 13 h", 15)),
        ({"late_days": 1}, "2026-12-04 12:00", (), ("2 d 13 h", 0)),
        (berlin, "2026-10-25 02:30", (), ("no", 0)),
        (berlin, "2026-10-25T02:45+01:00", (), ("0 d 1 h", 0)),
    ):
        judged = late.Policy(**{"deadline": DEADLINE} | policy).judge(at, *student)
        assert judged[:2] == expected, (policy, at, student)


def test_the_time_comes_from_blackboards_name_or_the_list_and_holds_on_resume(handins, grade, tmp_path, written):
    ids, out = [f"PB{i}000{i}" for i in range(1, 5)], tmp_path / "out"
    for student_id, name in zip(ids, (*UPLOADS["blackboard"], UPLOADS["canvas"][0], "{}"), strict=True):
        path = add(handins, student_id)
        path.rename(handins / name.format(path.name))

    def of(*options) -> list[str]:
        grade("--resume", *options)
        return [f"{row['late']}: {row['penalty']}" for row in table(out / "gradebook.csv")]

    unknown = ["unknown: 0", "unknown: 0"]
    assert of("--deadline", DEADLINE, "--grace", "15m") == ["0 d 1 h: 0", "no: 0", *unknown]
    assert "Canvas says LATE" in table(out / "gradebook.csv")[2]["note"]
    assert of("--penalty", "7.5") == ["0 d 1 h: 7.5", "no: 0", *unknown]
    times = written(f"student_id,submitted\n{ids[3]},2026/12/3 0:00\n{ids[0].lower()},2026-12-01 12:00\n{ids[2]},\n")
    assert of("--times", times) == ["no: 0", "no: 0", "unknown: 0", "1 d 1 h: 7.5"]
    assert "1 d 1 h. 7.5 points are deducted" in feedback(out, ids[3])
    assert of("--roster", written(f"id,extension\n{ids[3]},2d\n"))[3] == "no: 0"
    assert of("--timezone", "UTC")[1] == "0 d 8 h: 7.5"  # Blackboard's names have the server's time


def test_wrong_lists_and_deadlines_are_one_line(handins, tmp_path, run_script, written, standin):
    add(handins, "PB1")
    due = ["--deadline", DEADLINE]
    for arguments, text, cause in (
        (["--roster"], "id,name\nPB1,Ann\npb1,Bob\n", "line 3: the id pb1 is in line 2"),
        (["--roster"], "id,name\n,Ann\n", "line 2: Ann has no id"),
        (["--roster"], "matriculation,grade\n1,2\n", "no line with an id"),
        (["--roster"], "", "the file is empty"),
        ([*due, "--roster"], "id,extension\nPB1,soon\n", "deadline of PB1: 'soon' is not a duration"),
        ([*due, "--roster"], "id,late_days\nPB1,few\n", "deadline of PB1: late_days 'few' is not"),
        ([*due, "--times"], "student_id,submitted\nPB1,noon\n", "line 2, column submitted: 'noon' is not a time"),
        (["--grace", "15m"], None, "need a deadline"),
        (["--deadline", "2026-12-32T10:00Z"], None, "'2026-12-32T10:00Z' is not a time"),
        (["--deadline", "2026-12-01T23:59"], None, "no timezone is given"),
        ([*due, "--timezone", "Mars"], None, "the timezone 'Mars' is not known"),
        ([*due, "--grace", "15"], None, "'15' is not a duration"),
        ([*due, "--penalty", "-1"], None, "penalty"),
    ):
        arguments = [*arguments, written(text)] if text is not None else arguments
        done = run_script(grade_class, handins, "--out", tmp_path / "out", "--dataset", "digits", *arguments)
        assert (done.status, done.err.count("\n")) == (2, 1), arguments
        assert cause in done.err and not (tmp_path / "out").exists(), arguments


# --------------------------------------------------------------------------- for the course system


@pytest.fixture
def merged(handins, grade, tmp_path):
    """A class with Ann (0021), Bob (PB20002) and Di (PB80008), downloaded from a system, graded and merged."""

    def run(system: str, *options):
        names = {("0021", "right"): UPLOADS[system][0], ("PB20002", "wrong 1"): UPLOADS[system][1], ("PB80008",): "{}"}
        for hand_in, name in names.items():
            path = add(handins, *hand_in)
            path.rename(handins / name.format(path.name))
        grade(*options, "--resume")
        marks = "0021,2,5,2,20,1\nPB20002,2,5,2,20,0.5\nPB80008,2,5,,20,1\n"
        (tmp_path / "marks.csv").write_text(f"student_id,log,tuning,results,questions,feedback\n{marks}")
        merge.merge(tmp_path / "out", tmp_path / "marks.csv")
        return tmp_path / "out"

    return run


@pytest.mark.parametrize("system", EXPORTS)
def test_their_table_is_filled_and_feedback_has_the_names_of_the_upload(system, merged, written, capsys):
    text, encoding, ending, lines, column, _ = EXPORTS[system]
    path, out = written(text, f"theirs.{ending}", encoding), merged(system)
    for absent, last in (("empty", ""), ("zero", "0")):
        assert export.main(["--out", f"{out}", "--for", system, "--gradebook", f"{path}", "--absent", absent]) == 0
        made, (expected, _) = out / f"{system}_grades.{ending}", tables.sheet(path)
        for line, points in zip(lines, ("100", "94.5", last), strict=True):
            expected.rows[line][column] = points
            expected.rows[line][:] = ["'=Bob" if cell == "=Bob" else cell for cell in expected.rows[line]]
        assert tables.sheet(made)[0] == expected and made.read_bytes()[:4] == path.read_bytes()[:4]
    said = capsys.readouterr().out
    assert "PB80008+Ann+LAB3: not in the roster" in said and "undecided, so empty: PB80008+Ann+LAB3" in said
    with zipfile.ZipFile(out / f"{system}_feedback.zip") as archive:
        names = archive.namelist()
        if system == "canvas":
            assert zipfile.ZipFile(io.BytesIO(archive.read(names[0]))).namelist() == ["feedback.html"]
    expected = {
        "canvas": ["annlee_LATE_12345_700001_0021+Ann+LAB3.zip", "bob_12346_700002_PB20002+Ann+LAB3.zip"],
        "moodle": ["Lee Ann_501_assignsubmission_file_/feedback.html", "Bob_502_assignsubmission_file_/feedback.html"],
        "blackboard": ["ann/feedback.html", "b_b/feedback.html"],
    }
    assert names == expected[system]


def test_what_cannot_be_exported_is_one_line(merged, written, run_script, handins, grade):
    out = merged("canvas")

    def refused(cause: str, *more):
        done = run_script(grade_class, "export", "--out", out, "--for", "canvas", "--gradebook", *more)
        assert (done.status, done.err.count("\n")) == (2, 1) and cause in done.err, cause

    another = written(CANVAS.replace("Lab 3 ", "Lab 4 "))
    refused("0 columns of points are named 'Lab 3'; choose one with --column: Lab 4 (4711)", another)
    refused("0 columns", written(CANVAS), "--column", "Lab")
    refused("has not the columns that canvas exports", written(MOODLE))
    add(handins, "PB9")
    grade("--resume")
    refused("merge again", another)
    (out / "final.csv").unlink()
    refused("merge first", another)
