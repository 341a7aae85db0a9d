"""`python -m bench`: streams through the real product, beside a bare HTTP client on the same provider.

`load` is the client, in a process of its own; `product` starts the product and reads its processes; `figures` turns
moments into numbers; `report` and `plot` write them. What each number means: docs/performance.md.
"""
