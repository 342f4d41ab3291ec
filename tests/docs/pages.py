# SPDX-License-Identifier: Apache-2.0
"""Reads examples out of pages: a fenced block with a comment above it that names its test.

    <!-- tests/docs/FILE: KIND WORD... -->
    ```language
    text
    ```

What no test can run says why not: <!-- not run: REASON -->
"""

import os
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["DOCS_BUILD"])
MODULE = BUILD / "proctrack.so"
os.environ["WPSD"] = str(BUILD / "wpsd")
os.environ["WPSD_SANITIZE"] = os.environ.get("DOCS_SANITIZE", "")

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MARKED = re.compile(r"<!-- tests/docs/(\w+\.py)(?:: (.*?))? -->\n+```(\w*)\n(.*?)^```$", re.M | re.S)
MARK = re.compile(r"^<!-- tests/docs/", re.M)
FENCE = re.compile(r"^```.*?^```$", re.M | re.S)


def examples(kind, page=None):
    """(page, the words behind the kind, text) of each example of that kind."""
    return [(path.name, words.split()[1:], text)
            for path in PAGES if page in (None, path.name)
            for _, words, _, text in MARKED.findall(path.read_text())
            if words.split()[:1] == [kind]]


def one(kind, page, *words):
    found = [text for _, of, text in examples(kind, page) if of == list(words)]
    assert len(found) == 1, f"{page}: {len(found)} examples {kind} {words}"
    return found[0]


def table_keys(page, heading):
    """The words in backquotes of the first column, of the table below a heading."""
    text = (ROOT / "docs" / page).read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [key for row in rows for key in re.findall(r"`([^`]+)`", row)]


def rows_of(text, heading):
    """The table below a heading: the cells of each row by the word in its first one. A cell may name
    several, then each has the others' cells in its place."""
    section = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    found = {}
    for line in section.splitlines():
        if not line.startswith("| `"):
            continue
        first, *cells = [cell.strip() for cell in line.split("|")[1:-1]]
        names = re.findall(r"`([^`]+)`", first)
        for i, name in enumerate(names):
            of = [cell.split(", ")[i] if len(names) > 1 and cell.count(", ") == len(names) - 1
                  else cell for cell in cells]
            found[name] = of
    return found
