"""One page about what happened: a picture over time, the events in words, and the monitor's own report."""

import html

WIDTH, PANEL, LEFT, RIGHT, TOP, GAP = 960, 120, 70, 20, 40, 46
# Of the picture, which also stands alone.
LINES = """
text{font:13px system-ui,sans-serif;fill:#333}.grid{stroke:#888;opacity:.3}.line{fill:none;stroke-width:2}
.mark{stroke:#888;stroke-dasharray:4 3}.line.a{stroke:#1668b8}.line.b{stroke:#c0392b}.line.c{stroke:#2e8b57}
text.a{fill:#1668b8}text.b{fill:#c0392b}text.c{fill:#2e8b57}
@media(prefers-color-scheme:dark){text{fill:#ccc}}
"""
STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem}svg{width:100%;height:auto}
table{border-collapse:collapse}td{padding:.15rem .8rem .15rem 0;vertical-align:top}td:first-child{text-align:right;white-space:nowrap}
iframe{width:100%;height:80vh;border:1px solid #8886}
"""


def page(title, panels, marks, events, report):
    """`panels`: (name, highest value, {label: points}); `events`: (seconds, text); `report`: another page."""
    rows = "".join(f"<tr><td>{at:.0f} s</td><td>{html.escape(text)}</td></tr>" for at, text in events)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
        f"<h1>{html.escape(title)}</h1>{draw(panels, marks)}<h2>What happened</h2><table>{rows}</table>"
        f'<h2>What the monitor saw</h2><iframe title="drift report" srcdoc="{html.escape(report)}"></iframe></html>\n'
    )


def draw(panels, marks):
    end = max([1.0, *(at for _, _, lines in panels for points in lines.values() for at, _ in points)])
    height = TOP + len(panels) * (PANEL + GAP)
    across = lambda at: LEFT + (WIDTH - LEFT - RIGHT) * at / end
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>The loop over time</title><style>{LINES}</style>",
    ]
    bottom = height - GAP
    for n, (at, name) in enumerate(marks):
        x = across(at)
        parts.append(f'<path class="mark" d="M{x:.1f} {TOP - 6}V{bottom}"/>')
        parts.append(f'<text x="{x + 3:.1f}" y="{14 + 14 * (n % 2)}">{html.escape(name)}</text>')
    for n, (name, most, lines) in enumerate(panels):
        top = TOP + n * (PANEL + GAP)
        parts += panel(top, most, name)
        up = lambda value, top=top, most=most: top + PANEL * (1 - min(value / most, 1.0))
        for colour, (label, points) in zip("abc", lines.items()):
            path = "M" + "L".join(f"{across(at):.1f} {up(value):.1f}" for at, value in points) if points else ""
            parts.append(f'<path class="line {colour}" d="{path}"/>')
            x = LEFT + 10 + 150 * "abc".index(colour)
            parts.append(f'<text class="{colour}" x="{x}" y="{top + 14}">{html.escape(label)}</text>')
    step = next(it for it in (5, 10, 20, 30, 60, 120, 300, 600) if end / it <= 12)
    for at in range(0, int(end) + 1, step):
        parts.append(f'<text x="{across(at):.1f}" y="{bottom + 16}" text-anchor="middle">{at} s</text>')
    return "\n".join(parts) + "</svg>\n"


def panel(top, most, name):
    for part in range(3):
        y, value = top + PANEL * (1 - part / 2), most * part / 2
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'
    middle = top + PANEL / 2
    yield f'<text transform="translate(16 {middle:.1f}) rotate(-90)" text-anchor="middle">{html.escape(name)}</text>'
