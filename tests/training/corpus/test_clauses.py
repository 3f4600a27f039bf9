"""Word order in both languages, clause type by clause type, as whole sentences."""

from dataclasses import replace

import pytest

from training.corpus import english
from training.corpus.clauses import (
    Clause,
    english_imperative,
    fronted,
    german_coordinate,
    german_imperative,
    infinitive,
    main,
    question,
    sentence,
    subordinate,
)
from training.corpus.lexicon import ADJECTIVES, ADVERBS, NAMES, NOUNS, PREPOSITIONS, VERBS
from training.corpus.phrases import NameNominal, NounPhrase, Phrase, Pronoun, adverbial, governed, prepositional

MAN = NounPhrase(NOUNS["man"])
WOMAN = NounPhrase(NOUNS["woman"])
CHILD = NounPhrase(NOUNS["child"])
APPLE = NounPhrase(NOUNS["apple"], "a", (ADJECTIVES["red"],))
RADIO = NounPhrase(NOUNS["radio"])
TODAY = adverbial(ADVERBS["today"])
YESTERDAY = adverbial(ADVERBS["yesterday"])
GARDEN = prepositional(PREPOSITIONS["in"], NounPhrase(NOUNS["garden"]), "dat")

BUY = Clause(MAN, VERBS["buy"], direct=APPLE)
TURN_ON = Clause(MAN, VERBS["turn_on"], direct=RADIO)
GIVE = Clause(MAN, VERBS["give"], "past", direct=APPLE, indirect=CHILD)

MAIN_CLAUSES = [
    (BUY, "the man buys a red apple", "der Mann kauft einen roten Apfel"),
    (replace(BUY, tense="past"), "the man bought a red apple", "der Mann kaufte einen roten Apfel"),
    (replace(BUY, tense="perfect"), "the man has bought a red apple", "der Mann hat einen roten Apfel gekauft"),
    (replace(BUY, tense="pluperfect"), "the man had bought a red apple", "der Mann hatte einen roten Apfel gekauft"),
    (replace(BUY, tense="future"), "the man will buy a red apple", "der Mann wird einen roten Apfel kaufen"),
    (
        replace(BUY, tense="progressive", place=GARDEN),
        "the man is buying a red apple in the garden",
        "der Mann kauft gerade im Garten einen roten Apfel",
    ),
    (
        replace(BUY, modal=VERBS["want"], time=TODAY),
        "the man wants to buy a red apple today",
        "der Mann will heute einen roten Apfel kaufen",
    ),
    (
        replace(BUY, tense="past", modal=VERBS["can"]),
        "the man could buy a red apple",
        "der Mann konnte einen roten Apfel kaufen",
    ),
    (
        replace(BUY, frequency=ADVERBS["often"], place=GARDEN),
        "the man often buys a red apple in the garden",
        "der Mann kauft oft im Garten einen roten Apfel",
    ),
    (TURN_ON, "the man turns on the radio", "der Mann schaltet das Radio ein"),
    (replace(TURN_ON, tense="perfect"), "the man has turned on the radio", "der Mann hat das Radio eingeschaltet"),
    (
        replace(TURN_ON, tense="perfect", frequency=ADVERBS["already"]),
        "the man has already turned on the radio",
        "der Mann hat das Radio schon eingeschaltet",
    ),
    (
        replace(TURN_ON, modal=VERBS["must"]),
        "the man must turn on the radio",
        "der Mann muss das Radio einschalten",
    ),
    (replace(TURN_ON, direct=Pronoun("it", "n")), "the man turns it on", "der Mann schaltet es ein"),
    (replace(TURN_ON, negated=True), "the man does not turn on the radio", "der Mann schaltet das Radio nicht ein"),
    (
        replace(TURN_ON, negated=True, tense="perfect"),
        "the man has not turned on the radio",
        "der Mann hat das Radio nicht eingeschaltet",
    ),
    (GIVE, "the man gave the child a red apple", "der Mann gab dem Kind einen roten Apfel"),
    (
        replace(GIVE, indirect=Pronoun("she")),
        "the man gave her a red apple",
        "der Mann gab ihr einen roten Apfel",
    ),
    (
        Clause(MAN, VERBS["explain"], direct=NounPhrase(NOUNS["plan"]), indirect=CHILD),
        "the man explains the plan to the child",
        "der Mann erklärt dem Kind den Plan",
    ),
    (
        Clause(MAN, VERBS["help"], direct=WOMAN, frequency=ADVERBS["never"], place=GARDEN),
        "the man never helps the woman in the garden",
        "der Mann hilft der Frau nie im Garten",
    ),
    (
        Clause(MAN, VERBS["have"], direct=NounPhrase(NOUNS["dog"], "no"), english_negated=True),
        "the man does not have a dog",
        "der Mann hat keinen Hund",
    ),
    (
        Clause(MAN, VERBS["look_forward"], complements=(governed(VERBS["look_forward"], NounPhrase(NOUNS["trip"])),)),
        "the man looks forward to the trip",
        "der Mann freut sich auf die Reise",
    ),
    (
        Clause(MAN, VERBS["be"], "past", negated=True, complements=(Phrase("tired", "müde"),)),
        "the man was not tired",
        "der Mann war nicht müde",
    ),
]


@pytest.mark.parametrize(("clause", "en", "de"), MAIN_CLAUSES)
def test_main_clauses(clause, en, de):
    assert main(clause) == Phrase(en, de)


FRONTED_TIME = [
    (
        replace(BUY, tense="past", time=YESTERDAY),
        "yesterday the man bought a red apple",
        "gestern kaufte der Mann einen roten Apfel",
    ),
    (
        replace(TURN_ON, tense="past", time=YESTERDAY),
        "yesterday the man turned on the radio",
        "gestern schaltete der Mann das Radio ein",
    ),
    (
        replace(GIVE, indirect=Pronoun("he"), time=YESTERDAY),
        "yesterday the man gave him a red apple",
        "gestern gab ihm der Mann einen roten Apfel",
    ),
    (
        replace(GIVE, subject=Pronoun("she"), indirect=Pronoun("he"), time=YESTERDAY),
        "yesterday she gave him a red apple",
        "gestern gab sie ihm einen roten Apfel",
    ),
    (
        Clause(MAN, VERBS["look_forward"], time=TODAY),
        "today the man looks forward",
        "heute freut sich der Mann",
    ),
]


@pytest.mark.parametrize(("clause", "en", "de"), FRONTED_TIME)
def test_the_subject_follows_the_verb_behind_an_expression_of_time(clause, en, de):
    assert main(clause, front_time=True) == Phrase(en, de)


SUBORDINATE = [
    (BUY, "because the man buys a red apple", "weil der Mann einen roten Apfel kauft"),
    (
        replace(BUY, tense="perfect"),
        "because the man has bought a red apple",
        "weil der Mann einen roten Apfel gekauft hat",
    ),
    (
        replace(BUY, modal=VERBS["can"]),
        "because the man can buy a red apple",
        "weil der Mann einen roten Apfel kaufen kann",
    ),
    (
        replace(BUY, tense="future"),
        "because the man will buy a red apple",
        "weil der Mann einen roten Apfel kaufen wird",
    ),
    (replace(TURN_ON, tense="past"), "because the man turned on the radio", "weil der Mann das Radio einschaltete"),
    (
        replace(TURN_ON, tense="perfect"),
        "because the man has turned on the radio",
        "weil der Mann das Radio eingeschaltet hat",
    ),
    (
        replace(TURN_ON, negated=True),
        "because the man does not turn on the radio",
        "weil der Mann das Radio nicht einschaltet",
    ),
    (
        replace(GIVE, indirect=Pronoun("they")),
        "because the man gave them a red apple",
        "weil ihnen der Mann einen roten Apfel gab",
    ),
]


@pytest.mark.parametrize(("clause", "en", "de"), SUBORDINATE)
def test_the_verb_is_last_in_subordinate_clauses(clause, en, de):
    assert subordinate("because", "weil", clause) == Phrase(en, de)


def test_a_subordinate_clause_in_front_inverts_the_main_clause():
    condition = subordinate("if", "wenn", Clause(Pronoun("it"), VERBS["rain"], time=TODAY))
    assert sentence(fronted(condition, replace(TURN_ON, tense="future"))) == Phrase(
        "If it rains today, the man will turn on the radio.",
        "Wenn es heute regnet, wird der Mann das Radio einschalten.",
    )


QUESTIONS = [
    (BUY, None, "does the man buy a red apple", "kauft der Mann einen roten Apfel"),
    (replace(BUY, tense="past"), None, "did the man buy a red apple", "kaufte der Mann einen roten Apfel"),
    (
        replace(TURN_ON, tense="perfect"),
        None,
        "has the man turned on the radio",
        "hat der Mann das Radio eingeschaltet",
    ),
    (
        replace(TURN_ON, tense="past"),
        Phrase("why", "warum"),
        "why did the man turn on the radio",
        "warum schaltete der Mann das Radio ein",
    ),
    (
        replace(BUY, direct=None, tense="future", time=TODAY),
        Phrase("what", "was"),
        "what will the man buy today",
        "was wird der Mann heute kaufen",
    ),
    (
        Clause(MAN, VERBS["help"], "past", place=GARDEN),
        Phrase("whom", "wem"),
        "whom did the man help in the garden",
        "wem half der Mann im Garten",
    ),
    (
        Clause(Pronoun("you_familiar"), VERBS["read"], direct=NounPhrase(NOUNS["book"], "your_familiar")),
        None,
        "do you read your book",
        "liest du dein Buch",
    ),
    (
        Clause(Pronoun("you_plural"), VERBS["read"], direct=NounPhrase(NOUNS["book"], "your_plural")),
        None,
        "do you read your book",
        "lest ihr euer Buch",
    ),
    (
        Clause(Pronoun("you_formal"), VERBS["read"], direct=NounPhrase(NOUNS["book"], "your_formal")),
        None,
        "do you read your book",
        "lesen Sie Ihr Buch",
    ),
    (Clause(MAN, VERBS["be"], complements=(Phrase("tired", "müde"),)), None, "is the man tired", "ist der Mann müde"),
]


@pytest.mark.parametrize(("clause", "wh", "en", "de"), QUESTIONS)
def test_questions(clause, wh, en, de):
    assert question(clause, wh) == Phrase(en, de)


def test_infinitives_with_zu():
    assert infinitive(BUY) == Phrase("to buy a red apple", "einen roten Apfel zu kaufen")
    assert infinitive(TURN_ON) == Phrase("to turn on the radio", "das Radio einzuschalten")


def test_imperatives_with_bitte():
    request = replace(GIVE, indirect=Pronoun("I"), direct=RADIO)
    assert english_imperative(request) == "give me the radio"
    assert german_imperative(request, "familiar") == "gib mir bitte das Radio"
    assert german_imperative(request, "plural") == "gebt mir bitte das Radio"
    assert german_imperative(request, "formal") == "geben Sie mir bitte das Radio"
    assert german_imperative(TURN_ON, "familiar") == "schalte bitte das Radio ein"


def test_a_shared_subject_is_left_out():
    assert german_coordinate(TURN_ON) == "schaltet das Radio ein"


def test_motion_and_rest():
    table = NounPhrase(NOUNS["table"])
    to_table = prepositional(PREPOSITIONS["on"], table, "acc")
    on_table = prepositional(PREPOSITIONS["on"], table, "dat")
    bottle, book = NounPhrase(NOUNS["bottle"]), NounPhrase(NOUNS["book"])
    assert main(Clause(MAN, VERBS["put_stand"], direct=bottle, complements=(to_table,))) == Phrase(
        "the man puts the bottle on the table", "der Mann stellt die Flasche auf den Tisch"
    )
    assert main(Clause(MAN, VERBS["put_lie"], direct=book, complements=(to_table,), negated=True)) == Phrase(
        "the man does not put the book on the table", "der Mann legt das Buch nicht auf den Tisch"
    )
    assert main(Clause(bottle, VERBS["be_stand"], complements=(on_table,))).de == "die Flasche steht auf dem Tisch"
    assert main(Clause(book, VERBS["be_lie"], complements=(on_table,))).de == "das Buch liegt auf dem Tisch"


def test_names_have_a_genitive():
    assert NameNominal(NAMES["Anna"]).german("gen") == "Annas"
    assert NameNominal(NAMES["Max"]).german("gen") == "Max'"


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        (NounPhrase(NOUNS["apple"], "a"), "an apple"),
        (NounPhrase(NOUNS["apple"], "a", (ADJECTIVES["red"],)), "a red apple"),
        (NounPhrase(NOUNS["car"], "a", (ADJECTIVES["old"],)), "an old car"),
        (NounPhrase(NOUNS["car"], "a", plural=True), "cars"),
        (NounPhrase(NOUNS["bread"], "a", (ADJECTIVES["fresh"],)), "fresh bread"),
        (NounPhrase(NOUNS["bread"], "no"), "any bread"),
        (NounPhrase(NOUNS["man"], "this", plural=True), "these men"),
        (NounPhrase(NOUNS["woman"], "your_formal"), "your woman"),
    ],
)
def test_english_noun_phrases(phrase, expected):
    assert phrase.english() == expected


def test_english_agreement():
    assert english.finite(VERBS["go_foot"], False, 3, False) == "goes"
    assert english.finite(VERBS["go_foot"], False, 3, True) == "go"
    assert english.finite(VERBS["be"], False, 1, False) == "am"
    assert english.finite(VERBS["be"], True, 3, True) == "were"
    assert english.verb_group(VERBS["eat"], "past", None, 3, False, True, False) == ("did", "eat")
    assert english.verb_group(VERBS["eat"], "present", VERBS["want"], 3, False, True, False) == ("does", "want to eat")
