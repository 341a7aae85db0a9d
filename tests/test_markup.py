"""Markdown to safe HTML: what is drawn, what never gets through, and that a live answer ends as a whole one."""

# ruff: noqa: E501 - the samples are lines
from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from assistant.markup import LiveBlocks, blocks, code, live_blocks, parse, warm

ROOT = Path(__file__).parents[1]
TAGS = set(
    re.findall(
        r"\w+",
        "p br hr h1 h2 h3 h4 h5 h6 blockquote ul ol li input em strong del code pre span a img figure div "
        "table thead tbody tr th td",
    )
)
ATTRIBUTES = {
    "a": {"class", "href", "title", "target", "rel"},
    "img": {"src", "alt", "title", "loading"},
    "ol": {"start"},
    "input": {"type", "disabled", "checked", "aria-label"},
    "figure": {"class", "data-language"},
    "div": {"class"},
    "span": {"class"},
    "li": {"class"},
    "p": {"class"},
    "td": {"class"},
    "th": {"class", "scope"},
}


class Page(HTMLParser):
    """Parses HTML and refuses whatever may not be in it."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.tags: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert tag in TAGS, tag
        found = dict(attrs)
        assert set(found) <= ATTRIBUTES.get(tag, set()), (tag, found)
        if tag == "a":
            # Without an address when the sanitiser can't read it as a URL: that links nowhere.
            assert "href" not in found or re.match(r"(https?://|mailto:)[^\s\\]", found["href"] or "", re.I), found
            assert found["target"] == "_blank" and found["rel"] == "noopener noreferrer nofollow"
        elif tag == "img":
            assert re.match(r"/(?![/\\])", found["src"] or ""), found  # nothing is loaded from elsewhere
            assert not re.search(r"[\s\\]", found["src"] or "")
        elif tag == "input":
            assert found["type"] == "checkbox" and "disabled" in found

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)

    handle_pi = unknown_decl = handle_comment


def page(text: str) -> Page:
    return Page("\n".join(blocks(text)))


def draw(pieces: list[str], *, each: bool = True) -> list[str]:
    """Apply the changes as a viewer does; check every step that was not put off."""
    drawing, held, text = LiveBlocks(), list[str](), ""
    for piece in pieces:
        text += piece
        start, html = drawing.append(piece)
        assert start <= len(held)
        held[start:] = html
        assert held == drawing.html
        is_put_off = drawing._grown > 0
        if each and not is_put_off:
            assert held == blocks(text), text
        elif is_put_off:
            assert (start, html) == (len(held), [])
    start, html = drawing.finish()
    held[start:] = html
    return held


# What is drawn


def test_gfm_is_drawn_one_string_per_top_level_block() -> None:
    text = "# Title\n\nSome **bold**, ~~gone~~ and `a<b`.\n\n- [x] one\n- [ ] two\n\n---\n\n> quoted"
    assert blocks(text) == [
        "<h1>Title</h1>",
        "<p>Some <strong>bold</strong>, <del>gone</del> and <code>a&lt;b</code>.</p>",
        '<ul>\n<li class="task"><input type="checkbox" disabled="" checked="" aria-label="Done"> one</li>\n'
        '<li class="task"><input type="checkbox" disabled="" aria-label="Not done"> two</li>\n</ul>',
        "<hr>",
        "<blockquote><p>quoted</p></blockquote>",
    ]
    assert blocks("") == blocks(" \n\n") == []
    assert blocks("-" * 3_000) == ["<hr>"]


@pytest.mark.parametrize("before", ["", "Two lines\nof text:\n", "Text:\n\n"])
def test_table_is_wrapped_for_scrolling_even_right_after_a_line_of_text(before: str) -> None:
    table = blocks(before + "| a | b |\n|---|:-:|\n| 1 | 2 |\n")[-1]
    assert table.startswith('<div class="table"><table>') and table.endswith("</table></div>")
    assert '<th scope="col" class="center">b</th>' in table and '<td class="center">2</td>' in table


def test_lines_that_only_look_like_a_table_stay_a_paragraph() -> None:
    assert len(blocks("Text\n| a | b |\n|---|\n")) == len(blocks("Text\n| a |\n| x |\n")) == 1


def test_closed_fence_is_highlighted_and_open_one_is_not() -> None:
    (html,) = blocks("```Python title=x\ndef f(): pass\n```")
    assert html.startswith('<figure class="code" data-language="python"><pre><code><span class="k">def</span>')
    assert Page(html).text == "def f(): pass\n"
    (html,) = blocks("```python\ndef f(): pass\n")
    assert html == '<figure class="code" data-language="python"><pre><code>def f(): pass\n</code></pre></figure>'


@pytest.mark.parametrize("language", ["", "nosuchlanguage", '"><script>', "c++", "{.python .x}", "json5!", "x" * 99])
def test_any_info_string_leaves_the_code_intact(language: str) -> None:
    source = '\n\n  if a < b && c > \'d\':\n\tx = """é\n\n"""  \n\n'
    found = page(f"~~~{language}\n{source}~~~\n")
    assert found.text == source
    assert "figure" in found.tags


@pytest.mark.parametrize(
    ("language", "text"),
    [("c", "\n" * 19_000), ("java", "\n" * 19_000), ("csharp", "a\n " * 6_000), ("python", "x" * 5_000), ("janet", "`\n" * 9_000)],
)  # fmt: skip
def test_code_that_would_keep_a_lexer_busy_stays_plain(language: str, text: str) -> None:
    """Seconds or minutes, in which the loop that carries other answers would stand still."""
    assert code.highlight(text, language) is None


def test_long_code_of_a_usual_kind_is_highlighted() -> None:
    for language, line in (("python", "def f(x):\n    return x + 1\n"), ("c", "int f(int x) { return x + 1; }\n")):
        assert code.highlight(line * (8_000 // len(line)), language)


def test_lexer_that_raises_costs_only_the_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(language: str) -> None:
        raise RuntimeError

    monkeypatch.setattr(code, "_lexer", broken)
    assert page("```python\nx = 'broken lexer'\n```").text == "x = 'broken lexer'\n"


def test_long_code_is_plain_and_comes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "HIGHLIGHT_SECONDS", 60)  # its length decides here, not the machine
    source = "x = 'y'\n" * 5000
    html = blocks(f"```python\n{source}```\n")
    assert len(html) == 20 and "span" not in "".join(html)
    assert ["code continued" in part for part in html] == [False] + [True] * 19
    assert Page("".join(html)).text == source
    assert all("<span" in part for part in blocks(f"```python\n{source[:16_000]}```\n"))


def test_a_long_list_comes_in_parts_that_go_on_counting() -> None:
    source = "".join(f"1. item {number} with some words in it\n" for number in range(100))
    html = blocks(f"Before\n\n{source}\nAfter")
    parts = html[1:-1]
    assert len(parts) == 4 and all(len(part) < 2_000 for part in parts)
    starts = [re.match(r'<ol(?: start="(\d+)")?(?: class="continued")?>', part) for part in parts]
    items = [part.count("<li>") for part in parts]
    assert [int(start[1] or 1) for start in starts if start] == [1 + sum(items[:place]) for place in range(4)]
    assert sum(items) == 100
    assert ["continued" in part for part in parts] == [False, True, True, True]


def test_a_long_table_comes_in_parts_of_the_same_columns() -> None:
    source = "| a | b |\n|---|:-:|\n" + "".join(
        f"| row {number} | *{number}* | too many |\n" for number in range(100)
    )
    parts = blocks(source)
    assert len(parts) > 2 and sum(part.count("<tr>") for part in parts) == 101
    assert parts[0].startswith('<div class="table"><table><thead>')
    for part in parts[1:]:
        assert part.startswith('<div class="table continued"><table><tbody><tr><td>row')
        assert part.count('<td class="center">') * 2 == part.count("<td")


def test_an_image_elsewhere_is_a_link_that_names_its_host() -> None:
    assert blocks("![A <cat>](https://example.org/cat.png?a=1&b=2)") == [
        '<p><a class="image" href="https://example.org/cat.png?a=1&amp;b=2" target="_blank" '
        'rel="noopener noreferrer nofollow">A &lt;cat&gt; <span class="host">example.org</span></a></p>'
    ]
    assert page("![](https://user@evil.example:80/x)").text == "Image evil.example:80"
    assert page("[![logo](https://a.example/x)](https://b.example/)").text == "logo"
    assert page("![dot](data:image/png;base64,AAAA)").text == "dot"
    assert "<img" in blocks("![here](/files/1)")[0]


def test_raw_html_is_shown_as_text() -> None:
    for text in [
        "a <b>c</b> <br> d",
        "<div class='x'>\nin\n</div>",
        "<!-- note -->",
        "- <details>",
        "|a|\n|-|\n|<br>|",
    ]:
        assert text.lstrip("- |a\n").split("\n")[0].strip("|") in page(text).text


@pytest.mark.parametrize(
    "formula",
    [
        r"$a_b c_d$",
        "$$\na_b * c_d * e\n$$",
        r"\(a_1 *b* c_1\)",
        "\\[\n  a_b = *c* \\\\ _d_\n\\]",
        r"$\frac{_a_}{*b*}$",
    ],
)
def test_formula_stays_intact(formula: str) -> None:
    assert formula in page(f"see {formula} here" if "[" not in formula else formula).text


def test_amounts_of_money_are_no_formula() -> None:
    assert page("from $5/mo (**basic**) to US$10").text == "from $5/mo (basic) to US$10"
    assert "strong" in page("from $5/mo (**basic**) to US$10").tags


def test_escaped_brackets_in_a_line_stay_escapes() -> None:
    assert page(r"\[not a link\](x) \(").text == "[not a link](x) ("


def test_bare_urls_become_links_without_the_punctuation_after_them() -> None:
    (html,) = blocks(
        "See https://a.example/x_y_z?a=1&b=(2). And (https://b.example/)! `https://c` [https://d.example](https://e.example)"
    )
    assert re.findall('href="([^"]*)"', html) == [
        "https://a.example/x_y_z?a=1&amp;b=(2)",
        "https://b.example/",
        "https://e.example",
    ]


def test_link_definitions_reach_back_and_forward() -> None:
    text = "[a] and [b]\n\n[a]: https://one.example\n\n[b], [c]\n\n> [b]: https://two.example\n\n[a]: https://no.example\n"
    assert draw(list(text)) == blocks(text)
    assert "one.example" in blocks(text)[0] and "two.example" in blocks(text)[0]


# What never gets through

HOSTILE = [
    "<script>alert(1)</script>",
    "x <script src=//evil.example></script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href='javascript:alert(1)'>x</a>",
    "<p style='position:fixed'>x",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php <script>alert(1)</script> ?>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](&#x6A;&#x61;vascript&colon;alert(1))",
    "[x](java&Tab;script:alert(1))",
    "[x](<java\tscript:alert(1)>)",
    "[x](java&NewLine;script:alert(1))",
    "[x](\x01javascript:alert(1))",
    "[x](<  javascript:alert(1)>)",
    "[x](javascript%3Aalert(1))",
    "[x](vbscript:x) [x](data:text/html;base64,PHNjcmlwdD4=) [x](file:///etc/passwd) [x](blob:x) [x](intent:x)",
    "[x](//evil.example) [x](/relative) [x](#fragment) [x](\\\\evil.example) [x](https:evil.example) [x]()",
    "![x](data:image/svg+xml;base64,PHN2Zz4=) ![x](javascript:x) ![x](http://a.example/x)",
    "![x](//evil.example/x) ![x](/\\evil.example) ![x](</\t/evil.example>) ![x](/&Tab;/evil.example) ![x](x.png)",
    '![" onerror="alert(1)](https://a.example/x "\\" onerror=\\"alert(1)")',
    '[x](https://a.example/"onclick="alert(1) "t\\" onclick=\\"alert(1)")',
    '[x](https://a.example "<script>alert(1)</script>")',
    "[x]: javascript:alert(1)\n\n[x] ![x]",
    '<javascript:alert(1)> <data:text/html,x> <https://a.example/"onclick=alert(1)>',
    'https://a.example/"onmouseover="alert(1) https://a.example/\'><script>alert(1)</script>',
    '```"><script>alert(1)</script>\n</code></pre><script>alert(1)</script>\n```',
    "```html\n<script>alert(1)</script>\n```",
    "`</code><script>alert(1)</script>`",
    "$</span><script>alert(1)</script>$ \\(</span><img src=x onerror=y>\\)",
    "# <script>alert(1)</script> &lt;script&gt;",
    "|<script>|\n|-|\n|<img src=x onerror=y>|",
    "- [x] <input type=text onfocus=x autofocus>",
    "&lt;script&gt;alert(1)&lt;/script&gt; &#60;script&#62; &amp;lt;script&gt;",
    '[![x](https://a.example/x "a")](javascript:x "b") [a [b](javascript:x)](https://c.example)',
    "![a ![b](javascript:x) <script> [c](javascript:x)](https://d.example/e)",
    "</p></div></body><script>alert(1)</script>",
    "\ud800<script>\0</scr\0ipt>",
    "<style>*{display:none}</style><link rel=stylesheet href=//evil.example><base href=//evil.example><meta http-equiv=refresh>",
    "<form action=//evil.example><button formaction=javascript:x>x</button></form>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<template><script>x</script></template> <textarea><script>x</script>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_comes_out_harmless(text: str) -> None:
    page(text)
    for wrapped in (f"> {text}", f"- {text}", f"**{text}**", f"{text}\n\n{text}", f"\n{text}"):
        page(wrapped)
    assert draw(list(text)) == blocks(text)


@pytest.mark.parametrize("text", HOSTILE[:12])
def test_hostile_html_stays_visible(text: str) -> None:
    assert page(text).text.strip() == text


def test_deep_nesting_is_cut_before_it_costs() -> None:
    started = perf_counter()
    for text in [">" * 20_000 + "x", "*" * 20_000 + "x" + "*" * 20_000, "[" * 20_000, "1. " * 5000 + "x"]:
        found = page(text)
        assert len(found.tags) < 500
    assert "x" in page(">" * 20_000 + "x").text
    assert perf_counter() - started < 20


# A live answer

INLINE = [
    "word",
    "two words",
    "*",
    "**",
    "_",
    "`",
    "``",
    "[a]",
    "[a](https://x.y)",
    "![i](/p.png)",
    "<b>",
    "</b>",
    "<!--",
    "-->",
    "$",
    "$x_1$",
    "$5",
    "\\(",
    "\\)",
    "\\",
    "&amp;",
    "&",
    "~~",
    "|",
    " | ",
    ":",
    "https://x.example/a_b",
    "é",
    "日本語",
    "👩🏽‍🚀",
    "e\u0301",
    "\u00a0",
    "\t",
    "  ",
    "<div>",
    "[x]",
    "1",
    "a",
    "-",
    "=",
    "#",
    "\x0b",
    "\x0c",
    "\ufeff",
    "\0",
    "\u2028",
]
LINE_START = [
    "", "", "", "- ", "* ", "+ ", "1. ", "2) ", "10. ", "  - ", "    - ", "   ", "    ", "\t", "> ", ">", "> > ", "# ", "###### ",
    "```", "```py", "````", "~~~", "~~~~ js", "  ```", "    ```", "- ```", "> ```", "---", "***", "===", "- - -", "| a | b |",
    "|---|---|", "|-|", "a | b", "- | -", "<div>", "</div>", "<script>", "</script>", "<!--", "-->", "<?", "<a>", "- [ ] ", "- [x] ",
    "\\[", "\\]", "$$", "* * *", "-", "+", "1.", "[^1]: ",
]  # fmt: skip
DEFINITIONS = ["[a]: https://a.example\n", "[x]: /u\n", "> [a]: https://b.example 't'\n", "- [x]: <u v>\n"]
line = st.builds(
    lambda start, words, end: start + "".join(words) + end,
    st.sampled_from(LINE_START),
    st.lists(st.sampled_from(INLINE), max_size=4),
    st.sampled_from(["\n", "\n", "\n", "\n\n", "\r\n", "\r\n\r\n", "\r", " \n", "  \n", "\n \t\n", "\n\n\n", ""]),
)
document = st.lists(line, max_size=14).map("".join)
with_definitions = st.lists(st.one_of(line, line, line, st.sampled_from(DEFINITIONS)), max_size=14).map("".join)
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


def cut(text: str, sizes: list[int]) -> list[str]:
    pieces, at, index = [], 0, 0
    while at < len(text):
        size = sizes[index % len(sizes)]
        pieces.append(text[at : at + size])
        at, index = at + size, index + 1
    return pieces


cuts = st.lists(st.integers(1, 12), min_size=1, max_size=6)


@relaxed
@given(st.one_of(document, with_definitions), cuts)
@example("- a\n\n- - - x", [1])
@example("1. a\n\n2. b", [1])
@example("a\r\n\r\nb\r", [2])
@example("foo\n| a | b |\n|---|---|\n| 1 | 2 |\n\nx", [3])
@example("```py\n1.\n    ```\n", [1])
@example("\ud83d\ude00 a\n\nb", [1])
def test_live_blocks_equal_whole_ones_at_every_step(text: str, sizes: list[int]) -> None:
    assert draw(cut(text, sizes)) == blocks(text)


@relaxed
@given(st.text(max_size=200), cuts)
def test_live_blocks_equal_whole_ones_for_any_text(text: str, sizes: list[int]) -> None:
    assert draw(cut(text, sizes)) == blocks(text)


@relaxed
@given(st.one_of(document, with_definitions), cuts, st.integers(1, 60))
def test_drawing_put_off_is_made_up_for(
    monkeypatch: pytest.MonkeyPatch, text: str, sizes: list[int], limit: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(live_blocks, "EAGER_CHARACTERS", limit)
        patch.setattr(live_blocks, "SHARE", 1)
        patch.setattr(code, "PART_CHARACTERS", limit)
        patch.setattr(parse, "PART_BYTES", limit)
        assert draw(cut(text, sizes)) == blocks(text)


@relaxed
@given(
    st.one_of(
        st.text(),
        document,
        with_definitions,
        st.lists(st.sampled_from([*HOSTILE, *INLINE, "\n"])).map("".join),
    )
)
def test_only_allowed_html_comes_out_of_anything(text: str) -> None:
    page(text)


def test_only_changed_blocks_are_sent() -> None:
    drawing = LiveBlocks()
    assert drawing.append("One.\n\nTwo") == (0, ["<p>One.</p>", "<p>Two</p>"])
    assert drawing.append(" and") == (1, ["<p>Two and</p>"])
    assert drawing.append("\n\n") == (2, [])
    assert drawing.append("Three") == (2, ["<p>Three</p>"])
    assert drawing.finish() == (3, [])


BIG = {
    "prose": "Some words that make a *sentence* of an answer, and `more` of them.\n\n" * 3000,
    "list": "- an item with **some** words in it and more\n" * 4500,
    "fence": "```python\n" + "    value = compute(other, 12)  # why\n" * 5500,
    "table": "| a | b |\n|---|---|\n" + "| a row | with *some* words |\n" * 6000,
    "numbered list": "1. an item with **some** words in it\n\n" * 5000,
    "paragraph": "Words that never end in one paragraph, with *emphasis* here. " * 3400,
    "one line of code": "```\n" + "x" * 200_000,
}


@pytest.mark.parametrize("kind", BIG)
def test_long_answer_stays_cheap_per_frame(kind: str) -> None:
    text, drawing, held = BIG[kind], LiveBlocks(), list[str]()
    pieces = cut(text, [40])
    started = perf_counter()
    for piece in pieces:
        start, html = drawing.append(piece)
        held[start:] = html
    each = (perf_counter() - started) / len(pieces)
    start, html = drawing.finish()
    held[start:] = html
    assert held == blocks(text)
    assert each < 0.02, f"{each * 1e6:.0f} us a frame"  # it takes 0.1 to 2 ms; loose, because machines are busy


# What surrounds it


def test_markup_needs_no_django_and_warm_pays_for_pygments() -> None:
    script = (
        "import sys, assistant.markup as m; assert 'pygments' not in sys.modules; m.warm();"
        "assert 'pygments.lexers.python' in sys.modules; assert 'django' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
    warm()


def luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_code_colors_are_readable_in_both_themes() -> None:
    css = (ROOT / "assistant/static/assistant/code.css").read_text()
    themes = [
        dict(re.findall(r"(--code-\w+): (#\w{6});", body)) for body in re.findall(r":root[^{]*\{([^{}]*)\}", css)
    ]
    assert len(themes) == 3 and themes[1] == themes[2]
    for theme in themes:
        background = luminance(theme.pop("--code-background"))
        for name, color in theme.items():
            light, dark = sorted([background, luminance(color)], reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, name
        assert {f"--code-{name}" for name in re.findall(r"color: var\(--code-(\w+)\)", css)} <= {
            *theme,
            "--code-background",
        }


def test_every_class_of_the_highlighter_has_a_color() -> None:
    css = (ROOT / "assistant/static/assistant/code.css").read_text()
    assert set(code.CLASSES) <= set(re.findall(r"\.([a-z]{1,2})\b", css))
