"""The embedded English-German corpus: sentence pairs from a small hand-written grammar, with held-out sentences.

from training.corpus import generate_corpus
corpus = generate_corpus(seed=1)
corpus.train[0].source, corpus.train[0].target
"""

from training.corpus.frames import frame_names
from training.corpus.generate import Corpus, Pair, generate_corpus
from training.corpus.lexicon import all_lemmas, is_content

__all__ = ["Corpus", "Pair", "all_lemmas", "frame_names", "generate_corpus", "is_content"]
