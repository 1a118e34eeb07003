"""The shapes of states, as SVG paths: each Type has its own, so that no color is needed."""

from operations.workflow_drawing.layout import Rectangle

CUT = 9  # pixels off the corners of a Fail, and of the points of a Choice
ROUND = 7


def outline(kind: str, box: Rectangle, inset: float = 0) -> str:
    """Return the `d` of a path around a state of a Type; `inset` pixels smaller on each side."""
    x, y = box.x + inset, box.y + inset
    width, height = box.width - 2 * inset, box.height - 2 * inset
    right, bottom = x + width, y + height
    if kind == "Choice":
        middle = y + height / 2
        return (
            f"M{x:g} {middle:g}L{x + CUT:g} {y:g}H{right - CUT:g}L{right:g} {middle:g}"
            f"L{right - CUT:g} {bottom:g}H{x + CUT:g}Z"
        )
    if kind == "Fail":
        return (
            f"M{x + CUT:g} {y:g}H{right - CUT:g}L{right:g} {y + CUT:g}V{bottom - CUT:g}"
            f"L{right - CUT:g} {bottom:g}H{x + CUT:g}L{x:g} {bottom - CUT:g}V{y + CUT:g}Z"
        )
    corner = {"Pass": 0.0, "Task": ROUND, "Map": ROUND, "Parallel": ROUND}.get(kind, height / 2)
    return (
        f"M{x + corner:g} {y:g}H{right - corner:g}"
        f"a{corner:g} {corner:g} 0 0 1 {corner:g} {corner:g}V{bottom - corner:g}"
        f"a{corner:g} {corner:g} 0 0 1 {-corner:g} {corner:g}H{x + corner:g}"
        f"a{corner:g} {corner:g} 0 0 1 {-corner:g} {-corner:g}V{y + corner:g}"
        f"a{corner:g} {corner:g} 0 0 1 {corner:g} {-corner:g}Z"
    )


def retry_mark(x: float, y: float) -> str:
    """Return an arrow that turns round, 10 pixels wide, around a middle."""
    return (
        f'<path class="wf-inner" d="M{x + 3.5:g} {y - 2.5:g}A4.3 4.3 0 1 0 {x + 4.2:g} {y + 1:g}"/>'
        f'<path class="wf-head" d="M{x + 5.4:g} {y - 5.2:g}V{y - 0.8:g}H{x + 1:g}Z"/>'
    )
