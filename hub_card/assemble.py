"""The folder that is uploaded: everything that a model on the Hub consists of, made from a finished run.

model.safetensors, config.json, generation_config.json, tokenizer.json, tokenizer_config.json
*_vanilla_transformer.py                            the code, which transformers loads with trust_remote_code
README.md, figures/*.png, .eval_results/*.yaml      the card
training/                                           the recipe, without what it tells of the machine; metrics; the
                                                    run's record; the test set's translations with their score
example.json                                        a sentence and its translation, to check a download by
manifest.json                                       every file's size and SHA-256
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import yaml
from matplotlib.figure import Figure

from hub_card.card import ARCHITECTURE, ATTENTION, CURVES, render, scores_of
from hub_card.card_words import Statement, public_settings
from hub_card.evaluation_results import eval_result_files
from hub_card.figures import architecture_figure, cross_attention_figure, save_figure, training_curves_figure
from hub_card.run import FinishedRun
from hub_card.verify import EXAMPLE
from training.checkpoints import best_folder, checkpoints_in, save_folder
from training.loading import read_model
from training.output import AVERAGE, BEST, METRICS, MODEL, RECIPE, SETTINGS, TEST_HYPOTHESES, TEST_SCORES
from training.recipe import TrainingError
from training.record import RECORD

CARD = "README.md"
TRAINING = "training"
# Of training.train, and of the Trainer that training.finetune is made of.
_METRICS = (METRICS, "all_results.json")
# Stands in for a sentence of the run, where it has no test set.
_ANY_TEXT = "1, 2, 3."


class AssemblyError(TrainingError):
    """A run of which no folder can be made; the message says what is missing."""


@dataclass
class Documents:
    """What lies beside the model: texts and figures by their paths."""

    texts: dict[str, str]
    figures: dict[str, Figure]

    def save_pretrained(self, save_directory: str) -> None:
        """Write them all, folders included."""
        for name, text in self.texts.items():
            file = Path(save_directory, name)
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
        for name, figure in self.figures.items():
            save_figure(figure, Path(save_directory, name))


def assemble(run: FinishedRun, folder: Path, repo: str, statement: Statement | None = None) -> Path:
    """Write everything that is uploaded of a run; the folder is complete, or not there. The same run gives the same
    bytes.

    Args:
        run: as `read_run` gives it, or `with_model`.
        folder: what is written; it is replaced where it exists.
        repo: the model's name on the Hub, owner/name.
        statement: what the publisher states for the card.

    Raises:
        TrainingError: the model cannot be read, the run's files neither, or the folder cannot be written.
    """
    model, tokenizer = read_model(run.model)
    sentence = _sentence(run)
    with torch.no_grad():
        generated = model.generate(**tokenizer(sentence, return_tensors="pt"), return_dict_in_generate=False)
    example = {"source": sentence, "translation": tokenizer.decode(generated[0], skip_special_tokens=True)}

    figures = {ARCHITECTURE: architecture_figure(model.config)}
    figures[ATTENTION] = cross_attention_figure(model, tokenizer, sentence)
    if (run.folder / METRICS).is_file():
        figures[CURVES] = training_curves_figure(run.folder)
    texts = {CARD: render(run, repo, figures, statement), EXAMPLE: _json(example)}
    texts |= eval_result_files(scores_of(run, statement))
    texts |= {f"{TRAINING}/{name}": text for name, text in _training_files(run).items()}
    return save_folder(folder, model, tokenizer, Documents(texts, figures))


def with_model(run: FinishedRun, name: str) -> FinishedRun:
    """The run with another model of it than the final one, of which the scores then say nothing.

    Args:
        run: as `read_run` gives it.
        name: "model" for the final one after all, "best" for the one that did best on the validation set, "average"
            for what training.average wrote, or a folder.

    Raises:
        AssemblyError: there is no such model.
    """
    folder = Path(name)
    if name == MODEL:
        return run
    if name == BEST:
        found = checkpoints_in(best_folder(run.folder))
        if len(found) != 1:
            raise AssemblyError(f"--model best: {run.folder} holds {len(found)} best models; name one by its folder")
        folder = found[0].folder
    elif name == AVERAGE:
        folder = run.folder / AVERAGE
    if not (folder / "config.json").is_file():
        raise AssemblyError(f"--model {name}: {folder} holds no model")
    return replace(run, model=folder, validation_perplexity=None, scores=None, test=None, scorings=[])


def _sentence(run: FinishedRun) -> str:
    """The one of middle length among those that the run translated."""
    sources = [source for source in run.test.sources if source.strip()] if run.test else []
    return sorted(sources, key=len)[len(sources) // 2] if sources else _ANY_TEXT


def _training_files(run: FinishedRun) -> dict[str, str]:
    """How the model was made, by the names of the files."""
    settings = public_settings(run) + "\n"
    files = {RECIPE if run.recipe else SETTINGS: settings}
    if run.record:
        files[RECORD] = _json(run.record)
    for name in _METRICS:
        if (run.folder / name).is_file():
            files[name] = (run.folder / name).read_text(encoding="utf-8")
    if run.test and run.scores:
        public = yaml.safe_load(settings)
        files[TEST_SCORES] = _json(run.scores | {key: public[key] for key in ("data", "test")})
        files[TEST_HYPOTHESES] = "".join(f"{line}\n" for line in run.test.hypotheses)
    return files


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
