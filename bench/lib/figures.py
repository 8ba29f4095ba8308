"""Samples to figures, and figures to text: shared by all benches."""
import statistics


def spread(values):
    """Lower and upper quartile: half of all values lie between them."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def summary(values):
    low, high = spread(values)
    return {"median": statistics.median(values), "best": min(values), "low": low, "high": high,
            "samples": len(values)}


def number(value):
    """Three significant digits, in nanoseconds as they come, without exponents."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(heads, rows):
    """Lines of a table whose first column is text and whose others are numbers."""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    lines = []
    for row in [heads, *rows]:
        cells = [cell.ljust(width) if i == 0 else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    return lines
