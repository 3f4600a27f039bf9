# Copyright (2026) The vanilla-transformer authors. Licensed under the Apache License, Version 2.0.
"""The tokenizer: one byte-pair encoding for source and target, trained in one call, that loses no character.

    tokenizer = VanillaTransformerTokenizer.train(lines_of_both_languages, vocab_size=37000)
    batch = tokenizer(["A cat sleeps."], text_target=["Eine Katze schläft."], return_tensors="pt")

The paper (section 5.1) shares one byte-pair vocabulary of about 37,000 tokens between source and target. Text becomes
tokens in two steps: `WORD_PATTERN` cuts it into words, and byte-pair merges build tokens inside a word, never across.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from transformers import AddedToken, TokenizersBackend
from transformers.utils import logging

logger = logging.get_logger(__name__)

VOCAB_FILES_NAMES = {"tokenizer_file": "tokenizer.json"}

# A character outside the alphabet is spelled in UTF-8 with these, one token a byte. Byte fallback is chosen over
# byte-level pairs because every token then reads as the text it stands for ("für", not "fÃ¼r"), which logs and
# attention figures want, and because tokens added later decode right whatever letters they hold.
BYTE_TOKENS = tuple(f"<0x{byte:02X}>" for byte in range(256))

# What a merge may not cross. The blank before a word belongs to the word, so that text needs no blank tokens and no
# stand-in character for the blank (which could not be told from itself in the input).
WORD_PATTERN = "|".join(
    [
        # Letters with their combining marks, in any script. An apostrophe between letters is part of the word, as in
        # Unicode's word boundaries: don't, l'homme. Cutting there costs 8% more tokens in French and 1.5% in English.
        r" ?[\p{L}\p{M}]+(?:['’][\p{L}\p{M}]+)*",
        # Each digit alone: numbers are copied digit by digit, none is rare, and it costs under 0.5% more tokens.
        r" ?\p{N}",
        # Punctuation and symbols apart from words, so that "word" and "word," share a token.
        r" ?[^\s\p{L}\p{M}\p{N}]+",
        # White space; where a word follows a blank, that blank is the word's.
        r"\s+(?= \S)",
        r"\s+",
    ]
)

NORMALIZERS = {"NFC": normalizers.NFC, "NFKC": normalizers.NFKC}

# The trainer spends places on rare characters that are spelled in bytes in the end; these further merges fill the gap.
SPARE_MERGES = 8192


class VanillaTransformerTokenizer(TokenizersBackend):
    """A byte-pair encoding with byte fallback, shared by source and target.

    `</s>` closes every encoded text, source and labels (`text_target=`) alike, and nothing is put in front: the model
    makes the decoder's input from the labels itself, `<s>` being its start token. A pair of texts becomes
    `first </s> second </s>`.

    **Nothing is lost.** No text gives an unknown token (there is none), and `decode(..., skip_special_tokens=True)`
    returns every string exactly as it was: blanks, line ends, control characters, emoji. By default nothing is
    normalised. With `normalization="NFC"` (or "NFKC") text is first brought to that Unicode form, and decoding returns
    the normalised text. NFC helps where the input may come decomposed (u + ¨ for ü), which training text rarely is;
    NFKC also replaces typographic characters (ﬁ, ½, …) by plain ones. Lone surrogates are not text and are refused.

    **Special tokens in the text**, such as a literal "</s>", are read as the special token, as everywhere in
    transformers, and vanish on decoding with `skip_special_tokens=True`. For text that is not under your control pass
    `split_special_tokens=True`, to the call or to the constructor: they are then ordinary characters and survive.

    Args:
        vocab: token to id, of a vocabulary made elsewhere; it must hold the 256 byte tokens `<0x00>` to `<0xFF>`.
            Left out, the tokenizer is an untrained one, which spells everything in bytes: good for `train`.
        merges: the merges that go with `vocab`, in order.
        pad_token: fills short rows of a batch, id 0.
        eos_token: closes a text, id 1.
        bos_token: what the decoder starts from, id 2; not added to any text.
        normalization: "NFC" or "NFKC", which while loading replaces what the saved tokenizer has; None: none or, while
            loading, what the saved tokenizer has.
        kwargs: what every tokenizer of transformers takes: `model_max_length` (1024 by default: what `truncation=True`
            cuts to; the model itself takes longer text), `extra_special_tokens`, `split_special_tokens`,
            `add_eos_token` (True), `add_bos_token` (False), ...

    Raises:
        ValueError: a vocabulary without the byte tokens, or an unknown normalization.
    """

    vocab_files_names = VOCAB_FILES_NAMES
    model_input_names = ["input_ids", "attention_mask"]
    padding_side = "right"
    model = BPE

    def __init__(
        self,
        vocab: dict[str, int] | None = None,
        merges: list[tuple[str, str]] | None = None,
        pad_token: str | AddedToken = "<pad>",
        eos_token: str | AddedToken = "</s>",
        bos_token: str | AddedToken = "<s>",
        normalization: str | None = None,
        **kwargs: Any,
    ) -> None:
        if normalization not in (None, *NORMALIZERS):
            raise ValueError(f"normalization={normalization!r} is none of {[None, *NORMALIZERS]}")
        # A saved or trained pipeline is taken as it stands; only without one is the pipeline built here.
        is_new = not any(kwargs.get(name) for name in ("tokenizer_object", "tokenizer_file"))
        if is_new:
            if vocab is None:
                tokens = [str(pad_token), str(eos_token), str(bos_token), *BYTE_TOKENS]
                vocab = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
            self._tokenizer = _pipeline(vocab, merges or [])
        switches = {name: kwargs.pop(name) for name in ("add_eos_token", "add_bos_token") if name in kwargs}
        kwargs.setdefault("model_max_length", 1024)
        kwargs.setdefault("clean_up_tokenization_spaces", False)  # it would delete blanks that the text really had
        super().__init__(
            pad_token=pad_token, eos_token=eos_token, bos_token=bos_token, normalization=normalization, **kwargs
        )
        if normalization is not None:
            self._tokenizer.normalizer = NORMALIZERS[normalization]()

        # The base class believes that nothing is added unless told so; a loaded pipeline is asked what it adds.
        ids = self._tokenizer.encode("a").ids  # by their places, as the two tokens may be one
        self._add_eos_token, self._add_bos_token = ids[-1] == self.eos_token_id, ids[0] == self.bos_token_id
        if is_new:
            switches.setdefault("add_eos_token", True)
        for name, value in switches.items():
            setattr(self, name, value)

    @property
    def normalization(self) -> str | None:
        """The Unicode form text is brought to before anything else: None (untouched), "NFC" or "NFKC"."""
        name = type(self._tokenizer.normalizer).__name__
        return name if name in NORMALIZERS else None

    @classmethod
    def convert_to_native_format(cls, trust_remote_code: bool = False, **kwargs: Any) -> dict[str, Any]:
        """Take `tokenizer.json` verbatim, with remote trust as without it.

        Without remote trust the base class would rebuild the pipeline of a class with its own `__init__` from code, so
        that the same folder could give other ids.

        Raises:
            ValueError: the folder has no tokenizer.json.
        """
        if not kwargs.get("tokenizer_file"):
            raise ValueError(f"{cls.__name__} is loaded from tokenizer.json: {kwargs.get('name_or_path')} has none")
        return super().convert_to_native_format(trust_remote_code=True, **kwargs)

    @classmethod
    def train(
        cls,
        iterator: Iterable[str | list[str]],
        vocab_size: int = 37000,
        min_frequency: int = 2,
        character_coverage: float = 0.99995,
        length: int | None = None,
        show_progress: bool = True,
        **kwargs: Any,
    ) -> "VanillaTransformerTokenizer":
        """Train a tokenizer on text of both languages; a million lines take well under a minute on two cores.

        The same text gives the same tokenizer, whatever the order of its lines.

        Args:
            iterator: strings, or lists of strings; read once, so a generator over any amount of text will do.
            vocab_size: the number of tokens, special tokens included: <pad> </s> <s>, extra special tokens, 256 bytes,
                the alphabet, then merges. A text too small for that many merges gives fewer, with a warning.
            min_frequency: how often a pair must occur to be merged.
            character_coverage: the share of characters in the text that tokens of their own must cover; the rarest are
                spelled in bytes, which also teaches a model the byte tokens.
            length: how many items the iterator holds, for the progress bar only.
            show_progress: whether to draw a progress bar.
            kwargs: arguments of the constructor: `normalization`, `extra_special_tokens`, `model_max_length`, ...

        Raises:
            ValueError: no text, or a vocabulary too small for the special tokens and the bytes.
            TypeError: an item that is neither a string nor a list of strings.
        """
        untrained = cls(**kwargs)
        if vocab_size < len(untrained):
            raise ValueError(
                f"vocab_size={vocab_size} is too small: {len(untrained) - len(BYTE_TOKENS)} special tokens and "
                f"{len(BYTE_TOKENS)} bytes alone are {len(untrained)} tokens"
            )
        return untrained.train_new_from_iterator(
            iterator,
            vocab_size,
            length=length,
            min_frequency=min_frequency,
            character_coverage=character_coverage,
            show_progress=show_progress,
        )

    def train_new_from_iterator(
        self,
        text_iterator: Iterable[str | list[str]],
        vocab_size: int,
        length: int | None = None,
        new_special_tokens: list[str | AddedToken] | None = None,
        special_tokens_map: dict[str, str] | None = None,
        character_coverage: float = 0.99995,
        **kwargs: Any,
    ) -> "VanillaTransformerTokenizer":
        """Train a tokenizer with this one's pipeline and special tokens on other text.

        Args:
            text_iterator: strings, or lists of strings; read once.
            vocab_size: the number of tokens; special tokens and bytes are kept, with a warning, where it is smaller.
            length: how many items the iterator holds, for the progress bar only.
            new_special_tokens: special tokens to add.
            special_tokens_map: new names for special tokens, old name to new name.
            character_coverage: as in `train`.
            kwargs: arguments of `tokenizers.trainers.BpeTrainer`: `min_frequency`, `show_progress`, ...

        Raises:
            ValueError: no text, or a coverage outside (0, 1].
            TypeError: an item that is neither a string nor a list of strings.
        """
        if not 0 < character_coverage <= 1:
            raise ValueError(f"character_coverage={character_coverage} is not above 0 and at most 1")
        if isinstance(text_iterator, str):
            raise TypeError("the training text is one string; pass an iterable of strings, such as a list of lines")
        counts: Counter[str] = Counter()
        trained = super().train_new_from_iterator(
            _counted(text_iterator, counts, self._tokenizer.normalizer),
            vocab_size + SPARE_MERGES,
            length=length,
            new_special_tokens=new_special_tokens,
            special_tokens_map=special_tokens_map,
            **kwargs,
        )
        trained._tokenizer = _with_bytes(trained._tokenizer, vocab_size, counts, character_coverage)
        trained._tokenizer.encode_special_tokens = trained.split_special_tokens
        return trained


def _pipeline(vocab: dict[str, int], merges: list[tuple[str, str]]) -> Tokenizer:
    """The pipeline around a vocabulary: cut into words, merge pairs, spell the rest in bytes; and the way back."""
    if missing := [token for token in BYTE_TOKENS if token not in vocab]:
        raise ValueError(
            f"the vocabulary lacks {len(missing)} of the 256 byte tokens ({missing[0]}, ...), "
            "without which characters outside it would vanish"
        )
    tokenizer = Tokenizer(BPE(vocab=vocab, merges=merges, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORD_PATTERN), behavior="isolated")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer


def _counted(
    items: Iterable[str | list[str]], counts: Counter[str], normalizer: normalizers.Normalizer | None
) -> Iterator[list[str]]:
    """Pass training text on in lists, checking it and counting its characters (after normalisation) on the way."""
    for index, item in enumerate(items):
        texts = [item] if isinstance(item, str) else item
        if not isinstance(texts, list | tuple):
            raise TypeError(
                f"item {index} of the training text is of type {type(item).__name__}, "
                "where a string or a list of strings was expected"
            )
        for text in texts:
            if not isinstance(text, str):
                raise TypeError(f"item {index} of the training text holds {text!r}, where a string was expected")
            counts.update(text if normalizer is None else normalizer.normalize_str(text))
        yield list(texts)
    if not counts:
        raise ValueError("no text to train on: the iterator is empty, or holds empty strings only")


def _with_bytes(trained: Tokenizer, vocab_size: int, counts: Counter[str], coverage: float) -> Tokenizer:
    """Rebuild a trained tokenizer of `vocab_size` tokens: special tokens, 256 bytes, covered characters, merges.

    The trainer of `tokenizers` adds no byte tokens, and its own limit on the alphabet breaks ties at random. Merges
    come in the order they were learned, so taking the first of them equals training for fewer.
    """
    state = json.loads(trained.to_str())
    special = sorted(state["added_tokens"], key=lambda token: token["id"])
    for index, token in enumerate(special):
        token["id"] = index
    fixed = [token["content"] for token in special] + list(BYTE_TOKENS)
    if vocab_size < len(fixed):
        logger.warning(f"vocab_size={vocab_size} cannot hold the special tokens and the bytes: using {len(fixed)}")

    room, seen, total = vocab_size - len(fixed), 0, sum(counts.values())
    covered: set[str] = set()
    for character, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if seen >= coverage * total or len(covered) >= room:
            break
        covered.add(character)
        seen += count

    # In the trainer's order, by code point. A character that was never counted was asked for with `initial_alphabet`.
    trainer_vocab = sorted(state["model"]["vocab"].items(), key=lambda item: item[1])
    alphabet = [token for token, _ in trainer_vocab if len(token) == 1 and (token in covered or token not in counts)]
    vocab = {token: index for index, token in enumerate(dict.fromkeys([*fixed, *alphabet]))}
    merges = []
    for left, right in state["model"]["merges"]:
        if len(vocab) >= vocab_size:
            break
        # A pair around a dropped character is dropped with it, and ordinary text must not merge into a special token.
        if left in vocab and right in vocab and left + right not in fixed:
            vocab.setdefault(left + right, len(vocab))
            merges.append([left, right])
    if len(vocab) < vocab_size:
        logger.warning(f"the text gives {len(vocab)} tokens only, not vocab_size={vocab_size}")
    state["model"].update(vocab=vocab, merges=merges, byte_fallback=True)
    return Tokenizer.from_str(json.dumps(state))


__all__ = ["VanillaTransformerTokenizer"]
