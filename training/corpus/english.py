"""English morphology: noun phrases' articles, pronouns, and the verb group with do-support."""

from __future__ import annotations

from training.corpus.lexicon import Verb

_PRONOUNS = {
    "I": ("I", "me"),
    "you_familiar": ("you", "you"),
    "you_plural": ("you", "you"),
    "you_formal": ("you", "you"),
    "he": ("he", "him"),
    "she": ("she", "her"),
    "it": ("it", "it"),
    "we": ("we", "us"),
    "they": ("they", "them"),
    "who": ("who", "whom"),
}


def pronoun(key: str, subject: bool) -> str:
    """Return a pronoun's subject or object form."""
    return _PRONOUNS[key][0 if subject else 1]


def indefinite(phrase: str) -> str:
    """Return the phrase with "a" or "an" before it."""
    return f"{'an' if phrase[0].lower() in 'aeiou' else 'a'} {phrase}"


def possessive_name(name: str) -> str:
    """Return a name's genitive."""
    return f"{name}'s"


def is_be(verb: Verb) -> bool:
    """Return whether the English side of a verb is "be", which inverts and negates by itself."""
    return verb.english[0] == "be"


def be(past: bool, person: int, plural: bool) -> str:
    """Return the finite form of "be"."""
    if past:
        return "were" if plural or person == 2 else "was"
    if plural or person == 2:
        return "are"
    return "am" if person == 1 else "is"


def have(past: bool, person: int, plural: bool) -> str:
    """Return the finite form of "have"."""
    if past:
        return "had"
    return "has" if person == 3 and not plural else "have"


def do(past: bool, person: int, plural: bool) -> str:
    """Return the finite form of "do"."""
    if past:
        return "did"
    return "does" if person == 3 and not plural else "do"


def finite(verb: Verb, past: bool, person: int, plural: bool) -> str:
    """Return a verb's simple present or past, without its particle."""
    if is_be(verb):
        return be(past, person, plural)
    if past:
        return verb.english[2]
    return verb.english[1] if person == 3 and not plural else verb.english[0]


def verb_group(
    verb: Verb, tense: str, modal: Verb | None, person: int, plural: bool, negated: bool, inverted: bool
) -> tuple[str, str]:
    """Return the verb group as its first auxiliary (empty if none) and the rest (without a particle).

    Tenses are present, past, perfect, pluperfect, future and progressive; a modal stands in present or past. An
    auxiliary "do" appears where negation or inversion needs one.
    """
    base, _, _, participle, ing = verb.english
    past = tense in ("past", "pluperfect")
    # "want to" is a modal in German only: in English it is a main verb before an infinitive.
    if modal is not None and modal.particle == "to":
        verb, base, modal, tail = modal, modal.english[0], None, f" to {base}"
    else:
        tail = ""
    if modal is not None:
        first, rest = (modal.english[2] if past else modal.english[0]), base
    elif tense in ("perfect", "pluperfect"):
        first, rest = have(past, person, plural), participle
    elif tense == "future":
        first, rest = "will", base
    elif tense == "progressive":
        first, rest = be(False, person, plural), ing
    elif is_be(verb):
        first, rest = be(past, person, plural), ""
    elif negated or inverted:
        first, rest = do(past, person, plural), base
    else:
        first, rest = "", finite(verb, past, person, plural)
    return first, rest + tail
