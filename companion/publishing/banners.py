"""What every page says of the build: the banner on top (smoke, private), and the footer."""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # pydantic is slow to import
    from iaca.data.schema import Manifest

SMOKE_BANNER = (
    "Smoke build: made in seconds to test that everything runs. "
    "<strong>Its numbers mean nothing.</strong>"
)
PRIVATE_BANNER = (
    "<strong>Do not publish.</strong> This book was made from data whose licence forbids it."
)


@dataclass(frozen=True)
class Provenance:
    """What a book was made with."""

    profile: str
    commit: str
    seeds: str
    versions: Mapping[str, str]  # of python, torch, iaca
    private: bool
    precision: str = "32"  # of training
    own: "Manifest | None" = None  # of a reader's data, if the book was made of them alone

    def footer(self) -> str:
        """Return the footer's HTML."""
        parts = [f"Data {html.escape(self.own.name)}"] if self.own else []
        parts += [f"Profile <strong>{html.escape(self.profile)}</strong>"]
        parts += [f"precision {self.precision}"] if self.precision != "32" else []
        parts += [f"commit {html.escape(self.commit)}", f"seeds {html.escape(self.seeds)}"]
        parts += [f"{html.escape(name)} {html.escape(v)}" for name, v in self.versions.items()]
        text = " · ".join(parts) + (f"<br>{PRIVATE_BANNER}" if self.private else "")
        return f'<p class="iaca-footer">{text}</p>'

    def banner(self) -> str:
        """Return the HTML on top of every page, or nothing."""
        banners = [SMOKE_BANNER] if self.profile == "smoke" else []
        if self.own:
            title = html.escape(self.own.title)
            banners.append(f"A reader's data, <strong>{title}</strong>, in the book's chapters.")
        return " ".join(banners + ([PRIVATE_BANNER] if self.private else []))
