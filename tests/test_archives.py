"""Hand-ins in every shape: ordinary ones are read; hostile ones do no harm and go to a person."""

import io
import os
import random
import shutil
import stat
import struct
import subprocess
import time
import unicodedata
import zipfile
import zlib
from pathlib import Path

import pytest
from small_class import zipped

from sandbox import bubblewrap
from staff import archives, entries, tables

CODE = b"class GMM: ...\n"
RUN = {
    "config.yaml": b"use_pca: true\n",
    "gmm/config.json": b"{}",
    "gmm/gmm.safetensors": b"gmm",
    "pca/config.json": b"{}",
    "pca/pca.safetensors": b"pca",
    "grade.json": b'{"sample_index": 3}',
}
RUN_PATH = "results/2026-11-20_10-00-00"
NAME = "PB23000001+张三+LAB3"


def files(run: str = RUN_PATH, without: tuple[str, ...] = ()) -> dict[str, bytes]:
    """An ordinary hand-in, by path."""
    contents = {"submission.py": CODE, "report.pdf": b"%PDF"} | {f"{run}/{name}": text for name, text in RUN.items()}
    return {name: content for name, content in contents.items() if not name.endswith(without or "?")}


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info


def packed(contents: dict) -> dict[str, bytes]:
    """Contents in which a dict stands for a zip of its own."""
    made = {}
    for name, content in contents.items():
        with io.BytesIO() as file:
            made[name] = zipped(file, packed(content)).getvalue() if isinstance(content, dict) else content
    return made


def written(folder: Path, contents: dict) -> Path:
    """A hand-in as a folder."""
    for name, content in packed(contents).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.fixture
def hand_in(tmp_path):
    """Write a class of one zip and read it: ``hand_in(contents, name=...) -> HandIn``; a dict in it is a zip inside."""
    folder = tmp_path / "class"
    folder.mkdir()

    def write(contents: dict, name: str = f"{NAME}.zip") -> archives.HandIn:
        zipped(folder / name, packed(contents))
        return only(folder)

    return write


def only(folder: Path) -> archives.HandIn:
    ((found,), others) = archives.find(folder)
    assert not others
    return archives.read(found)


def expect_ordinary(handin: archives.HandIn) -> None:
    assert (handin.refused, handin.review, handin.notes) == ("", [], [])
    assert (handin.student_id, handin.name) == ("PB23000001", "张三")
    assert (handin.source, handin.files) == (CODE, RUN)
    assert handin.run.endswith(RUN_PATH)


# --------------------------------------------------------------------------- ordinary ones


def test_folders_are_read_at_any_depth_and_a_zip_alone_in_one_is_opened(tmp_path):
    for i, above in enumerate(("", f"{NAME}/", "a/b/c/")):
        written(tmp_path / str(i) / NAME / above, files())
        expect_ordinary(only(tmp_path / str(i)))
    written(tmp_path / "class", {f"Zhang_12345_upload/{NAME}.zip": files()})
    expect_ordinary(only(tmp_path / "class"))


def test_zips_are_read_at_any_depth_whatever_separates_even_large_ones_that_are_not_compressed(hand_in, tmp_path):
    for above in ("", f"{NAME}/", "work/lab 3/"):
        expect_ordinary(hand_in({above + name: content for name, content in files().items()}))
    expect_ordinary(hand_in({name.replace("/", "\\"): content for name, content in files().items()}))
    expect_ordinary(hand_in({"./": b""} | {f"./{name}": content for name, content in files().items()}))  # as tar does
    large = files() | {f"{RUN_PATH}/gmm/gmm.safetensors": bytes(entries.MOST_DIRECTORY + 1)}
    with zipfile.ZipFile(zipped(tmp_path / "class" / f"{NAME}.zip", {}), "w", zipfile.ZIP_STORED) as archive:
        for name, content in large.items():
            archive.writestr(name, content)
    assert len(only(tmp_path / "class").files["gmm/gmm.safetensors"]) > entries.MOST_DIRECTORY


def test_what_systems_leave_behind_is_passed_over(hand_in):
    junk = ["__MACOSX/._submission.py", "__MACOSX/submission.py", "._submission.py", ".DS_Store", ".git/config.yaml"]
    junk += [".ipynb_checkpoints/submission.py", "__pycache__/submission.py", "results/.2026.7.partial/config.yaml"]
    expect_ordinary(hand_in(files() | dict.fromkeys(junk, b"junk")))


def test_without_the_utf8_flag_gbk_and_utf8_names_are_read(tmp_path):
    for encoding in ("gbk", "utf-8"):
        folder = tmp_path / encoding
        folder.mkdir()
        placeholder = "X" * len(NAME.encode(encoding))
        path = zipped(folder / "upload.zip", {f"{placeholder}/{name}": content for name, content in files().items()})
        path.write_bytes(path.read_bytes().replace(placeholder.encode(), NAME.encode(encoding)))
        handin = only(folder)
        assert handin.notes == ["id and name were taken from the folder inside"]
        handin.notes.clear()
        expect_ordinary(handin)


def test_names_are_composed_and_cannot_forge_lines_or_directions(hand_in):
    handin = hand_in(files(), unicodedata.normalize("NFD", "PB1+José Nuñez+LAB3.zip"))
    assert (handin.name, handin.hand_in) == ("José Nuñez", "PB1+José Nuñez+LAB3")
    assert entries.clean("PB1\n\x1b[31m\u202eabc") == "PB1\ufffd\ufffd\ufffdabc"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file names of bytes")
def test_gbk_bytes_in_a_file_name_are_read(tmp_path):
    try:
        zipped(Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + f"{NAME}.zip".encode("gbk"))), files())
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    expect_ordinary(only(tmp_path))


UPLOADERS = {  # file names of one student, and of another
    "canvas": (["leeann_12345_700001_{}", "leeann_LATE_12345_700333_{}-1", "LeeAnn_12345_9_{}"],
               ["eve_54321_700002_{}", "eve_54321_700001_leeann_12345_700001_{}", "{}", "leeann_54321_700001_{}"]),
    "moodle": (["Ann Lee_12345_assignsubmission_file_{}", "Ann Lee_12345_assignsubmission_file_{}_final"],
               ["Eve_12345_assignsubmission_file_{}", "Ann Lee_12346_assignsubmission_file_{}", "Ann Lee_{}"]),
    "blackboard": (["Lab 3_lee_attempt_2026-11-20-10-00-00_{}", "Lab 3_lee_attempt_2026-11-21-09-00-59_{}"],
                   ["Lab 3_eve_attempt_2026-11-20-10-00-00_{}",
                    "Lab 3_eve_attempt_2026-11-20-10-00-00_Lab 3_lee_attempt_2026-11-20-10-00-00_{}"]),
    "nothing": (["{}", "{}_final", "{} (1)"], ["mine_{}"]),
}  # fmt: skip


def test_only_what_a_course_system_puts_before_the_id_tells_who_uploaded():
    for system, (own, others) in UPLOADERS.items():
        (mine,) = {archives.uploader(name.format("2100000022+Lee+LAB3")) for name in own}
        for name in others:
            assert archives.uploader(name.format("2100000022+Lee+LAB3")) != mine, (system, name)


NAMES = {
    "PB23000001+张三+LAB3": ("PB23000001", "张三"),
    "PB23000001＋张三＋LAB3": ("PB23000001", "张三"),
    "2023001 + Ann Lee + lab3 (1)": ("2023001", "Ann Lee"),
    "2023001+O'Neil-Ó+LAB3_final": ("2023001", "O'Neil-Ó"),
    "2023001+=cmd|' /C calc'!A0+LAB3": ("2023001", "=cmd|' /C calc'!A0"),
    "canvasc_LATE_12345_6789_2100000022+Can Vas+LAB3": ("2100000022", "Can Vas"),
    "Can Vas_12345_assignsubmission_file_2100000022+Can Vas+LAB3": ("2100000022", "Can Vas"),
    "张三_12345_PB23000001+张三+LAB3-1": ("PB23000001", "张三"),
    "2023_001+Ann+LAB3": ("2023_001", "Ann"),
}
NO_NAMES = ["PB23000001-张三-LAB3", "PB23000001+张三+LAB30", "PB23000001+张三", "张三+PB23000001+LAB3", "+张三+LAB3"]
NO_NAMES += ["PB\u017f2300001+Ann+LAB3", "A+" + 440 * " " + "LAB3"]  # a long s is not a letter of an id


def test_id_and_name_are_read_from_the_name():
    for name, parts in (NAMES | dict.fromkeys(NO_NAMES, ("", ""))).items():
        assert archives.parse_name(name) == parts, name


def test_a_name_of_another_form_is_read_but_reviewed(hand_in):
    handin = hand_in(files(), "homework.zip")
    assert (handin.hand_in, handin.student_id, handin.source) == ("homework", "", CODE)
    assert "student_id+name+LAB3" in handin.review[0]


# --------------------------------------------------------------------------- something is missing, or there twice


NO_CODE, NO_REPORT = files(without=("submission.py",)), files(without=(".pdf",))
# What is handed in, and what is read of it.
READ = [
    (NO_CODE | {"all.rar": b"Rar!"},
     {"source": None, "files": RUN, "review": ["no submission.py; it holds another archive, all.rar"]}),
    ({"submission.py": CODE, "report.pdf": b"%PDF", "pretrained/config.json": b"{}"},
     {"run": None, "files": {}, "review": ["no results"]}),
    (NO_REPORT, {"notes": ["no report (.pdf)"]}),
    (NO_REPORT | {"报告.docx": b"PK"}, {"notes": ["the report is not a PDF: 报告.docx"]}),
    (files(without=("config.yaml",)), {"run": RUN_PATH, "review": [], "notes": []}),
    (files() | {"old/submission.py": b"old"},
     {"source": CODE, "review": [], "notes": ["2 files submission.py; submission.py was graded"]}),
    ({"a/submission.py": b"a", "b/submission.py": b"b"} | NO_CODE,
     {"source": b"a", "review": ["2 files submission.py; a/submission.py was graded"]}),
    (NO_CODE | {"Submission.PY": CODE}, {"source": CODE, "notes": ["the code is in Submission.PY"]}),
]  # fmt: skip


def test_what_is_missing_or_there_twice_is_told(hand_in):
    for contents, expected in READ:
        handin = hand_in(contents)
        assert {name: getattr(handin, name) for name in expected} == expected


def run_at(name: str, without: tuple[str, ...] = (), contents: dict = RUN) -> dict[str, bytes]:
    return {f"{name}/{file}": text for file, text in contents.items() if not file.startswith(without or "?")}


# Results folders, the one that is graded, the others that could be.
RUNS = {
    "without gmm": (run_at("r/1") | run_at("r/2", ("gmm",)), "r/1", []),
    "without config": (run_at("r/1") | run_at("r/2", ("config",)), "r/1", []),
    "half a pca": (run_at("r/1") | run_at("r/2", ("pca/config",)), "r/1", []),
    "three": (run_at("r/1") | run_at("r/2") | run_at("r/3"), "r/3", ["r/2", "r/1"]),
    "an AE run": (run_at("r/1") | run_at("r/2", ("pca",)), "r/1", []),
    "an AE run, half": (run_at("r/1", ("gmm",)) | run_at("r/2", ("pca",)), "r/2", []),
    "halves only": (run_at("r/1", ("gmm",)) | run_at("r/2", ("gmm",)), "r/2", []),
    "in an archive": (run_at("r/1", ("gmm",)) | {"old.zip": run_at("r/0")}, "old.zip/r/0", []),
}


def test_the_newest_complete_run_is_graded_and_the_others_are_named(hand_in):
    for name, (runs, graded, others) in RUNS.items():
        handin = hand_in({"submission.py": CODE, "report.pdf": b"%PDF"} | runs)
        assert (handin.run, handin.others) == (graded, others), name
        said = f"{graded}, the newest {'' if graded == 'r/2' else 'complete PCA '}run by name, was graded"
        assert not handin.review and any(said in note for note in handin.notes), name


# --------------------------------------------------------------------------- what lies beside or inside


REPORT, RESULTS = {"report.pdf": b"%PDF"}, run_at(RUN_PATH)
WHOLE = [  # the same work, packed in other ways
    {"submission.py": CODE, "results.zip": RESULTS, **REPORT},
    {"submission.py": CODE, "results.zip": RESULTS, "report.zip": REPORT},
    {"code.zip": {"submission.py": CODE}, "results.zip": run_at(f"my/{RUN_PATH}"), **REPORT},
    {"all.zip": {"submission.py": CODE, **RESULTS}, **REPORT},
    {"LAB3.ZIP": {"LAB3/submission.py": CODE, "LAB3/results.zip": RESULTS}, **REPORT},
    {"submission.py": CODE, **RESULTS, **REPORT, "data/train-images-idx3-ubyte.gz": b"\x1f\x8b"},
]


def test_what_lies_beside_or_inside_is_found(tmp_path, hand_in):
    for i, contents in enumerate(WHOLE):
        expect_ordinary(only(written(tmp_path / str(i) / NAME, contents).parent))
        expect_ordinary(hand_in(contents if i != 4 else contents["LAB3.ZIP"] | REPORT))


MISSING = {  # how the line begins that tells what is missing: what is handed in
    "no submission.py; it holds submission (1).py": {"submission (1).py": CODE},
    "no submission.py; it holds submission.py.txt": {"submission.py.txt": CODE, "a.txt": b""},
    "no submission.py; it holds Lab/my_submission.py, Lab/3.ipynb": {"Lab/3.ipynb": b"", "Lab/my_submission.py": CODE},
    "lab3.zip/submission.py was graded, not s": {"submission(1).py": CODE, "lab3.zip": {"submission.py": b"handout"}},
    "no results; it holds another archive, results.zip": {"submission.py": CODE, "results.zip": b"broken"},
    "no results; it holds another archive, a.zip/b.zip": {
        "submission.py": CODE,
        "a.zip": {"b.zip": {"c.zip": RESULTS}},
    },
    "no results; it holds my results/gmm.npz": {"submission.py": CODE, "my results/gmm.npz": b""},
    "no report, but report.pages": {"submission.py": CODE, "report.pages": b""},
    "no report, but lab3/实验报告.md": {"submission.py": CODE, "lab3/实验报告.md": b""},
}


def test_what_may_be_meant_by_what_is_missing_is_named(hand_in, tmp_path):
    for i, (line, contents) in enumerate(MISSING.items()):
        for handin in (hand_in(contents), only(written(tmp_path / str(i) / NAME, contents).parent)):
            assert any(told.startswith(line) for told in handin.review + handin.notes), line


def test_an_inner_archive_costs_no_more_than_one_alone(hand_in, monkeypatch):
    many = {f"{i}.zip": {f"{i}/{RUN_PATH}/config.yaml": b""} for i in range(7)}
    handin = hand_in(files() | many)
    assert (handin.source, handin.files, handin.refused) == (CODE, RUN, "")
    assert any("6.zip was not read: more than 5 archives" in note for note in handin.notes)
    for limit, value in {"MOST_ENTRIES": 30, "MOST_DECLARED": 20_000, "MOST_COPIED": 300}.items():
        monkeypatch.setattr(entries, limit, value)
        handin = hand_in(files() | {"x.zip": {f"{i}": bytes(1000) for i in range(25)}})
        assert (handin.source, handin.files, handin.refused) == (CODE, RUN, ""), limit
        assert any("x.zip was not read" in note for note in handin.notes), limit
        monkeypatch.undo()
    venv = {f"{i}": b"" for i in range(30)}
    monkeypatch.setattr(entries, "MOST_ENTRIES", 30)  # what is not read counts nothing
    assert hand_in({"a.zip": venv, "submission.py": CODE, "results.zip": RESULTS}).files == RUN
    monkeypatch.undo()
    clock = iter(range(0, 10**6, 20))
    monkeypatch.setattr(entries.time, "thread_time", lambda: next(clock))
    assert "takes more than 60 s" in hand_in(files()).refused


def rar(contents: dict[str, bytes]) -> bytes:
    """A RAR archive (version 4) of stored files."""

    def block(kind: int, flags: int, fields: bytes) -> bytes:
        head = struct.pack("<BHH", kind, flags, 7 + len(fields)) + fields
        return struct.pack("<H", zlib.crc32(head) & 0xFFFF) + head

    made = b"Rar!\x1a\x07\x00" + block(0x73, 0, bytes(6))
    for name, content in contents.items():
        fields = (len(content), len(content), 3, zlib.crc32(content), 0, 20, 0x30, len(name), 0o100644)
        made += block(0x74, 0x8000, struct.pack("<IIBIIBBHI", *fields) + name.encode()) + content
    return made + block(0x7B, 0x4000, b"")


@pytest.fixture
def bsdtar():
    """It needs bsdtar, and bubblewrap that works."""
    if shutil.which("bsdtar") is None or bubblewrap.unavailable():
        pytest.skip("bsdtar or bubblewrap is missing")


def test_other_archives_are_read_through_bsdtar(bsdtar, tmp_path):
    home = written(tmp_path / "work" / NAME, files())
    for suffix in ("7z", "tar", "tar.gz", "tar.xz", "tar.bz2"):
        folder = tmp_path / suffix
        folder.mkdir()
        command = ["bsdtar", "-c", "-C", home.parent, "-f", folder / f"{NAME}.{suffix}"]
        command += ["--format=7zip"] if suffix == "7z" else ["--format=pax", "--auto-compress"]
        subprocess.run([*command, NAME], check=True, env=os.environ | {"LC_ALL": "C.UTF-8"})
        expect_ordinary(only(folder))
    written(tmp_path / "rar", {f"{NAME}.rar": rar(files())})
    expect_ordinary(only(tmp_path / "rar"))
    written(tmp_path / "beside" / NAME, {"submission.py": CODE, "r.rar": rar(RESULTS), **REPORT})
    expect_ordinary(only(tmp_path / "beside"))


def test_hostile_archives_do_no_harm_through_bsdtar_either(bsdtar, hand_in, tmp_path, files_below, monkeypatch):
    before = set(files_below(tmp_path))
    handin = hand_in({"submission.py": CODE, "r.rar": rar(RESULTS | {"../evil.py": b"evil"})})
    assert "unsafe paths" in handin.review[0] and handin.files == RUN
    monkeypatch.setattr(entries, "MOST_COPIED", 100_000)
    for content in (rar({"a": os.urandom(200_000)}), rar(RESULTS)[:-60], b"7z\xbc\xaf\x27\x1c" + os.urandom(500)):
        handin = hand_in(files() | {"x.rar": content})
        assert (handin.source, handin.files, handin.refused) == (CODE, RUN, "")
        assert any("x.rar was not read" in note for note in handin.notes)
    assert set(files_below(tmp_path)) - before == {f"class/{NAME}.zip"}


def test_without_bsdtar_or_bubblewrap_other_archives_are_named(tmp_path, monkeypatch):
    written(tmp_path / "alone", {f"{NAME}.rar": rar(files())})
    written(tmp_path / "inside" / NAME, {"r.rar": rar(files()), **REPORT})
    for module, name, value in ((shutil, "which", lambda *_: None), (bubblewrap, "unavailable", lambda: "is off")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            for place in ("alone", "inside"):
                assert only(tmp_path / place).refused.startswith("it is not a zip; staff: unpack it"), (name, place)


# --------------------------------------------------------------------------- the class's folder


def test_every_upload_gets_a_row_and_other_files_are_named(tmp_path):
    zipped(tmp_path / f"{NAME}.zip", files())
    (tmp_path / NAME).mkdir()
    (tmp_path / "Ann Lee_12345_assignsubmission_onlinetext_").mkdir()
    (tmp_path / "PB3+李四+LAB3.rar").write_bytes(b"Rar!\x1a\x07\x01\x00")
    (tmp_path / "PB4+王五+LAB3.pdf").write_bytes(b"%PDF")
    (tmp_path / "sample_index.csv").write_text("student_id,sample_index\n")
    for name in (".DS_Store", "__MACOSX", "desktop.ini", "~$marks.xlsx"):
        (tmp_path / name).write_bytes(b"")
    found, others = archives.find(tmp_path)
    assert [f.hand_in for f in found] == [NAME, f"{NAME} (2)", "PB3+李四+LAB3", "PB4+王五+LAB3"]
    assert [f.student_id for f in found] == ["PB23000001", "PB23000001", "PB3", "PB4"]
    assert others == ["Ann Lee_12345_assignsubmission_onlinetext_", "sample_index.csv"]
    assert all(archives.read(one).refused.startswith("it is not a zip; staff: unpack it") for one in found[2:])


def test_what_holds_nothing_two_archives_or_not_an_ordinary_zip_is_named(tmp_path, hand_in):
    (tmp_path / "empty" / "PB1+a+LAB3").mkdir(parents=True)
    assert only(tmp_path / "empty").review == ["no submission.py", "no results"]
    assert hand_in({}).refused == "the zip is empty; staff: ask for it again"
    (tmp_path / "class" / f"{NAME}.zip").write_bytes(b"")
    assert only(tmp_path / "class").refused == "an empty file; staff: ask for it again"
    written(tmp_path / "two", {f"Zhang_12345_upload/{name}.zip": files() for name in (NAME, f"{NAME}_final")})
    assert only(tmp_path / "two").refused.startswith("2 archives in one folder")


# --------------------------------------------------------------------------- hostile ones

EVIL = ["../evil.py", "a/../../evil.py", "/etc/evil.py", "C:\\evil.py", "C:evil.py", "\\\\host\\share\\evil.py"]
EVIL += ["..\\evil.py", "long/" * 2000 + "evil.py"]


def test_paths_that_lead_out_or_hold_a_zero_byte_are_not_read(hand_in, tmp_path):
    for name in EVIL:
        handin = hand_in(files() | {name: b"evil"})
        assert "unsafe paths" in handin.review[0], name
        assert (handin.source, handin.files) == (CODE, RUN), name
    for name in ("../submission.py", "/submission.py", "C:/submission.py"):
        assert hand_in(NO_CODE | {name: b"evil"}).source is None, name
    (tmp_path / "zero").mkdir()
    path = zipped(tmp_path / "zero" / f"{NAME}.zip", {"submissionXpy": b"evil"})
    path.write_bytes(path.read_bytes().replace(b"submissionXpy", b"submission\0py"))
    assert only(tmp_path / "zero").source is None


def test_crafted_names_take_seconds_at_most(hand_in):
    began = time.thread_time()
    crafted = [f"A{i}+{230 * ' '}/x" for i in range(3000)] + [f"{'a/' * 240}{i}" for i in range(3000)]
    assert hand_in(files() | dict.fromkeys(crafted, b"")).files == RUN
    assert time.thread_time() - began < 20  # minutes in a pattern that looks back


def test_names_stay_different_after_a_spreadsheet(tmp_path):
    names = ["a b.zip", "a  b.zip", "A B.zip", "a\u2003b.rar", "a b (2).zip", "Stra\u00dfe.zip", "STRASSE.zip"]
    for name in names:
        (tmp_path / name).touch()
    found, _ = archives.find(tmp_path)
    assert len({tables.key(one.hand_in) for one in found}) == len(found) == len(list(tmp_path.iterdir()))


def test_links_in_zips_are_not_read(hand_in):
    handin = hand_in(NO_CODE | {link("submission.py"): b"/etc/passwd", link("results/x"): b"/"})
    assert handin.source is None
    assert any("links or devices" in line for line in handin.review)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_links_and_pipes_in_folders_are_not_read(tmp_path):
    secret = tmp_path / "secret.py"
    secret.write_bytes(b"secret")
    home = tmp_path / "class" / NAME
    home.mkdir(parents=True)
    (home / "submission.py").symlink_to(secret)
    (home / "results").symlink_to(tmp_path)
    os.mkfifo(home / "config.yaml")
    handin = only(tmp_path / "class")
    assert (handin.source, handin.files) == (None, {})
    assert "config.yaml, results, submission.py" in handin.review[0]


def test_nothing_is_written_but_what_unpack_names_itself(hand_in, tmp_path, files_below):
    handin = hand_in(files() | dict.fromkeys(EVIL, b"evil"))
    before = set(files_below(tmp_path))
    assert archives.unpack(handin, tmp_path / "scratch") == tmp_path / "scratch" / "run"
    assert set(files_below(tmp_path)) - before == {f"scratch/run/{name}" for name in RUN}


def test_a_bomb_is_dropped_at_the_limit_even_if_it_lies_and_costs_nothing_where_it_is_not_read(hand_in, tmp_path):
    handin = hand_in(files() | {"submission.py": b"#" * (archives.CODE_LIMIT + 1)})
    assert (handin.refused, handin.source) == ("submission.py is larger than 1 MiB", None)
    path = zipped(tmp_path / "class" / f"{NAME}.zip", files() | {"submission.py": b"#" * 5_000_000})
    path.write_bytes(path.read_bytes().replace((5_000_000).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    handin = only(tmp_path / "class")
    assert handin.refused and handin.source is None
    expect_ordinary(hand_in(files() | {"results/data.bin": bytes(64 << 20)}))


def test_too_much_of_anything_is_refused(hand_in, tmp_path, monkeypatch):
    monkeypatch.setattr(entries, "MOST_ENTRIES", 200)
    assert "more than 200 entries" in hand_in(files() | {f"n/{i}": b"" for i in range(200)}).refused
    (tmp_path / "folders" / NAME).mkdir(parents=True)
    for i in range(201):
        (tmp_path / "folders" / NAME / str(i)).touch()
    assert "more than 200 entries" in only(tmp_path / "folders").refused
    monkeypatch.setattr(entries, "MOST_DECLARED", 1000)
    assert "would unpack to" in hand_in(files() | {"a": bytes(2000)}).refused
    monkeypatch.setattr(entries, "MOST_DIRECTORY", 10_000)
    handin = hand_in(files() | {f"{'n' * 200}/{i}": b"" for i in range(100)})
    assert "list of entries" in handin.refused  # before it is read


def test_damaged_and_odd_zips_are_refused(tmp_path):
    path = tmp_path / f"{NAME}.zip"

    def expect(cause: str, content: bytes | bytearray) -> None:
        path.write_bytes(content)
        assert cause in only(tmp_path).refused

    content = zipped(path, files()).read_bytes()
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("submission.py", b"other")
    assert only(tmp_path).source == CODE and "the same file twice" in only(tmp_path).review[0]
    for kept in (0.1, 0.5, 0.999):
        expect("damaged", content[: int(kept * len(content))])
    encrypted = bytearray(content)
    encrypted[content.index(b"PK\x01\x02") + 8] |= 1
    expect("it is encrypted; staff: ask for one without a password", encrypted)
    for method, cause in ((zipfile.ZIP_BZIP2, "uncommon method"), (zipfile.ZIP_STORED, "damaged")):
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("submission.py", CODE)
        expect(cause, path.read_bytes().replace(CODE, CODE.upper()))  # what is stored no longer has its checksum


def test_no_damage_raises(tmp_path):
    """Ten bytes changed at random, 200 times: a result, whatever it is."""
    path = zipped(tmp_path / f"{NAME}.zip", files())
    whole = path.read_bytes()
    rng, refused = random.Random(0), 0
    for _ in range(200):
        content = bytearray(whole)
        for _ in range(10):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content)
        told = only(tmp_path).refused
        assert len(told) < 300
        refused += bool(told)
    assert refused > 50


# --------------------------------------------------------------------------- the digest


def test_digest_tells_what_grading_would_see(hand_in):
    first = hand_in(files()).digest()
    assert hand_in(files() | {f"{RUN_PATH}/other.png": b"png"}).digest() == first
    assert hand_in(files() | {f"{RUN_PATH}/cluster_pca.png": b"png"}).digest() != first
    assert hand_in(files() | {"submission.py": CODE + b"#"}).digest() != first
    assert hand_in(files() | {f"{RUN_PATH}/grade.json": b"{}"}).digest() != first
    assert hand_in(files(without=(".pdf",))).digest() != first
