"""The verb at the end: where it is, where it looks, and what is printed and shown of it."""

from typing import Any

import numpy as np
import pytest
import torch

from hub_card.walk.__main__ import main
from hub_card.walk.example import best_example, verbs_of
from tests.hub_card.walk_oracle import WalkOracle
from tests.hub_card.walks import data_of, random_parts
from tests.training.models import save, small_model
from training.corpus import Corpus, Pair


def pair(source: str, target: str, *lemmas: str) -> Pair:
    return Pair(source, target, "a_frame", lemmas)


OPEN = pair("The doctors will open the window today.", "Die Ärzte werden heute das Fenster öffnen.", "verb:open")
SEEN = pair("He says that she saw the old dog.", "Er sagt, dass sie den alten Hund sah.", "verb:say", "verb:see")
NO_VERBS = [
    pair("The doctor opens the window.", "Der Arzt öffnet das Fenster.", "verb:open"),  # is not at the end
    pair("She says that the dog sleeps.", "Sie sagt, dass der Hund schläft.", "verb:say", "verb:sleep"),  # in both
    pair("The open door will open today.", "Die offene Tür wird sich heute öffnen.", "verb:open"),  # which of the two
    pair("The doctors will open the window today.", "Die Ärzte werden heute das Fenster öffnen."),  # not by the lemmas
]


@pytest.mark.parametrize(("pair", "english", "german"), [(OPEN, "open", "öffnen"), (SEEN, "saw", "sah")])
def test_the_verb_at_the_end_and_its_source_are_known(pair, english, german):
    spans = verbs_of(pair)
    assert spans is not None
    assert pair.source[slice(*spans[0])] == english and pair.target[slice(*spans[1])] == german


@pytest.mark.parametrize("pair", NO_VERBS)
def test_other_sentences_do_not_count(pair):
    assert verbs_of(pair) is None


@pytest.fixture
def model_and_tokenizer(monkeypatch):
    """A random model whose held-out sentences are two, the second of which it translates as the corpus does."""
    monkeypatch.setattr("hub_card.walk.example.generate_corpus", lambda: Corpus((), (), (OPEN, SEEN, *NO_VERBS)))
    lines = [text for one in (OPEN, SEEN) for text in (one.source, one.target)]
    model, tokenizer = small_model(lines * 2)
    generate = type(model).generate

    def knowing(self: Any, inputs: torch.Tensor, **settings: Any) -> torch.Tensor:
        if inputs.tolist() == [tokenizer(SEEN.source)["input_ids"]] and not settings:
            return torch.tensor([[2, *tokenizer(text_target=SEEN.target)["input_ids"]]])
        return generate(self, inputs, **settings)

    monkeypatch.setattr(type(model), "generate", knowing)
    return model, tokenizer


def test_the_best_sentence_is_one_that_the_model_translates_right(model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    found = best_example(model, tokenizer)
    assert (found.sentence, found.source, found.target, found.of) == (SEEN.source, "saw", "sah", 2)

    source = tokenizer(SEEN.source)["input_ids"]
    target = tokenizer(text_target=SEEN.target)["input_ids"]
    tokens = tokenizer.convert_ids_to_tokens(source)
    assert "".join(tokens[place] for place in found.sources).strip() == "saw"
    assert "".join(tokenizer.convert_ids_to_tokens(target)[found.position :]).startswith(" sah")

    # Once more from the weights: what goes to "saw" while " sah" is written, alone and not in a batch.
    oracle = WalkOracle(model, source, [2, *target[:-1]], list(range(len(source))), crop=1, top=1)
    last = len(target) - 2  # behind it stand the full stop and the end of sentence
    rows = list(range(found.position, last))
    by_head = [oracle.derived[f"decoder.{layer}.cross.weights"][:, rows].mean(axis=1) for layer in (0, 1)]
    assert found.share == pytest.approx(by_head[1].mean(axis=0)[found.sources].sum(), rel=1e-4)
    shares = np.stack(by_head)[:, :, found.sources].sum(axis=-1)
    assert (found.layer, found.head) == np.unravel_index(shares.argmax(), shares.shape)
    assert 0 <= found.holds <= 2


def test_the_command_prints_it_and_the_page_has_it(model_and_tokenizer, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("hub_card.walk.__main__.read_model", lambda name: model_and_tokenizer)
    main(["a model", "--example", "-o", str(tmp_path / "walk.html")])
    said = capsys.readouterr().out
    assert "of 2 held-out sentences" in said and SEEN.source in said and str(tmp_path / "walk.html") in said
    facts, _ = data_of((tmp_path / "walk.html").read_text(encoding="utf-8"))
    assert facts["sentence"] == SEEN.source
    assert facts["example"]["source"] == "saw" and facts["example"]["of"] == 2


def test_a_model_of_something_else_has_no_example(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("hub_card.walk.example.generate_corpus", lambda: Corpus((), (), (OPEN, SEEN)))
    folder = save(random_parts(), tmp_path / "model")
    with pytest.raises(SystemExit):
        main([str(folder), "--example", "-o", str(tmp_path / "walk.html")])
    assert "give a sentence of yours instead" in capsys.readouterr().err
    assert not (tmp_path / "walk.html").exists()
