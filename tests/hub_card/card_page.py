"""A model card as a page, about as the Hub shows it: without its metadata, rendered as GitHub's Markdown."""

from pathlib import Path

from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

_STYLE = """
body { max-width: 820px; margin: 24px auto; padding: 0 16px; font: 16px/1.5 "DejaVu Sans", sans-serif; color: #1f2328 }
h1, h2 { border-bottom: 1px solid #d1d9e0; padding-bottom: .3em }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 16px 0 }
th, td { border: 1px solid #d1d9e0; padding: 6px 13px }
tr:nth-child(2n) { background: #f6f8fa }
code { background: #eff1f3; padding: .2em .4em; border-radius: 6px; font: 85% "DejaVu Sans Mono", monospace }
pre { background: #f6f8fa; padding: 16px; overflow-x: auto; border-radius: 6px }
pre code { padding: 0; background: none }
img { max-width: 100% }
"""


def write_page(card: Path) -> Path:
    """Writes a card as a page beside it, where its links lead to what they lead to from the card."""
    markdown = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    body = markdown.render(ModelCard.load(card).text)
    page = card.with_suffix(".html")
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
    page.write_text(f"<!doctype html>{head}<body>{body}</body>", encoding="utf-8")
    return page
