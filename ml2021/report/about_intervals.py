"""How sure the predictions are: the width of intervals, and what share of the truth they held."""

from ml2021.console import number
from ml2021.errors import echo
from ml2021.report.blocks import Table
from ml2021.report.material import Intervals

_MOST_TARGETS = 4


def intervals(found: Intervals) -> Table:
    """Return a line for each level: the half width, and the share of the test rows inside.

    Of more targets than fit a line, the share alone, over the values of all of them.
    """
    targets = list(found.levels[0].half_widths)
    targets = targets if len(targets) <= _MOST_TARGETS else []
    has_coverage = found.levels[0].coverage is not None
    headings = ["interval", *(f"± {echo(target)}" for target in targets)]
    headings += ["test rows inside"] if has_coverage else []
    lines = []
    for each in found.levels:
        line = [f"{100 * each.level:g} %"]
        line += [number(each.half_widths[target]) for target in targets]
        line += [] if each.coverage is None else [f"{100 * each.coverage:.1f} %"]
        lines.append(line)
    rows = "held-out" if found.calibrated_on == "folds" else found.calibrated_on
    caption = f"As wide as it had to be to hold that share of {found.rows:,} {rows} rows."
    if has_coverage:
        caption += " Where far fewer test rows are inside, they are of another kind."
    return Table(headings, lines, caption=caption)
