"""Filters: each drops what it says, counts add up, and what is found first stays."""

import datasets
import pytest

from training.cleaning import REASONS, Filters, count_reasons, describe_counts, examine
from training.recipe import DataRecipe
from training.scripts import is_in_script, known_languages, scripts_of

PAIRS = [
    ("one cat", "eine Katze"),
    ("", "leer"),
    ("two", None),
    ("Firefox", " Firefox "),
    ("кошка", "eine Katze"),
    ("one cat", "eine Katze"),
    (" one cat", "eine Katze"),
    ("one cat", "die Katze"),
    ("Firefox", "Firefox"),
    ("12:30", "12.30"),
]
FILTERS = Filters(drop_identical=True, drop_duplicates=True, scripts=(("LATIN",), ("LATIN",)))


def table(pairs):
    return datasets.Dataset.from_dict({"source": [s for s, _ in pairs], "target": [t for _, t in pairs]})


def reasons(filters):
    names = ["kept", *REASONS]
    return [names[number] for number in examine(table(PAIRS), filters)]


def test_nothing_but_empty_sides_is_dropped_by_default():
    assert reasons(Filters()) == ["kept", "empty", "empty", *["kept"] * 7]


def test_every_filter_drops_what_it_says():
    assert reasons(Filters(drop_identical=True))[3:] == ["identical", *["kept"] * 4, "identical", "kept"]
    assert reasons(Filters(scripts=FILTERS.scripts))[3:5] == ["kept", "wrong_script"]
    assert reasons(Filters(drop_duplicates=True))[5:] == ["duplicate", "duplicate", "kept", "duplicate", "kept"]


def test_counts_add_up_and_the_first_reason_counts():
    numbers = examine(table(PAIRS), FILTERS)
    counts = count_reasons(numbers)
    assert {reason: count for reason, count in counts.items() if count} == {
        "read": 10,
        "empty": 2,
        "identical": 2,
        "wrong_script": 1,
        "duplicate": 2,
        "kept": 3,
    }
    assert counts["read"] == counts["kept"] + sum(counts[reason] for reason in REASONS)
    assert describe_counts("train", counts) == (
        "train: 3 of 10 pairs; dropped 2 with an empty side, 2 with identical sides, 1 in another script than their "
        "language's, 2 given before"
    )


def test_the_filters_of_a_recipe():
    keys = {"data": "embedded", "source_language": "en", "target_language": "ru"}
    assert Filters.of(DataRecipe(**keys)) == Filters()
    recipe = DataRecipe(**keys, drop_wrong_script=True, drop_duplicates=True, drop_identical=True)
    assert Filters.of(recipe) == Filters(True, True, (("LATIN",), ("CYRILLIC",)))


@pytest.mark.parametrize(
    ("text", "language", "is_in"),
    [
        ("Größe, naïve, Łódź", "de", True),
        ("Привет, мир", "ru", True),
        ("Привет, мир", "en", False),
        ("hello world", "ru", False),
        ("Версия 2 Firefox", "ru", False),  # 6 letters of 13
        ("Версия 2 Chrome", "ru", True),  # 6 of 12
        ("日本語のテキスト", "ja", True),
        ("ｶﾀｶﾅ", "ja", True),
        ("ひらがな", "zh", False),
        ("한국어", "ko", True),
        ("ελληνικά", "el", True),
        ("１２３ … 😀", "ru", True),
        ("", "el", True),
        ("Ｆｕｌｌ", "en", True),
        ("हिन्दी", "hi", True),
        ("zdravo", "sr", True),
        ("здраво", "sr", True),
        ("здраво", "sr-Latn", False),
    ],
)
def test_scripts(text, language, is_in):
    assert is_in_script(text, scripts_of(language)) == is_in


def test_languages_by_their_codes():
    assert scripts_of("pt-BR") == scripts_of("de_DE") == scripts_of("EN") == ("LATIN",)
    assert scripts_of("zh-Hant") == ("CJK",)
    assert scripts_of("tlh") is None
    assert {"en", "de", "fr", "ru", "zh"} <= set(known_languages())
