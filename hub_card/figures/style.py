"""One style for every figure: its fonts and colours, what they can draw, and how a figure becomes a file."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

INK, FAINT = "#222222", "#666666"
# The colours of Okabe and Ito, which colour-blind readers can tell apart; in place of their yellow, which white paper
# swallows, the wine red of Paul Tol.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255")

STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.titlesize": 11,
    "figure.dpi": 100,
    "font.size": 10,
    "legend.fontsize": 9,
    "pdf.fonttype": 42,  # fonts that can be searched and edited
    "savefig.dpi": 200,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "vanilla-transformer",  # the same figure is the same file
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": 9,
    "ytick.color": INK,
    "ytick.labelsize": 9,
}

# DejaVu Sans comes with matplotlib and knows Latin, Greek, Cyrillic, Hebrew and Arabic. Chinese, Japanese and Korean
# are drawn where one of these is installed.
EAST_ASIAN = [
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "WenQuanYi Zen Hei"),
    *("PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "Arial Unicode MS"),
]

_LOCK = threading.RLock()  # matplotlib has one set of defaults for all threads


@contextmanager
def style() -> Iterator[None]:
    """Inside, and in a function that it decorates, figures are made in the project's style; matplotlib's own defaults
    are back afterwards."""
    with _LOCK, matplotlib.rc_context(STYLE | {"font.family": font_families()}):
        yield


@style()
def save_figure(figure: Figure, file: Path | str) -> Path:
    """Write a figure as PNG, SVG, PDF or what else its name ends in, folders included; returns the file.

    Raises:
        ValueError: no such format.
        OSError: the file cannot be written.
    """
    file = Path(file)
    date = {".svg": "Date", ".pdf": "CreationDate"}.get(file.suffix.lower())
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={date: None} if date else None)  # without a date the file can be made again
    return file


@cache
def font_families() -> tuple[str, ...]:
    """The fonts of every figure: a character is drawn in the first of them that has it."""
    known = set(font_manager.fontManager.get_font_names())
    if known.isdisjoint(EAST_ASIAN):  # matplotlib keeps a list of its own, which may be older than the fonts
        for file in font_manager.findSystemFonts():
            if "cjk" in file.lower():
                font_manager.fontManager.addfont(file)
        known.update(font_manager.fontManager.get_font_names())
    return ("DejaVu Sans", *[family for family in EAST_ASIAN if family in known][:1])


def drawable(text: str) -> str:
    """The text with every character that none of the fonts has as its number, such as U+1F600, and control characters
    escaped."""
    return "".join(_drawable(character) for character in text)


def _drawable(character: str) -> str:
    if not character.isprintable():
        return repr(character)[1:-1]
    return character if ord(character) in _characters() else f"U+{ord(character):04X}"


@cache
def _characters() -> frozenset[int]:
    """What the fonts have."""
    files = [font_manager.findfont(font_manager.FontProperties(family=[family])) for family in font_families()]
    return frozenset(code for file in files for code in font_manager.get_font(file).get_charmap())
