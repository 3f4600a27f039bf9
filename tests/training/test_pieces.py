"""Long lines in pieces: between sentences where they fit, and never a character less."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.pieces import Piece, pieces_of


def shorter_than(limit):
    return lambda text: len(text) < limit


@pytest.mark.parametrize(
    ("line", "pieces"),
    [
        ("A cat. A dog. A cow.", ["A cat. A dog.", "A cow."]),  # as many sentences as fit
        ("  A cat is in. A dog is out.  ", ["A cat is in.", "A dog is out."]),
        ('"A cat is in!" (A dog is out?) So?', ['"A cat is in!"', "(A dog is out?)", "So?"]),
        ("It is approx. one mile.", ["It is approx. one mile."]),  # no end: what follows is in small letters
        ("Of 1.5 or 2.5 miles. No.", ["Of 1.5 or 2.5 miles.", "No."]),  # no blank behind the point
        ("猫は家の中で寝ています。犬は外です。", ["猫は家の中で寝ています。", "犬は外です。"]),
        ("No end but a very long one. A cat.", ["No end but a very long one.", "A cat."]),  # too long, yet whole
        ("Short.", ["Short."]),
        ("  Short.  ", ["  Short.  "]),  # what fits is left as it is
    ],
)
def test_a_line_is_cut_between_sentences(line, pieces):
    found = pieces_of(line, shorter_than(17), cut_sentences=False)
    assert [piece.text for piece in found] == pieces
    assert all(line[piece.start :].startswith(piece.text) for piece in found)


def test_a_sentence_that_is_too_long_is_cut_where_it_must_be():
    line = "One two three four five. Six seven. Incomprehensibilities eight"
    assert pieces_of(line, shorter_than(13), cut_sentences=True) == [
        Piece("One two", 0),
        Piece("three four", 8),
        Piece("five.", 19),
        Piece("Six seven.", 25),
        Piece("Incomprehens", 36),
        Piece("ibilities", 48),
        Piece("eight", 58),
    ]


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.sampled_from("aB. \u00a0\u3000。!\t\x85é1"), min_size=1).filter(str.strip),
    st.integers(2, 20),
    st.booleans(),
)
def test_nothing_but_white_space_is_left_out(line, limit, cut_sentences):
    pieces = pieces_of(line, shorter_than(limit), cut_sentences)
    assert "".join("".join(piece.text for piece in pieces).split()) == "".join(line.split())
    assert all(piece.text.strip() for piece in pieces)
    assert all(line[piece.start :].startswith(piece.text) for piece in pieces)
    if cut_sentences:
        assert all(len(piece.text) < limit for piece in pieces)
