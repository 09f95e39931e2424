"""What the book's pages tell a reader to type."""

import re
import shlex


def commands(page: str) -> list[list[str]]:
    """The commands of a page's blocks of bash, as words."""
    blocks = re.findall(r"^```bash\n(.*?)^```", page, re.M | re.S)
    return [shlex.split(line) for text in blocks for line in text.replace("\\\n", " ").splitlines()]
