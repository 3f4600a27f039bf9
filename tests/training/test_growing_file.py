"""A file that grows step by step: each step once, wherever the process dies; and nothing replaced unasked."""

import itertools
import json
import os
import resource
import signal

import pytest

from training import growing_file
from training.growing_file import GrowingFile
from training.lines import Place
from training.output import DiskError, OutputError

ORIGIN = {"model": "a", "--num_beams": 4}
STEPS = ["one\n", "", "zwei\ndrei\n", "fünf\n"]


class Killed(BaseException):
    """What nothing catches."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out"


def opened(path, origin=ORIGIN, resume=True, overwrite=False):
    return GrowingFile(path, origin, resume=resume, overwrite=overwrite)


def work(path, steps=STEPS, finish=True, **keys):
    """Take the steps that are left; the place counts them."""
    file = opened(path, **keys)
    try:
        for number in range(file.place.lines, len(steps)):
            file.append(steps[number], Place(number + 1))
        if finish:
            file.finish()
    finally:
        file.close()


def unfinished(path):
    return sorted(entry.name for entry in path.parent.iterdir() if entry != path)


def test_every_step_is_there_once_wherever_the_process_dies(path, monkeypatch):
    """The process dies before or after each of the calls that change something, and in the middle of each write."""

    def dying(call, moments):
        def now(*arguments, **keys):
            if next(moments) == 0:
                raise Killed
            result = call(*arguments, **keys)
            if next(moments) == 0:
                raise Killed
            return result

        return now

    class DyingFile:
        """Takes a byte at a time, and says so."""

        def __init__(self, file, moments):
            self.file, self.moments = file, moments

        def write(self, content):
            if next(self.moments) == 0:
                raise Killed
            return self.file.write(content[:3])

        def __getattr__(self, name):
            return getattr(self.file, name)

    for moment in itertools.count():
        path.unlink(missing_ok=True)
        moments = itertools.count(moment, -1)
        with monkeypatch.context() as patch:
            for name in ("fsync", "replace"):
                patch.setattr(os, name, dying(getattr(os, name), moments))
            patch.setattr(growing_file.Path, "unlink", dying(growing_file.Path.unlink, moments))
            fdopen = os.fdopen
            patch.setattr(os, "fdopen", lambda *a, fdopen=fdopen, m=moments, **k: DyingFile(fdopen(*a, **k), m))
            patch.setattr(growing_file.fcntl, "flock", lambda *_: None)  # two processes, here in one
            try:
                work(path)
                died = False
            except Killed:
                died = True
        if not died:
            break
        assert not path.exists() or path.read_text() == "".join(STEPS)  # never half of it under its name
        if path.exists() and not unfinished(path):
            continue
        work(path)
        assert path.read_text() == "".join(STEPS)
        assert unfinished(path) == []
    assert moment > 40


def test_another_sitting_must_be_of_the_same_origin(path):
    work(path, STEPS[:2], finish=False)
    with pytest.raises(OutputError, match=r"--num_beams was 4 and is 2; model was a and is None\. Go on as it was"):
        work(path, origin={"--num_beams": 2})
    work(path)
    assert path.read_text() == "".join(STEPS)


def test_nothing_is_replaced_unasked(path):
    path.write_text("mine")
    for resume in (False, True):
        with pytest.raises(OutputError, match="exists; name another file, or replace it with --overwrite"):
            work(path, resume=resume)
    assert unfinished(path) == [] and path.read_text() == "mine"
    work(path, STEPS[:3], finish=False, overwrite=True)
    assert path.read_text() == "mine"  # until the other one is complete
    path.unlink()
    with pytest.raises(OutputError, match="holds a translation that was begun; go on with it by --resume auto"):
        work(path, resume=False)
    work(path, ["new\n"], resume=False, overwrite=True)
    assert path.read_text() == "new\n" and unfinished(path) == []


def test_what_is_no_beginning_of_ours_stays(path):
    other = path.with_name("out.unfinished")
    other.write_text("mine")
    for resume in (False, True):
        with pytest.raises(OutputError, match="is no translation that was begun; move it away"):
            work(path, resume=resume)
    assert other.read_text() == "mine" and not path.exists()
    work(path, overwrite=True)
    assert path.read_text() == "".join(STEPS) and unfinished(path) == []


def test_damage_is_found(path):
    work(path, STEPS, finish=False)
    left, journal = (path.with_name(name) for name in unfinished(path))
    left.write_text("one\n")
    with pytest.raises(OutputError, match="is shorter than it was; start anew"):
        work(path)
    good = json.loads(journal.read_text())
    for wrong in (
        {},
        good | {"place": {"somewhere": 1}},
        good | {"place": good["place"] | {"lines": "3"}},
        good | {"bytes": "12"},
        good | {"bytes": None},
        good | {"bytes": -1},
        good | {"origin": []},
    ):
        journal.write_text(json.dumps(wrong))
        with pytest.raises(OutputError, match="cannot be read .*start anew"):
            work(path)
    work(path, resume=False, overwrite=True)
    assert path.read_text() == "".join(STEPS)


def test_one_process_at_a_time(path):
    first = opened(path)
    first.append("one\n", Place(1))
    with pytest.raises(OutputError, match="another process is writing"):
        opened(path)
    first.close()
    assert opened(path).place == Place(1)


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        opened(tmp_path / "no" / "out")
    with pytest.raises(OutputError, match="is no file that can be replaced"):
        opened(tmp_path, overwrite=True)


def test_a_name_that_is_too_long_is_refused_at_once(path):
    for length in (240, 300):
        with pytest.raises(OutputError, match="cannot be written .*(?i:name too long).*name another file"):
            opened(path.with_name("a" * length))
    assert unfinished(path) == []


def test_a_symbolic_link_stays_one(path, tmp_path):
    path.symlink_to(tmp_path / "real")
    work(path)
    assert path.is_symlink() and (tmp_path / "real").read_text() == "".join(STEPS)


def test_a_full_disk_loses_nothing(path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    heard = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    steps = ["a" * 3000 + "\n"] * 5
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))  # the fourth step fails halfway
    try:
        with pytest.raises(
            DiskError, match="the translations of the first 3 lines are safe; go on with --resume auto"
        ):
            work(path, steps)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, heard)
    assert path.with_name("out.unfinished").stat().st_size == 10_000
    work(path, steps)
    assert path.read_text() == "".join(steps)
