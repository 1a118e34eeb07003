"""A sheet of pictures to look at: the surest first, accepted ones framed in red."""

from collections.abc import Sequence

from PIL import Image

from common.predictions import is_accepted

SIDE = 64  # pixels that each picture gets
COLUMNS, ROWS = 12, 5
FRAME = 3
ACCEPTED, REFUSED = (230, 20, 30), (255, 255, 255)


def contact_sheet(pictures: Sequence[Image.Image], answers: Sequence[Sequence[float]], threshold: float) -> Image.Image:
    """Return up to COLUMNS * ROWS of the pictures, those answered with most confidence first."""
    surest = sorted(range(len(pictures)), key=lambda number: -max(answers[number]))
    shown = surest[: COLUMNS * ROWS]
    cell = SIDE + 2 * FRAME
    rows = -(-len(shown) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * cell, rows * cell), REFUSED)
    for place, number in enumerate(shown):
        row, column = divmod(place, COLUMNS)
        left, top = column * cell, row * cell
        if is_accepted(answers[number], threshold):
            sheet.paste(ACCEPTED, (left, top, left + cell, top + cell))
        # Nearest: a picture is looked at as the network gets it, pixel by pixel.
        enlarged = pictures[number].resize((SIDE, SIDE), Image.Resampling.NEAREST)
        sheet.paste(enlarged, (left + FRAME, top + FRAME))
    return sheet
