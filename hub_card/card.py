"""The model card, README.md, rendered from a finished run.

python -m hub_card.card RUN --repo OWNER/NAME -o README.md
python -m hub_card.card RUN --repo OWNER/NAME --license cc-by-4.0 --data_name Multi30k -o README.md
"""

import argparse
import json
import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData
from sacrebleu.metrics import CHRF
from transformers import GenerationConfig

from hub_card.card_words import (
    Statement,
    as_code,
    data_link,
    data_name,
    describe_architecture,
    describe_data,
    describe_limits,
    describe_search,
    describe_training,
    escape,
    is_on_the_hub,
    language_code,
    language_name,
    model_link,
    public_name,
    public_settings,
    readable,
)
from hub_card.evaluation_results import Score, model_index
from hub_card.published_scores import differences, find_published_score
from hub_card.run import FinishedRun, RunError, read_run
from hub_card.samples import Sample, pick_samples
from training.costs import build_without_memory, count_parameters
from training.files import print_text, write_whole
from training.loading import saved_configuration
from training.options import Parser
from training.recipe import TrainingError

TEMPLATE = Path(__file__).with_name("card_template.md")
# The pictures that a card can show, by their places in the repository.
ARCHITECTURE, CURVES, ATTENTION = (f"figures/{name}.png" for name in ("architecture", "curves", "attention"))
FIGURES = (ARCHITECTURE, CURVES, ATTENTION)
# Characters of a sentence that a table shows; what is longer is cut.
_LONGEST = 500


def render(run: FinishedRun, repo: str, figures: Collection[str] = (), statement: Statement | None = None) -> str:
    """The model card of a run.

    Args:
        run: as `read_run` gives it.
        repo: the model's name on the Hub, owner/name.
        figures: those of `FIGURES` that lie beside the card.
        statement: what the publisher states.

    Raises:
        TrainingError: the model's settings cannot be read.
    """
    statement = statement or Statement()
    config, search = saved_configuration(run.model), _search_of(run)
    codes = run.data.source_language, run.data.target_language
    bare_codes = dict.fromkeys(map(language_code, codes))
    languages = language_name(codes[0]), language_name(codes[1])
    scores = scores_of(run, statement)
    samples, worst = pick_samples(run.test) if run.test else ([], [])
    example = min(samples or worst, key=lambda sample: len(sample.source), default=None)
    published = find_published_score(run.recipe) if run.recipe and scores else None
    name = repo.rpartition("/")[2]
    datasets = [part.data for part in run.data.training_sources() if is_on_the_hub(part.data, run)]
    metadata = ModelCardData(
        # The Hub refuses a card with a language that has no such code.
        language=[code for code in bare_codes if re.fullmatch("[a-z]{2,3}", code)] or None,
        license=statement.license or "unknown",
        library_name="transformers",
        pipeline_tag="translation",
        tags=["translation", "vanilla_transformer", "attention-is-all-you-need"],
        datasets=[statement.dataset] if statement.dataset else list(dict.fromkeys(datasets)) or None,
        metrics=["bleu", "chrf"] if scores else None,
        base_model=run.base_model if run.base_model and is_on_the_hub(run.base_model, run) else None,
        model_name=name,
        eval_results=model_index(scores, languages) if scores else None,
        widget=[{"text": sample.source} for sample in samples if len(sample.source) <= _LONGEST] or None,
    )
    card = ModelCard.from_template(
        metadata,
        template_str=TEMPLATE.read_text(encoding="utf-8"),
        repo=repo,
        name=name,
        languages=languages,
        codes=codes,
        config=config,
        parameters=count_parameters(build_without_memory(config)).total,
        base_model=run.base_model and model_link(run.base_model, run),
        data_link=data_link(run, statement),
        data=describe_data(run, statement),
        license=statement.license,
        authors=statement.authors,
        search=describe_search(search.to_dict()),
        scores=scores,
        test_set=_describe_test_set(run, statement),
        decoding=run.scores and describe_search(run.scores),
        scorings=[(scoring, describe_search(scoring.search)) for scoring in run.scorings],
        perplexity=run.validation_perplexity,
        example=json.dumps(
            example.source if example else f"Write a sentence in {languages[0]} here.", ensure_ascii=False
        ),
        translation=readable(example.hypothesis) if example else None,
        samples=[_escaped(sample) for sample in samples],
        worst=[_escaped(sample) for sample in worst],
        architecture=describe_architecture(config),
        training=describe_training(run, config),
        settings=public_settings(run),
        published=published,
        differences=differences(run.recipe, published) if run.recipe and published else {},
        tokenised=run.settings["bleu_tokenize"] == "none",
        limits=describe_limits(run, languages),
        figures={name: name in figures for name in FIGURES},
        pictures={"architecture": ARCHITECTURE, "curves": CURVES, "attention": ATTENTION},
    )
    return re.sub(r"\n{3,}", "\n\n", str(card))


def _search_of(run: FinishedRun) -> GenerationConfig:
    """The search of the run's model."""
    try:
        return GenerationConfig.from_pretrained(run.model)
    except (OSError, ValueError, TypeError) as error:  # of which transformers says that the Hub has no such model
        file = run.model / "generation_config.json"
        what = "cannot be read" if file.is_file() else "is missing"
        raise RunError(f"{file} {what}; bring it back from a copy") from error


def scores_of(run: FinishedRun, statement: Statement | None = None) -> list[Score]:
    """BLEU of the test set as the run scored it, and chrF of the same translations; none without a test set."""
    if run.scores is None or run.test is None:
        return []
    found, statement = run.scores, statement or Statement()
    chrf = CHRF(lowercase=run.settings["bleu_lowercase"], references=[run.test.references])
    values = [
        (found.get("metric", "BLEU"), found["bleu"], found["signature"]),
        ("chrF", chrf.corpus_score(run.test.hypotheses, None).score, str(chrf.get_signature())),
    ]
    return [
        Score(
            metric=metric,
            value=value,
            signature=signature,
            dataset=statement.dataset or public_name(run.data.data, run),
            dataset_name=data_name(run, statement),
            config=run.data.data_config,
            split=Path(found["test"]).name,
            date=found.get("date"),
            decoding=describe_search(found),
        )
        for metric, value, signature in values
    ]


def _describe_test_set(run: FinishedRun, statement: Statement) -> str:
    if run.scores is None:
        return ""
    name = Path(run.scores["test"]).name
    return f"the {run.scores['sentences']:,} sentences of {as_code(name)} from {escape(data_name(run, statement))}"


def _escaped(sample: Sample) -> Sample:
    return replace(
        sample,
        source=_escape(sample.source),
        reference=_escape(sample.reference),
        hypothesis=_escape(sample.hypothesis),
    )


def _escape(text: str) -> str:
    """The beginning of a text as Markdown that shows it as it is, in a table too."""
    line = " ".join(readable(text).split())
    return escape(line if len(line) <= _LONGEST else line[:_LONGEST] + " …") or "(nothing)"


def add_statement(parser: argparse.ArgumentParser) -> None:
    """The options for a `Statement`; `statement_of` reads them."""
    add = parser.add_argument_group("for the card, what a run cannot know").add_argument
    add("--license", "--licence", metavar="ID", help="of the weights, as the Hub names it: apache-2.0, cc-by-4.0, ...")
    add("--data_name", metavar="TEXT", help="what the data are called (default: as in the recipe)")
    add("--data_license", metavar="TEXT", help="under which licences the data may be used")
    add("--dataset", metavar="ID", help="what the data are on the Hub, where the run read them from a folder")
    add("--authors", metavar="TEXT", help="who made the model")


def statement_of(options: argparse.Namespace) -> Statement:
    """What the options of `add_statement` say."""
    keys = ("license", "data_name", "data_license", "dataset", "authors")
    return Statement(**{key: getattr(options, key) for key in keys})


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; errors that the user can mend end it with one message and code 2."""
    parser = Parser(prog="python -m hub_card.card", description="Render the model card of a finished run.")
    parser.add_argument("run", type=Path, help="the output folder of training.train or training.finetune")
    parser.add_argument("--repo", required=True, metavar="OWNER/NAME", help="the model's name on the Hub")
    parser.add_argument("--data", metavar="FOLDER", help="where the run's data lie now, if not where they were")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="the card (default: the terminal)")
    add_statement(parser)
    try:
        options = parser.parse_args(arguments)
        beside = options.output.parent if options.output else Path()
        figures = [name for name in FIGURES if (beside / name).is_file()]
        card = render(read_run(options.run, options.data), options.repo, figures, statement_of(options))
        if options.output:
            write_whole(options.output, card)
        print_text(str(options.output or card))
    except (TrainingError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
