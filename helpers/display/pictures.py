"""Pictures as HTML, which carries their alternative text."""

import html


def as_html(png: str, alt: str) -> str:
    """Return a PNG file in base64 as HTML, with its alternative text."""
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{png}">'
