"""What `demo/assistant` says: offline, without a key, and honest about being a demo."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

PACE_SECONDS = 0.03


def answer_to(question: str) -> str:
    """A useful canned answer in Markdown."""
    first = question.strip().splitlines()[0][:120] if question.strip() else "nothing at all"
    return f"""This is Parley's **demo model**. It runs inside this installation, asks nobody, and can't think: \
you wrote *{re.sub(r"[*_`<>]", "", first)}*, and any other question would get the same text.

### To talk with a real model

Stop the server, name a model and its key, and start it again:

```bash
export ASSISTANT_MODELS="anthropic/claude-sonnet-4-5"
export ANTHROPIC_API_KEY="..."
make run
```

Any [litellm](https://docs.litellm.ai/docs/providers) id works, one on your own machine too \
(`ollama_chat/llama3.2`, with `OLLAMA_API_BASE`).

### What you can try with the demo

1. **Reload the page** while this text is being written: it goes on where it is.
2. Open the session in **a second browser**: both see the same words.
3. Press **Stop**: what was written is kept, and says who stopped it.
4. Ask twice in a row: the second question **waits in the queue**, and is answered next.
5. Kill a worker process (`kill -9`) in mid answer: another one writes the answer again.

| you kill | the answer |
| --- | --- |
| the browser | goes on |
| the web server | goes on |
| a worker | is written again by another one |
"""


async def pieces(question: str) -> AsyncIterator[str]:
    """The answer in words, at a pace that one can watch."""
    for word in re.findall(r"\S+\s*|\s+", answer_to(question)):
        yield word
        await asyncio.sleep(PACE_SECONDS)
