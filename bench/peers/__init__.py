"""`make bench-peers`: Parley beside Chainlit and openai's bare client, on the same provider, in turns, in one run.

`app` is the Chainlit app; `chainlit` installs and starts it; `contest` says who does what and takes the figures; `table`
makes the table of them. What each row means: docs/performance.md.
"""
