"""The tokenizer loses nothing, numbers its special tokens as the model expects, and loads the same every way."""

import copy
import json
import os
import pickle
import random
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, TokenizersBackend

from modeling_vanilla_transformer import VanillaTransformerConfig, VanillaTransformerTokenizer
from modeling_vanilla_transformer.tokenization_vanilla_transformer import BYTE_TOKENS

LINES = [
    "The cat sleeps on the mat, and the dog doesn't.",
    "Die Katze schläft auf der Matte, und der Hund nicht.",
    "In 1998 the two of them saw 12,500 houses (and one street).",
    "Im Jahr 1998 sahen die beiden 12.500 Häuser (und eine Straße).",
    "L'homme n'a pas vu la maison; c’est l'été.",
    "The man did not see the house: it is summer.",
] * 5

# Strings that tokenizers are known to damage.
HARD_TEXTS = [
    "",
    " ",
    "   ",
    " leading",
    "trailing ",
    "  many   blanks  ",
    "line\nend\r\nand\ttab\n\n",
    "no-break\u00a0blank, thin\u202fblank\u3000wide",
    "\x00\x01\x1b\x7f\x85\u200b\u200d\ufeff\u2028",
    "emoji 😊 family 👨‍👩‍👧‍👦 flag 🇩🇪",
    "生活的真谛是 मेरा नाम हिन्दी שלום",
    "u\u0308 is not \u00fc, \ufb01 is not fi",
    "▁ Ġ ## @@ ￭ � <0x41> <0xFF> <unk>",
    "don't n't 's '' l’homme '",
    "1234 ½ ² Ⅳ ٣",
    "\U0010ffff\U000e0001",
]

any_text = st.text(st.characters(exclude_categories=["Cs"]))
snippets = st.sampled_from([*HARD_TEXTS, "<pad>", "</s>", "<s>", "<", "/s>", "<0x", "0A>", " ", "\n", "ä"])
awkward_text = st.lists(st.one_of(any_text, snippets)).map("".join)


@pytest.fixture(scope="module")
def tokenizer() -> VanillaTransformerTokenizer:
    return VanillaTransformerTokenizer.train(LINES, vocab_size=400, show_progress=False)


@pytest.fixture(scope="module")
def rich(tokenizer) -> VanillaTransformerTokenizer:
    """A tokenizer with everything that saving could lose."""
    tokenizer = VanillaTransformerTokenizer.train(
        LINES,
        vocab_size=400,
        show_progress=False,
        normalization="NFC",
        extra_special_tokens=["<2de>"],
        model_max_length=77,
    )
    tokenizer.add_tokens(["Müller", "größer als"])
    tokenizer.add_special_tokens({"extra_special_tokens": ["<2fr>"]}, replace_extra_special_tokens=False)
    return tokenizer


RICH_TEXTS = [*HARD_TEXTS, *LINES[:6], "<2de> Frau Müller ist größer als u\u0308blich.<2fr> Oui</s>x"]
AUTO_TEXTS = [text for text in RICH_TEXTS if "\x00" not in text]  # a command line takes no zero character


def run_python(code: str, *arguments: str, cwd, with_package: bool):
    """Run code in a fresh process elsewhere, which can or cannot import the package, and return the JSON it prints."""
    root = os.getcwd()
    start = (
        f"import sys; sys.path.insert(0, {root!r})"
        if with_package
        else ("import sys; sys.modules['modeling_vanilla_transformer'] = None")
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(cwd / "modules")}
    command = [sys.executable, "-I", "-c", f"{start}\n{code}", *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# ---- nothing is lost


@settings(max_examples=300, deadline=None)
@given(text=any_text)
def test_any_text_survives(tokenizer, text):
    if not any(special in text for special in tokenizer.all_special_tokens):
        assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) == text


@settings(max_examples=300, deadline=None)
@given(text=awkward_text)
def test_any_text_survives_with_special_tokens_split(tokenizer, text):
    ids = tokenizer(text, split_special_tokens=True).input_ids
    assert ids.count(tokenizer.eos_token_id) == 1 and tokenizer.pad_token_id not in ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == text


@settings(max_examples=100, deadline=None)
@given(text=awkward_text)
def test_an_untrained_tokenizer_loses_nothing_either(text):
    untrained = VanillaTransformerTokenizer(split_special_tokens=True)
    assert untrained.decode(untrained(text).input_ids, skip_special_tokens=True) == text


@settings(max_examples=100, deadline=None)
@given(text=any_text)
def test_the_normalised_text_survives(rich, text):
    ids = rich(text, split_special_tokens=True).input_ids
    assert rich.decode(ids, skip_special_tokens=True) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("text", HARD_TEXTS)
def test_hard_texts_survive(tokenizer, text):
    assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) == text
    assert tokenizer.convert_tokens_to_string(tokenizer.tokenize(text)) == text


def test_there_is_no_unknown_token(tokenizer):
    assert tokenizer.unk_token is None and tokenizer.unk_token_id is None
    assert all(tokenizer.convert_tokens_to_ids(token) is not None for token in BYTE_TOKENS)


def test_lone_surrogates_are_refused(tokenizer):
    with pytest.raises((TypeError, ValueError)):
        tokenizer("a\ud800b")
    with pytest.raises((TypeError, ValueError)):
        VanillaTransformerTokenizer.train(["fine", "a\ud800b"], 300, show_progress=False)


def test_special_tokens_in_the_text_are_read_as_such_unless_split(tokenizer):
    assert tokenizer("a</s>b", add_special_tokens=False).input_ids.count(1) == 1
    assert 1 not in tokenizer("a</s>b", add_special_tokens=False, split_special_tokens=True).input_ids


def test_added_tokens_keep_the_text_around_them(rich):
    text = "Herr Müller,Müller und  Müller \n größer als Ä"
    assert "Müller" in rich.tokenize(text) and "größer als" in rich.tokenize(text)
    assert rich.decode(rich(text).input_ids, skip_special_tokens=True) == text


def test_blanks_are_not_cleaned_up(tokenizer):
    assert tokenizer.clean_up_tokenization_spaces is False
    text = "a . b ! do n't"
    assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) == text


# ---- special tokens, pairs, labels


def test_special_tokens_have_the_ids_of_the_model(tokenizer, rich):
    for one in (tokenizer, rich, VanillaTransformerTokenizer()):
        assert (one.pad_token, one.eos_token, one.bos_token) == ("<pad>", "</s>", "<s>")
        assert (one.pad_token_id, one.eos_token_id, one.bos_token_id) == (0, 1, 2)


def test_end_of_sequence_closes_source_and_labels_and_nothing_is_in_front(tokenizer):
    batch = tokenizer("The cat", text_target="Die Katze")
    plain_source = tokenizer("The cat", add_special_tokens=False).input_ids
    plain_target = tokenizer("Die Katze", add_special_tokens=False).input_ids
    assert batch["input_ids"] == [*plain_source, 1] and batch["labels"] == [*plain_target, 1]
    assert tokenizer("").input_ids == [1]


def test_a_pair_is_closed_twice(tokenizer):
    first, second = (tokenizer(text, add_special_tokens=False).input_ids for text in ("The cat", "the dog"))
    pair = tokenizer("The cat", "the dog")
    assert pair.input_ids == [*first, 1, *second, 1]
    assert list(pair) == ["input_ids", "attention_mask"]
    assert tokenizer.num_special_tokens_to_add() == 1 and tokenizer.num_special_tokens_to_add(pair=True) == 2


def test_batches_are_padded_on_the_right(tokenizer):
    batch = tokenizer(["The cat sleeps.", "a"], padding=True, return_tensors="pt")
    assert batch["input_ids"].shape == batch["attention_mask"].shape
    assert batch["input_ids"][1, -1] == 0 and batch["attention_mask"][1].tolist()[:2] == [1, 1]
    assert batch["attention_mask"][1, 2:].sum() == 0


def test_truncation_keeps_the_end_of_sequence(tokenizer):
    ids = tokenizer("The cat sleeps on the mat.", truncation=True, max_length=4).input_ids
    assert len(ids) == 4 and ids[-1] == 1


def test_what_is_added_can_be_switched(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    load = VanillaTransformerTokenizer.from_pretrained
    assert load(tmp_path, add_bos_token=True)("").input_ids == [2, 1]
    without = load(tmp_path, add_eos_token=False)
    assert without("").input_ids == [] and VanillaTransformerTokenizer(add_eos_token=False)("").input_ids == []
    without.save_pretrained(tmp_path / "without")
    again = load(tmp_path / "without")
    assert again.add_eos_token is False and again("").input_ids == []
    again.add_bos_token = True
    assert again("").input_ids == [2]


# ---- words


def test_merges_stay_inside_words(tokenizer):
    for text, words in {
        "The house, and 12 houses!": ["The", " house", ",", " and", " 1", "2", " houses", "!"],
        "don't (l’homme)": ["don't", " (", "l’homme", ")"],
        "a  b\n\nc": ["a", " ", " b", "\n\n", "c"],
        "Bücher-Straße_x": ["Bücher", "-", "Straße", "_", "x"],
        "e\u0301te\u0301": ["e\u0301te\u0301"],
    }.items():
        assert [piece for piece, _ in tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)] == words


def test_tokens_read_as_text(tokenizer):
    assert {"The", " der", "ß"} <= set(tokenizer.get_vocab())
    assert "".join(tokenizer.tokenize("die Häuser")) == "die Häuser"


def test_offsets_point_into_the_text(tokenizer):
    text = "Das  Haus 😊 dort"
    encoding = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    for token, (start, end) in zip(
        tokenizer.convert_ids_to_tokens(encoding.input_ids), encoding.offset_mapping, strict=True
    ):
        assert text[start:end] == token or token in BYTE_TOKENS


# ---- training


def test_training_takes_strings_lists_and_generators_in_any_order(tokenizer):
    shuffled = random.Random(1).sample(LINES, len(LINES))
    batches = (shuffled[start : start + 7] for start in range(0, len(shuffled), 7))
    for iterator in (iter(LINES), batches, [LINES, tuple(LINES[:0])]):
        other = VanillaTransformerTokenizer.train(iterator, vocab_size=400, show_progress=False)
        assert other.get_vocab() == tokenizer.get_vocab()
        assert other.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()


def test_the_vocabulary_has_the_size_asked_for(tokenizer, caplog):
    assert len(tokenizer) == 400 == tokenizer.vocab_size
    assert sorted(tokenizer.get_vocab().values()) == list(range(400))
    for size in (259, 300, 401):
        assert len(VanillaTransformerTokenizer.train(LINES, vocab_size=size, show_progress=False)) == size
    # Six sentences hold no more than this; a vocabulary of numbers without tokens would be of no use.
    with caplog.at_level("WARNING"):
        largest = VanillaTransformerTokenizer.train(LINES, vocab_size=5000, show_progress=False)
    assert 401 < len(largest) < 500 and f"gives {len(largest)} tokens only" in caplog.text


def test_a_larger_vocabulary_extends_a_smaller_one(tokenizer):
    smaller = VanillaTransformerTokenizer.train(LINES, vocab_size=350, show_progress=False).get_vocab()
    assert smaller.items() <= tokenizer.get_vocab().items()


def test_rare_characters_are_spelled_in_bytes():
    lines = ["common words " * 100, "ж"]
    vocab = VanillaTransformerTokenizer.train(lines, 300, character_coverage=0.99, show_progress=False).get_vocab()
    assert "ж" not in vocab and "o" in vocab
    assert "ж" in VanillaTransformerTokenizer.train(lines, 300, character_coverage=1, show_progress=False).get_vocab()


def test_no_ordinary_text_merges_into_a_special_token():
    lines = ["der Hund und der Mann"] * 10
    trained = VanillaTransformerTokenizer.train(lines, 300, extra_special_tokens=["un"], show_progress=False)
    assert trained.convert_tokens_to_ids("un") == 3
    assert 3 not in trained("und", split_special_tokens=True).input_ids


def test_training_again_keeps_pipeline_and_special_tokens(rich):
    again = rich.train_new_from_iterator([LINES], 400, new_special_tokens=["<new>"], show_progress=False)
    assert isinstance(again, VanillaTransformerTokenizer) and len(again) == 400
    assert again.normalization == "NFC" and again.model_max_length == 77
    assert {"<2de>", "<2fr>", "<new>"} <= set(again.all_special_tokens)
    assert (again.pad_token_id, again.eos_token_id, again.bos_token_id) == (0, 1, 2)
    for part in ("normalizer", "pre_tokenizer", "decoder"):
        states = [json.loads(one.backend_tokenizer.to_str())[part] for one in (rich, again)]
        assert states[0] == states[1]
    assert again("die Häuser").input_ids[-1] == 1

    renamed = again.train_new_from_iterator(LINES, 400, special_tokens_map={"</s>": "<end>"}, show_progress=False)
    assert renamed.eos_token == "<end>" and renamed.eos_token_id == 1 and renamed("").input_ids == [1]


def test_training_again_on_too_small_a_vocabulary_keeps_the_bytes(tokenizer):
    smallest = tokenizer.train_new_from_iterator(LINES, 100, show_progress=False)
    assert len(smallest) == 259
    assert smallest.decode(smallest("Häuser 😊").input_ids, skip_special_tokens=True) == "Häuser 😊"


@pytest.mark.parametrize(
    ("iterator", "error", "message"),
    [
        ([], ValueError, "no text to train on"),
        (iter([]), ValueError, "no text to train on"),
        (["", [""]], ValueError, "no text to train on"),
        (["fine", 3], TypeError, "item 1 of the training text is of type int"),
        (["fine", ["a", None]], TypeError, "item 1 of the training text holds None"),
        ([{"en": "a"}], TypeError, "item 0 of the training text is of type dict"),
        ("one string", TypeError, "pass an iterable of strings"),
    ],
)
def test_unfit_training_text_is_refused(iterator, error, message):
    with pytest.raises(error, match=message):
        VanillaTransformerTokenizer.train(iterator, 300, show_progress=False)


def test_unfit_options_are_refused():
    with pytest.raises(ValueError, match="vocab_size=258 is too small: 3 special tokens and 256 bytes"):
        VanillaTransformerTokenizer.train(LINES, 258)
    with pytest.raises(ValueError, match="normalization='nfd'"):
        VanillaTransformerTokenizer(normalization="nfd")
    with pytest.raises(ValueError, match="character_coverage=2"):
        VanillaTransformerTokenizer.train(LINES, 300, character_coverage=2)
    with pytest.raises(ValueError, match="lacks 256 of the 256 byte tokens"):
        VanillaTransformerTokenizer(vocab={"<pad>": 0, "</s>": 1, "<s>": 2, "a": 3})


# ---- saving, loading, copying


def encodings(tokenizer, texts=RICH_TEXTS) -> list[list[int]]:
    return [tokenizer(text, split_special_tokens=split).input_ids for text in texts for split in (False, True)]


def test_saving_and_loading_changes_nothing(rich, tmp_path):
    rich.save_pretrained(tmp_path / "one")
    one = VanillaTransformerTokenizer.from_pretrained(tmp_path / "one")
    one.save_pretrained(tmp_path / "two")
    two = VanillaTransformerTokenizer.from_pretrained(tmp_path / "two")
    for loaded in (one, two):
        assert encodings(loaded) == encodings(rich)
        assert loaded.get_vocab() == rich.get_vocab() and loaded.special_tokens_map == rich.special_tokens_map
        assert loaded.extra_special_tokens == rich.extra_special_tokens
        assert loaded.normalization == "NFC" and loaded.model_max_length == 77
        assert loaded.add_eos_token and not loaded.add_bos_token
        assert loaded.backend_tokenizer.to_str() == rich.backend_tokenizer.to_str()
    for name in ("tokenizer.json", "tokenization_vanilla_transformer.py"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_without_this_class_the_saved_tokenizer_gives_the_same_ids(rich, tmp_path):
    rich.save_pretrained(tmp_path)
    assert encodings(TokenizersBackend.from_pretrained(tmp_path)) == encodings(rich)


LOAD_AND_ENCODE = """
import json
from transformers import AutoTokenizer

def load_and_encode(folder, trust):
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust)
    texts = json.loads(sys.argv[2])
    ids = [tokenizer(text, split_special_tokens=split).input_ids for text in texts for split in (False, True)]
    return type(tokenizer).__module__, type(tokenizer).__name__, ids
"""


def test_the_auto_class_loads_the_same_with_the_package_and_training_repeats_in_another_process(rich, tmp_path):
    rich.save_pretrained(tmp_path / "saved")
    VanillaTransformerConfig().save_pretrained(tmp_path / "saved")
    options = {"vocab_size": 400, "show_progress": False, "character_coverage": 0.99}
    code = f"""{LOAD_AND_ENCODE}
from modeling_vanilla_transformer import VanillaTransformerTokenizer
trained = VanillaTransformerTokenizer.train(json.loads(sys.argv[3]), **{options})
loaded = [load_and_encode(sys.argv[1], trust) for trust in (True, False, None)]
print(json.dumps([*loaded, trained.backend_tokenizer.to_str()]))
"""
    arguments = [str(tmp_path / "saved"), json.dumps(AUTO_TEXTS), json.dumps(LINES)]
    *loaded, trained = run_python(code, *arguments, cwd=tmp_path, with_package=True)
    for trust, (module, name, ids) in zip((True, False, None), loaded, strict=True):
        assert name == "VanillaTransformerTokenizer" and ids == encodings(rich, AUTO_TEXTS)
        assert trust or module == "modeling_vanilla_transformer.tokenization_vanilla_transformer"
    assert trained == VanillaTransformerTokenizer.train(LINES, **options).backend_tokenizer.to_str()


def test_the_auto_class_loads_the_same_without_the_package(rich, tmp_path):
    rich.save_pretrained(tmp_path / "saved")
    code = f"""{LOAD_AND_ENCODE}
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1], trust_remote_code=True)
tokenizer.save_pretrained(sys.argv[1] + "_again")
new = tokenizer.train_new_from_iterator(["a b", "a b"], 300, show_progress=False)
assert type(new) is type(tokenizer)
print(json.dumps([load_and_encode(sys.argv[1] + end, True) for end in ("", "_again")]))
"""
    arguments = [str(tmp_path / "saved"), json.dumps(AUTO_TEXTS)]
    for module, name, ids in run_python(code, *arguments, cwd=tmp_path, with_package=False):
        assert name == "VanillaTransformerTokenizer" and module.startswith("transformers_modules.")
        assert ids == encodings(rich, AUTO_TEXTS)


def test_normalization_can_be_set_on_loading_and_is_saved(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = VanillaTransformerTokenizer.from_pretrained(tmp_path, normalization="NFC")
    assert tokenizer.normalization is None and loaded.normalization == "NFC"
    loaded.save_pretrained(tmp_path)
    for again in (VanillaTransformerTokenizer.from_pretrained(tmp_path), TokenizersBackend.from_pretrained(tmp_path)):
        assert again("u\u0308").input_ids == tokenizer("\u00fc").input_ids


def test_split_special_tokens_is_saved(tokenizer, tmp_path):
    splitting = copy.deepcopy(tokenizer)
    splitting.save_pretrained(tmp_path)
    splitting = VanillaTransformerTokenizer.from_pretrained(tmp_path, split_special_tokens=True)
    splitting.save_pretrained(tmp_path)
    for again in (VanillaTransformerTokenizer.from_pretrained(tmp_path), TokenizersBackend.from_pretrained(tmp_path)):
        assert again("</s>").input_ids == tokenizer("</s>", split_special_tokens=True).input_ids


def test_a_vocabulary_can_be_handed_over(tokenizer):
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    rebuilt = VanillaTransformerTokenizer(vocab=model["vocab"], merges=merges)
    assert rebuilt.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()


def test_a_folder_without_tokenizer_file_is_refused(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises((OSError, ValueError), match="tokenizer"):
        VanillaTransformerTokenizer.from_pretrained(tmp_path)


def test_pickle_and_copies(rich):
    for other in (pickle.loads(pickle.dumps(rich)), copy.deepcopy(rich), copy.copy(rich)):
        assert type(other) is VanillaTransformerTokenizer
        assert encodings(other) == encodings(rich) and other.normalization == "NFC"


def test_the_class_is_known_to_the_auto_class():
    assert VanillaTransformerTokenizer._auto_class == AutoTokenizer.__name__
    assert not VanillaTransformerTokenizer.__name__.endswith("Fast")


def test_one_token_may_be_end_and_start():
    untrained = VanillaTransformerTokenizer(bos_token="</s>")
    assert sorted(untrained.get_vocab().values()) == list(range(len(untrained)))
    tokenizer = VanillaTransformerTokenizer.train(["der alte Bauer"] * 9, vocab_size=270, bos_token="</s>")
    assert tokenizer.add_eos_token and not tokenizer.add_bos_token
    tokenizer.add_eos_token = False
    assert tokenizer("x").tokens() == ["<0x78>"]
