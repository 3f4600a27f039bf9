"""Finished runs as training leaves them, made in an instant: nothing was trained, and every file is there."""

import hashlib
import json
from pathlib import Path

from tests.training.models import save, small_model
from training.evaluation import bleu, translate
from training.files import write_whole
from training.output import METRICS, MODEL, RECIPE, TEST_HYPOTHESES, TEST_SCORES
from training.recipe import make_recipe
from training.record import describe_sitting, record_end, record_sitting

SOURCES = ["The old farmer sees a dog.", "A dog sleeps.", "The student has locked the door."]
REFERENCES = [
    "Der alte Bauer sieht einen Hund.",
    "Ein Hund schläft.",
    "Der Student hat die schwarze Tür abgeschlossen.",
]
UPDATES = 40


def write_run(folder: Path, test: bool = True) -> Path:
    """A run of `training.train` whose data lie beside it.

    Args:
        folder: the run's; the data go to `data` in the folder around it.
        test: whether it has a test set.
    """
    data = folder.parent / "data"
    for split in ("train", "val", "test"):
        for language, lines in (("en", SOURCES), ("de", REFERENCES)):
            data.mkdir(parents=True, exist_ok=True)
            (data / f"{split}.{language}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    folder.mkdir(parents=True)
    keys = {"data": str(data), "source_language": "en", "target_language": "de", "model": "miniature"}
    keys |= {"output": str(folder), "validation": "val", "test": "test" if test else None, "num_beams": 2}
    recipe = make_recipe(keys | {"max_updates": UPDATES})
    recipe.write(folder / RECIPE)
    model, tokenizer = small_model((SOURCES + REFERENCES) * 3)
    save((model, tokenizer), folder / MODEL)
    lines = [{"update": update, "epoch": update / 10, "loss": 9 / update} for update in (20, UPDATES)]
    lines += [{"update": UPDATES, "final_validation_perplexity": 7.25}]
    write_whole(folder / METRICS, "".join(json.dumps(line) + "\n" for line in lines))
    if test:
        hypotheses = translate(model, tokenizer, SOURCES)
        write_whole(folder / TEST_HYPOTHESES, "".join(f"{line}\n" for line in hypotheses))
        score = bleu(hypotheses, REFERENCES)
        found = {"date": "2026-01-02T03:04:05+00:00", "bleu": score["bleu"], "metric": "BLEU"}
        found |= {"signature": score["signature"], "data": str(data), "test": "test", "sentences": len(SOURCES)}
        found |= {"num_beams": 2, "length_penalty": 0.6, "length_penalty_type": "wu", "max_length_offset": 4}
        write_whole(folder / TEST_SCORES, json.dumps(found | {"updates": UPDATES}))
    record_sitting(folder, describe_sitting("no"), resumed=False)
    record_end(folder, updates=UPDATES, epochs=4.0, seconds=12.5, training_pairs={"kept": len(SOURCES)})
    return folder


def manifest(files: dict[str, bytes], **changed: object) -> bytes:
    """What an upload says of its files; for a test, something else in every entry."""
    entries = {name: {"bytes": len(content), "sha256": sha256(content)} | changed for name, content in files.items()}
    return json.dumps({"files": entries}).encode()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
