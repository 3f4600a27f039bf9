"""Processes that share what is imported already: one, a command's, or two that see each other as a launcher's do."""

import os
import runpy
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from accelerate.state import AcceleratorState


def start(run: Callable[[], object], **streams: int) -> int:
    """Call `run` in a process of its own; returns its number.

    Args:
        streams: descriptors in place of stdin, stdout and stderr.
    """
    child = os.fork()
    if child == 0:
        code: object = 1
        try:
            for number, (name, mode) in enumerate({"stdin": "r", "stdout": "w", "stderr": "w"}.items()):
                if name in streams:
                    os.dup2(streams[name], number)
                    setattr(sys, name, os.fdopen(number, mode, 1, closefd=False))
            os.closerange(3, 100)
            AcceleratorState._reset_state(reset_partial_state=True)  # that of the process it comes from
            run()
            code = 0
        except SystemExit as end:
            code = end.code
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code if isinstance(code, int) else 1)
    return child


def end_of(child: int) -> int:
    """Wait for a process; its exit code, or its signal's negative."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def python_m(module: str, arguments: list[str], folder: Path, place: Path) -> subprocess.CompletedProcess:
    """What `python -m module arguments` does.

    Args:
        folder: where it is called.
        place: where its output is kept.
    """

    def run() -> None:
        os.chdir(folder)
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)

    with (place / "stdout").open("w+") as output, (place / "stderr").open("w+") as errors:
        code = end_of(start(run, stdout=output.fileno(), stderr=errors.fileno()))
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess([module, *arguments], code, output.read(), errors.read())


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

    children: dict[int, int | None] = {}
    with (folder / "stdout").open("w+") as output, (folder / "stderr").open("w+") as errors:
        for rank in range(2):
            process = start(partial(as_rank, rank), stdout=output.fileno(), stderr=errors.fileno())
            children[process] = None
        deadline = time.monotonic() + 240
        while None in children.values():
            for process in [process for process, code in children.items() if code is None]:
                found, status = os.waitpid(process, os.WNOHANG)
                if found:
                    children[process] = os.waitstatus_to_exitcode(status)
                elif time.monotonic() > deadline or any(children.values()):  # it waits for the other one in vain
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.05)
        output.seek(0)
        errors.seek(0)
        code = next((code for code in children.values() if code), 0)
        return subprocess.CompletedProcess([], code, output.read(), errors.read())
