"""German morphology against paradigms written out from the grammar."""

import pytest

from training.corpus import german
from training.corpus.german import CASES
from training.corpus.lexicon import ADJECTIVES, NOUNS, PREPOSITIONS, VERBS
from training.corpus.phrases import NounPhrase, Pronoun, prepositional, pronoun_for

# Rows: nominative, accusative, dative, genitive; columns: masculine, feminine, neuter, plural.
GENDERS = (("m", False), ("f", False), ("n", False), ("m", True))

DER = """
der die das die
den die das die
dem der dem den
des der des der
"""
DIESER = """
dieser diese dieses diese
diesen diese dieses diese
diesem dieser diesem diesen
dieses dieser dieses dieser
"""
KEIN = """
kein keine kein keine
keinen keine kein keine
keinem keiner keinem keinen
keines keiner keines keiner
"""
MEIN = """
mein meine mein meine
meinen meine mein meine
meinem meiner meinem meinen
meines meiner meines meiner
"""
EUER = """
euer eure euer eure
euren eure euer eure
eurem eurer eurem euren
eures eurer eures eurer
"""
WEAK = """
alte alte alte alten
alten alte alte alten
alten alten alten alten
alten alten alten alten
"""
MIXED = """
alter alte altes alten
alten alte altes alten
alten alten alten alten
alten alten alten alten
"""
STRONG = """
alter alte altes alte
alten alte altes alte
altem alter altem alten
alten alter alten alter
"""
RELATIVE = """
der die das die
den die das die
dem der dem denen
dessen deren dessen deren
"""


def cells(table):
    return {
        (case, *gender): word
        for case, row in zip(CASES, table.strip().splitlines(), strict=True)
        for gender, word in zip(GENDERS, row.split(), strict=True)
    }


@pytest.mark.parametrize(
    ("form", "table"),
    [
        (german.definite_article, DER),
        (lambda *cell: german.dies_form("dies", *cell), DIESER),
        (lambda *cell: german.ein_form("kein", *cell), KEIN),
        (lambda *cell: german.ein_form("mein", *cell), MEIN),
        (lambda *cell: german.ein_form("euer", *cell), EUER),
        (lambda *cell: german.adjective_form(ADJECTIVES["old"], "weak", *cell), WEAK),
        (lambda *cell: german.adjective_form(ADJECTIVES["old"], "mixed", *cell), MIXED),
        (lambda *cell: german.adjective_form(ADJECTIVES["old"], "strong", *cell), STRONG),
        (german.relative_pronoun, RELATIVE),
    ],
    ids=["der", "dieser", "kein", "mein", "euer", "weak", "mixed", "strong", "relative"],
)
def test_declension(form, table):
    for cell, expected in cells(table).items():
        assert form(*cell) == expected, cell


def test_ein_has_no_plural_but_the_singular_of_kein():
    for (case, gender, plural), word in cells(KEIN).items():
        if not plural:
            assert "k" + german.ein_form("ein", case, gender) == word


@pytest.mark.parametrize(
    ("adjective", "degree", "expected"),
    [
        ("expensive", 0, "teure"),
        ("dark", 0, "dunkle"),
        ("tired", 0, "müde"),
        ("good", 1, "bessere"),
        ("good", 2, "beste"),
        ("big", 2, "größte"),
        ("old", 1, "ältere"),
        ("expensive", 2, "teuerste"),
        ("interesting", 2, "interessanteste"),
    ],
)
def test_stems_and_degrees(adjective, degree, expected):
    assert german.adjective_form(ADJECTIVES[adjective], "weak", "nom", "m", degree=degree) == expected


@pytest.mark.parametrize(
    ("noun", "singular", "plural"),
    [
        ("man", "Mann Mann Mann Mannes", "Männer Männer Männern Männer"),
        ("woman", "Frau Frau Frau Frau", "Frauen Frauen Frauen Frauen"),
        ("boy", "Junge Jungen Jungen Jungen", "Jungen Jungen Jungen Jungen"),
        ("neighbor", "Nachbar Nachbarn Nachbarn Nachbarn", "Nachbarn Nachbarn Nachbarn Nachbarn"),
        ("student", "Student Studenten Studenten Studenten", "Studenten Studenten Studenten Studenten"),
        ("teacher", "Lehrer Lehrer Lehrer Lehrers", "Lehrer Lehrer Lehrern Lehrer"),
        ("car", "Auto Auto Auto Autos", "Autos Autos Autos Autos"),
        ("museum", "Museum Museum Museum Museums", "Museen Museen Museen Museen"),
        ("apple", "Apfel Apfel Apfel Apfels", "Äpfel Äpfel Äpfeln Äpfel"),
        ("house", "Haus Haus Haus Hauses", "Häuser Häuser Häusern Häuser"),
    ],
)
def test_noun_forms(noun, singular, plural):
    assert [german.noun_form(NOUNS[noun], case) for case in CASES] == singular.split()
    assert [german.noun_form(NOUNS[noun], case, True) for case in CASES] == plural.split()


@pytest.mark.parametrize(
    ("verb", "present", "preterite"),
    [
        # weak
        ("buy", "kaufe kaufst kauft kaufen kauft kaufen", "kaufte kauftest kaufte kauften kauftet kauften"),
        (
            "work",
            "arbeite arbeitest arbeitet arbeiten arbeitet arbeiten",
            "arbeitete arbeitetest arbeitete arbeiteten arbeitetet arbeiteten",
        ),
        ("open", "öffne öffnest öffnet öffnen öffnet öffnen", "öffnete öffnetest öffnete öffneten öffnetet öffneten"),
        ("clean", "putze putzt putzt putzen putzt putzen", "putzte putztest putzte putzten putztet putzten"),
        # strong, with and without a change of vowel
        ("see", "sehe siehst sieht sehen seht sehen", "sah sahst sah sahen saht sahen"),
        ("read", "lese liest liest lesen lest lesen", "las lasest las lasen last lasen"),
        ("eat", "esse isst isst essen esst essen", "aß aßest aß aßen aßt aßen"),
        ("help", "helfe hilfst hilft helfen helft helfen", "half halfst half halfen halft halfen"),
        ("go_ride", "fahre fährst fährt fahren fahrt fahren", "fuhr fuhrst fuhr fuhren fuhrt fuhren"),
        ("find", "finde findest findet finden findet finden", "fand fandest fand fanden fandet fanden"),
        ("ask_favor", "bitte bittest bittet bitten bittet bitten", "bat batest bat baten batet baten"),
        # separable: the prefix is not part of the finite form
        ("invite", "lade lädst lädt laden ladet laden", "lud ludest lud luden ludet luden"),
        ("put_on", "ziehe ziehst zieht ziehen zieht ziehen", "zog zogst zog zogen zogt zogen"),
        (
            "lock",
            "schließe schließt schließt schließen schließt schließen",
            "schloss schlossest schloss schlossen schlosst schlossen",
        ),
        # modal
        ("can", "kann kannst kann können könnt können", "konnte konntest konnte konnten konntet konnten"),
        ("must", "muss musst muss müssen müsst müssen", "musste musstest musste mussten musstet mussten"),
        ("want", "will willst will wollen wollt wollen", "wollte wolltest wollte wollten wolltet wollten"),
        ("may", "darf darfst darf dürfen dürft dürfen", "durfte durftest durfte durften durftet durften"),
        ("should", "soll sollst soll sollen sollt sollen", "sollte solltest sollte sollten solltet sollten"),
        # irregular
        ("be", "bin bist ist sind seid sind", "war warst war waren wart waren"),
        ("have", "habe hast hat haben habt haben", "hatte hattest hatte hatten hattet hatten"),
        ("know_fact", "weiß weißt weiß wissen wisst wissen", "wusste wusstest wusste wussten wusstet wussten"),
        ("know_person", "kenne kennst kennt kennen kennt kennen", "kannte kanntest kannte kannten kanntet kannten"),
        ("like_taste", "mag magst mag mögen mögt mögen", "mochte mochtest mochte mochten mochtet mochten"),
        (
            "bring",
            "bringe bringst bringt bringen bringt bringen",
            "brachte brachtest brachte brachten brachtet brachten",
        ),
    ],
)
def test_conjugation(verb, present, preterite):
    persons = [(person, plural) for plural in (False, True) for person in (1, 2, 3)]
    assert [german.present(VERBS[verb], *each) for each in persons] == present.split()
    assert [german.preterite(VERBS[verb], *each) for each in persons] == preterite.split()


@pytest.mark.parametrize(
    ("verb", "infinitive", "with_zu", "participle", "perfect"),
    [
        ("buy", "kaufen", "zu kaufen", "gekauft", "hat gekauft"),
        ("sell", "verkaufen", "zu verkaufen", "verkauft", "hat verkauft"),
        ("repair", "reparieren", "zu reparieren", "repariert", "hat repariert"),
        ("eat", "essen", "zu essen", "gegessen", "hat gegessen"),
        ("go_ride", "fahren", "zu fahren", "gefahren", "ist gefahren"),
        ("follow", "folgen", "zu folgen", "gefolgt", "ist gefolgt"),
        ("turn_on", "einschalten", "einzuschalten", "eingeschaltet", "hat eingeschaltet"),
        ("pick_up", "abholen", "abzuholen", "abgeholt", "hat abgeholt"),
        ("take_off", "ausziehen", "auszuziehen", "ausgezogen", "hat ausgezogen"),
        ("fall_asleep", "einschlafen", "einzuschlafen", "eingeschlafen", "ist eingeschlafen"),
        ("get_up", "aufstehen", "aufzustehen", "aufgestanden", "ist aufgestanden"),
    ],
)
def test_infinitives_and_participles(verb, infinitive, with_zu, participle, perfect):
    entry = VERBS[verb]
    assert german.infinitive(entry) == infinitive
    assert german.zu_infinitive(entry) == with_zu
    assert german.participle(entry) == participle
    assert f"{german.auxiliary(entry, 3, False)} {german.participle(entry)}" == perfect


@pytest.mark.parametrize(
    ("verb", "familiar", "plural", "formal"),
    [
        ("open", "öffne", "öffnet", "öffnen Sie"),
        ("close", "schließe", "schließt", "schließen Sie"),
        ("give", "gib", "gebt", "geben Sie"),
        ("read", "lies", "lest", "lesen Sie"),
        ("help", "hilf", "helft", "helfen Sie"),
        ("show", "zeig", "zeigt", "zeigen Sie"),
        ("wait", "warte", "wartet", "warten Sie"),
        ("go_ride", "fahr", "fahrt", "fahren Sie"),
        ("turn_on", "schalte", "schaltet", "schalten Sie"),
    ],
)
def test_imperatives(verb, familiar, plural, formal):
    assert german.imperative(VERBS[verb], "familiar") == familiar
    assert german.imperative(VERBS[verb], "plural") == plural
    assert german.imperative(VERBS[verb], "formal") == formal


@pytest.mark.parametrize(
    ("preposition", "noun", "motion", "rest"),
    [
        ("in", "house", "ins Haus", "im Haus"),
        ("in", "garden", "in den Garten", "im Garten"),
        ("in", "city", "in die Stadt", "in der Stadt"),
        ("on", "table", "auf den Tisch", "auf dem Tisch"),
        ("on", "sofa", "auf das Sofa", "auf dem Sofa"),
        ("under", "bed", "unter das Bett", "unter dem Bett"),
        ("behind", "door", "hinter die Tür", "hinter der Tür"),
        ("next_to", "chair", "neben den Stuhl", "neben dem Stuhl"),
        ("in_front_of", "church", "vor die Kirche", "vor der Kirche"),
        ("at_edge", "lake", "an den See", "am See"),
    ],
)
def test_two_way_prepositions(preposition, noun, motion, rest):
    phrase = NounPhrase(NOUNS[noun])
    assert prepositional(PREPOSITIONS[preposition], phrase, "acc").de == motion
    assert prepositional(PREPOSITIONS[preposition], phrase, "dat").de == rest


@pytest.mark.parametrize(
    ("preposition", "phrase", "expected"),
    [
        ("to", NounPhrase(NOUNS["station"]), "zum Bahnhof"),
        ("to", NounPhrase(NOUNS["school"], adjectives=(ADJECTIVES["old"],)), "zur alten Schule"),
        ("to", NounPhrase(NOUNS["school"], "this"), "zu dieser Schule"),
        ("with", NounPhrase(NOUNS["friend"], "his", plural=True), "mit seinen Freunden"),
        ("from", NounPhrase(NOUNS["village"], adjectives=(ADJECTIVES["quiet"],)), "aus dem ruhigen Dorf"),
        ("for", NounPhrase(NOUNS["colleague"], "her"), "für ihren Kollegen"),
        ("without", NounPhrase(NOUNS["milk"], "", (ADJECTIVES["cold"],)), "ohne kalte Milch"),
        ("with", NounPhrase(NOUNS["milk"], "", (ADJECTIVES["cold"],)), "mit kalter Milch"),
        ("during", NounPhrase(NOUNS["film"], adjectives=(ADJECTIVES["long"],)), "während des langen Films"),
        ("because_of", NounPhrase(NOUNS["weather"], "this", (ADJECTIVES["bad"],)), "wegen dieses schlechten Wetters"),
    ],
)
def test_prepositions_govern_their_case(preposition, phrase, expected):
    assert prepositional(PREPOSITIONS[preposition], phrase).de == expected


def test_noun_phrases_by_determiner():
    dog, old = NOUNS["dog"], (ADJECTIVES["old"],)
    expected = {
        "the": "der alte Hund",
        "a": "ein alter Hund",
        "no": "kein alter Hund",
        "this": "dieser alte Hund",
        "which": "welcher alte Hund",
        "my": "mein alter Hund",
        "his": "sein alter Hund",
        "her": "ihr alter Hund",
        "our": "unser alter Hund",
        "their": "ihr alter Hund",
        "your_familiar": "dein alter Hund",
        "your_plural": "euer alter Hund",
        "your_formal": "Ihr alter Hund",
        "": "alter Hund",
    }
    for determiner, text in expected.items():
        assert NounPhrase(dog, determiner, old).german("nom") == text
    assert NounPhrase(dog, "a", old, plural=True).german("dat") == "alten Hunden"
    assert NounPhrase(dog, "no", old, plural=True).german("acc") == "keine alten Hunde"


def test_it_takes_the_gender_of_its_antecedent():
    for noun, nominative, accusative in (("coat", "er", "ihn"), ("jacket", "sie", "sie"), ("book", "es", "es")):
        pronoun = pronoun_for(NounPhrase(NOUNS[noun]))
        assert (pronoun.english(), pronoun.german("nom"), pronoun.german("acc")) == ("it", nominative, accusative)
    assert pronoun_for(NounPhrase(NOUNS["coat"], plural=True)).german("dat") == "ihnen"
    assert pronoun_for(NounPhrase(NOUNS["woman"])) == Pronoun("she")


@pytest.mark.parametrize(
    ("key", "forms"),
    [
        ("I", "ich mich mir"),
        ("we", "wir uns uns"),
        ("he", "er ihn ihm"),
        ("she", "sie sie ihr"),
        ("they", "sie sie ihnen"),
        ("you_familiar", "du dich dir"),
        ("you_plural", "ihr euch euch"),
        ("you_formal", "Sie Sie Ihnen"),
        ("who", "wer wen wem"),
    ],
)
def test_pronouns(key, forms):
    assert [Pronoun(key).german(case) for case in ("nom", "acc", "dat")] == forms.split()
