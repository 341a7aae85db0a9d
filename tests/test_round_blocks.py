"""The HTML of an answer in rounds: drawn piece by piece it is what the whole gives, and no block reaches across calls."""

from hypothesis import given, settings
from hypothesis import strategies as st

from assistant import markup

MARKDOWN = ["word ", "\n\n", "- item\n", "```py\nx = 1\n", "```\n", "**bold** ", "# Head\n", "[a]: /x\n", "[a] "]
PIECES = st.lists(st.sampled_from(MARKDOWN), max_size=8)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(PIECES, min_size=1, max_size=4), st.integers(0, 3))
def test_pieces_give_the_same_as_the_whole(rounds, kept):
    """The first `kept` rounds were written by an earlier attempt."""
    kept = min(kept, len(rounds) - 1)
    text, ends = "", ()
    for pieces in rounds[:kept]:
        text += "".join(pieces)
        ends += (len(text),)
    live = markup.RoundBlocks(text, ends)
    shown, _ = markup.blocks_by_round(text, ends)
    for number, pieces in enumerate(rounds[kept:]):
        if number:
            live.end_round()
            ends += (len(text),)
        for piece in pieces:
            text += piece
            start, html = live.append(piece)
            shown[start:] = html
    found, counts = markup.blocks_by_round(text, ends)
    assert shown == found
    assert counts == sorted(counts) and len(counts) == len(ends)


def test_what_was_put_off_at_the_end_of_a_round_is_told_with_the_next_piece():
    live = markup.RoundBlocks()
    shown = []
    for piece in ["A long paragraph. " * 1000, "a", "b", "c"]:
        start, html = live.append(piece)
        shown[start:] = html
    live.end_round()
    start, html = live.append("Next")
    shown[start:] = html
    text = "A long paragraph. " * 1000 + "abc"
    assert shown == markup.blocks_by_round(text + "Next", (len(text),))[0]


def test_without_rounds_it_is_the_text_s_blocks():
    assert markup.blocks_by_round("a\n\nb", ()) == (markup.blocks("a\n\nb"), [])
