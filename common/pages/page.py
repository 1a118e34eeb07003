"""Make a page from its template: one HTML file that opens from disk and needs no network."""

from functools import cache
from pathlib import Path
from typing import Any

from training.pages.words import count, duration, moment, number, percent
from training.reports import write_text


def render(template: str, **values: Any) -> str:
    """Fill in a template of this folder, such as "monitor.html.j2"; what it shows is escaped.

    Raises jinja2.UndefinedError for a value that the template wants and does not get.
    """
    return str(_templates().get_template(template).render(**values))


def write_page(path: Path, template: str, **values: Any) -> None:
    """Replace `path` by the filled-in template, whole or not at all; makes its folder."""
    write_text(path, render(template, **values))


@cache
def _templates() -> Any:
    import jinja2  # noqa: PLC0415  --help does without

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": count,
        "duration": duration,
        "moment": moment,
        "number": number,
        "percent": percent,
    }
    return environment
