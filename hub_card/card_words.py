"""What the model card says of a run, in words: languages, data, architecture, training, search, limits."""

import copy
import os.path
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from transformers.models.whisper.tokenization_whisper import LANGUAGES  # English names by their codes

from hub_card.run import FinishedRun
from modeling_vanilla_transformer import VanillaTransformerConfig
from training.cleaning import REASONS
from training.output import MODEL
from training.reading import EMBEDDED

# Settings that say something of the machine alone.
_OF_THE_MACHINE = ("output", "output_dir", "overwrite", "resume", "num_workers")
# Names within the data, or files anywhere.
_SPLITS = {"train", "validation", "test"}


@dataclass(frozen=True)
class Statement:
    """What only the publisher knows. What is left out, the card calls not stated, or says nothing of."""

    license: str | None = None
    """Of the weights, as the Hub names it."""
    data_name: str | None = None
    data_license: str | None = None
    dataset: str | None = None
    """What the data are on the Hub, where the run read them from a folder."""
    authors: str | None = None


# ---------------------------------------------------------------------------------------------------------------------
# Languages and names


def language_code(language: str) -> str:
    """The code of a language without script and country."""
    return re.split("[-_]", language.lower())[0]


def language_name(language: str) -> str:
    """The English name of a language; its code where no name is known."""
    return LANGUAGES.get(language_code(language), "").title() or language


def is_on_the_hub(name: str, run: FinishedRun, statement: Statement | None = None) -> bool:
    """Whether a name, of the run's data or model, is one of the Hub: stated, or read from there by the run.

    Where a run recorded nothing of that, a name with its owner is taken for one unless something is called so here, in
    the run's folder or in one around it: rather no link than one to what is somebody else's, or nobody's.
    """
    if statement and name == statement.dataset:
        return True
    if name == EMBEDDED or name.startswith((".", "~")) or Path(name).is_absolute() or name.count("/") > 1:
        return False
    if "hub_names" in run.record:
        return name in run.record["hub_names"]
    folder = run.folder.resolve()
    return "/" in name and not any((place / name).exists() for place in (Path(), folder, *folder.parents))


def public_name(name: str, run: FinishedRun) -> str:
    """A name on the Hub as it is; of a folder its last part, as the way there is nobody's business."""
    return name if name == EMBEDDED or is_on_the_hub(name, run) else _last_part(name)


def _last_part(path: str) -> str:
    """The name of what a path leads to, also of one that ends in a point or two."""
    return os.path.basename(os.path.abspath(os.path.expanduser(path))) or "/"


def public_settings(run: FinishedRun) -> str:
    """The recipe, or the settings of the fine-tuning, as YAML without what they tell of the machine."""
    shown = copy.deepcopy({key: value for key, value in run.settings.items() if key not in _OF_THE_MACHINE})
    for key in ("data", "model", "tokenizer"):
        if shown.get(key):
            shown[key] = public_name(shown[key], run)
    for source in shown["sources"] or ():
        source["data"] = source["data"] and public_name(source["data"], run)
    for settings in (shown, *(shown["sources"] or ())):
        for key in _SPLITS & settings.keys():
            if Path(settings[key] or "").expanduser().is_absolute():
                settings[key] = _last_part(settings[key])
    return yaml.safe_dump(shown, sort_keys=False, allow_unicode=True).rstrip()


def model_link(name: str, run: FinishedRun) -> str:
    """A model's name as Markdown, with a link where it is on the Hub."""
    return f"[{name}](https://huggingface.co/{name})" if is_on_the_hub(name, run) else as_code(public_name(name, run))


def escape(text: str) -> str:
    """Text as Markdown that shows it as it is, in one line, in a table too."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$&])", r"\\\1", " ".join(readable(text).split()))


def as_code(name: str) -> str:
    """A name as Markdown, like code where nothing in it is in the way."""
    return escape(name) if re.search(r"[`|\s]", name) else f"`{name}`"


def readable(text: str) -> str:
    """Text with blanks for control characters, line ends among them."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", text)


# ---------------------------------------------------------------------------------------------------------------------
# Data


def data_name(run: FinishedRun, statement: Statement) -> str:
    """What the data are called that the test set is of, for a reader."""
    return statement.data_name or _source_name(statement.dataset or run.data.data, run, statement)


def data_link(run: FinishedRun, statement: Statement) -> str:
    """What the training data are called, of all sources, as Markdown with a link for those on the Hub."""

    def linked(text: str, source: str) -> str:
        at = f"https://huggingface.co/datasets/{source}"
        return f"[{escape(text)}]({at})" if is_on_the_hub(source, run, statement) else escape(text)

    sources = _sources(run, statement)
    if statement.data_name:
        return linked(statement.data_name, sources[0]) if len(sources) == 1 else escape(statement.data_name)
    return _listed([linked(_source_name(source, run, statement), source) for source in sources])


def _sources(run: FinishedRun, statement: Statement) -> list[str]:
    parts = [part.data for part in run.data.training_sources()]
    return [statement.dataset] if statement.dataset else list(dict.fromkeys(parts))


def _source_name(source: str, run: FinishedRun, statement: Statement) -> str:
    if source == EMBEDDED:
        return "the embedded corpus of vanilla-transformer"
    return source if is_on_the_hub(source, run, statement) else f"data from a folder named {_last_part(source)}"


def describe_data(run: FinishedRun, statement: Statement) -> list[str]:
    """Paragraphs on the training data and their licence."""
    counts = run.record.get("training_pairs", {})
    sentence = f"Trained on {data_link(run, statement)}"
    if counts:
        sentence += f": {counts['kept']:,} sentence pairs"
        dropped = [f"{counts[reason]:,} {text}" for reason, text in REASONS.items() if counts.get(reason)]
        if dropped:
            sentence += f" of {counts['read']:,}, without {_listed(dropped)}"
    sources = _sources(run, statement)
    if EMBEDDED in sources:
        sentence += (
            ". That corpus is drawn from a small hand-written grammar of English and German: its words are few, and "
            "its sentences of few kinds"
        )
    if statement.data_license:
        licence = statement.data_license
    elif sources == [EMBEDDED]:
        licence = "Apache-2.0, as all of vanilla-transformer"
    elif all(is_on_the_hub(source, run, statement) for source in sources):
        licence = "not stated by the publisher; see the page of the data on the Hub"
    else:
        licence = "not stated by the publisher"
    return [f"{sentence}.", f"**Licence of the data:** {licence}."]


# ---------------------------------------------------------------------------------------------------------------------
# Model, training, search


def describe_architecture(config: VanillaTransformerConfig) -> dict[str, str]:
    """The sizes of the model, by the paper's names for them."""
    encoder_heads, decoder_heads = config.encoder_attention_heads, config.decoder_attention_heads
    encoder_sizes, decoder_sizes = ("{}, {}".format(*config.head_sizes(h)) for h in (encoder_heads, decoder_heads))
    return {
        "layers N": f"{config.encoder_layers} in the encoder, {config.decoder_layers} in the decoder",
        "d_model": str(config.d_model),
        "d_ff": _both(config.encoder_ffn_dim, config.decoder_ffn_dim),
        "heads h": _both(encoder_heads, decoder_heads),
        "d_k, d_v": _both(encoder_sizes, decoder_sizes),
        "positions": config.position_embedding_type,
        "activation": config.activation_function,
        "vocabulary": f"{config.vocab_size:,} byte-pair tokens for both languages",
        "embeddings": "one matrix for source, target and output" if config.tie_word_embeddings else "not shared",
    }


def _both(encoder: int | str, decoder: int | str) -> str:
    sizes = [size if isinstance(size, str) else f"{size:,}" for size in (encoder, decoder)]
    return sizes[0] if encoder == decoder else f"{sizes[0]} in the encoder, {sizes[1]} in the decoder"


def describe_training(run: FinishedRun, config: VanillaTransformerConfig) -> dict[str, str]:
    """How the weights were trained, on what, and for how long."""
    settings = run.settings
    facts = _of_the_recipe(settings, config) if run.recipe else _of_the_fine_tuning(settings)
    facts["dropout"] = f"{config.dropout:g}"
    facts["label smoothing"] = f"{settings.get('label_smoothing', settings.get('label_smoothing_factor')):g}"
    facts["length"] = f"{run.updates:,} updates" + (f", {run.epochs:.1f} epochs" if run.epochs else "")
    averaged = run.record.get("checkpoints_averaged") or (run.scores or {}).get("checkpoints_averaged")
    if averaged and run.model == run.folder / MODEL:
        facts["final weights"] = (
            f"the average of the last {averaged} checkpoints" if averaged > 1 else "one checkpoint"
        )
    facts["seed"] = str(settings["seed"])
    sittings = run.record.get("sittings", [])
    hardware = list(dict.fromkeys(map(describe_hardware, sittings)))
    facts["hardware"] = "; then ".join(hardware) or "not recorded"
    facts["training time"] = "not recorded" if run.seconds is None else describe_seconds(run.seconds)
    if sittings:
        versions = sittings[-1]["versions"]
        facts["software"] = ", ".join(f"{name} {versions[name]}" for name in ("python", "torch", "transformers"))
        facts["started"] = sittings[0]["started"][:10]
    return facts


def _of_the_recipe(settings: dict[str, Any], config: VanillaTransformerConfig) -> dict[str, str]:
    betas = f"β1 {settings['adam_beta1']:g}, β2 {settings['adam_beta2']:g}, ε {settings['adam_epsilon']:g}"
    warmup, peak = settings["warmup_steps"], settings["peak_learning_rate"]
    peak = peak or config.d_model**-0.5 * warmup**-0.5  # the paper's
    rises = f"rises to {peak:.3g} over {warmup:,} updates, then falls with the inverse square root of their number"
    return {
        "optimiser": f"Adam, {betas}",
        "learning rate": rises,
        "batch": f"up to {settings['tokens_per_batch']:,} source tokens and as many target tokens, with their padding",
    }


def _of_the_fine_tuning(settings: dict[str, Any]) -> dict[str, str]:
    pairs = settings["per_device_train_batch_size"] * settings["gradient_accumulation_steps"]
    return {
        "optimiser": str(settings["optim"]),
        "learning rate": f"{settings['learning_rate']:g}, {settings['lr_scheduler_type']} schedule",
        "batch": f"{pairs} sentence pairs for each process",
    }


def describe_hardware(sitting: dict[str, Any]) -> str:
    """The devices of a sitting and the precision of its matrix products."""
    processes, precision = sitting["processes"], sitting["mixed_precision"]
    if sitting["device_type"] == "cpu":
        devices = f"{_listed(list(sitting['devices']))}, {sitting['cores']} cores"
        devices += f", {processes} processes" if processes > 1 else ""
    else:
        devices = _listed([f"{number} × {name}" for name, number in sitting["devices"].items()])
    machines = f" in {sitting['machines']} machines" if sitting["machines"] > 1 else ""
    return f"{devices}{machines}, {'float32' if precision == 'no' else f'mixed precision ({precision})'}"


def describe_seconds(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"


def describe_search(settings: dict[str, Any]) -> str:
    """How translations are searched for.

    Args:
        settings: of the generation configuration, or what a scoring recorded of it. Where it recorded no type of
            length penalty, there was but the paper's.
    """
    beams, penalty, limit = (settings.get(key) for key in ("num_beams", "length_penalty", "max_length_offset"))
    words = ["greedy search"]
    if beams is not None and beams > 1:
        kind = "Wu et al.'s" if settings.get("length_penalty_type", "wu") == "wu" else "a power of the length"
        words = [f"{beams} beams", f"length penalty {1.0 if penalty is None else penalty:g} ({kind})"]
    if limit is not None:
        words.append(f"at most {limit} tokens more than the source has")
    return ", ".join(words)


def describe_limits(run: FinishedRun, languages: tuple[str, str]) -> list[str]:
    """What the model cannot do, as far as the run shows it."""
    fate = "left out of" if run.data.long_pairs == "drop" else "cut short in"
    limits = [
        f"It knows {languages[0]} and {languages[1]} only, and translates in this direction only.",
        "Each sentence is translated by itself: what a pronoun or an ambiguous word refers to in another sentence is "
        "unknown to it.",
        f"Sentences of more than {run.data.max_length} tokens were {fate} its training data, and come out worse.",
        "Like every model of its kind it can leave words out, repeat them, or write fluently what the source does not "
        "say; names and numbers are most at risk.",
        "Text unlike its training data, of another subject or style, or with spelling mistakes, is translated worse "
        "than the scores say.",
    ]
    if {part.data for part in run.data.training_sources()} == {EMBEDDED}:
        limits.insert(
            0,
            "**It is a demonstration.** Beyond the few words and constructions of its corpus it translates nothing "
            "well, and its score says nothing of real text.",
        )
    return limits


def _listed(words: list[str]) -> str:
    """a, b and c."""
    words = list(dict.fromkeys(words))
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
