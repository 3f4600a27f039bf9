"""From frames to splits: distinct pairs, and held-out pairs half of which combine a word and a frame anew."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from training.corpus.draw import Draw
from training.corpus.frames import FRAMES
from training.corpus.lexicon import is_content

TRAIN_SIZE = 20_000
VALIDATION_SIZE = 500
HELD_OUT_SIZE = 500

# A combination is reserved for the held-out half only if training can teach both of its parts elsewhere.
_LEMMA_COUNT_ELSEWHERE = 100
_LEMMA_FRAMES_ELSEWHERE = 8
_PAIRS_PER_FRAME = 186
_SMALLEST_SHARE, _LARGEST_SHARE = 0.015, 0.08


@dataclass(frozen=True)
class Pair:
    """An English sentence and its German translation, with the frame and the lemmas they were made from."""

    source: str
    target: str
    frame: str
    lemmas: tuple[str, ...]

    @property
    def content_lemmas(self) -> tuple[str, ...]:
        """Return the lemmas that are nouns, verbs, adjectives, adverbs or names."""
        return tuple(lemma for lemma in self.lemmas if is_content(lemma))

    @property
    def combinations(self) -> tuple[tuple[str, str], ...]:
        """Return each content lemma together with the frame."""
        return tuple((lemma, self.frame) for lemma in self.content_lemmas)


@dataclass(frozen=True)
class Corpus:
    """The splits. The first half of `held_out` combines a content lemma and a frame that training never combines."""

    train: tuple[Pair, ...]
    validation: tuple[Pair, ...]
    held_out: tuple[Pair, ...]


def draw_pair(name: str, rng: random.Random) -> Pair:
    """Return one random sentence pair of the frame."""
    draw = Draw(rng)
    phrase = FRAMES[name](draw)
    return Pair(phrase.en, phrase.de, name, tuple(dict.fromkeys(draw.lemmas)))


def _pool(rng: random.Random) -> list[Pair]:
    """Draw distinct pairs, equally many from each frame; no sentence occurs twice in either language."""
    pool: list[Pair] = []
    sources: set[str] = set()
    targets: set[str] = set()
    for name in FRAMES:
        found = 0
        for _ in range(20 * _PAIRS_PER_FRAME):
            pair = draw_pair(name, rng)
            if pair.source in sources or pair.target in targets:
                continue
            sources.add(pair.source)
            targets.add(pair.target)
            pool.append(pair)
            found += 1
            if found == _PAIRS_PER_FRAME:
                break
    return pool


def _reserve(pool: list[Pair], rng: random.Random) -> set[tuple[str, str]]:
    """Choose, for each frame, one content lemma that only held-out sentences may combine with it."""
    together = Counter(combination for pair in pool for combination in pair.combinations)
    frames_of = Counter(lemma for lemma, _ in together)
    total = Counter(lemma for pair in pool for lemma in pair.content_lemmas)
    sizes = Counter(pair.frame for pair in pool)
    reserved: set[tuple[str, str]] = set()
    taken: Counter[str] = Counter()
    for frame in FRAMES:
        options = sorted(
            lemma
            for (lemma, other), count in together.items()
            if other == frame
            and _SMALLEST_SHARE * sizes[frame] <= count <= _LARGEST_SHARE * sizes[frame]
            and total[lemma] - count >= _LEMMA_COUNT_ELSEWHERE
            and frames_of[lemma] > _LEMMA_FRAMES_ELSEWHERE
            and not taken[lemma]
        )
        if options:
            lemma = options[int(rng.random() * len(options))]
            taken[lemma] += 1
            reserved.add((lemma, frame))
    return reserved


def generate_corpus(seed: int = 1) -> Corpus:
    """Return the corpus of a seed: 20,000 training pairs, 500 for validation, 500 held out."""
    rng = random.Random(seed)
    pool = _pool(rng)
    reserved = _reserve(pool, rng)
    rng.shuffle(pool)
    novel: list[Pair] = []
    known: list[Pair] = []
    for pair in pool:
        anew = sum(combination in reserved for combination in pair.combinations)
        if anew == 0:
            known.append(pair)
        elif anew == 1:
            novel.append(pair)
    train, rest = known[:TRAIN_SIZE], known[TRAIN_SIZE:]
    seen = {combination for pair in train for combination in pair.combinations}
    # Every other combination in the held-out sentences must be one that training has shown.
    rest = [pair for pair in rest if seen.issuperset(pair.combinations)]
    novel = [pair for pair in novel if sum(combination not in seen for combination in pair.combinations) == 1]
    half = HELD_OUT_SIZE // 2
    validation, ordinary = rest[:VALIDATION_SIZE], rest[VALIDATION_SIZE : VALIDATION_SIZE + half]
    assert len(train) == TRAIN_SIZE and len(ordinary) == half and len(novel) >= half, "the frames yield too few pairs"
    return Corpus(tuple(train), tuple(validation), (*novel[:half], *ordinary))


def write_corpus(corpus: Corpus, folder: Path) -> dict[Path, int]:
    """Write train, validation and test (the held-out pairs) as .en and .de; return each file's number of lines."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for name, pairs in (("train", corpus.train), ("validation", corpus.validation), ("test", corpus.held_out)):
        for language, lines in (("en", [p.source for p in pairs]), ("de", [p.target for p in pairs])):
            path = folder / f"{name}.{language}"
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            written[path] = len(lines)
    return written
