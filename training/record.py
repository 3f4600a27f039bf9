"""What a run records about itself: when, on what and with what it was made, and how long that took.

It lies in the run's folder as run.json: an entry for each sitting (a run that was interrupted and went on has several)
and, once the run has finished, what came out. Without `finished` in it, the run is unfinished.
"""

import importlib.metadata
import json
import platform
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object

from training.files import write_whole
from training.machine import available_cores, device_name
from training.reading import EMBEDDED
from training.recipe import TrainingError

RECORD = "run.json"
_LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "datasets", "sacrebleu")


class RecordError(TrainingError):
    """A record that cannot be read; the message names the file."""


def describe_sitting(mixed_precision: str, after_update: int = 0) -> dict[str, Any]:
    """What the next updates are made on. Every process must call this, and returns the same but for its own `cores`.

    Args:
        mixed_precision: of the matrix products, as Accelerate names it.
        after_update: the last update before this sitting.
    """
    state = PartialState()
    # The machine's name tells machines apart, and is kept nowhere.
    found = gather_object([(platform.node(), device_name(state.device))])
    return {
        "started": _now(),
        "after_update": after_update,
        "device_type": state.device.type,
        "devices": dict(Counter(name for _, name in found)),
        "machines": len({machine for machine, _ in found}),
        "processes": state.num_processes,
        "cores": available_cores(),
        "mixed_precision": mixed_precision,
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }


def record_sitting(output: Path, sitting: dict[str, Any], resumed: bool) -> None:
    """Start a run's record by its first sitting, or add one; it is unfinished from then on."""
    before = read_record(output).get("sittings", []) if resumed else []
    _write(output, {"sittings": [*before, sitting]})


def hub_names(*names: str | None) -> list[str]:
    """Those of the names, of data and models, that no folder has here and now: what they name is on the Hub."""
    return sorted({name for name in names if name not in (None, EMBEDDED) and not Path(name).expanduser().exists()})


def record_end(output: Path, **values: Any) -> None:
    """Add what came out, and the time, to a run's record, which is finished then."""
    _write(output, read_record(output) | {"finished": _now()} | values)


def read_record(output: Path) -> dict[str, Any]:
    """A run's record; an empty one where there is none.

    Raises:
        RecordError: a file that isn't a JSON object.
    """
    file = output / RECORD
    try:
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}
    except (OSError, ValueError, TypeError) as error:
        raise RecordError(f"{file} cannot be read: {error}; bring it back from a copy, or remove it") from None


def _write(output: Path, record: dict[str, Any]) -> None:
    write_whole(output / RECORD, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
