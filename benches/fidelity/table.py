"""The fidelity bench's tables in Markdown, and what they come to."""

import statistics

from gains import gain, spearman

STAGES = ("text", "encode", "denoise", "decode")
REAL, PREDICTED = "real", "predicted"


class Cell:
    """One profile at one shape and precision of the baseline: seconds and gains, predicted and real."""

    def __init__(self, shape, precision, name, runs, baseline):
        self.shape, self.precision, self.name = shape, precision, name
        self.runs, self.baseline = runs, baseline

    def seconds(self, kind, stage="total"):
        values = by_round(self.runs, kind, stage).values()
        return statistics.median(values) if values else None

    def gain(self, kind, stage="total"):
        is_slice = kind == PREDICTED and stage == "total"
        return gain(by_round(self.baseline, kind, stage), by_round(self.runs, kind, stage), is_slice)

    def is_whole(self):
        return all(self.gain(kind)[0] is not None for kind in (REAL, PREDICTED))


def by_round(runs, kind, stage):
    return {run["round"]: run[stage] for run in runs if run["kind"] == kind and run.get(stage)}


def number(value, form="{:.2f}"):
    return "-" if value is None else form.format(value)


def percent(pair):
    value, interval = pair
    if value is None or interval is None:
        return number(value, "{:.1f}")
    return "{:.1f} [{:.1f}, {:.1f}]".format(value, *interval)


def line(*fields):
    return "| " + " | ".join(fields) + " |"


def totals(cells):
    yield line("shape", "precision", "profile", "predicted s", "real s", "predicted gain, %", "real gain, %")
    yield line("---", "---", "---", "---:", "---:", "---:", "---:")
    for cell in cells:
        is_baseline = cell.name == "baseline"
        gains = ["" if is_baseline else percent(cell.gain(kind)) for kind in (PREDICTED, REAL)]
        seconds = [number(cell.seconds(kind)) for kind in (PREDICTED, REAL)]
        yield line(cell.shape, cell.precision, cell.name, *seconds, *gains)


def stages(cells):
    """Seconds of the baseline's stages and gains of the others', each predicted / real."""
    yield line("shape", "precision", "profile", *STAGES)
    yield line("---", "---", "---", *["---:" for _ in STAGES])
    for cell in cells:
        if cell.name == "baseline":
            both = [[number(cell.seconds(kind, stage)) for kind in (PREDICTED, REAL)] for stage in STAGES]
            fields = [f"{left} / {right} s" for left, right in both]
        else:
            both = [[number(cell.gain(kind, s)[0], "{:.1f}") for kind in (PREDICTED, REAL)] for s in STAGES]
            fields = [f"{left} / {right} %" for left, right in both]
        yield line(cell.shape, cell.precision, cell.name, *fields)


def share(name, verdicts):
    verdicts = list(verdicts)
    whole = f" ({100 * sum(verdicts) / len(verdicts):.0f}%)" if verdicts else ""
    return f"- {name}: {sum(verdicts)} of {len(verdicts)}{whole}"


def summary(cells):
    compared = [cell for cell in cells if cell.name != "baseline" and cell.is_whole()]
    pairs = [(cell.gain(PREDICTED), cell.gain(REAL)[0]) for cell in compared]
    yield share("predicted gain within 5 points of the real one", (abs(p[0] - r) <= 5 for p, r in pairs))
    yield share("real gain inside the predicted interval", (p[1][0] <= r <= p[1][1] for p, r in pairs if p[1]))
    close = []
    for shape, precision in dict.fromkeys((cell.shape, cell.precision) for cell in cells):
        block = [cell for cell in cells if (cell.shape, cell.precision) == (shape, precision) and cell.is_whole()]
        sides = ([cell.seconds(kind) for cell in block] for kind in (PREDICTED, REAL))
        text = f"- {shape}, {precision}: rank correlation {number(spearman(*sides))} of {len(block)} profiles"
        tuned = [cell.seconds(REAL) for cell in block if cell.name == "tuned"]
        if tuned:
            best = min(block, key=lambda cell: cell.seconds(REAL))
            more = 100 * (tuned[0] / best.seconds(REAL) - 1)
            close.append(more <= 5)
            text += f"; the best is {best.name}, tuned takes {more:.1f}% more"
        yield text
    yield share("tuned within 5% of the best", close)


def text(cells):
    return "\n".join([*totals(cells), "", *stages(cells), "", *summary(cells)])
