"""report_print.html and the lab text's pages: Markdown becomes what it says, and nothing else becomes markup."""

import pytest
from PIL import Image

from report import document

MARKDOWN = {  # text: what is in the page's body
    "# A *b*\n\n## C `d`": "<h1>A <em>b</em></h1>\n<h2>C <code>d</code></h2>",
    "one\ntwo\n\nthree **four** 5 * 6 * 7": "<p>one\ntwo</p>\n<p>three <strong>four</strong> 5 * 6 * 7</p>",
    "text\n- a\n- b\n  c\n\n- d\n  1. e\nend": "<p>text</p>\n<ul><li>a</li><li>b\nc</li>"
    '<li>d\n<ol start="1"><li>e</li></ol></li></ul>\n<p>end</p>',
    "2) x": '<ol start="2"><li>x</li></ol>',
    "| a | b |\n| --- | ---: |\n| `c` | 1 / 2 |\n| d \\| e |  |": "<table><thead><tr><th>a</th><th>b</th></tr></thead>"
    "<tbody><tr><td><code>c</code></td><td>1\u00a0/\u00a02</td></tr><tr><td>d | e</td><td></td></tr></tbody>"
    "</table>",
    "| no table |": "<p>| no table |</p>",
    "```\n# <a> $x$\n| b |\n```\nc": "<pre><code># &lt;a&gt; $x$\n| b |</code></pre>\n<p>c</p>",
    "```\nnever closed": "<pre><code>never closed</code></pre>",
    "a\\_b \\<c\\> &lt;d&gt; <e> & f": "<p>a_b &lt;c&gt; &lt;d&gt; &lt;e&gt; &amp; f</p>",
    "[a](b.md) [c](https://d?e&f) [g](javascript:h)": '<p><a href="b.md">a</a> <a href="https://d?e&amp;f">c</a> g</p>',
    "a <!-- hidden\n --> b": "<p>a  b</p>",
    "$x$ costs $5": "<p>$x$ costs $5</p>",
    "![a <b>](none.png)": '<p><span class="missing">a &lt;b&gt;: no picture none.png</span></p>',
    '<script>alert(1)</script> ![](x" onerror="y) \x1b[31m\u202e': "<p>&lt;script&gt;alert(1)&lt;/script&gt; "
    "![](x&quot; onerror=&quot;y) \ufffd\ufffd</p>",
}


def body(text: str, *arguments, **more) -> str:
    page = document.page(text, "<title>", "en", *arguments, **more)
    assert "<title>&lt;title&gt;</title>" in page and "default-src 'none'" in page
    return page.partition("<main>\n")[2].rpartition("\n</main>")[0]


@pytest.mark.parametrize("text, wanted", MARKDOWN.items())
def test_markdown(text, wanted, tmp_path):
    assert body(text, tmp_path) == wanted


def test_pictures_are_in_the_page_and_formulas_are_made(tmp_path):
    Image.new("L", (28, 28)).save(tmp_path / "a six.png")
    Image.new("RGB", (800, 600)).save(tmp_path / "photo.jpg")
    page = body("| ![6](a%20six.png) | ![p](photo.jpg) |\n| --- | --- |", tmp_path)
    assert page.count('src="data:image/webp;base64,') == 2 and 'class="digit"' in page and "missing" not in page
    shown = body("a $b_1$ \\$c\n\n$$d\n= e$$", formula=lambda tex, kind: f"[{kind} {tex}]")
    assert shown == "<p>a [inline b_1] $c</p>\n[block d\n= e]"
