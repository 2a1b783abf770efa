"""Line charts as SVG, enough for latency over percentiles."""
import math

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 400, 70, 40, 190, 50
COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#8e5ea2", "#a07c1b", "#555555")


def escape(text):
    return str(text).replace("&", "&amp;").replace("<", "&lt;")


def text(x, y, words, anchor="middle", size=12):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">'
            f"{escape(words)}</text>")


def line(x1, y1, x2, y2, colour="#ddd"):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def chart(title, labels, series, y_name):
    """labels: of the x positions, evenly apart; series: name -> a value for each, above 0; the y
    axis is logarithmic."""
    values = [value for points in series.values() for value in points if value > 0]
    low = 10 ** math.floor(math.log10(min(values)))
    high = 10 ** math.ceil(math.log10(max(values) * 1.0001))
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x_of(number):
        return LEFT + width * number / max(1, len(labels) - 1)

    def y_of(value):
        share = math.log10(max(value, low) / low) / math.log10(high / low)
        return TOP + height * (1 - share)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
             f'font-family="sans-serif"><rect width="100%" height="100%" fill="white"/>',
             text(LEFT, 22, title, "start", 14), text(LEFT, TOP - 4, y_name, "start")]
    step = low
    while step <= high * 1.0001:
        parts += [line(LEFT, y_of(step), LEFT + width, y_of(step)),
                  text(LEFT - 6, y_of(step) + 4, f"{step:g}", "end")]
        step *= 10
    for number, label in enumerate(labels):
        parts += [line(x_of(number), TOP, x_of(number), TOP + height),
                  text(x_of(number), TOP + height + 18, label)]
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x_of(i):.1f},{y_of(value):.1f}" for i, value in enumerate(points))
        parts += [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
                  line(LEFT + width + 12, TOP + 12 + 20 * number, LEFT + width + 32,
                       TOP + 12 + 20 * number, colour),
                  text(LEFT + width + 38, TOP + 16 + 20 * number, name, "start")]
    return "\n".join(parts + ["</svg>\n"])
