"""Text for people, made safe to show: what comes from students' code, from files and from other programs' errors."""

import re
import unicodedata

# What a terminal takes for a command, whole, so that no rest of it stays in the text.
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(\x07|\x1b\\|$)|[ -~])|\x9b[0-?]*[ -/]*[@-~]", re.DOTALL)
_LINE_ENDS = re.compile(r"\r\n|\r|[\u2028\u2029]")
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>#|!&]")


def plain(text: object, longest: int = 4000, *, mark: str = "") -> str:
    """Text without terminal commands and without characters that are not seen or change how the rest is shown.

    Args:
        text: anything; its ``str`` is taken.
        longest: most characters of the result; more are cut, and `` ...`` says so.
        mark: what stands in the place of each character that is taken out.
    """
    text = str(text)[: 20 * longest]
    text = _LINE_ENDS.sub("\n", _ESCAPES.sub(mark, text)).replace("\t", "    ")
    text = "".join(c if c == "\n" or unicodedata.category(c)[0] != "C" else mark for c in text)
    return text if len(text) <= longest else text[: longest - 4] + " ..."


def one_line(text: object, longest: int = 200) -> str:
    """``plain`` text on one line, runs of white space as one blank: for a cause in an error, a cell, a name."""
    return plain(" ".join(plain(text, 20 * longest).split()), longest)


def markdown(text: object, longest: int = 4000) -> str:
    """Text on one line in which Markdown and HTML see no markup."""
    escaped = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    return _MARKDOWN.sub(lambda c: escaped.get(c[0], f"\\{c[0]}"), one_line(text, longest))


def size(n_bytes: int) -> str:
    """A number of bytes as people write it: 3 GiB."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if n_bytes >= unit:
            return f"{n_bytes / unit:.3g} {name}"
    return f"{n_bytes} bytes"
