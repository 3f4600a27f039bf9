"""Scores as the Hub reads them: `model-index` in the card's metadata, and the newer `.eval_results/*.yaml`."""

import re
from dataclasses import dataclass

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, eval_result_entries_to_yaml

EVAL_RESULTS = ".eval_results"


@dataclass(frozen=True)
class Score:
    """One metric of one test set, and how it came about."""

    metric: str
    """Its name for a reader: BLEU, tokenised BLEU, chrF."""
    value: float
    """0 to 100."""
    signature: str
    """sacreBLEU's."""
    dataset: str
    """The data set's id on the Hub; of data that are not there, their name."""
    dataset_name: str
    config: str | None
    split: str
    date: str | None
    """ISO 8601; None where the run did not record it."""
    decoding: str
    """The search in words."""


def model_index(scores: list[Score], languages: tuple[str, str]) -> list[EvalResult]:
    """The scores as `ModelCardData` takes them.

    Args:
        scores: of one test set or several.
        languages: names of the source's and the target's.
    """
    return [
        EvalResult(
            task_type="translation",
            task_name=f"Translation {languages[0]} to {languages[1]}",
            dataset_type=score.dataset,
            dataset_name=score.dataset_name,
            dataset_config=score.config,
            dataset_split=score.split,
            metric_type="chrf" if score.metric == "chrF" else "bleu",
            metric_name=score.metric,
            metric_value=score.value,
            metric_args={"signature": score.signature, "decoding": score.decoding},
        )
        for score in scores
    ]


def eval_result_files(scores: list[Score]) -> dict[str, str]:
    """The scores as files of `.eval_results`: a file for each metric of each test set, by its path in the repository.

    The Hub shows them beside those of other models where the data set is registered there as a benchmark, and passes
    over them where it is not.
    """
    files = {}
    for score in scores:
        entry = EvalResultEntry(
            dataset_id=score.dataset,
            task_id=_slug(f"{score.config or ''} {score.split} {score.metric}"),
            value=score.value,
            date=score.date,
            notes=f"{score.metric}, {score.signature}; {score.decoding}",
        )
        text = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False, allow_unicode=True)
        files[f"{EVAL_RESULTS}/{_slug(f'{score.dataset} {score.split} {score.metric}')}.yaml"] = text
    return files


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
