"""Clauses in both languages: one description, rendered in every word order that English and German know."""

from __future__ import annotations

from dataclasses import dataclass, replace

from training.corpus import english, german
from training.corpus.lexicon import Adverb, Verb
from training.corpus.phrases import Nominal, Phrase


@dataclass(frozen=True)
class Clause:
    """A clause before its word order is chosen.

    `place` is a free adjunct, which German puts before a noun object; `complements` belong to the verb (direction,
    prepositional object, predicate) and stand behind it. `tense` is present, past, perfect, pluperfect, future or
    progressive (German: present with "gerade").
    """

    subject: Nominal
    verb: Verb
    tense: str = "present"
    modal: Verb | None = None
    direct: Nominal | None = None
    indirect: Nominal | None = None
    time: Phrase | None = None
    frequency: Adverb | None = None
    place: Phrase | None = None
    complements: tuple[Phrase, ...] = ()
    negated: bool = False  # with "nicht"; a negation by "kein" sets english_negated alone
    english_negated: bool = False


def _join(*parts: str) -> str:
    return " ".join(filter(None, parts))


# --- English ---------------------------------------------------------------------------------------------------------


def _english_tail(clause: Clause, time: bool = True) -> str:
    """What follows the verb: particle, objects, complements, place, time."""
    verb, direct, indirect = clause.verb, clause.direct, clause.indirect
    particle = verb.particle
    parts: list[str] = []
    if particle.startswith("+"):
        parts.append(particle[1:])
    elif particle and not (direct is not None and direct.is_pronoun):
        parts.append(particle)
    if indirect is not None and not verb.dative_with_to:
        parts.append(indirect.english())
    if direct is not None:
        parts.append(direct.english())
        if particle and not particle.startswith("+") and direct.is_pronoun:
            parts.append(particle)
    if indirect is not None and verb.dative_with_to:
        parts.append(f"to {indirect.english()}")
    parts += [complement.en for complement in clause.complements]
    parts += [clause.place.en] if clause.place else []
    parts += [clause.time.en] if clause.time and time else []
    return _join(*parts)


def _english_group(clause: Clause, inverted: bool) -> tuple[str, str]:
    negated = clause.negated or clause.english_negated
    subject = clause.subject
    return english.verb_group(
        clause.verb, clause.tense, clause.modal, subject.person, subject.plural, negated, inverted
    )


def english_clause(clause: Clause, time: bool = True, subject: bool = True) -> str:
    """Return subject, verb and the rest: the order of main and subordinate clauses alike."""
    first, rest = _english_group(clause, inverted=False)
    negation = "not" if clause.negated or clause.english_negated else ""
    frequency = clause.frequency.english if clause.frequency else ""
    head = clause.subject.english(subject=True) if subject else ""
    return _join(head, first, negation, frequency, rest, _english_tail(clause, time))


def english_question(clause: Clause, wh: str = "") -> str:
    """Return a question: a question word, if any, an auxiliary, the subject and the rest."""
    first, rest = _english_group(clause, inverted=True)
    negation = "not" if clause.negated or clause.english_negated else ""
    frequency = clause.frequency.english if clause.frequency else ""
    return _join(wh, first, clause.subject.english(subject=True), negation, frequency, rest, _english_tail(clause))


def english_infinitive(clause: Clause) -> str:
    """Return the infinitive clause with "to" (the subject is understood)."""
    return _join("to", clause.verb.english[0], _english_tail(clause))


def english_imperative(clause: Clause) -> str:
    """Return the imperative, which has no subject."""
    return _join(clause.verb.english[0], _english_tail(clause))


# --- German ----------------------------------------------------------------------------------------------------------


def _agreement(clause: Clause) -> tuple[int, bool]:
    return clause.subject.german_person, clause.subject.german_plural


def _german_verbs(clause: Clause) -> tuple[str, str]:
    """The finite verb and what ends a main clause: prefix, participle or infinitive."""
    verb, (person, plural) = clause.verb, _agreement(clause)
    if clause.modal is not None:
        return german.finite(clause.modal, clause.tense, person, plural), german.infinitive(verb)
    if clause.tense in ("perfect", "pluperfect"):
        auxiliary = german.auxiliary(verb, person, plural, past=clause.tense == "pluperfect")
        return auxiliary, german.participle(verb)
    if clause.tense == "future":
        return german.future_auxiliary(person, plural), german.infinitive(verb)
    return german.finite(verb, clause.tense, person, plural), verb.prefix


def german_middle(clause: Clause, time: bool = True) -> str:
    """Return the middle field without the subject: pronouns, dative, time, adverbs, place, object, complements."""
    direct, indirect = clause.direct, clause.indirect
    case = clause.verb.case
    accusative = direct.german(case) if direct is not None else ""
    dative_like = case == "dat"
    definite = direct is not None and direct.definite
    frequency = clause.frequency.german if clause.frequency else "gerade" if clause.tense == "progressive" else ""
    # A known object precedes "schon" and "nie"; a new one, which carries the news, follows.
    object_first = definite and clause.frequency is not None and clause.frequency.after_definite
    early = direct is not None and (direct.is_pronoun or dative_like)
    dative = indirect is not None and not _dative_leads(clause)
    return _join(
        accusative if early else "",
        indirect.german("dat") if indirect is not None and dative else "",
        clause.time.de if clause.time and time else "",
        accusative if object_first and not early else "",
        frequency,
        clause.place.de if clause.place else "",
        accusative if not early and not object_first else "",
        "nicht" if clause.negated else "",
        *(complement.de for complement in clause.complements),
    )


def _dative_leads(clause: Clause) -> bool:
    """Whether a dative pronoun stands right beside the subject, before everything else in the middle field."""
    return clause.indirect is not None and clause.indirect.is_pronoun


def _light_pronoun(clause: Clause) -> str:
    """The reflexive or dative pronoun, which comes as early as it can."""
    if clause.verb.reflexive:
        return german.reflexive(*_agreement(clause))
    return clause.indirect.german("dat") if clause.indirect is not None and _dative_leads(clause) else ""


def _subject_and_pronoun(clause: Clause, subject: str) -> str:
    """A reflexive or dative pronoun follows a pronoun subject and precedes any other."""
    pronoun = _light_pronoun(clause)
    return _join(subject, pronoun) if clause.subject.is_pronoun else _join(pronoun, subject)


def german_main(clause: Clause, front: str = "") -> str:
    """Return a verb-second clause; whatever stands in front displaces the subject behind the verb."""
    finite, end = _german_verbs(clause)
    subject = clause.subject.german("nom")
    if front:
        return _join(front, finite, _subject_and_pronoun(clause, subject), german_middle(clause), end)
    return _join(subject, finite, _light_pronoun(clause), german_middle(clause), end)


def german_coordinate(clause: Clause) -> str:
    """Return a second main clause that shares the subject of the first and leaves it out."""
    finite, end = _german_verbs(clause)
    return _join(finite, _light_pronoun(clause), german_middle(clause), end)


def german_question(clause: Clause, wh: str = "") -> str:
    """Return a verb-first clause, or verb second after a question word."""
    finite, end = _german_verbs(clause)
    subject = _subject_and_pronoun(clause, clause.subject.german("nom"))
    return _join(wh, finite, subject, german_middle(clause), end)


def german_last(clause: Clause, subject: bool = True) -> str:
    """Return a verb-last clause; without its subject for a relative clause whose pronoun is the subject."""
    finite, end = _german_verbs(clause)
    head = clause.subject.german("nom") if subject else ""
    # A separable prefix joins its finite verb again; participles and infinitives stay words of their own.
    joined = clause.modal is None and clause.tense in ("present", "past", "progressive")
    verbs = end + finite if joined else _join(end, finite)
    return _join(_subject_and_pronoun(clause, head), german_middle(clause), verbs)


def german_infinitive(clause: Clause) -> str:
    """Return the infinitive clause with zu."""
    return _join(german_middle(clause), german.zu_infinitive(clause.verb))


def german_imperative(clause: Clause, address: str) -> str:
    """Return the imperative with "bitte" behind the verb and its pronouns."""
    verb = german.imperative(clause.verb, address)
    return _join(verb, _light_pronoun(clause), "bitte", german_middle(clause), clause.verb.prefix)


# --- both ------------------------------------------------------------------------------------------------------------


def main(clause: Clause, front_time: bool = False) -> Phrase:
    """Return the main clause, with its expression of time in front if asked."""
    if not front_time or clause.time is None:
        return Phrase(english_clause(clause), german_main(clause))
    rest = replace(clause, time=None)
    return Phrase(_join(clause.time.en, english_clause(rest)), german_main(rest, clause.time.de))


def question(clause: Clause, wh: Phrase | None = None) -> Phrase:
    """Return the question in both languages."""
    return Phrase(
        english_question(clause, wh.en if wh else ""),
        german_question(clause, wh.de if wh else ""),
    )


def subordinate(english_word: str, german_word: str, clause: Clause) -> Phrase:
    """Return the subordinate clause behind a conjunction."""
    return Phrase(_join(english_word, english_clause(clause)), _join(german_word, german_last(clause)))


def fronted(sub: Phrase, clause: Clause) -> Phrase:
    """Return a complex sentence that begins with its subordinate clause: German then inverts the main clause."""
    return Phrase(f"{sub.en}, {english_clause(clause)}", f"{sub.de}, {german_question(clause)}")


def infinitive(clause: Clause) -> Phrase:
    """Return the infinitive clause with "to" and zu."""
    return Phrase(english_infinitive(clause), german_infinitive(clause))


def sentence(phrase: Phrase, mark: str = ".") -> Phrase:
    """Return the phrase as a sentence: first letter capital, final mark attached."""
    return Phrase(phrase.en[0].upper() + phrase.en[1:] + mark, phrase.de[0].upper() + phrase.de[1:] + mark)
