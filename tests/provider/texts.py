"""What the scripted models say: lists of tokens, pure functions of the script and the question.

No token is repeated often in a row: litellm ends a stream with 100 equal chunks of more than two letters.
"""

import hashlib
import itertools
import re
from collections.abc import Iterator

# One code point is one token here, so every grapheme below is spread over several chunks.
UNICODE = (
    "Family 👩‍👩‍👧‍👦 kiss 👩🏽‍❤️‍💋‍👨🏿 flags 🇩🇪🇯🇵 England 🏴󠁧󠁢󠁥󠁮󠁧󠁿 keycap 1️⃣ "
    "cafe\u0301 and caf\u00e9, A\u030a, Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324, "
    "Viê\u0323t; "
    "العربية مع تَشْكِيل, עִבְרִית, mixed \u200fאבג 123 abc\u200e; "
    "日本語のテキスト, 漢字𠮷野家, 中文，한국어 \u1112\u1161\u11ab, "
    "हिन्दी क्षत्रिय, தமிழ், ไทยแลนด์; 𝒜𝓁𝑔𝑒𝒷𝓇𝒶 ∑∫√ ½ ﬁ \u00adsoft\u00ad "
    "\u2028line\u2028 \ufeff‘quotes’ “done” ✅\n"
)

MARKDOWN = '''# A heading of the first level

A paragraph with **bold**, *italic*, `inline code`, ~~struck~~ and a [link](https://example.org/a?b=1&c=2).
It goes on in a second line, with an ampersand & a less-than <sign>.

## Lists

- one
- two with `code`
  - nested one
  - nested two
- three

1. first
2. second
   continued
3. third

- [x] done
- [ ] to do

## A table

| name | count | note |
| :--- | ----: | :--: |
| apples | 12 | **red** |
| pears | 7 | `a \\| b` |

> A quotation
> of two lines.

### Code

```python
def fibonacci(n: int) -> int:
    """Return the n-th number."""
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a  # <done> & "quoted"
```

```javascript
const add = (a, b) => a + b; // 1 < 2 && 3 > 2
console.log(`sum: ${add(1, 2)}`);
```

```sql
SELECT name, count(*) FROM message WHERE status = 'success' GROUP BY name;
```

```html
<script>alert("must never run")</script>
```

```
plain fence, no language
```

---

<script>alert("nor this")</script> <img src=x onerror=alert(1)> [bad](javascript:alert(1))

Maths: $E = mc^2$ and a last line with 👩‍🚀.
'''

_PIECE = re.compile(r"\s*\S{1,8}|\s+")


def words(count: int, mark: str = "") -> list[str]:
    """`w0 w1 w2 ...`: a lost, doubled or moved token shows at once. `mark` is put into every word."""
    return [f"{' ' if number else ''}w{number}{mark}" for number in range(count)]


def unicode(count: int | None) -> list[str]:
    """Single code points of UNICODE; `count` of them, from the start again if it must be."""
    return list(itertools.islice(_forever(list(UNICODE)), count if count is not None else len(UNICODE)))


def markdown(count: int | None) -> list[str]:
    """MARKDOWN in tokens of a few letters; `count` of them, from the start again if it must be."""
    tokens = split_like_a_model(MARKDOWN + "\n")
    return list(itertools.islice(_forever(tokens), count if count is not None else len(tokens)))


def big(size: int, piece: int) -> list[str]:
    """Exactly `size` characters of numbered lines, `piece` characters in a token."""
    lines: list[str] = []
    length = 0
    for number in itertools.count():
        if length >= size:
            break
        end = "\n\n" if number % 8 == 7 else "\n"
        lines.append(f"Line {number} of a long answer, with some words in it.{end}")
        length += len(lines[-1])
    return split_evenly("".join(lines)[:size], piece)


def split_like_a_model(text: str) -> list[str]:
    """Tokens with their leading blanks, as models send them; joined they are the text."""
    return _PIECE.findall(text)


def split_evenly(text: str, piece: int) -> list[str]:
    return [text[start : start + piece] for start in range(0, len(text), piece)]


def mark_of(question: str) -> str:
    """Six letters that differ between questions."""
    return "." + hashlib.sha256(question.encode()).hexdigest()[:6]


def _forever(tokens: list[str]) -> Iterator[str]:
    return itertools.cycle(tokens)
