"""The ``{gallery}`` block: every picture of the site as a thumbnail that leads to where it is drawn.

Pages note their pictures while they are read (``pictures.py``). They are shown in the order of the navigation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class Gallery(nodes.General, nodes.Element):
    """Where the thumbnails will stand, as soon as all pages have been read."""


class GalleryDirective(SphinxDirective):
    """All pictures of the site."""

    def run(self) -> list[nodes.Node]:
        return [Gallery()]


def note(env: Any, place: str, alt: str, anchor: str) -> None:
    """Note a picture of the page that is being read."""
    noted(env).setdefault(env.docname, []).append((place, alt, anchor))


def noted(env: Any) -> dict[str, list[tuple[str, str, str]]]:
    """The pictures of each page: file, what can be seen, anchor."""
    if not hasattr(env, "pictures_of_pages"):
        env.pictures_of_pages = {}
    return env.pictures_of_pages


def in_order(env: Any, page: str) -> Iterator[str]:
    """The pages, as the navigation has them."""
    yield page
    for below in env.toctree_includes.get(page, []):
        yield from in_order(env, below)


def on_resolved(app: Any, doctree: nodes.document, page: str) -> None:
    for gap in doctree.findall(Gallery):
        gap.replace_self(
            nodes.container(
                "",
                *[
                    thumbnail(app, page, other, picture)
                    for other in in_order(app.env, app.config.root_doc)
                    for picture in noted(app.env).get(other, [])
                ],
                classes=["gallery"],
            )
        )


def thumbnail(app: Any, page: str, other: str, picture: tuple[str, str, str]) -> nodes.Node:
    """A picture of another page, with the title of that page, and a link to it."""
    place, alt, anchor = picture
    title = app.env.titles[other].astext()
    link = nodes.reference(
        "",
        "",
        nodes.image(uri=place, candidates={"*": place}, alt=alt, classes=["picture"], loading="lazy"),
        nodes.inline("", title),
        refuri=f"{app.builder.get_relative_uri(page, other)}#{anchor}",
        internal=True,
    )
    return nodes.paragraph("", "", link)


def on_purge(app: Any, env: Any, page: str) -> None:
    noted(env).pop(page, None)


def on_merge(app: Any, env: Any, pages: set[str], other: Any) -> None:
    noted(env).update({page: pictures for page, pictures in noted(other).items() if page in pages})


def setup(app: Any) -> dict[str, Any]:
    app.add_node(Gallery)
    app.add_directive("gallery", GalleryDirective)
    app.connect("doctree-resolved", on_resolved)
    app.connect("env-purge-doc", on_purge)
    app.connect("env-merge-info", on_merge)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
