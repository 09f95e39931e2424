"""The pages with numbers: the chapters that ``_toc.yml`` lists, and variants of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from iaca.base.files import DataError

# Chapters that can be made of a reader's data. What they say of the book's own data they then leave
# out: text that has the tag, and code that begins with the comment.
OWN = ("03_training", "04_ablations", "05_sota", "06_missing_modality")
BOOK_ONLY_TAG = "book-only"
BOOK_ONLY = "# Of the book's own data."


class Page(NamedTuple):
    """One chapter of the book: a notebook, or the same notebook on other parameters."""

    name: str  # of the page; where it differs from `notebook`, the page is a variant
    notebook: str  # file in notebooks/, without its suffix
    parameters: Mapping[str, Any] = {}
    title: str | None = None  # a variant's own first heading


VARIANTS = (
    Page(
        "03_training_enjoyment",
        "03_training",
        {"manifest": "hri_enjoyment"},
        "Training on real data: enjoyment in conversations with a robot",
    ),
    Page(
        "03_training_film",
        "03_training",
        {"manifest": "studyforrest"},
        "Training on real data: a film, second by second",
    ),
)


def pages_of(root: Path, variants: Sequence[Page] = VARIANTS) -> list[Page]:
    """The chapters in the order of ``_toc.yml``, each followed by its variants.

    Raises:
        DataError: if the table of contents cannot be read.
    """
    pages = []
    for chapters in chapter_lists(read_yaml(root / "_toc.yml")):
        for chapter in chapters:
            folder, _, name = chapter["file"].rpartition("/")
            if folder == "notebooks":
                pages.append(Page(name, name))
                pages += [page for page in variants if page.notebook == name]
    return pages


def chapter_lists(toc: dict[str, Any]) -> list[list[dict[str, str]]]:
    """The lists of chapters of a table of contents: one for each part, or one in all."""
    return [part["chapters"] for part in toc.get("parts", [toc])]


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a mapping.

    Raises:
        DataError: naming the file, if it is missing, not YAML or no mapping.
    """
    try:
        value = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except yaml.YAMLError as error:
        raise DataError(f"{path}: not YAML ({error})") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: {type(value).__name__}, expected a mapping")
    return value
