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
_ITEM = re.compile(r" ?(?:[-*+]|(?P<number>[0-9]{1,9})[.)]) +")
_RULE = re.compile(r"\|?(?:\s*:?-+:?\s*\|)*\s*:?-+:?\s*\|?")  # below the head of a table
_BLOCK = re.compile(rf"```|#{{1,6}} |\||\$\$|{_ITEM.pattern}")
_INLINE = re.compile(
    r"\\(?P<literal>[!-/:-@\[-`{-~])|(?P<ticks>`+)(?P<code>.+?)(?P=ticks)(?!`)|\$(?P<formula>[^$\n]+)\$"
    r"|(?P<picture>!?)\[(?P<text>(?:\\.|[^]\\])*)\]\((?P<address>[^)\s]*)\)"
    r"|\*\*(?P<strong>(?=\S).+?)(?<=\S)\*\*|\*(?P<em>(?=[^\s*])[^*]+)(?<=\S)\*",
    re.DOTALL,
)
Formula = Callable[[str, str], str]


def page(text: str, title: str, language: str, folder: Path | None = None, formula: Formula | None = None) -> str:
    """The page.

    Args:
        text: Markdown.
        title: the page's title.
        language: of the text, such as ``en``.
        folder: where the addresses of pictures start; the pictures are put into the page. None leaves them out.
        formula: makes MathML of TeX and ``inline`` or ``block``; None leaves ``$...$`` as it is.
    """
    text = _COMMENT.sub("", pages.shown(text, 10**6))
    body = _Writer(folder, formula).blocks(text.splitlines())
    return pages.render("document.html.j2", title=title, language=language, body=body)


class _Writer:
    def __init__(self, folder: Path | None, formula: Formula | None):
        self.folder, self.formula = folder, formula

    def blocks(self, lines: list[str]) -> str:
        """The HTML of whole lines."""
        out, i = [], 0
        while i < len(lines):
            line, start = lines[i].rstrip(), i
            i += 1
            if line.startswith("```"):
                i = _while(lines, i, lambda line: not line.startswith("```")) + 1
                code = dedent("\n".join(lines[start + 1 : i - 1]))
                out.append(f"<pre><code>{html.escape(code)}</code></pre>")
            elif heading := re.match("(#{1,6}) +(.*)", line):
                level = len(heading[1])
                out.append(f"<h{level}>{self.inline(heading[2])}</h{level}>")
            elif line.startswith("|") and i < len(lines) and _RULE.fullmatch(lines[i].strip()):
                i = _while(lines, i, lambda line: line.startswith("|"))
                head, body = self._row(line, "th"), [self._row(row, "td") for row in lines[start + 2 : i]]
                out.append(f"<table><thead>{head}</thead><tbody>{''.join(body)}</tbody></table>")
            elif _ITEM.match(line):
                i, block = self._list(lines, start)
                out.append(block)
            elif line:
                i = _while(lines, i, lambda line: line and not _BLOCK.match(line))
                paragraph = "\n".join(row.strip() for row in lines[start:i])
                alone = re.fullmatch(r"\$\$(.+)\$\$", paragraph, re.DOTALL) if self.formula else None
                out.append(self.formula(alone[1], "block") if alone else f"<p>{self.inline(paragraph)}</p>")
        return "\n".join(out)

    def _row(self, line: str, tag: str) -> str:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))]
        kinds = [' class="number"' if re.fullmatch(r"[-\d.,/ %]+", cell) else "" for cell in cells]
        marked = zip(cells, kinds, strict=True)
        return "<tr>" + "".join(f"<{tag}{kind}>{self.inline(cell)}</{tag}>" for cell, kind in marked) + "</tr>"

    def _list(self, lines: list[str], i: int) -> tuple[int, str]:
        """The list that starts in line ``i``, with what is indented below its items, and the line after it."""
        items, number = [], _ITEM.match(lines[i])["number"]
        while i < len(lines):
            if item := _ITEM.match(lines[i]):
                items.append((lines[i][item.end() :], []))
            elif lines[i][:1] == " " and lines[i].strip():
                items[-1][1].append(lines[i])
            elif lines[i].strip() or not any(map(_ITEM.match, lines[i + 1 : i + 2])):
                break
            i += 1
        inner = [self.blocks([first, *dedent("\n".join(rest)).splitlines()]) for first, rest in items]
        inner = [re.sub(r"\A<p>(.*?)</p>", r"\1", each, flags=re.DOTALL) for each in inner]
        tag, start = ("ol", f' start="{int(number)}"') if number else ("ul", "")
        return i, f"<{tag}{start}>{''.join(f'<li>{each}</li>' for each in inner)}</{tag}>"

    def inline(self, text: str) -> str:
        """The HTML of text within a block."""
        out, end = [], 0
        for found in _INLINE.finditer(text):
            out += [_escape(text[end : found.start()]), self._marked(found)]
            end = found.end()
        return "".join([*out, _escape(text[end:])])

    def _marked(self, found: re.Match) -> str:
        kind, address = found.lastgroup, found["address"]
        if kind == "literal":
            return html.escape(found["literal"])
        if kind == "code":
            return f"<code>{html.escape(found['code'])}</code>"
        if kind == "formula":
            return self.formula(found["formula"], "inline") if self.formula else html.escape(found[0])
        if kind in ("strong", "em"):
            return f"<{kind}>{self.inline(found[kind])}</{kind}>"
        text = self.inline(found["text"])
        if found["picture"]:
            image = pages.read_picture(self.folder / unquote(address)) if self.folder else None
            if image is None:
                return f'<span class="missing">{text}: no picture {_escape(address)}</span>'
            kind = "digit" if max(image.size) < 200 else "plane"
            uri = pages.data_uri(image, "WEBP", lossless=kind == "digit", quality=85)
            return f'<img class="{kind}" src="{uri}" alt="{_escape(found["text"])}">'
        known = re.match("https?://|mailto:|[^:]*$", address)
        return f'<a href="{html.escape(address)}">{text}</a>' if known else text


def _while(lines: list[str], i: int, holds: Callable[[str], object]) -> int:
    """The first line from ``i`` on for which ``holds`` fails, or their number."""
    return next((j for j in range(i, len(lines)) if not holds(lines[j].strip())), len(lines))


def _escape(text: str) -> str:
    return html.escape(html.unescape(text))
