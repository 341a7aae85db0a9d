"""The plot beside the table: added delays by the number of streams, product and bare client."""

from __future__ import annotations

import math
from pathlib import Path

from bench.figures import percentile
from bench.measure import Result

PRODUCT, BARE = "#2f5fd0", "#8a8f98"


def draw(result: Result, path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": "bench"}
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharey=True)
    streams = [level.streams for level in result.levels]
    for axis, name, title in (
        (axes[0], "first", "Added time to the first token"),
        (axes[1], "tokens", "Added time per token"),
    ):
        for who, color, label in (("product", PRODUCT, "Parley"), ("bare", BARE, "bare client")):
            delays = [getattr(getattr(level, who).delays, name) for level in result.levels]
            for share, style in ((0.5, "-"), (0.95, "--"), (0.99, ":")):
                values = [max(0.05, percentile(each, share) * 1000) for each in delays]
                axis.plot(streams, values, style, color=color, marker="o", markersize=3.5, linewidth=1.5,
                          label=f"{label}, p{share * 100:.0f}")  # fmt: skip
                if who == "product" and share == 0.95:
                    for x, y in zip(streams, values, strict=True):
                        if not math.isnan(y):
                            axis.annotate(f"{y:.0f}", (x, y), xytext=(0, 6), textcoords="offset points",
                                          ha="center", fontsize=8, color=color)  # fmt: skip
        axis.set(title=title, xlabel="streams at once", xscale="log", yscale="log")
        axis.set_xticks(streams, [str(number) for number in streams])
        axis.minorticks_off()
        axis.grid(alpha=0.25, linewidth=0.5)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("milliseconds")
    axes[0].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes[1].legend(fontsize=8, frameon=False, loc="upper left")
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
