"""Decoding finds what an exhaustive search finds, and its scores, limits and errors are what the paper and we say."""

import math

import pytest
import torch
from transformers import GenerationConfig, GenerationMixin

from modeling_vanilla_transformer import paper_generation_config
from modeling_vanilla_transformer.beam_search_vanilla_transformer import wu_length_penalty
from tests.modeling_vanilla_transformer.oracle import Oracle, log_softmax

PAD, END, START = 0, 1, 2


def penalty(length: int, alpha: float) -> float:
    """Returns the paper's (Wu et al.'s) penalty of a hypothesis of so many tokens."""
    return ((5 + length) / 6) ** alpha


def next_token_log_probabilities(oracle: Oracle, memory, prefix: list[int]) -> list[float]:
    return log_softmax(oracle.decode(memory, prefix)[-1] @ oracle.weights["lm_head.weight"].T)


def every_hypothesis(oracle: Oracle, source: list[int], limit: int, alpha: float) -> list[tuple[float, list[int]]]:
    """Returns all sequences that end with the end of sentence or at the limit, with their scores, best first."""
    memory, found = oracle.encode(source), []

    def extend(prefix: list[int], log_probability: float):
        for token, log_p in enumerate(next_token_log_probabilities(oracle, memory, prefix)):
            hypothesis, total = prefix + [token], log_probability + log_p
            length = len(hypothesis) - 1
            if token == END or length == limit:
                found.append((total / penalty(length, alpha), hypothesis))
            else:
                extend(hypothesis, total)

    extend([START], 0.0)
    return sorted(found, reverse=True)


def log_probability(oracle: Oracle, source: list[int], tokens: list[int]) -> tuple[float, int]:
    """Returns the log-probability of a generated row, up to its end of sentence, and its length."""
    if END in tokens:
        tokens = tokens[: tokens.index(END) + 1]
    memory = oracle.encode(source)
    scores = (next_token_log_probabilities(oracle, memory, tokens[:i])[tokens[i]] for i in range(1, len(tokens)))
    return sum(scores), len(tokens) - 1


def words(rows: torch.Tensor) -> list[list[int]]:
    """
    Returns each row up to, and without, its end of sentence or padding. (Where padding has id 0, transformers' beam
    search fills up with ends of sentence, also behind a translation that was cut at its limit.)
    """
    sentences = []
    for row in rows.tolist():
        row = row[: row.index(END)] if END in row else row
        while row and row[-1] == PAD:
            row.pop()
        sentences.append(row)
    return sentences


def filled_up(tokens: list[int], length: int) -> list[int]:
    return tokens + [PAD] * (length - len(tokens))


@pytest.fixture(scope="module")
def tiny_model(small_model):
    """Returns a function: a model of so few tokens that every translation can be tried."""

    def build(seed: int, **changes):
        sizes = dict(vocab_size=5, d_model=6, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2)
        return small_model(seed=seed, decoder_attention_heads=2, **sizes, **changes)

    return build


@pytest.fixture(scope="module")
def constant_model(small_model):
    """Returns a function: a model that gives the next token the same probabilities, whatever it reads."""

    def build(probabilities: list[float]):
        model = small_model(vocab_size=len(probabilities), decoder_layers=1, tie_word_embeddings=False)
        with torch.no_grad():
            last = model.model.decoder.layers[0].feed_forward_layer_norm
            last.weight.zero_()
            last.bias.zero_()
            last.bias[0] = 1  # the decoder's output is now (1, 0, 0, ...) everywhere
            model.lm_head.weight[:, 0] = torch.tensor(probabilities, dtype=torch.float64).log()
        return model

    return build


# ---------------------------------------------------------------------------------------------------------------------
# The best translation, found by trying them all
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.6, 0.0, 2.0, -0.5])
@pytest.mark.parametrize("seed", [0, 1])
def test_beam_search_with_enough_beams_finds_the_best_of_all_translations(seed, alpha, tiny_model, padded):
    model, sources = tiny_model(seed), [[3, 4, 3, END], [4, END]]
    input_ids, attention_mask = padded(sources)
    outputs = model.generate(
        input_ids=input_ids,
        attention_mask=attention_mask,
        num_beams=125,
        num_return_sequences=10,
        length_penalty=alpha,
        length_penalty_type="wu",
        early_stopping="never",
        max_new_tokens=4,
        return_dict_in_generate=True,
        output_scores=True,
    )
    oracle = Oracle(model.state_dict(), model.config)
    for row, source in enumerate(sources):
        best = every_hypothesis(oracle, source, limit=4, alpha=alpha)[:10]
        found = outputs.sequences[row * 10 : (row + 1) * 10].tolist()
        assert found == [filled_up(tokens, len(found[0])) for _, tokens in best]
        scores = outputs.sequences_scores[row * 10 : (row + 1) * 10].tolist()
        assert scores == pytest.approx([score for score, _ in best], abs=1e-10)


def test_the_best_translation_is_found_within_each_sentences_own_limit(tiny_model, padded):
    model, sources = tiny_model(2), [[3, 4, END], [END], [4, END]]
    input_ids, attention_mask = padded(sources)
    outputs = model.generate(
        input_ids=input_ids,
        attention_mask=attention_mask,
        generation_config=paper_generation_config(model.config, num_beams=125, max_length_offset=1),
        num_return_sequences=5,
        return_dict_in_generate=True,
        output_scores=True,
    )
    oracle = Oracle(model.state_dict(), model.config)
    for row, source in enumerate(sources):
        best = every_hypothesis(oracle, source, limit=len(source) + 1, alpha=0.6)[:5]
        found = outputs.sequences[row * 5 : (row + 1) * 5].tolist()
        assert found == [filled_up(tokens, len(found[0])) for _, tokens in best]
        scores = outputs.sequences_scores[row * 5 : (row + 1) * 5].tolist()
        assert scores == pytest.approx([score for score, _ in best], abs=1e-10)


def test_the_penalty_decides_between_a_short_and_a_long_translation_as_worked_out_by_hand(constant_model):
    # The next token is 3 with probability 0.7 and the end with 0.3. At once at the end: log 0.3 = -1.204. Four times
    # 3, cut at the limit of 4 tokens: 4 log 0.7 = -1.427, divided by (9 / 6)^0.6 = 1.275: -1.119.
    model = constant_model([1e-30, 0.3, 1e-30, 0.7])
    settings = dict(num_beams=4, length_penalty_type="wu", early_stopping="never", max_new_tokens=4)
    settings |= dict(return_dict_in_generate=True, output_scores=True)
    for alpha, tokens, score in ((0.6, [2, 3, 3, 3, 3], 4 * math.log(0.7) / 1.5**0.6), (0.0, [2, 1], math.log(0.3))):
        outputs = model.generate(input_ids=torch.tensor([[3, 1]]), length_penalty=alpha, **settings)
        assert outputs.sequences.tolist() == [tokens]
        assert outputs.sequences_scores.item() == pytest.approx(score, abs=1e-10)


def test_the_search_goes_on_while_a_long_translation_can_still_win(constant_model):
    # Ending at once scores log 0.45 = -0.80. Six times 3 scores 6 log 0.55 / (11 / 6)^2 = -1.07, and is not the end of
    # the story: fifty times 3 scores 50 log 0.55 / (55 / 6)^2 = -0.36.
    outputs = constant_model([1e-30, 0.45, 1e-30, 0.55]).generate(
        input_ids=torch.tensor([[3, 1]]),
        num_beams=2,
        length_penalty=2.0,
        length_penalty_type="wu",
        early_stopping="never",
        max_new_tokens=50,
        return_dict_in_generate=True,
        output_scores=True,
    )
    assert outputs.sequences.tolist() == [[2] + [3] * 50]
    assert outputs.sequences_scores.item() == pytest.approx(50 * math.log(0.55) / (55 / 6) ** 2, abs=1e-10)


def test_the_search_ends_as_soon_as_nothing_better_can_come(constant_model):
    model, calls = constant_model([1e-30, 0.9, 1e-30, 0.1]), []
    model.model.decoder.register_forward_hook(lambda *_: calls.append(1))
    search = paper_generation_config(model.config)
    tokens = model.generate(input_ids=torch.tensor([[3, 3, 1]]), generation_config=search)
    # Ending at once scores log 0.9 = -0.105; going on can reach log 0.1 / (58 / 6)^0.6 = -0.59 at the most.
    assert tokens.tolist() == [[2, 1]] and len(calls) == 1


# ---------------------------------------------------------------------------------------------------------------------
# Scores
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "length, alpha, value",
    [(1, 0.6, 1.0), (1, 0.0, 1.0), (9, 0.0, 1.0), (7, 1.0, 2.0), (7, 0.6, 2**0.6), (19, 0.5, 2.0), (13, -1.0, 1 / 3)],
)
def test_the_length_penalty_is_wu_et_als(length, alpha, value):
    assert wu_length_penalty(length, alpha) == pytest.approx(value, rel=1e-15)
    assert wu_length_penalty(torch.tensor([length]).double(), alpha).tolist() == pytest.approx([value], rel=1e-15)


@pytest.mark.parametrize(
    "penalty_type, dtype, tolerance",
    [
        ("wu", torch.float64, 1e-10),
        ("wu", torch.float32, 1e-5),
        ("power", torch.float64, 1e-5),  # transformers' search keeps its scores in float32
        ("power", torch.float32, 1e-5),
    ],
)
def test_sequence_scores_are_the_penalised_log_probabilities(penalty_type, dtype, tolerance, small_model, batch):
    model = small_model(dtype)
    outputs = model.generate(
        input_ids=batch.inputs["input_ids"],
        attention_mask=batch.inputs["attention_mask"],
        num_beams=4,
        num_return_sequences=4,
        length_penalty=0.6,
        length_penalty_type=penalty_type,
        early_stopping="never",
        max_new_tokens=8,
        return_dict_in_generate=True,
        output_scores=True,
    )
    oracle = Oracle(model.state_dict(), model.config)
    for row, (tokens, score) in enumerate(zip(outputs.sequences.tolist(), outputs.sequences_scores, strict=True)):
        total, length = log_probability(oracle, batch.sources[row // 4], tokens)
        divisor = penalty(length, 0.6) if penalty_type == "wu" else length**0.6
        assert score.item() == pytest.approx(total / divisor, abs=tolerance)
    scores = outputs.sequences_scores.view(3, 4)
    assert (scores.diff(dim=-1) <= 0).all()  # best first
    assert len({tuple(tokens) for tokens in outputs.sequences[:4].tolist()}) == 4


def test_the_steps_scores_add_up_to_the_sequence_scores(small_model, batch):
    model = small_model()
    outputs = model.generate(
        input_ids=batch.inputs["input_ids"],
        attention_mask=batch.inputs["attention_mask"],
        generation_config=paper_generation_config(model.config, max_length_offset=4),
        num_return_sequences=4,
        return_dict_in_generate=True,
        output_scores=True,
        output_logits=True,
        output_hidden_states=True,
    )
    steps = model.compute_transition_scores(outputs.sequences, outputs.scores, outputs.beam_indices)
    lengths = (outputs.beam_indices >= 0).sum(dim=-1)
    totals = [steps[row, :length].sum() / penalty(int(length), 0.6) for row, length in enumerate(lengths)]
    assert torch.stack(totals).tolist() == pytest.approx(outputs.sequences_scores.tolist(), abs=1e-10)
    for scores, logits in zip(outputs.scores, outputs.logits, strict=True):
        assert torch.allclose(scores, logits.log_softmax(dim=-1), atol=1e-12)
    assert len(outputs.decoder_hidden_states) == len(outputs.scores)


def test_without_return_dict_the_same_tokens_come_as_a_tensor(small_model, batch):
    model = small_model()
    inputs = dict(input_ids=batch.inputs["input_ids"], attention_mask=batch.inputs["attention_mask"])
    inputs["generation_config"] = paper_generation_config(model.config)
    tokens = model.generate(**inputs)
    assert torch.equal(tokens, model.generate(**inputs, return_dict_in_generate=True).sequences)


# ---------------------------------------------------------------------------------------------------------------------
# Beside transformers' own search
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("early_stopping", [True, False, "never"])
def test_the_power_penalty_gives_transformers_own_search(early_stopping, small_model, batch):
    model = small_model()
    settings = dict(input_ids=batch.inputs["input_ids"], attention_mask=batch.inputs["attention_mask"], num_beams=4)
    settings |= dict(num_return_sequences=4, length_penalty=0.8, early_stopping=early_stopping, max_new_tokens=10)
    settings |= dict(return_dict_in_generate=True, output_scores=True)
    ours, theirs = model.generate(**settings, length_penalty_type="power"), GenerationMixin.generate(model, **settings)
    assert torch.equal(ours.sequences, theirs.sequences)
    torch.testing.assert_close(ours.sequences_scores, theirs.sequences_scores, atol=1e-6, rtol=0, check_dtype=False)


@pytest.mark.parametrize("early_stopping", [True, "never"])
@pytest.mark.parametrize("beams", [2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_without_a_penalty_our_search_gives_what_transformers_gives(seed, beams, early_stopping, tiny_model, padded):
    model = tiny_model(seed)  # with so few tokens, hypotheses end all the time
    input_ids, attention_mask = padded([[3, 4, 3, 3, END], [4, END], [END], [4, 4, 3, END]])
    settings = dict(input_ids=input_ids, attention_mask=attention_mask)
    settings |= dict(num_beams=beams, num_return_sequences=beams, length_penalty=0.0, early_stopping=early_stopping)
    settings |= dict(max_new_tokens=10, return_dict_in_generate=True, output_scores=True)
    ours = model.generate(**settings, length_penalty_type="wu")
    theirs = model.generate(**settings, length_penalty_type="power")
    assert words(ours.sequences) == words(theirs.sequences)
    assert torch.allclose(ours.sequences_scores, theirs.sequences_scores.double(), atol=1e-5)  # theirs are float32
    assert torch.equal(ours.beam_indices, theirs.beam_indices)


def test_logits_processors_reach_our_search(small_model, batch):
    model = small_model()
    inputs = dict(input_ids=batch.inputs["input_ids"], attention_mask=batch.inputs["attention_mask"])
    inputs["generation_config"] = paper_generation_config(model.config, max_length_offset=6)
    free = model.generate(**inputs)
    favourite = next(token for token in free[0].tolist()[1:] if token > 2)
    assert favourite not in model.generate(**inputs, suppress_tokens=[favourite])[0].tolist()
    longer = model.generate(**inputs, min_new_tokens=5)
    assert (longer[:, 1:5] != END).all()


def test_a_decoder_prompt_is_kept_and_not_counted(small_model):
    model, prompt = small_model(), torch.tensor([[START, 7, 9]])
    search = paper_generation_config(model.config, max_length_offset=2)
    settings = dict(input_ids=torch.tensor([[5, 9, 1]]), decoder_input_ids=prompt, suppress_tokens=[PAD, END])
    for beams in (1, 4):
        tokens = model.generate(**settings, generation_config=search, num_beams=beams)
        assert tokens.shape == (1, 3 + 5) and tokens[:, :3].tolist() == prompt.tolist()


# ---------------------------------------------------------------------------------------------------------------------
# Limits
# ---------------------------------------------------------------------------------------------------------------------

SEARCHES = {
    "greedy": dict(),
    "sampling": dict(do_sample=True),
    "our beam search": dict(num_beams=3, length_penalty_type="wu"),
    "transformers' beam search": dict(num_beams=3, length_penalty_type="power"),
    "beam sampling": dict(num_beams=3, do_sample=True, length_penalty_type="power"),
}


@pytest.mark.parametrize("offset", [0, 1, 5])
@pytest.mark.parametrize("search", SEARCHES)
def test_each_sentence_has_its_own_limit_by_the_length_of_its_source(search, offset, small_model, batch):
    model = small_model()
    for mask in (batch.inputs["attention_mask"], None):  # without a mask, padding is known by its id
        tokens = model.generate(
            input_ids=batch.inputs["input_ids"],
            attention_mask=mask,
            max_length_offset=offset,
            suppress_tokens=[PAD, END],  # never ends by itself
            **SEARCHES[search],
        )
        generated = (tokens[:, 1:] > END).sum(dim=-1).tolist()
        assert generated == [len(source) + offset for source in batch.sources]


@pytest.mark.parametrize("search", SEARCHES)
def test_the_end_of_sentence_counts_towards_the_limit(search, small_model):
    # A source of two tokens and no offset: at most one word and the end, or two words.
    model, source = small_model(), torch.tensor([[5, 1]])
    for seed in range(5):
        torch.manual_seed(seed)
        tokens = model.generate(input_ids=source, max_length_offset=0, min_new_tokens=1, **SEARCHES[search])
        assert tokens.shape[1] <= 1 + 2


def test_the_limit_by_source_length_is_saved_with_the_model(small_model, tmp_path):
    model = small_model()
    model.generation_config = paper_generation_config(model.config, max_length_offset=3)
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path, dtype=torch.float64)
    tokens = loaded.generate(input_ids=torch.tensor([[5, 9, 1]]), suppress_tokens=[PAD, END])
    assert tokens.shape == (1, 1 + 6)
    saved = GenerationConfig.from_pretrained(tmp_path)
    assert (saved.num_beams, saved.length_penalty, saved.length_penalty_type) == (4, 0.6, "wu")


@pytest.mark.parametrize("search", ["greedy", "our beam search"])
def test_a_limit_given_with_the_call_overrules_the_one_by_source_length(search, small_model):
    model = small_model()
    model.generation_config = paper_generation_config(model.config, max_length_offset=3)
    settings = SEARCHES[search] | dict(input_ids=torch.tensor([[5, 9, 1]]), suppress_tokens=[PAD, END])
    assert model.generate(**settings, max_new_tokens=2).shape == (1, 1 + 2)
    assert model.generate(**settings, max_length=5).shape == (1, 5)
    assert model.generate(**settings, max_new_tokens=9).shape == (1, 1 + 9)
    search = paper_generation_config(model.config)
    search.max_new_tokens = 4
    assert model.generate(**settings, generation_config=search).shape == (1, 1 + 4)
    assert model.generate(**settings, max_length_offset=1).shape == (1, 1 + 4)


def test_of_two_limits_in_one_call_the_number_of_tokens_counts(small_model):
    tokens = small_model().generate(
        input_ids=torch.tensor([[5, 9, 1]]), suppress_tokens=[PAD, END], max_new_tokens=2, max_length_offset=50
    )
    assert tokens.shape == (1, 1 + 2)


def test_the_limit_follows_from_embeddings_or_encoder_outputs_too(small_model):
    model, source = small_model(), torch.tensor([[5, 9, 3, 1]])
    settings = dict(max_length_offset=2, suppress_tokens=[PAD, END])
    expected = model.generate(input_ids=source, **settings)
    assert expected.shape == (1, 1 + 6)
    assert torch.equal(model.generate(inputs_embeds=model.get_input_embeddings()(source), **settings), expected)
    assert torch.equal(model.generate(encoder_outputs=model.get_encoder()(source), **settings), expected)


# ---------------------------------------------------------------------------------------------------------------------
# Batches
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("early_stopping", [True, "never"])
@pytest.mark.parametrize("search", ["greedy", "our beam search", "transformers' beam search"])
def test_results_do_not_depend_on_what_else_is_in_the_batch(search, early_stopping, small_model, padded):
    model = small_model(seed=3)
    sources = [[5, 9, 3, 14, 7, 18, END], [6, 6, 12, END], [END], [17, END], [8, 15, 4, 4, END]]
    settings = dict(SEARCHES[search], max_length_offset=4, return_dict_in_generate=True, output_scores=True)
    if "num_beams" in settings:
        settings |= dict(early_stopping=early_stopping)

    def decode(sentences: list[list[int]]) -> list[tuple[list[int], float]]:
        input_ids, attention_mask = padded(sentences)
        outputs = model.generate(input_ids=input_ids, attention_mask=attention_mask, **settings)
        scores = outputs.sequences_scores.tolist() if "num_beams" in settings else [0.0] * len(sentences)
        return list(zip(words(outputs.sequences), scores, strict=True))

    alone = [decode([source])[0] for source in sources]
    for order in ([0, 1, 2, 3, 4], [4, 2, 0], [1, 3, 2]):
        for (tokens, score), i in zip(decode([sources[i] for i in order]), order, strict=True):
            assert tokens == alone[i][0]
            assert score == pytest.approx(alone[i][1], abs=1e-10)


def test_one_beam_is_greedy_search(small_model, batch):
    model = small_model()
    inputs = dict(input_ids=batch.inputs["input_ids"], attention_mask=batch.inputs["attention_mask"])
    search = paper_generation_config(model.config, num_beams=1, max_length_offset=5)
    tokens = model.generate(**inputs, generation_config=search)
    for row, source in enumerate(batch.sources):
        oracle = Oracle(model.state_dict(), model.config)
        memory, expected = oracle.encode(source), [START]
        while len(expected) <= len(source) + 5 and expected[-1] != END:
            scores = next_token_log_probabilities(oracle, memory, expected)
            expected.append(scores.index(max(scores)))
        assert tokens[row].tolist() == filled_up(expected, tokens.shape[1])


# ---------------------------------------------------------------------------------------------------------------------
# Settings and errors
# ---------------------------------------------------------------------------------------------------------------------


def test_the_papers_search_is_what_section_6_1_says(small_config):
    search = paper_generation_config(small_config())
    assert (search.num_beams, search.length_penalty, search.max_length_offset) == (4, 0.6, 50)
    assert (search.length_penalty_type, search.early_stopping, search.do_sample) == ("wu", "never", False)
    assert (search.pad_token_id, search.eos_token_id, search.decoder_start_token_id) == (PAD, END, START)


def test_a_call_does_not_change_the_models_settings(small_model):
    model = small_model()
    model.generation_config = paper_generation_config(model.config)
    before = model.generation_config.to_dict()
    settings = dict(length_penalty_type="power", max_length_offset=2, num_beams=2)
    model.generate(input_ids=torch.tensor([[5, 1]]), **settings)
    assert model.generation_config.to_dict() == before


@pytest.mark.parametrize(
    "settings, expected",
    [
        (dict(length_penalty_type="exponential"), ["length_penalty_type", "exponential", "wu", "power"]),
        (dict(max_length_offset=-1), ["max_length_offset", "-1", "at least 0"]),
        (dict(length_penalty_type="wu", num_beams=3, do_sample=True), ["power", "do_sample"]),
    ],
    ids=str,
)
def test_an_impossible_setting_is_an_error_that_names_the_remedy(settings, expected, small_model):
    model = small_model()
    with pytest.raises(ValueError) as error:
        model.generate(input_ids=torch.tensor([[5, 1]]), **settings)
    assert all(word in str(error.value) for word in expected), error.value
    with pytest.raises(ValueError, match=expected[0]):  # the same from a generation configuration
        model.generate(input_ids=torch.tensor([[5, 1]]), generation_config=GenerationConfig(**settings))


@pytest.mark.parametrize("beams", [1, 3])
def test_a_model_in_training_with_gradient_checkpointing_searches_as_any(beams, small_model):
    model = small_model(dropout=0.0).train()
    inputs = dict(input_ids=torch.tensor([[5, 6, 7, 1], [8, 9, 1, 0]]), num_beams=beams, max_new_tokens=6)
    expected = model.generate(**inputs, eos_token_id=None)
    model.gradient_checkpointing_enable()
    assert torch.equal(model.generate(**inputs, eos_token_id=None), expected)
    assert all(layer.gradient_checkpointing for layer in model.model.decoder.layers)


def test_what_the_search_does_not_take_is_an_error(small_model):
    model, source = small_model(), torch.tensor([[5, 6, 1]])
    with pytest.raises(ValueError, match="decoder_inputs_embeds.*decoder_input_ids"):
        model.generate(source, decoder_inputs_embeds=torch.zeros(1, 2, model.config.d_model))
    with pytest.raises(ValueError, match="limits"):
        model.generate(source, limits=torch.tensor([2]))


def test_more_sequences_than_beams_are_an_error(small_model):
    with pytest.raises(ValueError, match="num_return_sequences"):
        small_model().generate(
            input_ids=torch.tensor([[5, 1]]), num_beams=2, num_return_sequences=3, length_penalty_type="wu"
        )


def test_padding_is_masked_without_an_attention_mask(small_model):
    model, settings = small_model(), dict(max_new_tokens=4, suppress_tokens=[PAD, END])
    alone = model.generate(input_ids=torch.tensor([[5, 9, 1]]), **settings)
    padded = model.generate(input_ids=torch.tensor([[5, 9, 1, 0, 0], [4, 3, 8, 6, 1]]), **settings)
    assert torch.equal(padded[0], alone[0])


def test_no_source_is_an_error_that_names_what_to_give(small_model):
    with pytest.raises(ValueError, match="input_ids, inputs_embeds or encoder_outputs"):
        small_model().generate(max_length_offset=3)


def test_places_without_a_hypothesis_of_their_own_are_filled_with_finite_scores(small_model):
    """Where a constraint leaves one possible sentence, all four returned ones obey it, as in transformers' search."""
    found = small_model().generate(
        input_ids=torch.tensor([[5, 9, 1]]),
        prefix_allowed_tokens_fn=lambda _, prefix: [4] if len(prefix) == 1 else [END],
        num_beams=4,
        num_return_sequences=4,
        length_penalty_type="wu",
        max_new_tokens=5,
        return_dict_in_generate=True,
    )
    assert found.sequences[:, 1:3].tolist() == [[4, END]] * 4
    assert found.sequences_scores.isfinite().all()
