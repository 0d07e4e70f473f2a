"""Grade a whole class, and merge the results with the points given by hand.

    python -m staff.grade_class HANDINS_DIR --out OUT_DIR             zips or folders named student_id+name+LAB3
    python -m staff.grade_class HANDINS_DIR --out OUT_DIR --resume    continue after an interruption, add hand-ins
    python -m staff.grade_class merge --out OUT_DIR --marks marks.csv

A broken hand-in affects only its own row. The other commands are in regrade.py, appeal.py (repeat) and export.py.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import joblib
from tqdm import tqdm

import sandbox
from hi_mnist import cli, files, prepare
from hi_mnist.cli import LabError
from hi_mnist.data import DATASETS
from hi_mnist.settings import add_flags, from_args, setting
from hi_mnist.text import listed, one_line
from labs import catalog
from sandbox import bubblewrap
from staff import appeal, archives, export, grade_one, gradebook, merge, pages, regrade, rerun, roster, rubric
from staff.grade_one import Settings
from staff.holders import lock
from staff.late import Policy
from staff.marks import TEMPLATE, write_template
from staff.pool import Grader, Job, Pool, records
from staff.similar import compare

BETWEEN_TABLES = 60  # seconds between two gradebooks while hand-ins are graded


@dataclass
class Options:
    """The flags of this command that have a range."""

    jobs: int | None = setting(None, "hand-ins at a time (default: one for each processor)", low=1, metavar="N")
    seed: int | None = setting(None, "makes the key (default: that in OUT_DIR, or a new one)", low=0, high=2**32 - 1)
    dataset: str = setting("mnist", "the class's data", choices=DATASETS)


def build_parser() -> argparse.ArgumentParser:
    about = "Grade a class's hand-ins: gradebook, summary and feedback for each student."
    parser = cli.make_parser("python -m staff.grade_class", about)
    parser.epilog = f"then: python -m staff.grade_class COMMAND --help, with the command {', '.join(COMMANDS)}"
    parser.add_argument("handins", type=Path, metavar="HANDINS_DIR", help="folder with one zip or folder per hand-in")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT_DIR", help="folder for all output")
    parser.add_argument("--resume", action="store_true", help="grade only what is new, changed or interrupted")
    parser.add_argument("--no-rerun", action="store_true", help="accept Performance without reproducing it")
    parser.add_argument("--unsandboxed", action="store_true", help="no bubblewrap: code can do what your account can")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="an existing Dask cluster, e.g. tcp://host:8786")
    parser.add_argument("--lab", choices=catalog.names(), default=catalog.MAIN, help="whose hand-ins (default: main)")
    text = "numbers for each student (id, the default) or the same for all (class)"
    parser.add_argument("--variant-by", choices=grade_one.VARIANTS, default="id", help=text)
    add_flags(parser, Options)
    group = parser.add_argument_group("the course", "kept in OUT_DIR: with --resume, a flag changes what it names only")
    text = "who is in the class: student_id,name,email,section, or an export of Canvas, Moodle or Blackboard"
    group.add_argument("--roster", type=Path, metavar="FILE.csv", help=text)
    add_flags(group, Policy)
    group.add_argument("--times", type=Path, metavar="FILE.csv", help="student_id,submitted: when they handed in")
    cli.add_options(parser, "data_dir")
    return parser


def build_merge_parser() -> argparse.ArgumentParser:
    about = "Add the points and the decisions of marks.csv: writes OUT_DIR/final.csv, and each change into audit.csv."
    parser = cli.make_parser("python -m staff.grade_class merge", about)
    parser.epilog = (
        f"columns of marks.csv: those of OUT_DIR/{TEMPLATE}, and a question's column of gradebook.csv, to decide or\n"
        "override it; status: OK once you have seen a REVIEW row; see docs/staff.md"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="OUT_DIR", help="where the class was graded")
    parser.add_argument("--marks", type=Path, required=True, metavar="marks.csv", help="the points given by hand")
    return parser


# --------------------------------------------------------------------------- the hand-ins


def counting(found: list[archives.Found]) -> tuple[list[archives.Found], dict[str, gradebook.Row]]:
    """The hand-ins to grade, and a row for each, which says what counts of several with one id: the newest.

    A person decides if times are equal, names differ (perhaps a mistyped id), or a course system names different
    uploaders: anybody can write another's id into a file's name.
    """
    by_id, to_grade, rows = defaultdict(list), [], {}
    for one in found:
        by_id[one.student_id.casefold() or f"?{one.hand_in}"].append(one)
    for rivals in by_id.values():
        same = len({(one.name.casefold(), one.uploader) for one in rivals}) == 1
        newest = [one for one in rivals if not same or rank(one) == max(map(rank, rivals))]
        to_grade += newest
        for one in rivals:
            row = rows[one.hand_in] = gradebook.Row(one.hand_in, one.student_id, one.name, None)
            others = ", ".join(sorted(other.hand_in for other in rivals if other is not one))
            if one not in newest:
                row.notes = [f"{newest[0].hand_in} with the same id counts"]
            elif len(newest) > 1:
                why = "is as new" if same else "has another name or was uploaded by another"
                row.review = [f"{others} with the same id {why}; keep one of them in the folder and --resume"]
            elif others:
                row.notes = [f"it counts for its id; not counted: {others}"]
    return to_grade, rows


def rank(one: archives.Found) -> tuple[bool, str, int]:
    """What orders hand-ins of one id: a report that was uploaded beside the archive replaces nothing."""
    upload = archives.UPLOAD.match(one.hand_in)
    holds_code = one.path.suffix.lower() not in archives.REPORT_SUFFIXES
    return holds_code, (upload and upload["at"]) or "", one.path.stat().st_mtime_ns


def earlier_records(args: argparse.Namespace, found: list[archives.Found], key: str) -> dict[str, dict]:
    """The records of earlier runs by ``hand_in``. LabError: there are some, but no --resume, or of another class."""
    paths = sorted((args.out / "records").glob("*.json"))  # also of hand-ins that are not there
    if paths and not args.resume:
        raise LabError(f"{args.out} holds a graded class; continue it with --resume, or name another --out")
    now = {"lab": args.lab, "variant": args.variant_by, "dataset": args.dataset, "key": grade_one.key_name(key)}
    for made in (files.read_json(path).get("settings") for path in paths):
        was = now | {"lab": catalog.MAIN, "variant": "id"} | made if isinstance(made, dict) else now  # 0.2 kept no key
        for name, value in now.items():
            if was[name] != value:
                told = f"{args.out} holds records made with another {name} ({was[name]}, now {value})"
                raise LabError(f"{told}; give that flag, or for the key its file or --seed, or name another --out")
    loaded = {one.hand_in: gradebook.load_record(args.out, one.hand_in) for one in found}
    return {hand_in: record for hand_in, record in loaded.items() if record}


# --------------------------------------------------------------------------- the whole


def grade_class(
    args: argparse.Namespace, grader: Grader = grade_one.grade_one, *, again: regrade.Again | None = None
) -> list[gradebook.Row]:
    """Grade what needs grading and write everything; an interruption keeps what was done. Returns the gradebook's rows.

    ``grader`` returns the record of one hand-in. ``again`` is the only one that is graded, even if it has a record.
    LabError: an argument, a list or the cluster is wrong; another process uses ``--out``; or records could not be
    saved, though everything else was.
    """
    from_args(Options, args)
    args.handins, args.out = (path.expanduser().resolve() for path in (args.handins, args.out))
    if not args.handins.is_dir():
        raise LabError(f"there is no folder {args.handins}; name the folder that holds the hand-ins")
    if args.handins in (args.out, *args.out.parents):
        raise LabError(f"--out {args.out} is inside the hand-ins' folder and would be graded; name another one")
    found, others = archives.find(args.handins, args.lab)
    if not found:
        raise LabError(f"there is no hand-in in {args.handins}: it holds neither a zip nor a folder")
    course, notes = roster.given(args, [(one.student_id, one.hand_in) for one in found])
    if args.scheduler is None and not args.unsandboxed:  # a cluster's workers are asked by the pool
        bubblewrap.require()
    facts = []
    if args.lab == catalog.MAIN:
        how = "NOT reproduced (--no-rerun)" if args.no_rerun else f"reproduced from the code, {rerun.BOUNDS}"
        facts = [f"data: {DATASETS[args.dataset]}", f"Performance was {how}"]
        prepare.ensure(args.dataset, args.data_dir)
    others.sort(key=lambda name: "_attempt_" in name or "_onlinetext" in name)  # what course systems add comes last
    facts += [f"not hand-ins, left alone: {listed(others)}"] * bool(others) + notes
    args.out.mkdir(parents=True, exist_ok=True)
    with lock(args.out / gradebook.LOCK, f"--out {args.out}"):
        return grade_found(args, grader, found, course, facts, again)


def grade_found(
    args, grader: Grader, found: list, course: roster.Course, facts: list[str], again: regrade.Again | None
) -> list[gradebook.Row]:
    """As ``grade_class``, in a folder that nobody else uses; ``facts`` are lines for the summary."""
    by_hand, regrades = rubric.load(args.lab, args.out), regrade.load(args.out)
    regrades["handins"] = str(args.handins)
    found = again.begin(args.out, found, regrades) if again else found
    found, regraded = regrade.applied(args.out, found, regrades)
    to_grade, rows = counting(found)
    key = (appeal.read_key(args.out) if args.seed is None else None) or appeal.key_of(args.seed)
    earlier = earlier_records(args, to_grade, key)
    its = grade_one.facts(args.dataset, args.lab)
    settings = Settings(key, not args.no_rerun, args.dataset, *its, args.lab, args.variant_by)
    (args.out / "records").mkdir(exist_ok=True)
    for left in (args.out / "records").glob(".*.partial.json"):  # of a killed run
        left.unlink(missing_ok=True)
    appeal.write_key(args.out, key)
    course.keep(args.out)
    facts += [*regraded, *sandbox.guards(catalog.load(args.lab).limits)]

    if again:
        jobs = [Job(one) for one in to_grade if one.hand_in == again.hand_in]
        done = {name: record for name, record in earlier.items() if name != again.hand_in}
    else:  # first what may be done already
        ordered = sorted(to_grade, key=lambda one: one.hand_in not in earlier)
        jobs, done = [Job(one, earlier.get(one.hand_in)) for one in ordered], {}
    unsaved, pool = [], Pool(args.jobs or joblib.cpu_count(), args.scheduler, settings, args.unsandboxed)
    rows_now = partial(class_rows, rows, done, {one.hand_in for one in to_grade})
    try:
        with closing(pool):
            grade_jobs(args, pool, grader, jobs, done, unsaved, rows_now)
    finally:
        missing = len(to_grade) - len(done)
        if not again or again.hand_in in done:  # else nothing happened
            if missing:
                facts.append(f"interrupted: {missing} of {len(to_grade)} are not graded yet; continue with --resume")
            rows = rows_now()
            facts += course.enter(rows, complete=not missing)
            alike = compare(rows, args.lab)
            without = [row.hand_in for row in rows if row.record and archives.NO_REPORT in row.record["notes"]]
            facts += [f"no report: {listed(without)}"] if without else []
            facts += unsaved + write_template(args.out, args.lab, by_hand, rows)
            if again:
                again.end(args.out, rows)
            regrade.save(args.out, regrades)
            gradebook.write(args.out, args.lab, rows, facts, missing, alike)
            pages.write(args.out, only=again.hand_in if again else "")
    if unsaved:
        told = f"{unsaved[0]}{f' and {len(unsaved) - 1} more' if unsaved[1:] else ''}"
        raise LabError(f"{told}; INTERNAL in the gradebook: mend the cause and continue with --resume")
    return rows


def grade_jobs(
    args, pool: Pool, grader: Grader, jobs: list[Job], done: dict[str, dict], unsaved: list[str], rows_now: Callable
) -> None:
    """Put the record of each job into ``done`` and on the disk; what cannot be saved is told in ``unsaved``."""
    told, kept = 0.0, {job.found.hand_in: job.record for job in jobs}
    seen = sys.stderr.isatty()  # else a line each half minute
    where = {"file": sys.stderr} if seen else {"file": sys.stdout, "mininterval": 30, "maxinterval": 30}
    with tqdm(total=len(jobs), desc="grading", unit="hand-in", ascii=True, **where) as bar:
        for record in records(pool, grader, jobs):
            if record != kept[record["hand_in"]]:
                (args.out / gradebook.GRADEBOOK).unlink(missing_ok=True)  # else a killed run would leave an old one
                record = stored(args.out, record, pool.settings, unsaved)
            done[record["hand_in"]] = record
            bar.update()
            if time.monotonic() > told and bar.n < len(jobs):  # the first row after seconds
                with suppress(LabError, OSError):  # a spreadsheet holds it: the last one tells
                    gradebook.write_table(args.out, args.lab, rows_now())
                told = time.monotonic() + BETWEEN_TABLES


def stored(out: Path, record: dict, settings: Settings, unsaved: list[str]) -> dict:
    """Save a record, or one of our own fault if it cannot be written; adds a line to ``unsaved`` if neither can."""
    for _ in range(2):
        try:
            gradebook.save_record(out, record)
            return record
        except Exception as error:  # a text that UTF-8 cannot hold, a full disk
            handin = archives.HandIn(record["hand_in"], record["student_id"], record["name"], lab=settings.lab)
            record, told = grade_one.internal_record(handin, settings, grade_one.fault(error)), one_line(error)
    unsaved.append(f"the record of {record['hand_in']} could not be saved ({told})")
    return record


def class_rows(rows: dict[str, gradebook.Row], done: dict[str, dict], to_grade: set[str]) -> list[gradebook.Row]:
    """The gradebook's rows, but for those of hand-ins that are still to be graded."""
    for hand_in, record in done.items():
        row = rows[hand_in]
        row.record, row.student_id, row.name = record, record["student_id"], record["name"]  # as a folder inside says
    return [row for hand_in, row in rows.items() if row.record or hand_in not in to_grade]


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in COMMANDS:
        return COMMANDS[argv[0]](argv[1:])
    args = build_parser().parse_args(argv)
    try:
        rows = grade_class(args)
    except KeyboardInterrupt:
        print(f"\nwhat was graded is in {args.out}; continue with --resume", file=sys.stderr)
        raise
    print(gradebook.counted(row.status() for row in rows))
    print(f"wrote gradebook.csv, {TEMPLATE}, summary.html and feedback/ in {args.out}")
    print(f"next: read summary.html, fill in {TEMPLATE} and save it as marks.csv, then:")
    print(f"python -m staff.grade_class merge --out {cli.quoted(args.out)} --marks marks.csv")
    return 0


def main_merge(argv: list[str]) -> int:
    args = build_merge_parser().parse_args(argv)
    out, marks = (path.expanduser().resolve() for path in (args.out, args.marks))
    with lock(out / gradebook.LOCK, f"--out {out}"):
        rows, notes = merge.merge(out, marks)
    for note in notes:
        print(f"note: {note}")
    undecided = [row for row in rows if row["undecided"]]
    for row in undecided:
        print(f"undecided: {row['student_id']} {row['name']} ({row['hand_in']}): {row['undecided']}")
    print(f"wrote {args.out / 'final.csv'}: {len(rows)} students, {len(undecided)} undecided")
    return 0


COMMANDS = {"merge": main_merge, "repeat": appeal.main, "export": export.main}
COMMANDS["regrade"] = lambda argv: regrade.main(argv, build_parser(), grade_class)

if __name__ == "__main__":
    sys.exit(cli.run_script(main))
