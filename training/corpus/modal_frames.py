"""Frames of negation and of modal verbs."""

from __future__ import annotations

from dataclasses import replace

from training.corpus.clauses import Clause, english_clause, german_main, main, sentence
from training.corpus.draw import Draw
from training.corpus.lexicon import VERBS
from training.corpus.phrases import (
    Phrase,
)
from training.corpus.registry import frame

# "must" with the English of "have to", which is what its negation needs.
HAVE_TO = replace(VERBS["must"], english=VERBS["have"].english, particle="to")


@frame
def negation_of_verb(d: Draw) -> Phrase:
    """ "nicht" behind a definite object: Yesterday the boy did not see the film."""
    subject = d.subject()
    verb, thing = d.event(subject, adjective=0.8)
    thing = replace(thing, determiner="the") if thing.determiner == "a" else thing
    time = d.time("recent")
    return sentence(main(Clause(subject, verb, "past", direct=thing, time=time, negated=True), front_time=True))


@frame
def negation_of_separable(d: Draw) -> Phrase:
    """ "nicht" before the end of the bracket: The aunt has not locked the old door."""
    subject = d.subject()
    verb, thing = d.separable(subject, adjective=0.9)
    thing = replace(thing, determiner="the") if thing.determiner == "a" else thing
    tense = d.pick(("present", "past", "perfect"))
    return sentence(main(Clause(subject, verb, tense, direct=thing, negated=True)))


@frame
def negation_with_kein(d: Draw) -> Phrase:
    """ "kein" for an indefinite object: The student does not have a new computer."""
    thing = d.phrase("thing", "pet", determiners=("no",), adjective=0.9, plural=0.2)
    clause = Clause(d.subject(), d.verb("have"), d.pick(("present", "past")), direct=thing, english_negated=True)
    return sentence(main(clause))


@frame
def negation_of_food(d: Draw) -> Phrase:
    """ "kein" with mass nouns: Yesterday the guest did not drink any cold water."""
    verb = d.verb("eat", "drink", "buy")
    tags = {"verb:eat": ("piece", "cheese", "bread", "fish"), "verb:drink": ("drink",)}.get(
        verb.key, ("food", "drink")
    )
    thing = d.phrase(*tags, determiners=("no",), adjective=0.7, plural=1.0)
    kind, tense = d.pick(("future future", "recent past")).split()
    clause = Clause(d.subject(), verb, tense, direct=thing, time=d.time(kind), english_negated=True)
    return sentence(main(clause, front_time=True))


@frame
def modal_event(d: Draw) -> Phrase:
    """Infinitive at the end: The woman wants to visit her grandmother tomorrow."""
    subject = d.subject()
    modal = d.verb("can", "must", "want", "should")
    verb, thing = d.event(subject, adjective=0.7, avoid=("forget", "find"))
    return sentence(main(Clause(subject, verb, modal=modal, direct=thing, time=d.time("future"))))


@frame
def modal_separable(d: Draw) -> Phrase:
    """The infinitive of a separable verb: Tomorrow the uncle must pick up his son."""
    subject = d.subject()
    verb, thing = d.separable(subject, adjective=0.8)
    modal = d.verb("can", "must", "want", "should", "may")
    return sentence(main(Clause(subject, verb, modal=modal, direct=thing, time=d.time("future")), d.chance(0.5)))


@frame
def modal_past(d: Draw) -> Phrase:
    """A modal in the preterite: The doctor wanted to read the letter in the office."""
    subject = d.subject()
    verb, thing = d.habit(subject, adjective=0.6)
    modal = d.verb("can", "want")
    return sentence(main(Clause(subject, verb, "past", modal, direct=thing, place=d.habit_place(verb))))


@frame
def must_not(d: Draw) -> Phrase:
    """English "must not" is "nicht dürfen": Today the child must not turn on the radio."""
    subject = d.subject()
    verb, thing = d.separable(subject, adjective=0.8)
    thing = replace(thing, determiner="the") if thing.determiner == "a" else thing
    may = d.verb("may")
    time = d.adverb("today", "now", "tomorrow", "in the evening")
    clause = Clause(subject, verb, modal=may, direct=thing, negated=True)
    english = english_clause(replace(clause, modal=VERBS["must"]))
    return sentence(Phrase(f"{time.english} {english}", german_main(clause, time.german)))


@frame
def need_not(d: Draw) -> Phrase:
    """English "do not have to" is "nicht müssen": Tomorrow the baker does not have to sell the car."""
    subject = d.subject()
    verb, thing = d.event(subject, adjective=0.8, avoid=("forget", "find"))
    thing = replace(thing, determiner="the") if thing.determiner == "a" else thing
    time, must = d.time("future"), d.verb("must")
    clause = Clause(subject, verb, modal=must, direct=thing, negated=True)
    english = english_clause(replace(clause, modal=HAVE_TO))
    return sentence(Phrase(f"{time.en} {english}", german_main(clause, time.de)))
