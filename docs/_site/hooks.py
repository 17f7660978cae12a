"""What the site has beside `docs/`: the pages of the root, the examples; and no page that loads from elsewhere."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
PAGES = {
    "README.md": "index.md",
    "memedit/data/NOTICE.md": "NOTICE.md",
    **{f"{name}.md": f"{name}.md" for name in ("ARCHITECTURE", "BENCHMARKS", "CHANGELOG", "CONTRIBUTING", "SECURITY")},
    **{f"examples/{file.name}": f"examples/{file.stem}.md" for file in sorted((ROOT / "examples").iterdir())},
}
"""Where a file of the repository stands in the site; what lies in `docs/` stands as it does there."""
KINDS = {".py": "python", ".sh": "sh"}
FENCED = re.compile(r"(^```.*?^```|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)")
LOADED = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//[^>]*>""")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages that lie outside of `docs/`."""
    for source, place in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        kind = KINDS.get(Path(source).suffix)
        files.append(File.generated(config, place, content=f"# {source}\n\n```{kind}\n{text}```\n" if kind else text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Its links, which hold in the repository, as they hold in the site."""
    place = page.file.src_uri
    source = next((source for source, there in PAGES.items() if there == place), f"docs/{place}")
    parts = FENCED.split(markdown)
    parts[::2] = [LINK.sub(lambda link: _link(link, source, place), part) for part in parts[::2]]
    return "".join(parts)


def _link(link: re.Match[str], source: str, place: str) -> str:
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))
    there = PAGES.get(target, target.removeprefix("docs/"))
    return f"]({posixpath.relpath(there, posixpath.dirname(place))}{link[2] or ''})"


def on_post_build(config: MkDocsConfig) -> None:
    """A reader's browser asks nobody but the site.

    Raises:
        PluginError: A page loads something from elsewhere.
    """
    for file in sorted(Path(config.site_dir).rglob("*.html")):
        text = file.read_text(encoding="utf-8")
        for tag in LOADED.findall(text):
            if 'rel="canonical"' not in tag:
                raise PluginError(f"{file.name} loads from elsewhere: {tag}")
        if 'class="mermaid"' in text:
            raise PluginError(f"{file.name} has a diagram whose script comes from elsewhere: draw it in docs/_site")
