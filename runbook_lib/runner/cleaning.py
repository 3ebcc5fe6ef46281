"""
HTML of notebooks, cleaned of what could run, fetch or cover the page.

nh3 (Ammonia) parses as a browser does and keeps only what is listed; a filter of patterns does not.
"""

import base64
import re
from typing import Any

import nh3
from markupsafe import Markup

_TAGS = {
    *["a", "article", "b", "blockquote", "br", "code", "dd", "del", "details", "div", "dl", "dt"],
    *["em", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "li"],
    *["ol", "p", "pre", "progress", "s", "small", "span", "strong", "sub", "summary", "sup"],
    *["table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul"],
}
_ATTRIBUTES = {
    "*": {"class", "id", "style"},
    "a": {"href"},
    "details": {"open"},
    "img": {"alt", "height", "src", "width"},
    "progress": {"max", "value"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan"},
}
_STYLES = {  # nothing that places an element over others
    *["background", "background-color", "border", "border-left", "color", "display", "font-size"],
    *["font-style", "font-weight", "margin", "max-width", "padding", "text-align", "width"],
}

LARGEST_SVG = 200_000
"""More than this, as thousands of points have, and the PNG beside it is smaller."""

_FUNCTION = re.compile(r"([\w-]*)\(")
_COLOURS = re.compile(r"rgba?|hsla?|(?:repeating-)?(?:linear|radial|conic)-gradient")


def clean(html: str) -> str:
    """
    Return the HTML without scripts, handlers, forms, frames and style sheets; images keep only
    their data.
    """
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=_without_addresses,
        filter_style_properties=_STYLES,
        url_schemes={"data", "http", "https"},
        link_rel=None,
    )


def _without_addresses(_tag: str, name: str, value: str) -> str | None:
    address = value.strip().lower()
    if name == "src":
        return value if address.startswith("data:image/") else None
    if name == "style":  # url() and its like fetch, and may be written with escapes
        plain = "\\" not in value and all(map(_COLOURS.fullmatch, _FUNCTION.findall(address)))
        return value if plain else None
    return None if name == "href" and address.startswith("data:") else value


def svg_as_image(data: dict[str, Any], words: str) -> None:
    """
    Put an output's SVG into an image, where it has no scripts; it goes before a PNG beside it.
    """
    svg = "".join(data.pop("image/svg+xml", ""))
    if svg and (len(svg) <= LARGEST_SVG or "image/png" not in data):
        data.pop("image/png", None)
        encoded = base64.b64encode(svg.encode()).decode()
        image = Markup('<img alt="{}" src="data:image/svg+xml;base64,{}">')
        data["text/html"] = image.format(words, encoded)
