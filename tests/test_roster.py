"""The class's list, late work, and the files that course systems import: all in the forms that they publish."""

import csv
import io
import json
import zipfile

import pytest
from small_class import add, table

from hi_mnist.cli import LabError
from staff import export, grade_class, gradebook, late, merge, roster, tables

pytest_plugins = ["small_class"]
CANVAS = (
    "Student,ID,SIS User ID,SIS Login ID,Section,Lab 3 (4711),Lab 30 (4712),Final Score\r\n"
    ",,,,,Manual Posting,,\r\n"
    "    Points Possible,,,,,100,10,(read only)\r\n"
    '"Lee, Ann",12345,0021,ann,"A and B",,7,80\r\n'
    '"=Bob",12346,PB20002,bob,B,,8,\r\n'
    '"Cy, C",12347,PB30003,cy,B,,,\r\n'
    '"Student, Test",99,,f00,A,,,\r\n'
)
MOODLE = (
    '\ufeffIdentifier,"Full name","Email address",Status,Grade,"Maximum Grade","Grade can be changed",'
    '"Last modified (submission)","Last modified (grade)","Feedback comments"\r\n'
    '"Participant 501","Ann Lee",0021@x.edu,"Submitted for grading - ",,100.00,Yes,"Tuesday, 1 December 2026",-,\r\n'
    '"Participant 502",=Bob,bob@x.edu,"Submitted for grading - ",,100.00,Yes,-,-,\r\n'
    '"Participant 503","Cy C",cy@x.edu,"No submission - ",,100.00,Yes,-,-,\r\n'
)
BLACKBOARD = (
    '"Last Name"\t"First Name"\t"Username"\t"Student ID"\t"Availability"\t"Total [Total Pts: up to 100 Score] |9"\t'
    '"Lab 3 [Total Pts: 100 Score] |123456"\t"Feedback to Learner"\t"Quiz [Total Pts: 5 Score] |7"\t"Feedback to Learner"\r\n'
    '"Lee"\t"Ann"\t"ann"\t"0021"\t"Yes"\t""\t""\t""\t"3.00"\t"x"\r\n'
    '"=Bob"\t"B"\t"b_b"\t"PB20002"\t"Yes"\t""\t""\t""\t""\t""\r\n'
    '"Cy"\t"C"\t"cy"\t"PB30003"\t"Yes"\t""\t""\t""\t""\t""\r\n'
    '"T"\t"T"\t"t_previewuser"\t""\t"Yes"\t""\t""\t""\t""\t""\r\n'
)
EXPORTS = {"canvas": (CANVAS, "utf-8"), "moodle": (MOODLE, "utf-8"), "blackboard": (BLACKBOARD, "utf-16")}
UPLOADS = {  # names of Ann's and Bob's downloads
    "canvas": ("annlee_LATE_12345_700001_{}", "bob_12346_700002_{}"),
    "moodle": ("Ann Lee_501_assignsubmission_file_{}", "Bob_502_assignsubmission_file_{}"),
    "blackboard": ("Lab 3_ann_attempt_2026-12-02-00-30-00_{}", "Lab 3_b_b_attempt_2026-12-01-23-58-00_{}"),
}
FULL = "log,tuning,results,questions,feedback\n"
DEADLINE = "2026-12-01T23:59+08:00"


@pytest.fixture
def written(tmp_path):
    """A table's file: ``written(text, encoding) -> Path``."""

    def write(text: str, encoding: str = "utf-8", name: str = "t.csv"):
        (tmp_path / name).write_bytes(text.encode(encoding))
        return tmp_path / name

    return write


def course(*students: roster.Student, system: str = "") -> roster.Course:
    return roster.Course(system, list(students))


# --------------------------------------------------------------------------- who is in the class


def test_exports_are_known_by_their_headers_and_staffs_own_lists_too(written):
    for system, (text, encoding) in EXPORTS.items():
        found, students, _ = roster.read(written(text, encoding))
        assert (found, len(students)) == (system, 3), system
        assert students[0].ids[0] == "0021" and "Ann" in students[0].name, system
        assert students[0].account == {"canvas": "12345", "moodle": "501", "blackboard": "ann"}[system]
    for text in ("student_id,name,email,section\n0021,Ann,a@x.edu,A\n", "学号;姓名;邮箱;班级\n0021;Ann;a@x.edu;A\n"):
        for encoding in ("utf-8-sig", "gbk"):
            found, (ann,), _ = roster.read(written(text, encoding))
            assert (found, ann.ids, ann.name, ann.email, ann.section) == ("", ["0021"], "Ann", "a@x.edu", "A")


def test_wrong_rosters_are_one_line(written):
    for text, cause in {
        "id,name\nPB1,Ann\npb1,Bob\n": "line 3: the id pb1 is in line 2",
        "id,name\n,Ann\n": "line 2: Ann has no id",
        "matriculation,name\n": "no line with an id",
        "name,points\nAnn,3\n": "line 2: Ann has no id",
        "": "the file is empty",
    }.items():
        with pytest.raises(LabError, match=r"t\.csv") as caught:
            roster.read(written(text))
        assert cause in str(caught.value), text


def test_ids_are_matched_and_near_misses_are_named():
    def student(line: int, *ids: str, account: str = "") -> roster.Student:
        return roster.Student(line, list(ids), f"S{line}", account=account)

    class_ = course(
        student(1, "PB1"), student(2, "23001"), student(3, "ＰＢ１２"), student(4, "2.1E+09"), student(5, "PB007"),
        student(6, "x", "login"), student(7, "2.2E+09"), student(8, "2.2E+09x"), student(9, "m", account="501"),
        system="moodle",
    )  # fmt: skip
    class_.students[7] = student(8, "2.20E+09")
    for student_id, hand_in, line, remark in (
        ("PB1", "", 1, ""),
        ("pb1", "", 1, "in the roster as PB1"),
        ("0023001", "", 2, "in the roster as 23001"),
        ("PB12", "", 3, "in the roster as ＰＢ１２"),
        ("2100000003", "", 4, "in the roster as 2.1E+09"),
        ("PB7", "", 5, "in the roster as PB007"),
        ("login", "", 6, ""),
        ("2200000001", "", None, "not in the roster; perhaps 2.2E+09 S7, 2.20E+09 S8"),
        ("PB9", "", None, "not in the roster"),
        ("", "Ann_501_assignsubmission_file_x", 9, "in the roster as m"),
        ("PB1", "Ann_501_assignsubmission_file_x", 1, "its id is that of PB1 S1, but m S9 uploaded it"),
        ("PB9", "Ann_502_assignsubmission_file_x", None, "not in the roster"),
    ):
        ((found, told),) = roster.match(class_, [(student_id, hand_in)]).values()
        assert (found and found.line) == line and told.startswith(remark) and bool(told) == bool(remark), student_id


def test_who_handed_nothing_in_has_a_row_and_nothing_is_graded_again_for_another_roster(
    handins, grade, tmp_path, written
):
    log = tmp_path / "log"
    for i in (1, 2):
        add(handins, f"PB{i}", f"log {log}")
    first = written("student_id,name,section\nPB1,Ann,A\npb2,Bob,B\nPB3,=Cy,B\n", name="one.csv")
    rows = grade("--roster", first)
    assert [row["section"] for row in rows.values()] == ["A", "B", "B"] and list(rows[""])[3] == "section"
    assert (rows[""]["student_id"], rows[""]["status"], rows[""]["name"], rows[""]["e_step"]) == (
        "PB3",
        "ABSENT",
        "'=Cy",
        "",
    )
    summary = (tmp_path / "out/summary.md").read_text(encoding="utf-8")
    assert "2 hand-ins: 2 OK, 1 ABSENT" in summary and "absent: PB3 =Cy" in summary and "as pb2 Bob" in summary
    assert grade("--resume") == rows
    again = grade("--resume", "--roster", written("id,name\nPB1,Ann\n", name="two.csv"))
    assert (
        list(again) == ["PB1", "PB2"] and "section" not in again["PB1"] and "not in the roster" in again["PB2"]["note"]
    )
    assert len(log.read_text().split()) == 2
    kept = json.loads((tmp_path / "out/gradebook.json").read_text(encoding="utf-8"))
    for row in kept["rows"]:  # as version 0.2 kept it
        for name in gradebook.EXTRA:
            del row[name]
    (tmp_path / "out/gradebook.json").write_text(json.dumps(kept))
    assert gradebook.load(tmp_path / "out").rows[0]["section"] == ""


# --------------------------------------------------------------------------- late work


def test_how_late_a_hand_in_is_and_what_it_costs():
    for policy, at, extension, days, expected in (
        ({}, "2026-12-01 23:59", "", "", ("no", 0)),
        ({}, "2026/12/2 0:00", "", "", ("0 d 1 h", 0)),  # nothing is deducted unless asked
        ({"penalty": 5}, "", "", "", ("unknown", 0)),
        ({"penalty": 5}, "2026-12-02T00:00", "", "", ("0 d 1 h", 5)),
        ({"penalty": 5}, "2026-12-01T16:00Z", "", "", ("0 d 1 h", 5)),  # another zone
        ({"penalty": 5, "grace": "15m"}, "2026-12-02 00:14", "", "", ("no", 0)),
        ({"penalty": 5, "grace": "15m"}, "2026-12-03 00:14", "", "", ("1 d 1 h", 5)),
        ({"penalty": 5, "grace": "15m"}, "2026-12-03 00:15", "", "", ("1 d 1 h", 10)),
        ({"penalty": 5}, "2026-12-03 12:00", "2d", "", ("no", 0)),
        ({"penalty": 5}, "2026-12-03 12:00", "2026-12-03T11:00", "", ("0 d 1 h", 5)),
        ({"penalty": 5, "late_days": 2}, "2026-12-04 12:00", "", "", ("2 d 13 h", 5)),
        ({"penalty": 5, "late_days": 2}, "2026-12-04 12:00", "", "0", ("2 d 13 h", 15)),
        ({"late_days": 1}, "2026-12-04 12:00", "", "", ("2 d 13 h", 0)),
        # The night in which the clocks of Berlin show 02:30 twice: the second one is due, the first one counts.
        ({"deadline": "2026-10-25T02:30", "timezone": "Europe/Berlin"}, "2026-10-25 02:30", "", "", ("no", 0)),
        (
            {"deadline": "2026-10-25T02:30", "timezone": "Europe/Berlin"},
            "2026-10-25T02:45+01:00",
            "",
            "",
            ("0 d 1 h", 0),
        ),
    ):
        judged = late.Policy(**{"deadline": DEADLINE} | policy).judge(at, extension, days)
        assert judged[:2] == expected, (policy, at, extension, days)
    assert late.Policy(DEADLINE, late_days=2).judge("2026-12-04 12:00")[2] == "2 of 2 late days used, 1 more"


def test_the_time_comes_from_blackboards_name_or_the_list_and_holds_on_resume(handins, grade, tmp_path, written):
    names = {
        "PB10001": UPLOADS["blackboard"][0],
        "PB20002": UPLOADS["blackboard"][1],
        "PB30003": UPLOADS["canvas"][0],
        "PB40004": "{}",
    }
    for student_id, name in names.items():
        path = add(handins, student_id)
        path.rename(handins / name.format(path.name))

    def of(*options) -> list[tuple]:
        return [(row["late"], row["penalty"]) for row in grade(*options).values()] and [
            (row["late"], row["penalty"]) for row in table(tmp_path / "out/gradebook.csv")
        ]

    asked = ["--deadline", DEADLINE, "--grace", "15m"]
    assert of(*asked) == [("0 d 1 h", "0"), ("no", "0"), ("unknown", "0"), ("unknown", "0")]
    assert "Canvas says LATE" in table(tmp_path / "out/gradebook.csv")[2]["note"]
    assert of("--resume", "--penalty", "7.5")[0] == ("0 d 1 h", "7.5")
    times = written("student_id,submitted\nPB40004,2026/12/3 0:00\npb10001,2026-12-01 12:00\nPB30003,\n")
    assert of("--resume", "--times", times) == [("no", "0"), ("no", "0"), ("unknown", "0"), ("1 d 1 h", "7.5")]
    roster_4 = written("id,extension\nPB40004,2 d\nPB10001,\n", name="roster.csv")
    assert of("--resume", "--roster", roster_4)[-2:] == [("unknown", "0"), ("no", "0")]
    assert of("--resume", "--timezone", "UTC")[1] == ("0 d 8 h", "7.5")  # names have the server's time
    feedback = tmp_path / "out/feedback/PB40004+Ann+LAB3"
    of("--resume", "--roster", written("id\nPB40004\n", name="roster.csv"), "--timezone", "Asia/Shanghai")
    assert "| late: 1 d 1 h | -7.5 | |" in (feedback / "feedback.md").read_text(encoding="utf-8")
    assert json.loads((feedback / "feedback.json").read_text(encoding="utf-8"))["penalty"] == 7.5


def test_wrong_deadlines_and_times_are_one_line(handins, tmp_path, run_script, written, standin):
    add(handins, "PB1")
    bad = written("id,extension\nPB1,soon\n", name="roster.csv")
    times = written("student_id,submitted\nPB1,noon\n")
    for arguments, cause in (
        (["--grace", "15m"], "need a deadline"),
        (["--deadline", "2026-12-01"], "'2026-12-01' is not a time"),
        (["--deadline", "2026-12-32T10:00Z"], "is not a time"),
        (["--deadline", "2026-12-01T23:59"], "no timezone is given"),
        (["--deadline", DEADLINE, "--timezone", "Mars"], "the timezone 'Mars' is not known"),
        (["--deadline", DEADLINE, "--grace", "15"], "'15' is not a duration"),
        (["--deadline", DEADLINE, "--penalty", "-1"], "penalty"),
        (["--deadline", DEADLINE, "--roster", bad], "deadline of PB1: 'soon' is not a duration"),
        (["--deadline", DEADLINE, "--times", times], "line 2, column submitted: 'noon' is not a time"),
    ):
        done = run_script(grade_class, handins, "--out", tmp_path / "out", "--dataset", "digits", *arguments)
        assert (done.status, done.err.count("\n")) == (2, 1), arguments
        assert cause in done.err and not (tmp_path / "out").exists(), arguments


# --------------------------------------------------------------------------- for the course system


@pytest.fixture
def merged(handins, grade, tmp_path):
    """A class with Ann (0021), Bob (PB20002) and Di (PB80008), downloaded from a system, graded and merged."""

    def run(system: str, *options):
        names = [*UPLOADS[system], "{}"]
        for (student_id, code), name in zip(
            {"0021": "right", "PB20002": "wrong 1", "PB80008": "right"}.items(), names, strict=True
        ):
            path = add(handins, student_id, code)
            path.rename(handins / name.format(path.name))
        grade(*options, "--resume")
        (tmp_path / "marks.csv").write_text(
            f"student_id,{FULL}0021,2,5,2,20,1\nPB20002,2,5,2,20,0.5\nPB80008,2,5,,20,1\n"
        )
        merge.merge(tmp_path / "out", tmp_path / "marks.csv")
        return tmp_path / "out"

    return run


@pytest.mark.parametrize("system", EXPORTS)
def test_an_exported_table_is_filled_and_feedback_has_the_names_of_the_upload(system, merged, written, capsys):
    text, encoding = EXPORTS[system]
    path, out = written(text, encoding, f"theirs.{'xls' if system == 'blackboard' else 'csv'}"), merged(system)
    column = {"canvas": 5, "moodle": 4, "blackboard": 6}[system]
    for absent in ("empty", "zero"):
        arguments = ["--out", str(out), "--for", system, "--gradebook", str(path), "--absent", absent]
        assert export.main(arguments + ["--column", "lab 3"] * (system == "canvas")) == 0
        made = out / f"{system}_grades{path.suffix}"
        assert made.read_bytes()[:2] == path.read_bytes()[:2]
        before, after = (tables.sheet(one)[0] for one in (path, made))
        assert before[1:] == after[1:]
        points = {line: cells[column] for line, cells in zip(after.numbers, after.rows, strict=True)}
        for (line, old), cells in zip(zip(before.numbers, before.rows, strict=True), after.rows, strict=True):
            student = line >= before.numbers[-4 if system != "moodle" else -3] and "est" not in old[0] and old[0] != "T"
            old[column] = points[line] if student else old[column]
            assert cells == ["'" + cell if cell == "=Bob" else cell for cell in old], (system, line)
        marked = [cells[column] for cells in after.rows if any("Lee" in c or "Bob" in c or "Cy" in c for c in cells)]
        assert marked == ["100", "94.5", "0" if absent == "zero" else ""]
    said = capsys.readouterr().out
    assert "PB80008+Ann+LAB3: not in the roster" in said and "undecided, so empty: PB80008+Ann+LAB3" in said
    with zipfile.ZipFile(out / f"{system}_feedback.zip") as archive:
        names = archive.namelist()
        if system == "canvas":
            (inner,) = zipfile.ZipFile(io.BytesIO(archive.read(names[0]))).namelist()
            assert inner == "feedback.md"
    assert (
        names
        == {
            "canvas": ["annlee_LATE_12345_700001_0021+Ann+LAB3.zip", "bob_12346_700002_PB20002+Ann+LAB3.zip"],
            "moodle": ["Ann Lee_501_assignsubmission_file_/feedback.md", "Bob_502_assignsubmission_file_/feedback.md"],
            "blackboard": ["ann/feedback.md", "b_b/feedback.md"],
        }[system]
    )


def test_without_their_table_the_roster_makes_one(merged, written, capsys):
    own = written("id,name,email,section\n0021,=Ann,ann@x.edu,A\nPB20002,Bob,,B\nPB30003,Cy,,B\n", name="roster.csv")
    out = merged("canvas", "--roster", own)
    for system, lines in {
        "canvas": ["Student,ID,SIS User ID,SIS Login ID,Section,Lab 3", "    Points Possible,,,,,100",
                   "'=Ann,,0021,0021,A,100", "Bob,,PB20002,PB20002,B,94.5", "Cy,,PB30003,PB30003,B,"],
        "moodle": ["ID number,Full name,Email address,Lab 3", "0021,'=Ann,ann@x.edu,100", "PB20002,Bob,,94.5", "PB30003,Cy,,"],
        "blackboard": ['"Last Name","First Name","Username","Student ID","Lab 3 [Total Pts: 100 Score]"',
                       '"\'=Ann","","0021","0021","100"', '"Bob","","PB20002","PB20002","94.5"', '"Cy","","PB30003","PB30003",""'],
    }.items():  # fmt: skip
        assert export.main(["--out", str(out), "--for", system]) == 0
        assert (out / f"{system}_grades.csv").read_text(encoding="utf-8").splitlines() == lines


def test_what_cannot_be_exported_is_one_line(merged, written, run_script, handins, grade):
    out = merged("canvas")
    for text, more, cause in (
        (
            CANVAS.replace("Lab 3 ", "Lab 4 "),
            [],
            "0 columns of points are named 'Lab 3'; choose one with --column: Lab 4 (4711)",
        ),
        (CANVAS, ["--column", "Lab"], "0 columns"),
        (MOODLE, [], "has not the columns that canvas exports"),
        ("id,name\nPB1,Ann\n", [], "has not the columns"),
    ):
        done = run_script(grade_class, "export", "--out", out, "--for", "canvas", "--gradebook", written(text), *more)
        assert (done.status, done.err.count("\n")) == (2, 1) and cause in done.err, text
    add(handins, "PB9")
    grade("--resume")
    done = run_script(grade_class, "export", "--out", out, "--for", "canvas")
    assert done.status == 2 and "merge again" in done.err
    (out / "final.csv").unlink()
    done = run_script(grade_class, "export", "--out", out, "--for", "canvas")
    assert done.status == 2 and "merge first" in done.err
