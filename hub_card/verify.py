"""Whether a folder is all that a stranger needs: loaded where the package is not, does it translate alike?"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from training.recipe import TrainingError

# In a published folder: a sentence with its translation by the run's model, for whoever wants to know that a download
# is whole and computes the same.
EXAMPLE = "example.json"

# What a user without the package does, by every Auto class: the pipeline uses those for the model with its head, the
# tokenizer and the configuration. The argument is the folder, and the input a sentence as JSON, as no argument can
# hold all that a sentence can; the last line of the output is its translation, as JSON too.
_ELSEWHERE = """\
import json, sys
sys.modules["modeling_vanilla_transformer"] = None  # were it installed, importing it would fail nonetheless
from transformers import AutoModel, pipeline

folder = sys.argv[1]
AutoModel.from_pretrained(folder, trust_remote_code=True)
translate = pipeline("translation", folder, trust_remote_code=True, device="cpu")
print(json.dumps(translate(json.load(sys.stdin))[0]["translation_text"]))
"""


class VerificationError(TrainingError):
    """A folder that cannot be loaded elsewhere, or translates otherwise there; nothing of it should be uploaded."""


def verify(folder: Path) -> None:
    """Pass where a fresh process without the package, and without the network, makes the stored translation.

    Raises:
        VerificationError: it fails to load the folder, or the translation is another one.
    """
    example = json.loads((folder / EXAMPLE).read_text(encoding="utf-8"))
    found = translate_elsewhere(folder, example["source"])
    if found != example["translation"]:
        raise VerificationError(
            f"{folder}: without the package, '{example['source']}' becomes '{found}', where the run's model says "
            f"'{example['translation']}'; the code in the folder doesn't fit its weights"
        )


def translate_elsewhere(folder: Path, sentence: str) -> str:
    """The translation of a sentence by a process that has the folder alone.

    Raises:
        VerificationError: the process failed; the message is its last line.
    """
    with tempfile.TemporaryDirectory() as elsewhere:
        environment = os.environ | {"HF_HOME": elsewhere, "HF_HUB_OFFLINE": "1"}
        for name in ("PYTHONPATH", "HF_MODULES_CACHE", "HF_HUB_CACHE"):  # of another user's home, nothing is here
            environment.pop(name, None)
        finished = subprocess.run(
            [sys.executable, "-I", "-c", _ELSEWHERE, str(folder.resolve())],
            cwd=elsewhere,
            env=environment,
            input=json.dumps(sentence),
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
    if finished.returncode:
        reason = (finished.stderr.strip() or f"exit code {finished.returncode}").splitlines()[-1]
        raise VerificationError(f"{folder}: without the package it cannot be loaded: {reason}")
    return json.loads(finished.stdout.splitlines()[-1])
