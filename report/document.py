"""A Markdown text as one HTML page that works offline, without scripts: the student's report, and the lab text.

    >>> document.page("# Report\n\n![plane](true_pca.png)", "Report", "en", run.path)

Known are headings, paragraphs, lists, tables, code, pictures, links, bold, italics and, if something makes MathML of
them, formulas. Nothing in the text is HTML: it is shown as it was written.
"""

import html
import re
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from urllib.parse import unquote

from report import pages

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_ITEM = r"[ ]?(?:[-*+]|[0-9]{1,9}[.)])[ ]+"
_BLOCK = re.compile(  # the name of a group is that of the method for it
    rf"""^```.*\n(?P<code>(?:.*\n)*?)(?:```$|\Z)
    | ^(?P<heading>[#]{{1,6}}[ ].*)
    | ^(?P<table>[|].*\n[-:|\ ]*-[-:|\ ]*(?:\n[|].*)*)
    | ^(?P<list>{_ITEM}.*(?:\n+(?={_ITEM}).*|\n[ ]+\S.*)*)
    | ^(?P<paragraph>.+(?:\n(?!```|[#]{{1,6}}[ ]|[|]|{_ITEM}).+)*)""",
    re.MULTILINE | re.VERBOSE,
)
_INLINE = re.compile(
    r"""\\(?P<literal>[!-/:-@\[-`{-~])
    | (?P<ticks>`+)(?P<inline_code>.+?)(?P=ticks)(?!`)
    | [$](?P<formula>[^$\n]+)[$]
    | (?P<picture>!?)\[(?P<text>(?:\\.|[^]\\])*)\]\((?P<link>[^)\s]*)\)
    | [*][*](?P<strong>(?=\S).+?)(?<=\S)[*][*]
    | [*](?P<em>(?=[^\s*])[^*]+)(?<=\S)[*]""",
    re.DOTALL | re.VERBOSE,
)
Formula = Callable[[str, str], str]


def page(text: str, title: str, language: str, folder: Path | None = None, formula: Formula | None = None) -> str:
    """The page of a Markdown text in a language such as ``en``.

    Args:
        folder: where the addresses of pictures start; the pictures are put into the page. None leaves them out.
        formula: makes MathML of TeX and ``inline`` or ``block``; None leaves ``$...$`` as it is.
    """
    text = re.sub(" +$", "", _COMMENT.sub("", pages.shown(text, 10**6)), flags=re.MULTILINE)
    return pages.render("document.html.j2", title=title, language=language, body=_Body(folder, formula).blocks(text))


class _Body:
    def __init__(self, folder: Path | None, formula: Formula | None):
        self.folder, self.formula = folder, formula

    def blocks(self, text: str) -> str:
        """The HTML of whole lines."""
        found = _BLOCK.finditer(f"{text}\n")
        return "\n".join(getattr(self, block.lastgroup)(block[block.lastgroup]) for block in found)

    def code(self, text: str) -> str:
        return f"<pre><code>{html.escape(text.rstrip())}</code></pre>"

    def heading(self, text: str) -> str:
        marks, _, text = text.partition(" ")
        return f"<h{len(marks)}>{self.inline(text.strip())}</h{len(marks)}>"

    def table(self, text: str) -> str:
        def row(line: str, tag: str) -> str:
            line = re.sub(r"(?<=\d) / (?=\d)", "\u00a0/\u00a0", line)  # points stay on one line
            cells = re.split(r"(?<!\\)\|", line.removeprefix("|").removesuffix("|"))
            return "<tr>" + "".join(f"<{tag}>{self.inline(cell.strip())}</{tag}>" for cell in cells) + "</tr>"

        head, _, *lines = text.splitlines()
        body = "".join(row(line, "td") for line in lines)
        return f"<table><thead>{row(head, 'th')}</thead><tbody>{body}</tbody></table>"

    def list(self, text: str) -> str:
        items = [item.partition("\n") for item in re.split(f"^{_ITEM}", text, flags=re.MULTILINE)[1:]]
        inner = [self.blocks(f"{first}\n{dedent(rest)}") for first, _, rest in items]
        inner = [re.sub(r"\A<p>(.*?)</p>", r"\1", each, flags=re.DOTALL) for each in inner]
        number = re.match(" ?([0-9]+)", text)
        tag, start = ("ol", f' start="{int(number[1])}"') if number else ("ul", "")
        return f"<{tag}{start}>{''.join(f'<li>{each}</li>' for each in inner)}</{tag}>"

    def paragraph(self, text: str) -> str:
        text = "\n".join(map(str.strip, text.splitlines()))
        alone = re.fullmatch(r"\$\$(.+)\$\$", text, re.DOTALL) if self.formula else None
        return self.formula(alone[1], "block") if alone else f"<p>{self.inline(text)}</p>"

    def inline(self, text: str) -> str:
        """The HTML of text within a block."""
        out, end = [], 0
        for found in _INLINE.finditer(text):
            out += [_escape(text[end : found.start()]), self._marked(found, found.lastgroup)]
            end = found.end()
        return "".join([*out, _escape(text[end:])])

    def _marked(self, found: re.Match, kind: str) -> str:
        if kind in ("strong", "em"):
            return f"<{kind}>{self.inline(found[kind])}</{kind}>"
        if kind == "inline_code":
            return f"<code>{html.escape(found[kind])}</code>"
        if kind == "formula" and self.formula:
            return self.formula(found[kind], "inline")
        if kind != "link":
            return html.escape(found["literal"] or found[0])
        text, address = self.inline(found["text"]), found["link"]
        if not found["picture"]:
            known = re.match("https?://|mailto:|[^:]*$", address)
            return f'<a href="{html.escape(address)}">{text}</a>' if known else text
        image = pages.read_picture(self.folder / unquote(address)) if self.folder else None
        if image is None:
            return f'<span class="missing">{text}: no picture {_escape(address)}</span>'
        kind = "digit" if max(image.size) < 200 else "plane"
        uri = pages.data_uri(image, "WEBP", lossless=kind == "digit", quality=85)
        return f'<img class="{kind}" src="{uri}" alt="{_escape(found["text"])}">'


def _escape(text: str) -> str:
    return html.escape(html.unescape(text))
