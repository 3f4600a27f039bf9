"""A finished run, as its folder tells it: what the card, and everything else that is published, is made of."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from training.curves import read_metrics
from training.data import read_pairs
from training.evaluation import bleu
from training.metrics import NAMES
from training.output import METRICS, MODEL, RECIPE, SETTINGS, TEST_HYPOTHESES, TEST_SCORES
from training.recipe import DataRecipe, Recipe, TrainingError, make_recipe, read_recipe
from training.record import RECORD, read_record
from training.score_output import LOG

# What a card tells of a run's record where it is there, and of each of its sittings.
_OF_A_RECORD: dict[str, Any] = {"sittings": list, "training_pairs": dict, "hub_names": list}
_OF_A_RECORD |= {"seconds": int | float, "checkpoints_averaged": int}
_OF_A_SITTING: dict[str, Any] = {
    "started": str,
    "device_type": str,
    "devices": dict,
    "machines": int,
    "processes": int,
}
_OF_A_SITTING |= {"cores": int, "mixed_precision": str, "versions": dict}
_OF_A_TRAINER = "all_results.json"  # which Trainer writes as the last of all


class RunError(TrainingError):
    """A folder that holds no finished run; the message says what is missing there, and what to do."""


@dataclass
class TestSet:
    """What a run's model was scored on, and its translations."""

    __test__ = False  # of pytest's

    sources: list[str]
    references: list[str]
    hypotheses: list[str]


@dataclass(frozen=True)
class Scoring:
    """A metric of the run's model on some test set, by training.score."""

    test_set: str
    """Names of files or of a split, without the way there."""
    sentences: int
    metric: str
    value: float
    signature: str
    search: dict[str, Any]
    date: str


@dataclass
class FinishedRun:
    """A run of `training.train`, or of `training.finetune`, that came to its end."""

    folder: Path
    model: Path
    """The final model's folder."""
    settings: dict[str, Any]
    """Of the recipe, or of the fine-tuning; all keys with their values."""
    data: DataRecipe
    recipe: Recipe | None
    """None for a model that was fine-tuned."""
    base_model: str | None
    """The model that fine-tuning started from: a name on the Hub, or a folder."""
    updates: int
    epochs: float | None
    seconds: float | None
    """Of training, validation and saving, over all sittings; None where the run did not record it."""
    validation_perplexity: float | None
    """Of the final model, a token, without label smoothing."""
    scores: dict[str, Any] | None
    """What test.json holds; None without a test set."""
    record: dict[str, Any] = field(default_factory=dict)
    """What run.json holds; empty for a run of before there was one."""
    test: TestSet | None = None
    scorings: list[Scoring] = field(default_factory=list)
    """What training.score added to the run's log, in its order."""


def read_run(folder: Path, data: str | None = None) -> FinishedRun:
    """The finished run in a folder, with its test set.

    Args:
        folder: the output folder of training.train or training.finetune.
        data: where the data of the run lie now; None: where they were.

    Raises:
        RunError: no run, one that has not finished, or a test set that is not the one that was scored.
        TrainingError: a file of the run, or its test set, that cannot be read.
    """
    if (folder / RECIPE).is_file():
        run = _read_trained(folder, data)
    elif (folder / SETTINGS).is_file():
        run = _read_finetuned(folder, data)
    else:
        raise RunError(f"{folder}: {_why_no_run(folder)}")
    if run.scores is not None:
        run.test = _read_test(run)
    run.scorings = _read_scorings(run)
    return run


def _why_no_run(folder: Path) -> str:
    if not folder.is_dir():
        return "there is no such folder; name the output folder of a run"
    if (folder.parent / RECIPE).is_file():
        return f"this is a part of a run; name the run itself, {folder.parent}"
    return f"no run, as it holds neither {RECIPE} nor {SETTINGS}; name the output folder of a run"


def _read_trained(folder: Path, data: str | None) -> FinishedRun:
    recipe = read_recipe(folder / RECIPE, {} if data is None else {"data": data})
    record, scores = _read_record(folder), _read_json(folder / TEST_SCORES)
    metrics = read_metrics(folder) if (folder / METRICS).is_file() else []
    updates = max((line["update"] for line in metrics), default=0)
    # A run that went on after its end still holds what it had then.
    scored = recipe.data.test is None or (scores is not None and scores.get("updates") == updates)
    finished = "finished" in record if record else True
    if not (finished and scored and updates and (folder / MODEL / "config.json").is_file()):
        raise RunError(
            f"{folder}: the run has not finished; go on with it: python -m training.train {folder / RECIPE} "
            "--resume auto"
        )
    perplexities = [line["final_validation_perplexity"] for line in metrics if "final_validation_perplexity" in line]
    return FinishedRun(
        folder=folder,
        model=folder / MODEL,
        settings=recipe.as_dict(),
        data=recipe.data,
        recipe=recipe,
        base_model=None,
        updates=updates,
        epochs=max((line["epoch"] for line in metrics if "epoch" in line), default=None),
        seconds=record.get("seconds") or max((line["seconds"] for line in metrics if "seconds" in line), default=None),
        validation_perplexity=perplexities[-1] if perplexities else None,
        scores=scores if recipe.data.test else None,
        record=record,
    )


def _read_finetuned(folder: Path, data: str | None) -> FinishedRun:
    record, results = _read_record(folder), _read_json(folder / _OF_A_TRAINER)
    if results is None or "finished" not in record:
        raise RunError(
            f"{folder}: the fine-tuning has not finished; go on with it: python -m training.finetune "
            f"{folder / SETTINGS} --resume_from_checkpoint true"
        )
    _check_record(folder, record, {"updates": int, "epochs": int | float})
    try:
        settings = dict(yaml.safe_load((folder / SETTINGS).read_text(encoding="utf-8")))
        kept = {key: settings[key] for key in DataRecipe.__dataclass_fields__}
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise RunError(f"{folder / SETTINGS} cannot be read: {error!r}; bring it back from a copy") from None
    # Checked as a recipe is; what a recipe needs beside the data is of no account.
    recipe = make_recipe(kept | {"model": "base", "output": str(folder)} | ({} if data is None else {"data": data}))
    return FinishedRun(
        folder=folder,
        model=folder,
        settings=settings,
        data=recipe.data,
        recipe=None,
        base_model=str(settings["model"]),
        updates=record["updates"],
        epochs=record["epochs"],
        seconds=record.get("seconds"),
        validation_perplexity=results.get("eval_perplexity"),
        scores=_read_json(folder / TEST_SCORES) if recipe.data.test else None,
        record=record,
    )


def _read_record(folder: Path) -> dict[str, Any]:
    """The run's record; an empty one where there is none.

    Raises:
        RunError: something in it is missing, or of another kind.
    """
    record = read_record(folder)
    _check_record(folder, record, {key: kind for key, kind in _OF_A_RECORD.items() if key in record})
    for sitting in record.get("sittings", []):
        _check_record(folder, sitting, _OF_A_SITTING)
        _check_record(folder, sitting["versions"], dict.fromkeys(("python", "torch", "transformers"), str))
    if pairs := record.get("training_pairs"):
        _check_record(folder, pairs, dict.fromkeys(("kept", *pairs, *(["read"] if len(pairs) > 1 else [])), int))
    return record


def _check_record(folder: Path, part: Any, kinds: dict[str, Any]) -> None:
    """Pass where a part of a run's record has these keys, with values of these kinds."""
    for key, kind in kinds.items():
        if not isinstance(part, dict) or not isinstance(part.get(key), kind):
            raise RunError(f"{folder / RECORD}: {key} is missing or of another kind; bring the file back from a copy")


def _read_test(run: FinishedRun) -> TestSet:
    """The test set of a run, proved to be the one that was scored: the score comes out again."""
    assert run.scores is not None and run.data.test is not None
    pairs = read_pairs(run.data, run.data.test)
    sources, references = ([line or "" for line in pairs[side]] for side in ("source", "target"))
    file = run.folder / TEST_HYPOTHESES
    try:
        hypotheses = file.read_text(encoding="utf-8").split("\n")[:-1]
    except OSError as error:
        raise RunError(f"{file} cannot be read ({error.strerror}); bring it back from a copy") from None
    tokenize, lowercase = run.settings["bleu_tokenize"], run.settings["bleu_lowercase"]
    same = len(hypotheses) == len(references)
    if same:
        score = bleu(hypotheses, references, tokenize=tokenize, lowercase=lowercase)["bleu"]
        same = abs(score - run.scores["bleu"]) < 1e-6
    if not same:
        raise RunError(
            f"{run.folder}: {run.data.data}, {run.data.test} is not the test set that {TEST_SCORES} is of, or "
            f"{TEST_HYPOTHESES} was changed: the score does not come out again; say where the data lie by --data"
        )
    return TestSet(sources, references, hypotheses)


def _read_scorings(run: FinishedRun) -> list[Scoring]:
    """The lines of scores.jsonl that are of the run's model, wherever run and log have been moved to since."""
    found = []
    log = run.folder / LOG
    try:
        entries = map(json.loads, log.read_text(encoding="utf-8").splitlines() if log.is_file() else [])
        for entry in entries:
            for system in entry.get("systems", []):  # training.train's own line has none
                model = Path(system.get("model", "")).resolve()
                if (model.parent.name, model.name) != (run.folder.resolve().name, run.model.name):
                    continue
                names = [Path(name).name for name in entry["test_set"]["name"].split(", ")]
                found += [
                    Scoring(
                        ", ".join(names),
                        entry["test_set"]["sentences"],
                        NAMES[metric],
                        score["score"],
                        score["signature"],
                        system,
                        entry["date"],
                    )
                    for metric, score in system["scores"].items()
                    if metric in NAMES
                ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{log} cannot be read: {error!r}; bring it back from a copy, or remove it") from None
    return found


def _read_json(file: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{file} cannot be read: {error}; bring it back from a copy") from None
