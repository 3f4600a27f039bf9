"""Our beam search beside transformers' own, on sentences of the corpus and a model that has learnt a little of it."""

import copy

import pytest
import torch
from transformers import GenerationMixin, MaxLengthCriteria, StoppingCriteria, TextStreamer
from transformers.cache_utils import DynamicCache, DynamicLayer, EncoderDecoderCache

from modeling_vanilla_transformer import (
    VanillaTransformerForConditionalGeneration,
    VanillaTransformerTokenizer,
    beam_search_vanilla_transformer,
    paper_generation_config,
)
from modeling_vanilla_transformer.beam_search_vanilla_transformer import (
    BLOCK,
    PreallocatedLayer,
    Trace,
    best_words,
    log_probabilities_of,
)
from training.corpus import generate_corpus

LINES = 512
LIMIT = 24
PAD, END = 0, 1


@pytest.fixture(scope="module")
def corpus():
    return generate_corpus(seed=1)


@pytest.fixture(scope="module")
def tokenizer(corpus):
    pairs = corpus.train[:3000]
    lines = [line for pair in pairs for line in (pair.source, pair.target)]
    return VanillaTransformerTokenizer().train_new_from_iterator(iter([lines]), vocab_size=600)


@pytest.fixture(scope="module")
def trained(small_config, corpus, tokenizer):
    """A small model after some seconds of training, so that it ends its sentences, at different lengths."""
    torch.manual_seed(0)
    sizes = dict(d_model=32, encoder_ffn_dim=64, decoder_ffn_dim=64, encoder_attention_heads=4)
    model = VanillaTransformerForConditionalGeneration(
        small_config(vocab_size=len(tokenizer), decoder_attention_heads=4, **sizes)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    for first in range(0, 32 * 150, 32):
        pairs = corpus.train[first : first + 32]
        batch = tokenizer(
            [pair.source for pair in pairs],
            text_target=[pair.target for pair in pairs],
            padding=True,
            return_tensors="pt",
        )
        labels = batch["labels"].masked_fill(batch["labels"] == tokenizer.pad_token_id, -100)
        model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


@pytest.fixture(scope="module")
def sources(corpus, tokenizer):
    """Returns a function: the batch of the held-out sentences with these numbers."""
    lines = [pair.source for pair in corpus.train[-LINES:]]

    def batch(numbers) -> dict[str, torch.Tensor]:
        encoded = tokenizer([lines[number] for number in numbers], padding=True, return_tensors="pt")
        return {name: encoded[name] for name in ("input_ids", "attention_mask")}

    return batch


def transformers_search(model, **settings):
    return GenerationMixin.generate(model, **settings)


def found(rows: torch.Tensor) -> list[list[int]]:
    """Returns the words of each row, without what stands behind its end: padding here, ends of sentence there."""
    sentences = []
    for row in rows.tolist():
        row = row[: row.index(END)] if END in row else row
        while row[-1] == PAD:
            row.pop()
        sentences.append(row)
    return sentences


def log_probabilities(model, batch: dict[str, torch.Tensor], sequences: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Returns the log-probabilities of generated rows, from logits of the whole rows at once, and their lengths."""
    words = sequences[:, 1:]
    logits = model(**batch, decoder_input_ids=sequences[:, :-1], use_cache=False).logits
    chosen = logits.log_softmax(dim=-1).gather(-1, words[..., None])[..., 0]
    inside = (words == END).cumsum(dim=-1) - (words == END).long() == 0
    return (chosen * inside).sum(dim=-1), inside.sum(dim=-1)


def chunks(size: int, count: int = LINES):
    return (range(first, min(first + size, count)) for first in range(0, count, size))


# ---------------------------------------------------------------------------------------------------------------------
# Beside transformers' search
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [0.6, 1.0, 0.0, -0.5])
@torch.no_grad()
def test_translations_are_those_of_transformers_search_on_512_sentences(penalty, trained, sources):
    model = VanillaTransformerForConditionalGeneration(trained.config).double().eval()
    model.load_state_dict(trained.state_dict())
    settings = dict(num_beams=4, length_penalty=penalty, early_stopping="never", max_new_tokens=LIMIT)
    lengths = set()
    for numbers in chunks(64):
        batch = sources(numbers)
        ours, theirs = (found(how(model, **batch, **settings)) for how in (type(model).generate, transformers_search))
        assert ours == theirs
        lengths |= set(map(len, ours))
    assert len(lengths) > 8  # a search in which all sentences end together would show little


class Record(StoppingCriteria):
    """Stops a beam whose last two words are one, and remembers what it was shown."""

    def __init__(self):
        self.seen = []

    def __call__(self, input_ids, scores, **kwargs):
        self.seen.append(input_ids.clone())
        return input_ids[:, -1] == input_ids[:, -2]


SETTINGS = {
    "early stopping": dict(early_stopping=True),
    "transformers' guess": dict(early_stopping=False),
    "three of six": dict(num_beams=6, num_return_sequences=3),
    "greedy": dict(num_beams=1),
    "minimum": dict(min_new_tokens=9),
    "greedy, minimum": dict(num_beams=1, min_length=9),
    "no repetition": dict(no_repeat_ngram_size=1),
    "penalised repetition": dict(num_beams=1, repetition_penalty=1.5),
    "forced": dict(forced_bos_token_id=7, forced_eos_token_id=END, max_new_tokens=6),
    "suppressed": dict(suppress_tokens=[10, 20, 30, 40], bad_words_ids=[[50, 60]]),
    "two ends": dict(eos_token_id=[END, 300, 301]),
    "no end": dict(eos_token_id=None, max_new_tokens=5),
    "rising scores": dict(exponential_decay_length_penalty=(3, 1.5)),
    "favoured": dict(sequence_bias={(20,): 3.0, (30, 31): 2.0}),
    "own limit": dict(stopping_criteria=[MaxLengthCriteria(5)]),
    "greedy, own limit": dict(num_beams=1, stopping_criteria=[MaxLengthCriteria(5)]),
    "allowed": dict(prefix_allowed_tokens_fn=lambda sentence, row: [1, *range(20 + sentence, 600, 3)]),
}


@pytest.mark.parametrize("name", SETTINGS)
@torch.no_grad()
def test_whatever_is_asked_for_comes_as_from_transformers_search(name, trained, sources):
    settings = dict(num_beams=3, early_stopping="never", max_new_tokens=16, return_dict_in_generate=True)
    settings |= dict(output_scores=True, output_logits=True, output_hidden_states=True, output_attentions=True)
    settings |= SETTINGS[name] | sources(range(7))
    trained.set_attn_implementation("eager")  # the others give no weights
    ours, theirs = trained.generate(**settings), transformers_search(trained, **settings)
    trained.set_attn_implementation("sdpa")
    assert type(ours) is type(theirs)
    assert found(ours.sequences) == found(theirs.sequences)
    assert len(ours.scores) == len(theirs.scores)
    if settings["num_beams"] > 1:
        torch.testing.assert_close(ours.sequences_scores, theirs.sequences_scores)
        assert torch.equal(ours.beam_indices, theirs.beam_indices.long())
        transitions = [
            trained.compute_transition_scores(outputs.sequences, outputs.scores, outputs.beam_indices)
            for outputs in (ours, theirs)
        ]
        torch.testing.assert_close(*transitions)
    for field in ("scores", "logits", "encoder_attentions", "encoder_hidden_states"):
        for one, other in zip(getattr(ours, field), getattr(theirs, field), strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    for field in ("decoder_attentions", "cross_attentions", "decoder_hidden_states"):
        for one, other in zip(getattr(ours, field), getattr(theirs, field), strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("beams", [1, 3])
@torch.no_grad()
def test_prompts_with_padding_and_criteria_of_ones_own_come_as_from_transformers_search(beams, trained, sources):
    prompt = torch.tensor([[2, 7, 9], [0, 2, 8], [0, 0, 2]])
    settings = dict(num_beams=beams, early_stopping="never" if beams > 1 else False, max_new_tokens=12)
    settings |= dict(decoder_input_ids=prompt, decoder_attention_mask=(prompt != 0).long()) | sources(range(3))
    assert found(trained.generate(**settings)) == found(transformers_search(trained, **settings))
    seen = []
    for search in (type(trained).generate, transformers_search):
        record = Record()
        seen.append((found(search(trained, **settings, stopping_criteria=[record])), record.seen))
    assert seen[0][0] == seen[1][0]
    if beams > 1:
        assert all(torch.equal(*rows) for rows in zip(seen[0][1], seen[1][1], strict=True))


@torch.no_grad()
def test_what_the_search_does_not_do_is_done_by_transformers(trained, sources, tokenizer, capsys):
    batch = sources(range(3))
    torch.manual_seed(1)
    ours = trained.generate(**batch, do_sample=True, num_beams=2, max_new_tokens=8)
    torch.manual_seed(1)
    assert torch.equal(ours, transformers_search(trained, **batch, do_sample=True, num_beams=2, max_new_tokens=8))
    assert trained.generate(**batch, num_beams=2, cache_implementation="static", max_new_tokens=8).shape[0] == 3
    trained.generate(**sources([0]), streamer=TextStreamer(tokenizer), max_new_tokens=8)
    assert capsys.readouterr().out.strip()
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    filled = trained.generate(**batch, past_key_values=cache, max_new_tokens=8)
    assert cache.get_seq_length() > 0 and found(filled) == found(trained.generate(**batch, max_new_tokens=8))
    with pytest.raises(ValueError, match="past_key_values"):
        trained.generate(**batch, generation_config=paper_generation_config(trained.config), past_key_values=cache)


# ---------------------------------------------------------------------------------------------------------------------
# By itself
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty_type", ["wu", "power"])
@torch.no_grad()
def test_scores_are_the_penalised_log_probabilities_of_the_whole_rows(penalty_type, trained, sources):
    for numbers in chunks(64, 128):
        batch = sources(numbers)
        outputs = trained.generate(
            **batch,
            num_beams=4,
            num_return_sequences=2,
            length_penalty=0.6,
            length_penalty_type=penalty_type,
            early_stopping="never",
            max_new_tokens=LIMIT,
            return_dict_in_generate=True,
        )
        twice = {name: rows.repeat_interleave(2, dim=0) for name, rows in batch.items()}
        total, length = log_probabilities(trained, twice, outputs.sequences)
        penalty = ((5 + length) / 6) ** 0.6 if penalty_type == "wu" else length**0.6
        torch.testing.assert_close(outputs.sequences_scores, total / penalty, atol=1e-5, rtol=0)


@pytest.mark.parametrize("beams", [1, 4])
@torch.no_grad()
def test_translations_do_not_depend_on_the_batch(beams, trained, sources):
    search = paper_generation_config(trained.config, num_beams=beams, max_length_offset=4)

    def translate(order: list[int], size: int) -> dict[int, tuple[list[int], float]]:
        results = {}
        for first in range(0, len(order), size):
            numbers = order[first : first + size]
            outputs = trained.generate(**sources(numbers), generation_config=search, return_dict_in_generate=True)
            scores = outputs.sequences_scores.tolist() if beams > 1 else [0.0] * len(numbers)
            rows = [[word for word in row if word != PAD] for row in outputs.sequences.tolist()]
            results |= dict(zip(numbers, zip(rows, scores, strict=True), strict=True))
        return results

    order = list(range(40))
    one_by_one = translate(order, 1)
    for other in (translate(order, 40), translate(order[::-1], 16), translate(order[1::2] + order[::2], 7)):
        for number, (row, score) in one_by_one.items():
            assert other[number][1] == pytest.approx(score, abs=1e-5)
            assert other[number][0] == row


@torch.no_grad()
def test_the_source_is_kept_once_and_finished_sentences_leave(trained, sources, monkeypatch):
    shapes = []
    decoder = trained.get_decoder()
    forward = decoder.forward

    def watch(**inputs):
        outputs = forward(**inputs)
        keys = outputs.past_key_values.cross_attention_cache.layers[0].keys
        shapes.append((tuple(inputs["input_ids"].shape), keys.shape[0]))
        return outputs

    monkeypatch.setattr(decoder, "forward", watch)
    trained.generate(**sources(range(40)), generation_config=paper_generation_config(trained.config))
    assert shapes[0] == ((40, 1), 40)  # the start token, once a sentence
    assert shapes[1] == ((40, 4), 40)
    assert all(sentences == keys for (sentences, _), keys in shapes)
    assert shapes[-1][1] < 10


@torch.no_grad()
def test_a_row_of_bfloat16_logits_is_scored_in_float32(trained, sources):
    model = VanillaTransformerForConditionalGeneration(trained.config).to(torch.bfloat16).eval()
    model.load_state_dict(trained.state_dict())
    search = paper_generation_config(trained.config, max_length_offset=4)
    batch = sources(range(20))
    rounded = model.generate(**batch, generation_config=search, return_dict_in_generate=True)
    exact = trained.generate(**batch, generation_config=search, return_dict_in_generate=True)
    assert rounded.sequences_scores.dtype == torch.float32
    same = [one == other for one, other in zip(found(rounded.sequences), found(exact.sequences), strict=True)]
    assert sum(same) >= 10
    scores = (outputs.sequences_scores[torch.tensor(same)] for outputs in (rounded, exact))
    torch.testing.assert_close(*scores, atol=0.1, rtol=0)


@torch.no_grad()
def test_attention_that_takes_no_mask_of_beams_gives_way_in_the_search(trained, sources):
    search = paper_generation_config(trained.config, max_length_offset=4)
    encoded = trained.get_encoder()(**sources(range(5)))
    settings = dict(attention_mask=sources(range(5))["attention_mask"], generation_config=search)
    expected = trained.generate(encoder_outputs=encoded, **settings)
    assert encoded.last_hidden_state.shape[0] == 5
    trained.config._attn_implementation = "flash_attention_2"
    try:
        assert torch.equal(trained.generate(encoder_outputs=encoded, **settings), expected)
        assert trained.config._attn_implementation == "flash_attention_2"
    finally:
        trained.config._attn_implementation = "sdpa"


@torch.no_grad()
def test_the_models_own_forward_runs(trained, sources, monkeypatch):
    """As whoever changes logits in a subclass, or hangs hooks into the model, expects."""
    forward = trained.forward

    def without_the_end(*args, **kwargs):
        outputs = forward(*args, **kwargs)
        outputs.logits[..., END] = -torch.inf
        return outputs

    monkeypatch.setattr(trained, "forward", without_the_end)
    seen = []
    hook = trained.register_forward_hook(
        lambda module, inputs, outputs: seen.append((outputs.logits, outputs.logits + 0))
    )
    for beams in (1, 3):
        rows = trained.generate(**sources(range(3)), num_beams=beams, max_new_tokens=9)
        assert rows.shape[1] == 10 and not (rows == END).any()
    hook.remove()
    assert len(seen) == 18 and all(torch.equal(*logits) for logits in seen)  # nobody writes into what the model gave


@torch.no_grad()
def test_where_no_word_is_allowed_greedy_search_goes_on_to_the_limit(trained, sources):
    assert trained.generate(**sources([0]), suppress_tokens=[*range(600)], max_new_tokens=4).shape == (1, 5)


@torch.no_grad()
def test_without_padding_the_end_fills_up(trained, sources):
    for beams in (1, 3):
        settings = dict(num_beams=beams, max_new_tokens=16, early_stopping=beams > 1)
        rows = trained.generate(**sources(range(9)), **settings)
        config = copy.deepcopy(trained.generation_config)
        config.update(**settings, pad_token_id=None, eos_token_id=END)
        config.length_penalty = 1.0
        other = trained.generate(**sources(range(9)), generation_config=config)
        assert PAD in rows and found(other) == found(rows)


def test_what_is_returned_can_be_trained_on(trained, sources):
    """As in reinforcement learning, where translations of the model's own are its next targets."""
    batch = sources(range(5))
    outputs = trained.generate(**batch, num_beams=3, max_new_tokens=6, return_dict_in_generate=True)
    assert not any(value.is_inference() for value in outputs.values())
    loss = trained(**batch, labels=outputs.sequences[:, 1:].clone(), decoder_input_ids=outputs.sequences[:, :-1]).loss
    (gradient,) = torch.autograd.grad(loss * outputs.sequences_scores.sum(), [trained.lm_head.weight])
    assert gradient.abs().sum() > 0


def test_inside_inference_mode_all_outputs_are_there(trained, sources):
    settings = dict(num_beams=3, max_new_tokens=6, return_dict_in_generate=True, output_scores=True)
    with torch.no_grad():
        expected = trained.generate(**sources(range(5)), **settings)
    with torch.inference_mode():
        outputs = trained.generate(**sources(range(5)), **settings)
    assert torch.equal(outputs.sequences, expected.sequences)
    assert all(map(torch.equal, outputs.scores, expected.scores))


# ---------------------------------------------------------------------------------------------------------------------
# Its parts
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vocabulary", [5, BLOCK * 20, BLOCK * 100 + 17])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_best_words_are_those_of_topk_and_their_log_probabilities_those_of_log_softmax(
    vocabulary, transposed, dtype, monkeypatch
):
    logits = torch.randn(vocabulary, 9, generator=torch.Generator().manual_seed(0)).to(dtype).t()
    if not transposed:
        logits = logits.contiguous()
    logits[2] = -torch.inf
    logits[2, [0, 3]] = torch.tensor([1.0, 2.0], dtype=dtype)
    logits[3, -1] = 100
    values, words = best_words(logits, 4)
    assert torch.equal(values, logits.topk(4).values)
    assert torch.equal(logits.gather(1, words), values)
    values, expected = values.float(), logits.float().log_softmax(-1).gather(1, words)
    for workspace in (beam_search_vanilla_transformer.WORKSPACE, 1000, 1):  # all words at once, some, one by one
        monkeypatch.setattr(beam_search_vanilla_transformer, "WORKSPACE", workspace)
        torch.testing.assert_close(log_probabilities_of(logits, values, words), expected)


def test_a_preallocated_layer_holds_what_a_growing_one_holds():
    ours, theirs = PreallocatedLayer(), DynamicLayer()
    generator = torch.Generator().manual_seed(0)
    for new in (3, 4, 4, 4, 4, 4, 4, 4):
        states = [torch.randn(6, 2, new, width, generator=generator) for width in (5, 7)]
        for one, other in zip(ours.update(*states), theirs.update(*states), strict=True):
            assert torch.equal(one, other)
        if ours.get_seq_length() == 15:
            for layer in (ours, theirs):
                layer.batch_select_indices(torch.tensor([4, 1, 2]))
            states = [state[:3] for state in states]
            generator.manual_seed(1)
            break
    for _ in range(6):
        states = [torch.randn(3, 2, 4, width, generator=generator) for width in (5, 7)]
        for one, other in zip(ours.update(*states), theirs.update(*states), strict=True):
            assert torch.equal(one, other)


def test_a_trace_reads_hypotheses_back():
    trace = Trace()  # one sentence, two beams, four candidates a step
    trace.add(*(torch.tensor([row]) for row in ([11, 12, 13, 14], [0, 0, 0, 0], [1, 0])))  # beams: 12, 11
    trace.add(*(torch.tensor([row]) for row in ([21, 22, 23, 24], [1, 0, 1, 0], [3, 0])))  # 12 24, 11 21
    trace.add(*(torch.tensor([row]) for row in ([31, 32, 33, 34], [1, 0, 1, 0], [0, 1])))
    words, origins = trace.read(torch.tensor([0]), torch.tensor([[2, 1, 0, -1]]), torch.tensor([[1, 2, 3, 0]]), 0)
    assert words.tolist() == [[[12, 24, 32], [11, 23, 0], [14, 0, 0], [0, 0, 0]]]
    assert origins.tolist() == [[[0, 0, 0], [0, 1, -1], [0, -1, -1], [-1, -1, -1]]]
