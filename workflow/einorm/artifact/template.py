"""The templates of the pages, report and explorer, and the styles and scripts that they hold."""

from typing import Any

import jinja2

from ..runtime import PACKAGE

PAGE = PACKAGE / "artifact" / "page"


def render(name: str, context: dict[str, Any], **filters: Any) -> str:
    """The page that a template of folder page gives; filters are functions that the template calls by their names."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= filters
    return environment.get_template(name).render(context)


def part(name: str) -> str:
    """The text of a style or script of folder page."""
    return (PAGE / name).read_text(encoding="utf-8")
