"""Pages that MkDocs makes while it builds: README, CHANGELOG, and the tree of the package."""

import ast
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

REPOSITORY = Path(__file__).parents[1]
PAGES = {"index.md": "README.md", "changelog.md": "CHANGELOG.md"}
TREE = "<!-- tree -->"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files of the repository's root as pages; their links start at docs/."""
    for page, name in PAGES.items():
        text = (REPOSITORY / name).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Replace the mark of the tree by a line for each file."""
    return markdown.replace(TREE, "\n".join(tree())) if TREE in markdown else markdown


def tree() -> Iterator[str]:
    """Yield each file of the package with the first line of its docstring, as Markdown."""
    package = REPOSITORY / "edgeseg"
    for folder in sorted({path.parent for path in package.rglob("*.py")}):
        yield f"\n### {folder.relative_to(REPOSITORY)}/\n"
        for path in sorted(folder.glob("*.py")):
            summary = (ast.get_docstring(ast.parse(path.read_bytes())) or "").partition("\n")[0]
            yield f"- `{path.name}`: {summary}"
