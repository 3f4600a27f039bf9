"""Scores that papers report for what a recipe does again, so that a card can set its own beside them."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from training.recipe import Recipe

RECIPES = Path(__file__).parents[1] / "configuration" / "recipes"


@dataclass(frozen=True)
class PublishedScore:
    """A BLEU that a paper reports."""

    recipe: str
    """The project's own recipe for the same training, in configuration/recipes."""
    bleu: float
    paper: str
    where: str
    """Where in the paper, or of which of its models."""
    link: str
    text: str
    """The text that it was computed on, which is never text as written."""


def _of_the_paper(recipe: str, bleu: float, where: str) -> PublishedScore:
    text = "tokenised text, with German compounds split at their hyphens" if "fr" not in recipe else "tokenised text"
    link = "https://arxiv.org/abs/1706.03762"
    return PublishedScore(recipe, bleu, "Vaswani et al. (2017)", where, link, text)


_TABLE_3 = {
    **{"a1": 24.9, "a2": 25.5, "a3": 25.8, "a4": 25.4, "b1": 25.1, "b2": 25.4, "c1": 23.7, "c2": 25.3, "c3": 25.5},
    **{"c4": 24.5, "c5": 26.0, "c6": 25.4, "c7": 26.2, "d1": 24.6, "d2": 25.5, "d3": 25.3, "d4": 25.7, "e": 25.7},
    **{"base": 25.8, "big": 26.4},
}
PUBLISHED_SCORES = (
    _of_the_paper("wmt14_en_de_base", 27.3, "Table 2"),
    _of_the_paper("wmt14_en_de_big", 28.4, "Table 2"),
    _of_the_paper("wmt14_en_fr_base", 38.1, "Table 2"),
    _of_the_paper("wmt14_en_fr_big", 41.8, "Table 2 (41.0 in the proceedings)"),
    *(_of_the_paper(f"table3_{row}", score, f"Table 3, row {row.upper()}") for row, score in _TABLE_3.items()),
    PublishedScore(
        "multi30k_en_de",
        41.02,
        "Wu et al. (2021)",
        "their text-only Transformer, of the same 4 + 4 layers and d_model 128",
        "https://aclanthology.org/2021.acl-long.480",
        "lower-cased, normalised and tokenised text",
    ),
)

# What makes a run one of a recipe, and what makes no difference to its score but in the last digits.
_SAME = ("source_language", "target_language", "model", "data_config", "test")
_OF_NO_ACCOUNT = {
    *("data", "streaming", "streaming_pairs", "source_column", "target_column", "num_workers", "validation", "seed"),
    *("output", "overwrite", "resume", "log_every", "evaluate_every", "evaluate_bleu", "keep_best", "trackers"),
    *("keep_checkpoints", "best_metric", "gradient_accumulation_steps", "mixed_precision", "attention", "compile"),
    *("gradient_checkpointing", "max_shapes", "decode_batch_tokens", "empty_lines"),
}


def find_published_score(recipe: Recipe) -> PublishedScore | None:
    """What a paper reports for the training that this recipe does; None where none does."""
    ours = recipe.as_dict()
    for published in PUBLISHED_SCORES:
        theirs = _recipe_of(published.recipe)
        if all(ours[key] == theirs[key] for key in _SAME) and _same_data(ours["data"], theirs["data"]):
            return published
    return None


def differences(recipe: Recipe, published: PublishedScore) -> dict[str, tuple[Any, Any]]:
    """The keys in which a recipe trains or scores otherwise than the project's own for that score: its values, and
    the other's."""
    ours, theirs = recipe.as_dict(), _recipe_of(published.recipe)
    return {key: (ours[key], theirs[key]) for key in ours if key not in _OF_NO_ACCOUNT and ours[key] != theirs[key]}


@functools.cache
def _recipe_of(name: str) -> dict[str, Any]:
    # The project's own recipes hold every key, and are many: they need no checking here.
    return yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))


def _same_data(ours: str, theirs: str) -> bool:
    """A folder may lie anywhere and have any name; a data set of the Hub has one."""
    local = Path(ours).expanduser().is_dir()
    return local if theirs.startswith("data/") else ours == theirs
