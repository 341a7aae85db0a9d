"""What carries work and words between processes, and may be lost: the queue, and all that is kept in Valkey.

And the clock that they share.
"""
