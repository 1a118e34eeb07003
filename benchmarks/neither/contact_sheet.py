"""A contact sheet: the pictures with the highest confidence first, accepted ones framed in red."""

from collections.abc import Sequence

from PIL import Image

from common.predictions import is_accepted

SIDE = 64  # pixels per picture
COLUMNS, ROWS = 12, 5
FRAME = 3
ACCEPTED, NOT_ACCEPTED = (230, 20, 30), (255, 255, 255)


def contact_sheet(
    pictures: Sequence[Image.Image], probabilities: Sequence[Sequence[float]], threshold: float
) -> Image.Image:
    """Return up to COLUMNS * ROWS of the pictures; a row of probabilities belongs to each."""
    numbers = sorted(range(len(pictures)), key=lambda number: -max(probabilities[number]))[: COLUMNS * ROWS]
    cell = SIDE + 2 * FRAME
    rows = -(-len(numbers) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * cell, rows * cell), NOT_ACCEPTED)
    for position, number in enumerate(numbers):
        row, column = divmod(position, COLUMNS)
        left, top = column * cell, row * cell
        if is_accepted(probabilities[number], threshold):
            sheet.paste(ACCEPTED, (left, top, left + cell, top + cell))
        # Nearest, to show the pixels that the network gets.
        enlarged = pictures[number].resize((SIDE, SIDE), Image.Resampling.NEAREST)
        sheet.paste(enlarged, (left + FRAME, top + FRAME))
    return sheet
