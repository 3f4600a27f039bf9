"""The held-out sentence that shows best how a German verb at the end looks at its English source.

The embedded corpus is of our own grammar, so it is known which verb ends a German sentence and which English word it
stands for: no alignment has to be believed.
"""

import re
from dataclasses import asdict, dataclass
from typing import Any

import torch

from training.corpus import Pair, generate_corpus, german
from training.corpus.lexicon import VERBS, Verb

_WORD = re.compile(r"\w+")

# Only where at least so many English words follow the verb have the two languages a really different order.
WORDS_BEHIND = 3

Span = tuple[int, int]


@dataclass(frozen=True)
class Example:
    """A sentence and how its translation's last verb looks at the source; fields are numbers of tokens from 0."""

    sentence: str
    source: str
    """The English verb."""
    target: str
    """The German verb."""
    position: int
    """Where the German verb begins in the translation."""
    sources: list[int]
    """The English verb in the source."""
    share: float
    """Of the attention with which the German verb is written, how much goes to the English one."""
    layer: int
    """The layer and the head of the decoder in which this share is largest."""
    head: int
    holds: int
    """In how many held-out sentences the English verb gets more of this attention than any other word ..."""
    of: int
    """... of how many with the verb at the end."""

    def facts(self) -> dict[str, Any]:
        """What the page shows of it."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"The German verb at the end looks most at its English source in {self.holds} of {self.of} held-out "
            f'sentences; "{self.target}" gives "{self.source}" {100 * self.share:.1f}% of its attention in: '
            f"{self.sentence}"
        )


@dataclass(frozen=True)
class _Found:
    pair: Pair
    verbs: tuple[Span, Span]
    weights: torch.Tensor
    """What the German verb's tokens give to each source token, by layer and head: (layers, h, source length)."""
    position: int
    sources: list[int]
    share: float
    holds: bool


def best_example(model, tokenizer) -> Example:
    """
    Returns the held-out sentence of the embedded corpus that `model` translates as the corpus does, and whose German
    verb at the end gives most of its attention to its English source, in the mean over the heads of the decoder's
    upper half. It is counted over all held-out sentences with a verb at the end that English has `WORDS_BEHIND` words
    or more before the end, with the corpus's own translation given to the decoder.

    Raises:
        ValueError: the model translates no such sentence right, as one does that has learned something else.
    """
    pairs = [(pair, verbs) for pair in generate_corpus().held_out if (verbs := verbs_of(pair)) is not None]
    found = _attention(model, tokenizer, pairs)
    for best in sorted(found, key=lambda one: one.share, reverse=True):
        source = tokenizer(best.pair.source, return_tensors="pt")["input_ids"]
        if model.generate(source)[0, 1:].tolist() == tokenizer(text_target=best.pair.target)["input_ids"]:
            break
    else:
        raise ValueError(
            "The model translates none of the embedded corpus's held-out sentences with a verb at the end as the "
            "corpus does: --example is for models that are trained on it; give a sentence of yours instead."
        )
    by_head = best.weights[:, :, best.sources].sum(dim=-1)  # (layers, h)
    layer, head = divmod(int(by_head.argmax()), by_head.shape[1])
    source_verb, target_verb = (slice(*span) for span in best.verbs)
    return Example(
        sentence=best.pair.source,
        source=best.pair.source[source_verb],
        target=best.pair.target[target_verb],
        position=best.position,
        sources=best.sources,
        share=best.share,
        layer=layer,
        head=head,
        holds=sum(one.holds for one in found),
        of=len(found),
    )


def verbs_of(pair: Pair) -> tuple[Span, Span] | None:
    """
    Returns where the English and the German verb stand in a pair that ends with a verb in German and, by at least
    `WORDS_BEHIND` words, not in English; None for other pairs, and where the verb occurs twice.
    """
    source, target = list(_WORD.finditer(pair.source)), list(_WORD.finditer(pair.target))
    last = target[-1]
    for verb in VERBS.values():
        if verb.key in pair.lemmas and last.group() in _german_forms(verb):
            places = [place for place, word in enumerate(source) if word.group() in verb.english]
            if len(places) == 1 and len(source) - 1 - places[0] >= WORDS_BEHIND:
                return source[places[0]].span(), last.span()
    return None


def _german_forms(verb: Verb) -> set[str]:
    """All forms of a verb that can end a sentence."""
    forms = {german.infinitive(verb), german.participle(verb), german.zu_infinitive(verb).split()[-1]}
    for tense in ("present", "past"):
        forms |= {
            verb.prefix + german.finite(verb, tense, person, plural) for person in (1, 3) for plural in (False, True)
        }
    return forms


@torch.no_grad()
def _attention(model, tokenizer, pairs: list[tuple[Pair, tuple[Span, Span]]]) -> list[_Found]:
    """Reads all pairs in one batch, and measures where each German verb looks."""
    settings = {"return_tensors": "pt", "padding": True, "return_offsets_mapping": True}
    source = tokenizer([pair.source for pair, _ in pairs], **settings)
    target = tokenizer(text_target=[pair.target for pair, _ in pairs], **settings)
    implementation = model.config._attn_implementation
    model.set_attn_implementation("eager")  # the only one that returns its weights
    try:
        outputs = model.model(
            input_ids=source["input_ids"],
            attention_mask=source["attention_mask"],
            decoder_input_ids=model.prepare_decoder_input_ids_from_labels(target["input_ids"]),
            output_attentions=True,
        )
    finally:
        model.set_attn_implementation(implementation)
    attention = torch.stack(outputs.cross_attentions, dim=1)  # (pairs, layers, h, target length, source length)

    found = []
    for number, (pair, verbs) in enumerate(pairs):
        columns, rows = (side["offset_mapping"][number].tolist() for side in (source, target))
        places = _tokens_of(verbs[1], rows)
        weights = attention[number, :, :, places].mean(dim=2)
        upper = weights[len(weights) // 2 :].mean(dim=(0, 1))
        shares = {
            word.span(): float(upper[_tokens_of(word.span(), columns)].sum()) for word in _WORD.finditer(pair.source)
        }
        share = shares[verbs[0]]
        sources = _tokens_of(verbs[0], columns)
        found.append(_Found(pair, verbs, weights, places[0], sources, share, share == max(shares.values())))
    return found


def _tokens_of(word: Span, offsets: list[list[int]]) -> list[int]:
    """The tokens that end inside a word; the blank before a word belongs to its first."""
    return [place for place, (start, end) in enumerate(offsets) if start < end and word[0] < end <= word[1]]
