"""How lines become translations: sorted by length, in batches that fit into memory, and in order again."""

import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from transformers import GenerationConfig

from modeling_vanilla_transformer.beam_search_vanilla_transformer import LENGTH_PENALTIES
from training.alignment import Link, align, count_words, words_before
from training.forced_decoding import log_probabilities, padded
from training.pieces import Piece, pieces_of
from training.recipe import TrainingError

# A sentence counts as at least so many tokens: beside what grows with its length, each has logits of its own.
_LEAST_TOKENS = 16


class MemoryTooSmall(TrainingError):
    """A line that memory doesn't suffice for, even alone; the message names it."""


@dataclass(frozen=True)
class Translation:
    """One translation of a line."""

    text: str
    """On one line, whatever line ends the model wrote."""
    score: float | None = None
    """The log-probability divided by the length penalty, by which the search ranks; None where it isn't asked for."""
    links: tuple[Link, ...] = ()
    """Word alignments: (word of the source, word of the translation)."""


EMPTY = Translation("", 0.0)


@dataclass
class LongLines:
    """How many lines were longer than the model was trained for."""

    in_pieces: int = 0
    as_a_whole: int = 0
    """Those in which a sentence was, which was translated as it is."""


def default_batch_tokens(device: torch.device, num_beams: int) -> int:
    """Source token slots of a batch to begin with: what fills the device; where memory doesn't suffice, they fall."""
    return (8192 if device.type == "cpu" else 131_072) // num_beams


class Translator:
    """Translates lines by `model.generate`, each by itself: what stands beside it in a batch changes nothing.

    Where memory doesn't suffice for a batch, it is halved, and all later ones have that size.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        search: GenerationConfig | None = None,
        *,
        batch_tokens: int,
        accelerator: Accelerator | None = None,
        scores: bool = False,
        alignments: bool = False,
        max_source_length: int | None = None,
        cut_sentences: bool = False,
    ) -> None:
        """
        Args:
            model: the bare model, in evaluation mode.
            tokenizer: its tokenizer.
            search: its `num_return_sequences` says how many translations a line gets; None: the model's own search.
            batch_tokens: source token slots of a batch, padding included, beams not.
            accelerator: shares the work between its processes, each of which returns all; None: one process.
            scores: whether translations get scores.
            alignments: whether they get word alignments.
            max_source_length: a line of more tokens, end of sentence included, is translated in pieces, as `pieces_of`
                makes them; None: every line as a whole.
            cut_sentences: whether a sentence beyond that is cut, as the model could not read it; else it is translated
                as a whole.
        """
        self.model, self.tokenizer = model, tokenizer
        self.search = copy.deepcopy(model.generation_config if search is None else search)
        self.batch_tokens = batch_tokens
        self.accelerator = accelerator
        self.scores, self.alignments = scores, alignments
        self.max_source_length, self.cut_sentences = max_source_length, cut_sentences
        self.search.return_dict_in_generate = False
        self.n_best = self.search.num_return_sequences or 1
        alpha = self.search.length_penalty
        self._alpha = 1.0 if alpha is None else alpha  # None is transformers' default
        if (self.search.num_beams or 1) == 1:  # generate would warn of what is for beams only
            self.search.length_penalty, self.search.early_stopping = 1.0, False
        self.long_lines = LongLines()

    @torch.no_grad()
    def __call__(
        self, lines: Sequence[str], advance: Callable[[int], object] = lambda count: None
    ) -> list[list[Translation]]:
        """The translations of each line, best first, in the order given. A line of blanks alone has empty ones.

        Args:
            lines: a line each; as many as fit into memory with all that is made of them.
            advance: told, after every batch, about how many lines were in it.

        Raises:
            MemoryTooSmall: memory ran out with a single line.
        """
        filled = [index for index, line in enumerate(lines) if line.strip()]
        ids = dict(zip(filled, self._ids([lines[index] for index in filled]), strict=True))
        pieces = {index: self._pieces(lines[index], len(ids[index])) for index in filled}
        texts, text_ids = [], []
        for index in filled:
            texts += [piece.text for piece in pieces[index]]
            text_ids += [ids[index]] if len(pieces[index]) == 1 else self._ids(texts[-len(pieces[index]) :])
        found = iter(self._translate(texts, text_ids, lambda count: advance(count * len(filled) // len(texts))))
        translations = [[EMPTY] * self.n_best for _ in lines]
        for index in filled:
            parts = [next(found) for _ in pieces[index]]
            if len(parts) == 1:
                (translations[index],) = parts
            else:  # the first is made of the first of all pieces, the second of the second
                translations[index] = [_joined(lines[index], pieces[index], same) for same in zip(*parts, strict=True)]
        return translations

    def _ids(self, texts: list[str]) -> list[list[int]]:
        # A sentence that happens to contain a special token's name, such as </s>, contains ordinary characters.
        return self.tokenizer(texts, split_special_tokens=True, verbose=False)["input_ids"] if texts else []

    def _pieces(self, line: str, length: int) -> list[Piece]:
        most = self.max_source_length
        if most is None or length <= most:
            return [Piece(line)]
        pieces = pieces_of(line, lambda text: len(self._ids([text])[0]) <= most, self.cut_sentences)
        self.long_lines.in_pieces += len(pieces) > 1
        self.long_lines.as_a_whole += max(map(len, self._ids([piece.text for piece in pieces]))) > most
        return pieces

    def _translate(
        self, texts: Sequence[str], ids: Sequence[list[int]], advance: Callable[[int], object]
    ) -> list[list[Translation]]:
        """The translations of each text, on all processes."""
        processes = self.accelerator.num_processes if self.accelerator else 1
        process = self.accelerator.process_index if self.accelerator else 0
        # The longest first: what doesn't fit into memory fails at once, and the time left is not underestimated.
        order = sorted(range(len(ids)), key=lambda index: -len(ids[index]))[process::processes]
        found: list[tuple[int, list[Translation]]] = []
        error: TrainingError | None = None
        try:
            for batch in self._batches(texts, ids, order):
                found += batch
                advance(len(batch) * processes)
        except MemoryTooSmall as caught:
            error = caught
        everywhere = gather_object([(error, found)]) if processes > 1 else [(error, found)]
        for error, _ in everywhere:  # one process's error is everybody's, so that nobody waits for it
            if error is not None:
                raise error
        by_text = dict(pair for _, theirs in everywhere for pair in theirs)
        return [by_text[index] for index in range(len(ids))]

    def _batches(
        self, texts: Sequence[str], ids: Sequence[list[int]], order: Sequence[int]
    ) -> Iterator[list[tuple[int, list[Translation]]]]:
        """The translations of the texts in `order`, with their indices, batch after batch."""
        done = 0
        while done < len(order):
            width = max(len(ids[order[done]]), _LEAST_TOKENS)
            part = order[done : done + max(1, self.batch_tokens // width)]
            batch = self._batch([texts[index] for index in part], [ids[index] for index in part])
            if batch is None:
                if len(part) == 1:
                    raise MemoryTooSmall(
                        f"memory doesn't suffice for a text of {width} tokens, even alone: {texts[part[0]][:60]!r}; "
                        "shorten it, have it translated in pieces by --max_source_length, or take fewer --num_beams"
                    )
                self.batch_tokens = width * len(part) // 2
                continue
            done += len(part)
            yield list(zip(part, batch, strict=True))

    def _batch(self, texts: list[str], ids: list[list[int]]) -> list[list[Translation]] | None:
        """The translations of texts that are decoded together; None where memory doesn't suffice."""
        try:
            return self._decode(texts, ids)
        except (RuntimeError, MemoryError) as error:
            if not (isinstance(error, MemoryError) or should_reduce_batch_size(error)):
                raise
        # Only here has the error, and with it all that it kept in memory, gone.
        clear_device_cache(garbage_collection=True)
        return None

    def _decode(self, texts: list[str], ids: list[list[int]]) -> list[list[Translation]]:
        input_ids, mask = padded(ids, self.tokenizer.pad_token_id, self.model.device)
        rows = self.model.generate(input_ids=input_ids, attention_mask=mask.long(), generation_config=self.search)
        found = [
            Translation(" ".join(text.splitlines()))
            for text in self.tokenizer.batch_decode(rows, skip_special_tokens=True)
        ]
        if self.scores:
            generated = [self._generated(row) for row in rows.tolist()]
            repeated = [sentence for sentence in ids for _ in range(self.n_best)]
            values = log_probabilities(self.model, repeated, generated).tolist()
            found = [
                dataclasses.replace(translation, score=value / self._penalty(len(tokens)))
                for translation, value, tokens in zip(found, values, generated, strict=True)
            ]
        if self.alignments:
            sources = [text for text in texts for _ in range(self.n_best)]
            links = align(self.model, self.tokenizer, sources, [translation.text for translation in found])
            found = [dataclasses.replace(one, links=tuple(its)) for one, its in zip(found, links, strict=True)]
        return [found[start : start + self.n_best] for start in range(0, len(found), self.n_best)]

    def _generated(self, row: list[int]) -> list[int]:
        """The tokens of a row of `generate` behind the start token: to the end of sentence or, without one, all."""
        end, pad = self.search.eos_token_id, self.tokenizer.pad_token_id
        end = self.model.config.eos_token_id if end is None else end
        ends = end if isinstance(end, list) else [end]
        tokens = row[1:]
        for place, token in enumerate(tokens):
            if token in ends:
                return tokens[: place + 1]
        while tokens and tokens[-1] == pad:
            tokens.pop()
        return tokens

    def _penalty(self, length: int) -> float:
        penalty = LENGTH_PENALTIES[getattr(self.search, "length_penalty_type", None) or "power"]
        return float(penalty(length, self._alpha))


def _joined(line: str, pieces: Sequence[Piece], parts: Sequence[Translation]) -> Translation:
    """The translations of a line's pieces as one: a blank between them, scores added, words counted on."""
    links: list[Link] = []
    words = 0
    for piece, part in zip(pieces, parts, strict=True):
        before = words_before(line, piece.start)
        links += [(source + before, target + words) for source, target in part.links]
        words += count_words(part.text)
    scores = [part.score for part in parts if part.score is not None]
    return Translation(" ".join(part.text for part in parts), sum(scores) if scores else None, tuple(links))
