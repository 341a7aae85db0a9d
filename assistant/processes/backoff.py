"""How long who watches a process waits before it starts again. Of the standard library alone, as `watching` is."""

CALM_SECONDS = 5.0  # who lived this long was killed, it did not fail to start: no reason to wait
LONGEST_SECONDS = 10.0


class Backoff:
    """No pause at first, then a second, and twice as long each time one dies young."""

    def __init__(self) -> None:
        self._died_young = 0

    def pause_after(self, lifetime: float) -> float:
        """Seconds until the next start, after one that has lived so many."""
        self._died_young = 1 if lifetime > CALM_SECONDS else self._died_young + 1
        return 0.0 if self._died_young == 1 else min(0.5 * 2 ** (self._died_young - 1), LONGEST_SECONDS)
