"""What our search finds, beside transformers' own search with the same model: BLEU, and token for token.

python -m tests.benchmarks.decoding_quality MODEL --source FILE.en --reference FILE.de [--sentences 500]

BLEU of our search by the paper's penalty, of ours by transformers' penalty, and of transformers' own; each at several
exponents. Then, in float64, whether ours by transformers' penalty returns what transformers' own does. Where the two
differ, both hypotheses are scored anew from the logits of the whole target: equal to 1e-9 is a tie, which either may
win. Anything else ends the command with an error.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, GenerationMixin
from transformers.utils import logging

from modeling_vanilla_transformer import (
    VanillaTransformerForConditionalGeneration,
    VanillaTransformerTokenizer,
    paper_generation_config,
)
from tests.benchmarks.decoding import Work, in_order
from tests.benchmarks.decoding_peers import Generate, Sentence
from training.data import read_lines
from training.evaluation import bleu

TIE = 1e-9
OURS, THEIRS = "ours", "transformers'"


def search_of(
    model: VanillaTransformerForConditionalGeneration, penalty_type: str, penalty: float, beams: int
) -> GenerationConfig:
    """Returns a search to its exact end; its limit is set for each batch."""
    search = paper_generation_config(model.config, num_beams=beams, length_penalty=penalty)
    search.length_penalty_type, search.max_length_offset = penalty_type, None
    return search


@torch.no_grad()
def translated(model: Any, work: Work, search: GenerationConfig, by: str, size: int) -> list[torch.Tensor]:
    """Returns the translations in the work's order, as rows of tokens, padding and start token included."""
    engine = Generate(by, model)
    generate = type(model).generate if by == OURS else GenerationMixin.generate  # ours overrides it
    rows: list[torch.Tensor] = []
    for batch in work.batches(size):
        search.max_new_tokens = work.limit_of(batch)
        rows += generate(model, **engine.prepare(batch), generation_config=search).cpu().unbind()
    return rows


@torch.no_grad()
def score(model: Any, source: Sentence, row: torch.Tensor, penalty: float) -> float:
    """Returns the log-probability of a translation over length^penalty, from one pass over the whole of it."""
    written = _written(model, row)
    target = torch.tensor([model.config.decoder_start_token_id, *written], device=model.device)
    logits = model(input_ids=torch.tensor([source], device=model.device), decoder_input_ids=target[None, :-1]).logits
    log_probabilities = logits[0].log_softmax(dim=-1).gather(1, target[1:, None])
    return float(log_probabilities.sum()) / len(written) ** penalty


def _written(model: Any, row: torch.Tensor) -> Sentence:
    """Returns what was generated, end of sentence included, without the start token and padding."""
    tokens = row.tolist()[1:]
    end = model.config.eos_token_id
    return tokens[: tokens.index(end) + 1] if end in tokens else tokens


def compare_scores(model: Any, work: Work, text: tuple, options: argparse.Namespace) -> None:
    """Prints BLEU of each search."""
    tokenizer, references = text
    references = [references[place] for place in work.places]
    print("\n| search | penalty | exponent | BLEU | tokens |\n| --- | --- | --- | --- | --- |")
    for by, penalty_type in ((OURS, "wu"), (OURS, "power"), (THEIRS, "power")):
        for penalty in options.length_penalty:
            search = search_of(model, penalty_type, penalty, options.beams)
            rows = translated(model, work, search, by, options.batch)
            scored = bleu([tokenizer.decode(row, skip_special_tokens=True) for row in rows], references)
            tokens = sum(len(_written(model, row)) for row in rows)
            cells = (by, penalty_type, f"{penalty:g}", f"{scored['bleu']:.2f}", f"{tokens:,}")
            print("| " + " | ".join(cells) + " |", flush=True)
    print(f"\n{scored['signature']}; {options.beams} beams")


def compare_tokens(model: Any, work: Work, penalty: float, options: argparse.Namespace) -> int:
    """Prints how many translations are the same in float64; returns how many differ by more than a tie."""
    model = model.double()
    search = search_of(model, "power", penalty, options.beams)
    ours, theirs = (translated(model, work, search, by, options.batch) for by in (OURS, THEIRS))
    same, ties, differ = 0, 0, []
    for source, place, mine, other in zip(work.sentences, work.places, ours, theirs, strict=True):
        if _written(model, mine) == _written(model, other):
            same += 1
            continue
        scores = [score(model, source, row, penalty) for row in (mine, other)]
        if abs(scores[0] - scores[1]) <= TIE:
            ties += 1
        else:
            differ.append((place + 1, *scores))
    print(
        f"\nfloat64, penalty length^{penalty:g}, {options.beams} beams, never an early end, {len(ours):,} sentences: "
        f"{same:,} the same token for token, {ties} ties, {len(differ)} different"
    )
    for line, mine, other in differ:
        print(f"  line {line}: ours scores {mine:.12f}, transformers' {other:.12f}")
    return len(differ)


def main() -> None:
    logging.set_verbosity_error()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="a model's folder")
    parser.add_argument("--source", type=Path, required=True, help="a file, a sentence a line")
    parser.add_argument("--reference", type=Path, required=True, help="its translations")
    parser.add_argument("--sentences", type=int, help="only the first so many")
    parser.add_argument("--length_penalty", type=float, nargs="+", default=[0.6, 1.0], help="exponents to try")
    parser.add_argument("--beams", type=int, default=4)
    parser.add_argument("--batch", type=int, default=32, help="sentences a batch")
    parser.add_argument("--offset", type=int, default=50, help="at most so many tokens more than the source")
    parser.add_argument("--only_tokens", action="store_true", help="leave out BLEU")
    options = parser.parse_args()
    model = VanillaTransformerForConditionalGeneration.from_pretrained(options.model, dtype=torch.float32).eval()
    tokenizer = VanillaTransformerTokenizer.from_pretrained(options.model)
    lines, references = (read_lines(path)[: options.sentences] for path in (options.source, options.reference))
    work = in_order(tokenizer(lines, split_special_tokens=True)["input_ids"], None, options.offset)
    if not options.only_tokens:
        compare_scores(model, work, (tokenizer, references), options)
    if sum(compare_tokens(model, work, penalty, options) for penalty in options.length_penalty):
        raise SystemExit("our search is to return what transformers' does")


if __name__ == "__main__":
    main()
