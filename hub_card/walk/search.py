"""The beam search as a tree: every hypothesis that was kept, its log-probability, and those that ended."""

from typing import Any, NamedTuple

import torch
from transformers import GenerationConfig

from modeling_vanilla_transformer import paper_generation_config
from modeling_vanilla_transformer.beam_search_vanilla_transformer import OUT_OF_THE_RUNNING, BeamSearch


class Node(NamedTuple):
    """A word behind a hypothesis."""

    parent: int
    """The place of the node before it; -1 for the start of the sentence."""
    step: int
    """How many words stand before it."""
    beam: int
    """Its rank among the step's beams, from 0; for a hypothesis that ended, its rank among the candidates."""
    word: int
    log_probability: float
    """The sum over the hypothesis's words, this one included."""
    score: float | None
    """For a hypothesis that ended here, the log-probability over the length penalty; None for one that goes on."""


class SearchTree(NamedTuple):
    """A finished search."""

    nodes: list[Node]
    winner: int
    """The place of the node that the returned translation ends with."""
    words: list[int]
    """The translation, its end of sentence included."""
    steps: int
    beams: int
    alpha: float
    penalty: str
    """ "wu" or "power", of LENGTH_PENALTIES."""


class _RecordedSearch(BeamSearch):
    """The search of one sentence, with the scores of every step's candidates."""

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self.candidates_of_steps: list[tuple[list[float], list[bool]]] = []

    def _finish(self, scores: torch.Tensor, ends: torch.Tensor, step: int):
        self.candidates_of_steps.append((scores[0].tolist(), ends[0].tolist()))
        super()._finish(scores, ends, step)

    def nodes(self) -> list[Node]:
        nodes: list[Node] = []
        beams = [-1] * self.beams  # the node that each beam ends with
        for step, (scores, ends) in enumerate(self.candidates_of_steps):
            words, origins = self.trace.words[step][0].tolist(), self.trace.origins[step][0].tolist()
            alive = [score > OUT_OF_THE_RUNNING / 2 for score in scores]  # at first all beams but one are placeholders
            for candidate in range(self.beams):
                if ends[candidate] and alive[candidate]:
                    score = scores[candidate] / self.penalty(step + 1)
                    parent = beams[origins[candidate]]
                    nodes.append(Node(parent, step, candidate, words[candidate], scores[candidate], score))
            following = []
            for beam, candidate in enumerate(self.trace.kept[step][0].tolist()):
                following.append(len(nodes))
                if alive[candidate] and not ends[candidate]:
                    parent = beams[origins[candidate]]
                    nodes.append(Node(parent, step, beam, words[candidate], scores[candidate], None))
            beams = following
        return nodes


def searched(model, source: torch.Tensor) -> SearchTree:
    """
    Returns the search by which `model.generate` translates `source` (1, length). A model whose own settings hold a
    single beam, or sampling, is shown with the paper's search.

    Raises:
        ValueError: the model's weights are broken.
    """
    config: GenerationConfig = model.generation_config
    if config.num_beams == 1 or config.do_sample:
        config = paper_generation_config(model.config)
    penalty = getattr(config, "length_penalty_type", None) or "power"
    searches = []

    def search(model, input_ids, logits_processor, stopping_criteria, generation_config, **model_kwargs):
        search = _RecordedSearch(
            model, input_ids, logits_processor, stopping_criteria, generation_config, penalty, None, model_kwargs
        )
        searches.append(search)
        while search.advance():
            pass
        return search.result()

    sequence = model.generate(source, generation_config=config, custom_generate=search, return_dict_in_generate=False)
    words = sequence[0, 1:].tolist()
    (done,) = searches
    nodes = done.nodes()
    finished = [place for place, node in enumerate(nodes) if node.score is not None]
    if not finished:
        raise ValueError("The search finds no translation: the model's weights give numbers that are not finite.")
    winner = max(finished, key=lambda place: nodes[place].score or 0.0)
    return SearchTree(nodes, winner, words, len(done.trace), done.beams, config.length_penalty, penalty)


def path(nodes: list[Node], place: int) -> list[int]:
    """Returns the words of the hypothesis that ends at `place`, first to last."""
    words = []
    while place >= 0:
        words.append(nodes[place].word)
        place = nodes[place].parent
    return words[::-1]
