"""Two panels over one time: the candidate's share of the requests, and the share of all that failed."""

WIDTH, HEIGHT, LEFT, RIGHT, TOP, GAP = 900, 420, 70, 20, 30, 50
PANEL = (HEIGHT - TOP - 2 * GAP) / 2
STYLE = (
    "text{font:13px sans-serif;fill:#333}.grid{stroke:#ddd}.share{stroke:#1668b8;fill:none;stroke-width:2}"
    ".errors{stroke:#c0392b;fill:none;stroke-width:1.5}.mark{stroke:#999;stroke-dasharray:4 3}"
    "@media(prefers-color-scheme:dark){text{fill:#ccc}.grid{stroke:#444}}"
)


def draw(shares, errors, marks):
    """Points are (seconds, percent); marks are (seconds, name)."""
    end = max([1.0, *(t for t, _ in shares), *(t for t, _ in errors)])
    most = max([2.0, *(it for _, it in errors)]) * 1.1
    across = lambda t: LEFT + (WIDTH - LEFT - RIGHT) * t / end
    top, bottom = TOP, TOP + PANEL + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>Rollouts: the candidate's share, and failed requests</title><style>{STYLE}</style>",
        *panel(top, 100.0, "candidate's share, %"),
        *panel(bottom, most, "failed, %"),
    ]
    for t, name in marks:
        x = across(t)
        parts.append(f'<path class="mark" d="M{x:.1f} {top}V{bottom + PANEL:.1f}"/>')
        parts.append(f'<text x="{x + 4:.1f}" y="{top - 8}">{name}</text>')
    parts.append(f'<path class="share" d="{steps(shares, across, lambda it: top + PANEL * (1 - it / 100))}"/>')
    line = " ".join(f"{across(t):.1f},{bottom + PANEL * (1 - it / most):.1f}" for t, it in errors)
    parts.append(f'<polyline class="errors" points="{line}"/>')
    step = next(it for it in (5, 10, 20, 30, 60, 120, 300, 600) if end / it <= 12)
    for t in range(0, int(end) + 1, step):
        parts.append(f'<text x="{across(t):.1f}" y="{bottom + PANEL + 18:.1f}" text-anchor="middle">{t}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">seconds</text></svg>')
    return "\n".join(parts) + "\n"


def panel(top, most, name):
    for part in range(5):
        y, value = top + PANEL * (1 - part / 4), most * part / 4
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'
    middle = top + PANEL / 2
    yield f'<text transform="translate(18 {middle:.1f}) rotate(-90)" text-anchor="middle">{name}</text>'


def steps(points, across, up):
    path, last = [], None
    for t, it in points:
        x, y = across(t), up(it)
        path.append(f"M{x:.1f} {y:.1f}" if last is None else f"H{x:.1f}V{y:.1f}")
        last = y
    return "".join(path)
