"""Make text safe to show: text from students' code, from files and from other programs' errors."""

import re
import unicodedata

# Complete terminal commands, so that no part of one stays in the text.
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(\x07|\x1b\\|$)|[ -~])|\x9b[0-?]*[ -/]*[@-~]", re.DOTALL)
_LINE_ENDS = re.compile(r"\r\n|\r|[\u2028\u2029]")
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>#|!&]")


def plain(text: object, longest: int = 4000, *, mark: str = "") -> str:
    """Text without terminal commands, and without characters that are invisible or change how the rest is shown.

    Args:
        text: any object; its ``str`` is used.
        longest: maximum length of the result; longer text is cut and ends in `` ...``.
        mark: replaces each removed character.
    """
    text = str(text)[: 20 * longest]
    text = _LINE_ENDS.sub("\n", _ESCAPES.sub(mark, text)).replace("\t", "    ")
    text = "".join(c if c == "\n" or unicodedata.category(c)[0] != "C" else mark for c in text)
    return text if len(text) <= longest else text[: longest - 4] + " ..."


def one_line(text: object, longest: int = 200) -> str:
    """``plain`` text on one line, with single spaces: for a cause in an error, a table cell or a name."""
    return plain(" ".join(plain(text, 20 * longest).split()), longest)


def markdown(text: object) -> str:
    """Text on one line, escaped so that it has no markup in Markdown or HTML."""
    escaped = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    return _MARKDOWN.sub(lambda c: escaped.get(c[0], f"\\{c[0]}"), one_line(text, 4000))


def listed(names: list[str], separator: str = ", ") -> str:
    """The first three names, and how many more there are."""
    return separator.join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")


def size(n_bytes: int) -> str:
    """A number of bytes in a readable unit, like 3 GiB."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if n_bytes >= unit:
            return f"{n_bytes / unit:.3g} {name}"
    return f"{n_bytes} bytes"


def markdown_table(head: list[str], rows: list[list[str]], rule: str = "---") -> str:
    """A table of Markdown cells; ``rule`` aligns the columns after the first."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---", *[rule] * (len(head) - 1)], *rows))
