"""Render a page from its template into one HTML file that needs no network."""

from functools import cache
from pathlib import Path
from typing import Any

from common.pages.words import count, duration, moment, number, percent
from common.reports import write_text
from common.settings import project


def render(template: Path, **values: Any) -> str:
    """Render a template, which may extend base.html.j2 of this folder; every value is escaped.

    Raises jinja2.UndefinedError for a missing value.
    """
    return str(_templates(template.parent).get_or_select_template(template.name).render(**values))


def write_page(path: Path, template: Path, **values: Any) -> None:
    """Replace `path` by the rendered template; create its folder."""
    write_text(path, render(template, **values))


@cache
def _templates(folder: Path) -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["project"] = project().name
    environment.filters |= {text.__name__: text for text in (count, duration, moment, number, percent)}
    return environment
