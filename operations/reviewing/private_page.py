"""A file that leads a browser to an address which nobody else on this machine may learn."""

import html
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def private_page(address: str) -> Iterator[Path]:
    """Keep a page that leads to `address`, for its owner's eyes, until the context ends.

    A browser that is started with the address itself shows it to every user of the machine, in
    the list of processes.
    """
    with tempfile.TemporaryDirectory(prefix="review-") as folder:  # mode 0700
        path = Path(folder) / "review.html"
        target = html.escape(address, quote=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(
                '<!doctype html>\n<meta charset="utf-8">\n<title>Review page</title>\n'
                f'<meta http-equiv="refresh" content="0; url={target}">\n'
                f'<p><a href="{target}">Go to the review page</a></p>\n'
            )
        yield path
