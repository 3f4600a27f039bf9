"""Lines longer than a model was trained for, in pieces that it can read: runs of sentences, and if need be of words.

Nothing but white space between two pieces is left out.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

# The end of a sentence: its punctuation and what closes after it. Scripts without blanks need none behind it.
_SENTENCE_END = re.compile(r"""[.!?…।؟۔]+["'”’»)\]]*(?=\s)|[。！？]+[」』”’）]*""")
_WORD = re.compile(r"\S+")

Span = tuple[int, int]
Units = Callable[[str, int, int], Iterator[Span]]


@dataclass(frozen=True)
class Piece:
    """A part of a line."""

    text: str
    start: int = 0
    """The place of its first character in the line."""


def pieces_of(line: str, fits: Callable[[str], bool], cut_sentences: bool) -> list[Piece]:
    """A line as it is where it fits, else in as long runs of whole sentences as fit.

    Args:
        line: a line of text, not empty.
        fits: whether a text is short enough.
        cut_sentences: whether a sentence that is too long by itself is cut too: between words, and a word that is too
            long by itself between characters. Otherwise it is a piece as it is.
    """
    units: list[Units] = [_sentences, _words, _characters] if cut_sentences else [_sentences]
    if fits(line):
        return [Piece(line)]
    end = len(line.rstrip())
    return [Piece(line[start:stop], start) for start, stop in _pieces(line, (0, end), fits, units)]


def _pieces(line: str, span: Span, fits: Callable[[str], bool], units: Sequence[Units]) -> Iterator[Span]:
    if not units or fits(line[slice(*span)]):
        yield span
        return
    run: Span | None = None
    for start, end in units[0](line, *span):
        if run is not None and not fits(line[run[0] : end]):
            yield from _pieces(line, run, fits, units[1:])
            run = None
        run = (run[0] if run else start, end)
    if run is not None:
        yield from _pieces(line, run, fits, units[1:])


def _sentences(line: str, start: int, end: int) -> Iterator[Span]:
    begin = next(_WORD.finditer(line, start, end)).start()
    for match in _SENTENCE_END.finditer(line, start, end):
        following = _WORD.search(line, match.end(), end)
        if following and not line[following.start()].islower():  # else it was an abbreviation, such as "approx."
            yield begin, match.end()
            begin = following.start()
    yield begin, end


def _words(line: str, start: int, end: int) -> Iterator[Span]:
    return (match.span() for match in _WORD.finditer(line, start, end))


def _characters(line: str, start: int, end: int) -> Iterator[Span]:
    return ((place, place + 1) for place in range(start, end))
