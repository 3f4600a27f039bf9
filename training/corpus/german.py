"""German morphology: the declension of articles, adjectives and nouns, and the conjugation of verbs."""

from __future__ import annotations

from training.corpus.lexicon import Adjective, Noun, Verb

CASES = ("nom", "acc", "dat", "gen")

# Columns of the tables below; their rows are the four cases.
_COLUMNS = {"m": 0, "f": 1, "n": 2}
_PLURAL = 3

_DEFINITE = {
    "nom": ("der", "die", "das", "die"),
    "acc": ("den", "die", "das", "die"),
    "dat": ("dem", "der", "dem", "den"),
    "gen": ("des", "der", "des", "der"),
}
_DIES_ENDINGS = {
    "nom": ("er", "e", "es", "e"),
    "acc": ("en", "e", "es", "e"),
    "dat": ("em", "er", "em", "en"),
    "gen": ("es", "er", "es", "er"),
}
_EIN_ENDINGS = {
    "nom": ("", "e", "", "e"),
    "acc": ("en", "e", "", "e"),
    "dat": ("em", "er", "em", "en"),
    "gen": ("es", "er", "es", "er"),
}
_ADJECTIVE_ENDINGS = {
    "weak": {
        "nom": ("e", "e", "e", "en"),
        "acc": ("en", "e", "e", "en"),
        "dat": ("en", "en", "en", "en"),
        "gen": ("en", "en", "en", "en"),
    },
    "mixed": {
        "nom": ("er", "e", "es", "en"),
        "acc": ("en", "e", "es", "en"),
        "dat": ("en", "en", "en", "en"),
        "gen": ("en", "en", "en", "en"),
    },
    "strong": {
        "nom": ("er", "e", "es", "e"),
        "acc": ("en", "e", "es", "e"),
        "dat": ("em", "er", "em", "en"),
        "gen": ("en", "er", "en", "er"),
    },
}
_RELATIVE = _DEFINITE | {
    "dat": ("dem", "der", "dem", "denen"),
    "gen": ("dessen", "deren", "dessen", "deren"),
}
_PRONOUNS = {
    "I": ("ich", "mich", "mir"),
    "you_familiar": ("du", "dich", "dir"),
    "you_plural": ("ihr", "euch", "euch"),
    "you_formal": ("Sie", "Sie", "Ihnen"),
    "he": ("er", "ihn", "ihm"),
    "she": ("sie", "sie", "ihr"),
    "it": ("es", "es", "ihm"),
    "we": ("wir", "uns", "uns"),
    "they": ("sie", "sie", "ihnen"),
    "who": ("wer", "wen", "wem"),
}
_REFLEXIVE = ("mich", "dich", "sich", "uns", "euch", "sich")
_CONTRACTIONS = {
    ("in", "dem"): "im",
    ("in", "das"): "ins",
    ("an", "dem"): "am",
    ("an", "das"): "ans",
    ("zu", "dem"): "zum",
    ("zu", "der"): "zur",
    ("von", "dem"): "vom",
}

HABEN = ("habe", "hast", "hat", "haben", "habt", "haben")
SEIN = ("bin", "bist", "ist", "sind", "seid", "sind")
WERDEN = ("werde", "wirst", "wird", "werden", "werdet", "werden")
_HATTE = ("hatte", "hattest", "hatte", "hatten", "hattet", "hatten")
_WAR = ("war", "warst", "war", "waren", "wart", "waren")


def _column(gender: str, plural: bool) -> int:
    return _PLURAL if plural else _COLUMNS[gender]


def noun_form(noun: Noun, case: str, plural: bool = False) -> str:
    """Return the noun in a case and number."""
    if plural:
        form = noun.plural
        return form + "n" if case == "dat" and form[-1] not in "ns" else form
    if case == "gen":
        return noun.genitive
    return noun.genitive if noun.weak and case != "nom" else noun.german


def definite_article(case: str, gender: str, plural: bool = False) -> str:
    """Return der, die, das and so on."""
    return _DEFINITE[case][_column(gender, plural)]


def relative_pronoun(case: str, gender: str, plural: bool = False) -> str:
    """Return the relative pronoun of a case for an antecedent of a gender and number."""
    return _RELATIVE[case][_column(gender, plural)]


def dies_form(stem: str, case: str, gender: str, plural: bool = False) -> str:
    """Return a der-word such as dieser from its stem."""
    return stem + _DIES_ENDINGS[case][_column(gender, plural)]


def ein_form(stem: str, case: str, gender: str, plural: bool = False) -> str:
    """Return an ein-word (ein, kein, a possessive) from its stem; "euer" drops an e before an ending."""
    ending = _EIN_ENDINGS[case][_column(gender, plural)]
    return ("eur" if stem == "euer" and ending else stem) + ending


def adjective_form(
    adjective: Adjective, declension: str, case: str, gender: str, plural: bool = False, degree: int = 0
) -> str:
    """Return an attributive adjective: declension is weak, mixed or strong; degree 1 compares, 2 is superlative."""
    stem = adjective.stem if degree == 0 else adjective.german[degree]
    return stem + _ADJECTIVE_ENDINGS[declension][case][_column(gender, plural)]


def pronoun(key: str, case: str) -> str:
    """Return a personal or interrogative pronoun in a case."""
    return _PRONOUNS[key][CASES.index(case)]


def reflexive(person: int, plural: bool) -> str:
    """Return the accusative reflexive pronoun."""
    return _REFLEXIVE[_index(person, plural)]


def contract(preposition: str, phrase: str) -> str:
    """Return preposition and noun phrase, with the contractions of written German (im, ins, am, zum, zur, vom)."""
    article, _, rest = phrase.partition(" ")
    merged = _CONTRACTIONS.get((preposition, article))
    return f"{merged} {rest}" if merged else f"{preposition} {phrase}"


def _index(person: int, plural: bool) -> int:
    return person - 1 + (3 if plural else 0)


def _stem(verb: Verb) -> str:
    return verb.infinitive.removesuffix("n").removesuffix("e")


def present(verb: Verb, person: int, plural: bool) -> str:
    """Return the finite present form, without a separable prefix."""
    index = _index(person, plural)
    if verb.present:
        return verb.present[index]
    if verb.infinitive in ("sein", "haben"):
        return (SEIN if verb.infinitive == "sein" else HABEN)[index]
    stem = _stem(verb)
    if index in (3, 5):
        return verb.infinitive
    if index == 0:
        return stem + "e"
    if index == 1:
        # The second person shares the vowel of the third; after a sibilant its s is not written twice.
        changed = verb.third if verb.third.endswith("dt") else verb.third.removesuffix("t")
        changed = changed.removesuffix("t") if verb.third.endswith("dt") else changed
        return changed + ("t" if changed[-1] in "sßz" else "st")
    if index == 2:
        return verb.third
    # The third person shows whether an e separates stem and ending, except where its vowel changes.
    needs_e = stem[-1] in "td" or verb.third.endswith("et")
    return stem + ("et" if needs_e else "t")


def preterite(verb: Verb, person: int, plural: bool) -> str:
    """Return the finite preterite form, without a separable prefix."""
    base, index = verb.preterite, _index(person, plural)
    if index in (0, 2):
        return base
    if base.endswith("te"):
        return base + ("", "st", "", "n", "t", "n")[index]
    hissing, dental = base[-1] in "sßz", base[-1] in "td"
    second, second_plural = ("est" if hissing or dental else "st"), ("et" if dental else "t")
    return base + ("", second, "", "en", second_plural, "en")[index]


def finite(verb: Verb, tense: str, person: int, plural: bool) -> str:
    """Return the present or the preterite form, as `tense` says."""
    return preterite(verb, person, plural) if tense == "past" else present(verb, person, plural)


def infinitive(verb: Verb) -> str:
    """Return the infinitive with its prefix."""
    return verb.prefix + verb.infinitive


def zu_infinitive(verb: Verb) -> str:
    """Return the infinitive with zu, which stands inside a separable verb."""
    return f"{verb.prefix}zu{verb.infinitive}" if verb.prefix else f"zu {verb.infinitive}"


def participle(verb: Verb) -> str:
    """Return the past participle with its prefix (aufgemacht, verkauft)."""
    return verb.prefix + verb.participle


def auxiliary(verb: Verb, person: int, plural: bool, past: bool = False) -> str:
    """Return the form of haben or sein that makes the verb's perfect, or its pluperfect if `past`."""
    forms = (_WAR if past else SEIN) if verb.auxiliary == "sein" else (_HATTE if past else HABEN)
    return forms[_index(person, plural)]


def future_auxiliary(person: int, plural: bool) -> str:
    """Return the form of werden that makes the future."""
    return WERDEN[_index(person, plural)]


def imperative(verb: Verb, address: str) -> str:
    """Return the imperative without prefix for an address: familiar, plural, or formal (which adds Sie)."""
    if address == "formal":
        return f"{verb.infinitive} Sie"
    if address == "plural":
        return present(verb, 2, True)
    # Only the change of e to i reaches the imperative (gib, lies), never an umlaut (fahr). An e follows d, t, ß
    # and clusters (warte, schließe, öffne).
    stem, second = _stem(verb), present(verb, 2, False)
    changed = second.removesuffix("t") if second[-2] in "sßz" and stem[-1] in "sßz" else second.removesuffix("st")
    if "e" in stem and "i" in changed and not stem.startswith(changed):
        return changed
    return stem + ("e" if stem[-1] in "tdß" or verb.third.endswith("et") else "")
