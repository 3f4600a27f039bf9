"""Processes that share what is imported already: one, a command's, or two that see each other as a launcher's do."""

import contextlib
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from accelerate.state import AcceleratorState
from huggingface_hub import constants

SECONDS = 240  # that a process may take


def start(run: Callable[[], object], **streams: int) -> int:
    """Call `run` in a process of its own; returns its number.

    Args:
        streams: descriptors in place of stdin, stdout and stderr.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            for number, (name, mode) in enumerate({"stdin": "r", "stdout": "w", "stderr": "w"}.items()):
                if name in streams:
                    os.dup2(streams[name], number)
                    setattr(sys, name, os.fdopen(number, mode, 1, closefd=False))
            _leave_descriptors()
            AcceleratorState._reset_state(reset_partial_state=True)  # that of the process it comes from
            run()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
        except BaseException:
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError):  # nobody reads it any more
                    stream.flush()
            os._exit(code)
    return child


def _leave_descriptors() -> None:
    """Let go of what the descriptors of the process that this one comes from lead to, such as ends of pipes.

    Their numbers stay taken: objects that came along close theirs at some time, which must not be a new file's.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3, 100):
        with contextlib.suppress(OSError):  # it is none
            os.fstat(number)
            os.dup2(null, number)


def ends_of(children: Sequence[int]) -> dict[int, int]:
    """Wait for processes; returns for each, in the order of their ends, its exit code, or its signal's negative.

    When one has failed, the others are killed, as they would wait for it in vain; so are all after `SECONDS`.
    """
    codes: dict[int, int] = {}
    deadline = time.monotonic() + SECONDS
    try:
        while len(codes) < len(children) and not any(codes.values()) and time.monotonic() < deadline:
            for child in children:
                found, status = (0, 0) if child in codes else os.waitpid(child, os.WNOHANG)
                if found:
                    codes[child] = os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
    finally:
        for child in children:
            if child not in codes:
                os.kill(child, signal.SIGKILL)
                codes[child] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return codes


def end_of(child: int) -> int:
    """Wait for a process; its exit code, or its signal's negative."""
    return ends_of([child])[child]


def _outputs_of(runs: Sequence[Callable[[], object]], place: Path) -> subprocess.CompletedProcess:
    """Call each in a process of its own, and wait for all: what they wrote, and the first code that is not 0."""
    with (place / "stdout").open("w+") as output, (place / "stderr").open("w+") as errors:
        codes = ends_of([start(run, stdout=output.fileno(), stderr=errors.fileno()) for run in runs])
        output.seek(0)
        errors.seek(0)
        code = next(filter(None, codes.values()), 0)
        return subprocess.CompletedProcess([], code, output.read(), errors.read())


def python_m(module: str, arguments: list[str], folder: Path, place: Path) -> subprocess.CompletedProcess:
    """What `python -m module arguments` does, without a network or an accelerator.

    Args:
        folder: where it is called.
        place: where its output is kept.
    """

    def run() -> None:
        os.chdir(folder)
        os.environ |= {"HF_HUB_OFFLINE": "1", "ACCELERATE_USE_CPU": "true"}
        constants.HF_HUB_OFFLINE = True  # the variable was read already
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)

    return _outputs_of([run], place)


def in_two_processes(run: Callable[[], object], folder: Path, **variables: str) -> subprocess.CompletedProcess:
    """Call `run` in two processes that a launcher would have started, and wait for both.

    Args:
        folder: where their output is kept.
        variables: of their environment.
    """
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(free.getsockname()[1])}

    def as_rank(rank: int) -> None:
        ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
        os.environ |= address | {name: str(value) for name, value in ranks.items()}
        os.environ |= {"ACCELERATE_USE_CPU": "true"} | variables
        run()

    return _outputs_of([partial(as_rank, rank) for rank in range(2)], folder)
