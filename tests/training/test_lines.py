"""Lines to translate: split at line feeds alone, in windows, with their place; bad ones named."""

import hashlib
import os
import sys

import pytest

from training.lines import Input, Place
from training.reading import DataError, read_lines

TEXT = "\ufeffone\r\ntwo\x85\u2028\x0b\x0c\x1c2\n\n \nfünf\n\nno end".encode()
LINES = ["one", "two\x85\u2028\x0b\x0c\x1c2", "", " ", "fünf", "", "no end"]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "in.txt"
    path.write_bytes(TEXT)
    return path


def windows(source, size, start=None):
    return list(source.windows(size, start or Place()))


@pytest.fixture
def from_standard_input(monkeypatch, tmp_path):
    """Make standard input a file of a content, or a pipe."""
    opened = []

    def use(content, pipe):
        if pipe:
            reader, writer = os.pipe()
            os.write(writer, content)
            os.close(writer)
            opened.append(os.fdopen(reader))
        else:
            (tmp_path / "stdin").write_bytes(content)
            opened.append((tmp_path / "stdin").open())
        monkeypatch.setattr(sys, "stdin", opened[-1])
        return Input(None)

    yield use
    for file in opened:
        file.close()


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_all_lines_are_there_as_elsewhere(path, size):
    found = windows(Input(path), size)
    assert [line for window in found for line in window.lines] == LINES == read_lines(path)
    assert [len(window.lines) for window in found[:-1]] == [size] * (len(found) - 1)
    assert Input(path).lines == 7
    assert found[-1].end == Place(7, len(TEXT), hashlib.sha256(TEXT).hexdigest())


def test_reading_goes_on_at_any_place(path):
    for window in windows(Input(path), 1):
        rest = windows(Input(path), 3, window.end)
        assert [line for part in rest for line in part.lines] == LINES[window.end.lines :]
        assert not rest or rest[-1].end.sha256 == hashlib.sha256(TEXT).hexdigest()
    start = windows(Input(path), 2)[0].end
    for content in (TEXT.replace(b"one", b"0ne"), b""):
        other = path.with_name("other")
        other.write_bytes(content)
        with pytest.raises(DataError, match="first 2 lines are not those that were translated already"):
            windows(Input(other), 2, start)


@pytest.mark.parametrize("pipe", [False, True])
def test_standard_input(pipe, from_standard_input):
    source = from_standard_input(TEXT, pipe)
    assert source.lines == (None if pipe else 7)
    assert [window.lines for window in windows(source, 4)] == [LINES[:4], LINES[4:]]


def test_windows_are_bounded_in_bytes_too(path, monkeypatch):
    monkeypatch.setattr("training.lines._MOST_BYTES", 8)
    assert [window.lines for window in windows(Input(path), 4)] == [LINES[:1], LINES[1:2], LINES[2:5], LINES[5:]]


def test_an_empty_file_has_no_lines(path):
    path.write_bytes(b"")
    assert Input(path).lines == 0 and windows(Input(path), 2) == []


def test_what_is_not_utf8_is_named(path, tmp_path, from_standard_input):
    path.write_bytes(b"one\ntwo\nthr\xffee\nfour\n")
    with pytest.raises(DataError, match=rf"{path}: line 3, byte 4 is not UTF-8 \(0xff\)"):
        Input(path)  # before any line was used
    source = from_standard_input(path.read_bytes(), pipe=True).windows(2, Place())
    assert next(source).lines == ["one", "two"]
    with pytest.raises(DataError, match="standard input: line 3, byte 4"):
        next(source)
    source = from_standard_input(path.read_bytes(), pipe=True).windows(100, Place())
    assert next(source).lines == ["one", "two"]  # what came before is not lost
    with pytest.raises(DataError, match="line 3"):
        next(source)
    with pytest.raises(DataError, match="no such file"):
        Input(tmp_path / "nothing")
    with pytest.raises(DataError, match="cannot be read"):
        Input(tmp_path)
