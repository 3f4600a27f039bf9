"""The walk's numbers are the model's: recomputed from the weights, and the search's tree against the search."""

import copy
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from hub_card.walk.__main__ import main
from hub_card.walk.page import PAGE, SCRIPTS, page
from hub_card.walk.search import path, searched
from hub_card.walk.trace import MOST_TOKENS, another_order, walk
from modeling_vanilla_transformer import (
    VanillaTransformerForConditionalGeneration,
    named_configuration,
    paper_generation_config,
)
from tests.hub_card.walks import LINES, SENTENCE, assert_close, data_of, oracle_of, random_parts
from tests.modeling_vanilla_transformer.oracle import log_softmax
from tests.training.models import save, small_model


@pytest.fixture(scope="module")
def parts():
    return random_parts()


@pytest.fixture(scope="module")
def result(parts):
    return walk(*parts, SENTENCE)


VARIANTS = {
    "paper": {},
    "own widths of heads": {"d_k": 6, "d_v": 10},
    "learned positions": {"position_embedding_type": "learned"},
    "three matrices": {"tie_word_embeddings": False, "decoder_attention_heads": 2},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_matrix_in_the_page_follows_from_the_weights(variant):
    model, tokenizer = random_parts(**VARIANTS[variant])
    facts, matrices = data_of(page(walk(model, tokenizer, SENTENCE)))
    oracle = oracle_of(model, facts)
    assert set(matrices) == set(oracle.matrices)
    for name, expected in oracle.matrices.items():
        assert_close(name, matrices[name], expected)
    words = [[tokenizer.convert_ids_to_tokens(int(word)) for word in row] for row in oracle.best]
    assert facts["top"] == words


def test_a_walk_is_in_float32_and_minds_no_settings_of_what_generate_returns(parts, result):
    model, tokenizer = parts
    halved = copy.deepcopy(model).bfloat16()
    halved.generation_config.return_dict_in_generate = True
    found, expected = walk(halved, tokenizer, SENTENCE), walk(copy.deepcopy(halved).float(), tokenizer, SENTENCE)
    assert halved.dtype == torch.bfloat16
    assert found.facts | {"times": None} == expected.facts | {"times": None}
    assert all(np.array_equal(matrix, expected.matrices[name]) for name, matrix in found.matrices.items())
    assert found.matrices.keys() == result.matrices.keys()


def test_the_tokens_are_the_tokenizers_and_the_translation_is_generates(parts, result):
    model, tokenizer = parts
    source = tokenizer(SENTENCE, return_tensors="pt")
    translation = model.generate(**source)[0]
    facts = result.facts
    assert facts["source"]["ids"] == source["input_ids"][0].tolist()
    assert "".join(facts["source"]["texts"]) == SENTENCE + "</s>"
    assert facts["input"]["ids"] == translation[:-1].tolist()
    assert facts["target"]["ids"] == translation[1:].tolist()
    assert facts["translation"] == tokenizer.decode(translation, skip_special_tokens=True)


@pytest.mark.parametrize("penalty", ["wu", "power"])
def test_the_tree_is_the_search(penalty):
    model, tokenizer = small_model(LINES, {"num_beams": 3, "max_length_offset": 3, "length_penalty": 0.8})
    model.generation_config.length_penalty_type = penalty
    source = tokenizer(SENTENCE, return_tensors="pt")["input_ids"]
    tree = searched(model, source)
    output = model.generate(source, return_dict_in_generate=True, output_scores=True)
    assert path(tree.nodes, tree.winner) == tree.words == output.sequences[0, 1:].tolist()
    assert tree.nodes[tree.winner].score == pytest.approx(output.sequences_scores[0].item(), rel=1e-4)
    assert tree.steps == max(node.step for node in tree.nodes) + 1

    # Step by step, with log-probabilities of prefixes that are computed anew: the best continuations are there.
    prefixes = {(): 0.0}
    for step in range(tree.steps):
        continuations = {}
        for prefix, total in prefixes.items():
            with torch.no_grad():
                logits = model(input_ids=source, decoder_input_ids=torch.tensor([[2, *prefix]])).logits[0, -1]
            for word, log_probability in enumerate(log_softmax(logits.double().numpy())):
                continuations[(*prefix, word)] = total + log_probability
        best = sorted(continuations, key=continuations.get, reverse=True)
        last = step + 1 == source.shape[1] + 3
        ended = {one for one in best[:3] if one[-1] == 1 or last}
        kept = [one for one in best if one[-1] != 1 and not last][:3]
        places = [place for place, node in enumerate(tree.nodes) if node.step == step]
        nodes = {tuple(path(tree.nodes, place)): tree.nodes[place] for place in places}
        assert set(nodes) == {*ended, *kept}
        for words, node in nodes.items():
            assert node.log_probability == pytest.approx(continuations[words], abs=1e-3)
            length = step + 1
            divisor = ((5 + length) / 6) ** 0.8 if penalty == "wu" else length**0.8
            assert node.score == (pytest.approx(node.log_probability / divisor) if words in ended else None)
        assert [tree.nodes[place].beam for place in places if tree.nodes[place].score is None] == list(
            range(len(kept))
        )
        prefixes = {words: continuations[words] for words in kept}


def test_a_model_of_greedy_settings_is_shown_with_the_papers_search(parts):
    model, _ = small_model(LINES, {"num_beams": 1})
    assert searched(model, torch.tensor([[5, 6, 1]])).beams == 4


def test_without_positions_another_order_only_permutes(parts, result):
    order = result.facts["order"]
    places = order["places"]
    assert sorted(places) == list(range(len(places))) != places and places[-1] == len(places) - 1
    assert order["differences"]["without"] < 1e-5 < 0.1 < order["differences"]["with"]
    for positions, most in order["differences"].items():
        assert np.abs(result.matrices[f"order.{positions}.difference"]).max() == pytest.approx(most)


def test_words_change_places_whole():
    tokens = ["The", " far", "mer", " sleep", "s", ".", "</s>"]
    places = another_order(tokens)
    assert places != sorted(places) == list(range(7)) and places[-1] == 6
    assert places.index(2) == places.index(1) + 1 and places.index(4) == places.index(3) + 1
    assert another_order([" alone", "</s>"]) == [0, 1]


def test_the_times_are_measured(result):
    times = result.facts["times"]
    assert 0 < times["encoder"] < 10_000 and 0 < times["recurrent"] < 10_000
    # Two layers of the miniature: four matrices of 32 x 32, two of 32 x 64 with biases, two norms; and an LSTM's.
    assert times["encoder_parameters"] == 2 * (4 * 32 * 32 + 2 * 32 * 64 + 64 + 32 + 4 * 32)
    assert times["recurrent_parameters"] == 2 * 4 * (32 * 32 + 32 * 32 + 2 * 32)


def test_a_page_of_base_size_for_twenty_words_has_less_than_six_megabytes():
    _, tokenizer = small_model(LINES)
    config = named_configuration("base")
    config.vocab_size = len(tokenizer)  # the vocabulary stands nowhere in the page
    config.encoder_layers = config.decoder_layers = 1  # of six, each as large
    torch.manual_seed(0)
    model = VanillaTransformerForConditionalGeneration(config).eval()
    model.generation_config = paper_generation_config(config, max_length_offset=4)
    result = walk(model, tokenizer, " ".join(["the dog a dog"] * 5))
    # As many tokens as 20 words have with the paper's vocabulary.
    assert len(result.facts["source"]["ids"]) >= 21 and len(result.facts["target"]["ids"]) >= 21
    assert len(page(result).encode()) < 6_000_000 / 6


# ---------------------------------------------------------------------------------------------------------------------
# The command


@pytest.fixture(scope="module")
def folder(parts, tmp_path_factory):
    return save(parts, tmp_path_factory.mktemp("walk") / "model")


def test_the_command_writes_one_page(parts, folder, tmp_path, capsys):
    main([str(folder), SENTENCE, "-o", str(tmp_path / "a" / "walk.html")])
    assert capsys.readouterr().out == f"{tmp_path / 'a' / 'walk.html'}\n"
    written = (tmp_path / "a" / "walk.html").read_text(encoding="utf-8")
    assert data_of(written)[0]["sentence"] == SENTENCE
    assert not re.search(
        r"""(src|href)=["'](?!#|data:)|https?://(?!www\.w3\.org)""", written
    )  # nothing from elsewhere


def failing(arguments: list[str], capsys) -> str:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code != 0
    return capsys.readouterr().err


def test_what_cannot_be_shown_is_one_clear_error(parts, folder, tmp_path, capsys):
    output = ["-o", str(tmp_path / "walk.html")]
    assert "the sentence is empty" in failing([str(folder), "  ", *output], capsys)
    assert "no text, at its character 2" in failing([str(folder), "a\udcff", *output], capsys)
    long = failing([str(folder), "the old dog " * 170, *output], capsys)
    assert f"up to {MOST_TOKENS}" in long and "shorter sentence" in long
    assert "nothing" in failing([str(tmp_path / "nothing"), SENTENCE, *output], capsys)

    model, _ = parts
    model.save_pretrained(tmp_path / "bare")
    assert "tokenizer" in failing([str(tmp_path / "bare"), SENTENCE, *output], capsys)

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text(json.dumps({"model_type": "bert"}), encoding="utf-8")
    assert "'bert'" in failing([str(tmp_path / "other"), SENTENCE, *output], capsys)
    for arguments in ([str(folder)], [str(folder), SENTENCE, "--example"]):
        assert "either a sentence or --example" in failing([*arguments, *output], capsys)
    assert not (tmp_path / "walk.html").exists()


def test_broken_weights_are_an_error(tmp_path, capsys):
    model, tokenizer = small_model(LINES)
    with torch.no_grad():
        model.model.encoder.layers[0].feed_forward.fc2.bias[0] = math.inf
    folder = save((model, tokenizer), tmp_path / "broken")
    assert "not finite" in failing([str(folder), SENTENCE, "-o", str(tmp_path / "walk.html")], capsys)


# ---------------------------------------------------------------------------------------------------------------------
# The words


def flat(texts, prefix: str = "") -> dict[str, str]:
    if isinstance(texts, str):
        return {prefix: texts}
    items = enumerate(texts) if isinstance(texts, list) else texts.items()
    return {name: text for key, value in items for name, text in flat(value, f"{prefix}/{key}").items()}


def test_both_languages_say_the_same_and_everything_is_said():
    texts = json.loads((PAGE / "texts.json").read_text(encoding="utf-8"))
    english, chinese = flat(texts["en"]), flat(texts["zh"])
    assert english.keys() == chinese.keys()
    for name, text in english.items():
        assert set(re.findall(r"\{(\w+)\}", text)) == set(re.findall(r"\{(\w+)\}", chinese[name])), name
        assert re.findall(r"</?\w+>", text) == re.findall(r"</?\w+>", chinese[name]), name
    scripts = "".join((PAGE / name).read_text(encoding="utf-8") for name in (*SCRIPTS, "template.html"))
    for key in texts["en"]["ui"]:
        assert f'"{key}"' in scripts, f"{key} is said nowhere"
    for key in re.findall(r"say\(\"(\w+)\"", scripts):
        assert key in texts["en"]["ui"], key


def test_every_script_of_the_folder_is_in_the_page():
    assert {path.name for path in Path(PAGE).glob("*.js")} == set(SCRIPTS)
