"""A file that grows step by step, over several sittings if need be, and gets its name when it is complete."""

import fcntl
import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.files import unfinished_name, write_whole
from training.lines import Place
from training.output import DiskError, OutputError


def names_of(path: Path) -> tuple[Path, Path, Path]:
    """A file, its unfinished form and its journal; of a symbolic link, those of the file that it points to."""
    path = path.resolve()
    return path, path.with_name(f"{path.name}.unfinished"), path.with_name(f"{path.name}.unfinished.json")


class GrowingFile:
    """What is made of an input's lines: of every line once and in order, whatever kills the process when.

    Until it is complete its name is OUTPUT.unfinished. Beside it stands OUTPUT.unfinished.json, a journal that is
    replaced as a whole before the first step and after each: how much of the file counts, and up to which place of the
    input. What a killed process wrote after its last step is cut off when the next one goes on.
    """

    def __init__(self, path: Path, origin: dict[str, Any], *, resume: bool, overwrite: bool) -> None:
        """
        Args:
            path: the file.
            origin: all that the content follows from, beside the input; it must be the same in each sitting.
            resume: whether to go on with what an earlier process left. Where it left nothing, the file is begun.
            overwrite: whether another file may be replaced: a complete one at the end and, without `resume`, an
                unfinished one at once.

        Raises:
            OutputError: the file cannot be written, would replace another, or cannot be gone on with.
        """
        self.path, self._unfinished, self._journal = names_of(path)
        self._origin = json.loads(json.dumps(origin))  # as it comes out of the journal
        self.place = Place()
        """The place of the input up to which everything is in the file."""
        self._bytes = 0
        try:
            unfinished_name(self._journal).exists()  # the longest name of all, which may be too long for the disk
            if resume:
                self._take_back_the_last_step()
            self._check(resume, overwrite)
        except OSError as error:
            raise self._not_writable(error) from error
        try:
            self._file = os.fdopen(os.open(self._unfinished, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process, however that ends
            if os.fstat(self._file.fileno()).st_ino != self._unfinished.stat().st_ino:
                raise FileNotFoundError(self._unfinished)  # the other one finished just now
        except BlockingIOError:
            raise OutputError(f"--output: another process is writing {self._unfinished}; name another file") from None
        except FileNotFoundError:
            raise OutputError(f"--output: another process has just written {self.path}; name another file") from None
        except OSError as error:
            raise self._not_writable(error) from error
        try:
            if resume and self._journal.exists():
                self._go_on()
            else:
                self._journal.unlink(missing_ok=True)
            self._file.truncate(self._bytes)
            self._file.seek(self._bytes)
        except BaseException:
            self.close()
            raise

    def append(self, text: str, place: Place) -> None:
        """Take the next step: all of it is there afterwards, even if the process is killed, or none.

        Args:
            text: what belongs to the lines up to `place`.
            place: of the input.

        Raises:
            DiskError: the disk is full, or broken; the steps before are safe.
        """
        content = memoryview(text.encode("utf-8"))
        try:
            if not self._bytes:  # what is in the file without a journal is somebody else's
                self._write_journal(self.place, complete=False)
            while content:  # a file that isn't buffered may take a part of it at a time
                content = content[self._file.write(content) :]
            os.fsync(self._file.fileno())
            self._write_journal(place, complete=False)
        except OSError as error:
            raise DiskError(f"{self._unfinished} cannot be written ({error}); {self.safe()}") from error
        self.place, self._bytes = place, self._file.tell()

    def finish(self) -> None:
        """Give the file its name.

        Raises:
            DiskError: as `append`.
        """
        try:
            self._write_journal(self.place, complete=True)
            os.replace(self._unfinished, self.path)
            self._journal.unlink()
        except OSError as error:
            raise DiskError(f"{self.path} cannot be written ({error}); {self.safe()}") from error

    def close(self) -> None:
        """Let another process go on, where this one doesn't finish."""
        self._file.close()

    def safe(self) -> str:
        """What is there already, and how to go on, in words."""
        return f"the translations of the first {self.place.lines:,} lines are safe; go on with --resume auto"

    def _take_back_the_last_step(self) -> None:
        """A process that was killed while it gave the file its name left the journal: take the name away again."""
        if self._journal.exists() and not self._unfinished.exists():
            journal = self._read_journal()
            if journal["complete"] and self.path.is_file() and self.path.stat().st_size == journal["bytes"]:
                os.replace(self.path, self._unfinished)

    def _check(self, resume: bool, overwrite: bool) -> None:
        if self.path.exists() and not self.path.is_file():
            raise OutputError(f"--output: {self.path} is no file that can be replaced; name another")
        if self.path.exists() and not overwrite:
            raise OutputError(f"--output: {self.path} exists; name another file, or replace it with --overwrite")
        begun = self._journal.exists()
        if begun and not resume and not overwrite:
            raise OutputError(
                f"--output: {self._unfinished} holds a translation that was begun; go on with it by --resume auto, "
                "name another file, or start anew with --overwrite"
            )
        if not begun and not overwrite and self._unfinished.exists() and self._unfinished.stat().st_size:
            raise OutputError(
                f"--output: {self._unfinished} exists, and is no translation that was begun; move it away, name "
                "another file, or replace it with --overwrite"
            )
        with tempfile.TemporaryFile(dir=self.path.parent):  # the proof that files can be made there
            pass

    def _go_on(self) -> None:
        journal = self._read_journal()
        then = journal["origin"]
        changed = [
            f"{name} was {then.get(name)} and is {self._origin.get(name)}"
            for name in sorted({*then, *self._origin})
            if then.get(name) != self._origin.get(name)
        ]
        if changed:
            raise OutputError(
                f"--resume auto: {self._unfinished} was begun otherwise: {'; '.join(changed)}. Go on as it was begun, "
                "name another file, or start anew by --resume no --overwrite"
            )
        if os.fstat(self._file.fileno()).st_size < journal["bytes"]:
            raise OutputError(
                f"--resume auto: {self._unfinished} is shorter than it was; start anew by --resume no --overwrite"
            )
        self.place, self._bytes = journal["place"], journal["bytes"]

    def _read_journal(self) -> dict[str, Any]:
        try:
            journal = json.loads(self._journal.read_text(encoding="utf-8"))
            found = {key: journal[key] for key in ("bytes", "complete", "origin")}
            place = Place(**journal["place"])
            numbers = (found["bytes"], place.lines, place.bytes)
            if not all(type(number) is int and number >= 0 for number in numbers):
                raise ValueError("it counts in what are no whole numbers")
            if not isinstance(found["origin"], dict):
                raise ValueError("its origin is no list of settings")
            return found | {"place": place}
        except (ValueError, TypeError, KeyError, OSError) as error:
            raise OutputError(
                f"--resume auto: {self._journal} cannot be read ({error}); start anew by --resume no --overwrite"
            ) from error

    def _write_journal(self, place: Place, complete: bool) -> None:
        journal = {
            "place": asdict(place),
            "bytes": self._file.tell(),
            "complete": complete,
            "origin": self._origin,
        }
        write_whole(self._journal, json.dumps(journal, indent=2) + "\n")

    def _not_writable(self, error: OSError) -> OutputError:
        return OutputError(f"--output: {self.path} cannot be written ({error}); name another file")
