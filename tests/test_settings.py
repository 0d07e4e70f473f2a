"""Settings are defined once: the dataclass's field gives the flag, the help text, the check and the file."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hi_mnist import cli, settings, text
from hi_mnist.cli import LabError
from hi_mnist.settings import setting


@dataclass
class Config:
    count: int = setting(3, "how many", low=1, high=9, metavar="N")
    rate: float = setting(0.5, "share of 100%, more than nothing", above=0, below=1)
    fast: bool = setting(False, "hurry")
    kind: str = setting("a", "one of two (default: the first)", choices=["a", "b"])
    name: str | None = setting(None, "what it is called")
    hidden: int = setting(7, "never on the command line", flag=False)


def parsed(*arguments: str) -> Config:
    parser = cli.make_parser("some.py", "Does something.", "python some.py")
    settings.add_flags(parser, Config)
    return settings.from_args(Config, parser.parse_args(arguments))


def test_flags_take_their_defaults_and_types_from_the_fields():
    assert parsed() == Config()
    given_all = parsed("--count", "9", "--rate", "0.25", "--fast", "--kind", "b", "--name", "x")
    assert given_all == Config(9, 0.25, True, "b", "x")


def test_help_holds_each_text_and_default_once(capsys):
    with pytest.raises(SystemExit):
        parsed("--help")
    said = " ".join(capsys.readouterr().out.split())
    assert "--count N how many (default: 3)" in said
    assert "share of 100%, more than nothing (default: 0.5)" in said
    assert said.count("(default: the first)") == 1 and "hidden" not in said


@pytest.mark.parametrize("arguments", ["--count 0", "--count 10", "--count x", "--rate 0", "--rate 1", "--rate nan",
                                       "--kind c", "--hidden 1", "--name \x1b[2J"])  # fmt: skip
def test_what_is_not_allowed_is_one_line_that_names_the_setting(arguments):
    with pytest.raises(LabError) as caught:
        parsed(*arguments.split(maxsplit=1))
    assert arguments.split()[0].lstrip("-") in str(caught.value)
    assert "\n" not in cli.explain(caught.value)


@given(st.text(), st.integers(10, 80))
def test_text_for_people_is_bounded_visible_and_keeps_what_can_be_read(raw, longest):
    lines, line = text.plain(raw, longest), text.one_line(raw, longest)
    assert len(lines) <= longest and len(line) <= longest
    assert all(c.isprintable() or c in "\n" or c.isspace() and c >= " " for c in lines)
    assert "\n" not in line and "\x1b" not in text.markdown(raw)
    if raw.isalnum() and raw.isascii() and len(raw) <= longest:
        assert lines == line == text.markdown(raw) == raw


def test_a_terminals_commands_leave_nothing_behind():
    assert text.plain("a\x1b[31mred\x1b]0;title\x07\r\nb\u202e\tc") == "ared\nb    c"
    assert text.plain("a\x00b", mark="?") == "a?b"
    assert text.markdown("<b>*x*|`y`") == r"&lt;b&gt;\*x\*\|\`y\`"
