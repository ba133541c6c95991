"""docs/benchmarks.svg: two rows of bars, drawn by hand."""

from __future__ import annotations

from html import escape

WIDTH, LABEL, BAR, GAP = 760, 200, 22, 10
COLOURS = ("#2b6cb0", "#a0aec0", "#a0aec0", "#a0aec0")


def bars(panels: list[tuple[str, list[tuple[str, float]]]]) -> str:
    """Return an SVG of panels, each a title and (label, value) from the first bar down; the first is ours."""
    y, lines = 0, []
    for title, values in panels:
        y += 28
        lines.append(f'<text x="8" y="{y}" font-weight="bold">{escape(title)}</text>')
        y += GAP
        most = max(value for _, value in values)
        for colour, (label, value) in zip(COLOURS, values, strict=False):
            length = max(1.0, value / most * (WIDTH - LABEL - 110))
            middle = y + BAR - 6
            lines.append(f'<text x="{LABEL - 8}" y="{middle}" text-anchor="end">{escape(label)}</text>')
            lines.append(f'<rect x="{LABEL}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>')
            shown = f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
            lines.append(f'<text x="{LABEL + length + 6:.1f}" y="{middle}">{shown}</text>')
            y += BAR + GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + GAP}" viewBox="0 0 {WIDTH} {y + GAP}"'
    style = ' font-family="sans-serif" font-size="13">'
    ground = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([head + style, ground, *lines, "</svg>"]) + "\n"
