"""Settings declared once: a dataclass field holds default, range, flag and help text; the rest is derived from it.

    @dataclass
    class Config:
        seed: int = setting(123, "random seed", low=0, high=2**32 - 1)

    add_flags(parser, Config)                       # --seed SEED   random seed (default: 123)
    config = from_args(Config, parser.parse_args()) # checked
    save(config, path); load(Config, path)          # YAML

A field's type is int, float, bool or str, or one of these or None.
"""

import argparse
import dataclasses
import reprlib
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import yaml

from hi_mnist.cli import LabError
from hi_mnist.files import write_text
from hi_mnist.text import one_line

T = TypeVar("T")
KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}
LARGEST_FILE = 65_536  # bytes


def setting(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: Iterable | None = None,
    metavar: str | None = None,
    parse: Callable[[str], Any] | None = None,
    flag: bool = True,
) -> Any:
    """A dataclass field.

    Args:
        help: text for ``--help``; the default is added unless the text names one.
        low, high: the smallest and the largest value allowed; ``above`` and ``below`` are exclusive bounds.
        choices: the only values allowed.
        metavar: placeholder for the value in ``--help``.
        parse: makes the value from a flag's text or a file's content, and checks it; raises
            ``argparse.ArgumentTypeError``. None uses the field's type.
        flag: whether the setting has a flag.
    """
    about = {"help": help, "low": low, "high": high, "above": above, "below": below, "metavar": metavar}
    about |= {"choices": None if choices is None else tuple(choices), "parse": parse, "flag": flag}
    return dataclasses.field(default=default, metadata=about)


def _fields(cls: type) -> list[tuple[dataclasses.Field, tuple[type, ...]]]:
    """The settings of a dataclass, each with its allowed types."""
    hints = get_type_hints(cls)
    return [(f, get_args(hints[f.name]) or (hints[f.name],)) for f in dataclasses.fields(cls) if "help" in f.metadata]


def add_flags(parser: argparse.ArgumentParser, cls: type, *, defaults: bool = True) -> None:
    """Give a parser, or a group of one, a flag for each setting of the dataclass ``cls`` that has one.

    Without ``defaults``, flags that were not given are None, to tell them from flags that were.
    """
    for f, types in _fields(cls):
        about, name = f.metadata, f"--{f.name}"
        if not about["flag"]:
            continue
        text = about["help"].replace("%", "%%")
        if types[0] is bool:
            parser.add_argument(name, action="store_true", default=False if defaults else None, help=text)
            continue
        if "default" not in text and f.default is not None:
            text += f" (default: {f.default})"
        options = {"choices": about["choices"]} if about["choices"] else {"metavar": about["metavar"]}
        kind = about["parse"] or types[0]
        parser.add_argument(name, type=kind, default=f.default if defaults else None, help=text, **options)


def given(cls: type, args: argparse.Namespace) -> dict[str, Any]:
    """The settings of ``cls`` that parsed arguments hold."""
    names = [f.name for f in dataclasses.fields(cls)]
    return {name: getattr(args, name) for name in names if getattr(args, name, None) is not None}


def from_args(cls: type[T], args: argparse.Namespace, **more: Any) -> T:
    """The checked settings in parsed arguments; ``more`` adds or replaces some. Raises LabError as ``check``."""
    return check(cls(**given(cls, args) | more))


def check(settings: T) -> T:
    """Check types and ranges, and return ``settings``. A LabError names the setting, its value and what is allowed."""
    for f, types in _fields(type(settings)):
        value, about = getattr(settings, f.name), f.metadata
        if value is None and type(None) in types or about["parse"]:
            continue
        if types[0] is float and type(value) is int:
            value = float(value)
        if type(value) is not types[0]:  # bool is an int in Python, but not here
            raise LabError(f"{f.name} must be {' or '.join(KINDS[kind] for kind in types)}, got {brief(value)}")
        if types[0] is int and value.bit_length() > 1000:
            raise LabError(f"{f.name} is far too large, got {brief(value)}")
        if types[0] is str and any(unicodedata.category(c) in ("Cc", "Cs") for c in value):
            raise LabError(f"{f.name} holds characters that cannot be shown or saved, got {brief(value)}")
        if allowed := _missed(value, about):
            raise LabError(f"{f.name} must be {allowed}, got {brief(value)}")
    return settings


def _missed(value, about) -> str:
    """The choices or the range that the value is not in, else empty; NaN is in none."""
    low, high, above, below = (about[name] for name in ("low", "high", "above", "below"))
    if about["choices"] and value not in about["choices"]:
        return f"one of {', '.join(map(str, about['choices']))}"
    if about["choices"] or not isinstance(value, int | float):
        return ""
    inside = (low is None or value >= low) and (high is None or value <= high)
    if inside and (above is None or value > above) and (below is None or value < below) and value == value:
        return ""
    if low is not None and high is not None:
        return f"between {low} and {high}"
    bounds = {"at least": low, "above": above, "at most": high, "below": below}
    return " and ".join(f"{words} {bound}" for words, bound in bounds.items() if bound is not None) or "a number"


def brief(value: object) -> str:
    """Any value from a file as a few printable characters."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python limits the digits that it prints
        return "a number of thousands of digits"


class _PlainLoader(yaml.SafeLoader):
    """Plain YAML without aliases: a few lines of them can stand for gigabytes."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "it contains an alias", self.peek_event().start_mark)
        return super().compose_node(parent, index)


def read_yaml(path: Path) -> dict:
    """The settings in a run's ``config.yaml``, unchecked. Raises LabError if it is not small, plain YAML."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError("it is larger than 64 KiB")
        settings = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_PlainLoader)
    except FileNotFoundError:
        raise LabError(f"{path} is missing; name a run folder written by train.py") from None
    except OSError:
        raise
    except Exception as error:  # PyYAML's own errors, and others that its converters let through
        cause = one_line(getattr(error, "problem", None) or error)
        raise LabError(f"{path} cannot be read as plain YAML ({cause}); restore it or train again") from None
    if not isinstance(settings, dict):
        raise LabError(f"{path} must hold settings as 'name: value' lines; restore it or train again")
    return settings


def load(cls: type[T], path: Path | str) -> T:
    """Read settings; missing keys take their defaults. Only types and ranges of single settings are checked.

    Raises:
        LabError: the file is not readable or not a plain mapping, or has unknown keys or wrong types or values.
    """
    path = Path(path)
    found = read_yaml(path)
    unknown = sorted(brief(key).strip("'\"") for key in found.keys() - {f.name for f in dataclasses.fields(cls)})
    if unknown:
        raise LabError(f"{path} has unknown settings: {', '.join(unknown[:10])}; remove them")
    try:
        for f, _ in _fields(cls):
            if f.metadata["parse"] and f.name in found:
                found[f.name] = f.metadata["parse"](found[f.name])
        return check(cls(**found))
    except (LabError, argparse.ArgumentTypeError) as error:
        raise LabError(f"{path}: {error}") from None


def save(settings: object, path: Path | str) -> None:
    """Write settings, a dataclass or a dict of plain values, as YAML: whole or not at all."""
    content = settings if isinstance(settings, dict) else dataclasses.asdict(settings)
    write_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
