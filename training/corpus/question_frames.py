"""Frames of questions, of address (which decides between du, ihr and Sie) and of requests."""

from __future__ import annotations

from dataclasses import dataclass, replace

from training.corpus.clauses import (
    Clause,
    english_clause,
    english_imperative,
    german_imperative,
    german_main,
    main,
    question,
    sentence,
)
from training.corpus.draw import FINDABLE, Draw
from training.corpus.phrases import NounPhrase, Phrase, Pronoun, governed, possessive_for, prepositional
from training.corpus.registry import frame


@dataclass(frozen=True)
class Address:
    """Who is spoken to: the vocative, the pronoun that follows from it, and the kind of imperative."""

    vocative: Phrase
    pronoun: Pronoun
    imperative: str


def address(d: Draw) -> Address:
    """Return an address: a first name asks for du, a plural for ihr, a stranger with a title for Sie."""
    kind = d.pick(("name", "name", "plural", "formal"))
    if kind == "name":
        name = d.name()
        return Address(Phrase(name.text, name.text), Pronoun("you_familiar"), "familiar")
    if kind == "plural":
        noun = d.noun("child", "friend")
        mine = Phrase(noun.english_plural.capitalize(), noun.plural)
        if noun.key == "noun:friend":
            mine = Phrase(f"My {noun.english_plural}", f"Meine {noun.plural}")
        return Address(mine, Pronoun("you_plural"), "plural")
    title, german_title, gender = d.pick(("Mrs. Frau f", "Mr. Herr m")).split()
    name = d.surname(gender)
    return Address(Phrase(f"{title} {name.text}", f"{german_title} {name.text}"), Pronoun("you_formal"), "formal")


def addressed(who: Address, phrase: Phrase, mark: str) -> Phrase:
    """Return the sentence behind its vocative."""
    return sentence(Phrase(f"{who.vocative.en}, {phrase.en}", f"{who.vocative.de}, {phrase.de}"), mark)


@frame
def question_know(d: Draw) -> Phrase:
    """Verb first: Does the teacher know the new student from the village?"""
    target = replace(d.person(adjective=0.7), after=d.origin())
    return sentence(question(Clause(d.subject(), d.verb("know_person"), direct=target)), "?")


@frame
def question_perfect(d: Draw) -> Phrase:
    """Perfect question: Has the baker already sold the beautiful vase?"""
    subject = d.subject()
    verb, thing = d.event(subject, adjective=0.9, avoid=("look_for",))
    thing = replace(thing, determiner="the") if thing.determiner == "a" else thing
    return sentence(question(Clause(subject, verb, "perfect", direct=thing, frequency=d.adverb("already"))), "?")


@frame
def question_past(d: Draw) -> Phrase:
    """do-support in the past: Did the guests drink hot tea in the garden yesterday?"""
    subject = d.subject()
    verb, thing = d.habit(subject, adjective=0.6)
    return sentence(question(Clause(subject, verb, "past", direct=thing, time=d.time("recent"))), "?")


@frame
def question_separable(d: Draw) -> Phrase:
    """Prefix at the end of a question: Does the girl turn on the radio every morning?"""
    subject = d.subject()
    verb, thing = d.separable(subject, adjective=0.7)
    tense, kind = d.pick(("past recent", "present habit")).split()
    return sentence(question(Clause(subject, verb, tense, direct=thing, time=d.time(kind))), "?")


@frame
def question_where(d: Draw) -> Phrase:
    """Where did the tourist buy the expensive picture last week?"""
    subject = d.subject()
    verb = d.verb("buy", "find", "see", "hear", "sell")
    tags = {"verb:see": ("animal", "film"), "verb:hear": ("song", "story"), "verb:find": FINDABLE}.get(
        verb.key, ("ware",)
    )
    thing = d.phrase(*tags, determiners=("the", "this"), adjective=0.9)
    tense, kind = d.pick(("past recent", "future future")).split()
    clause = Clause(subject, verb, tense, direct=thing, time=d.time(kind))
    return sentence(question(clause, Phrase("where", "wo")), "?")


@frame
def question_what(d: Draw) -> Phrase:
    """What does the grandmother cook for her friendly guests in the evening?"""
    subject = d.someone()
    verb = d.verb("cook", "buy", "write", "read", "eat", "drink")
    tense, kind = d.pick(("past recent", "future future")).split()
    clause = Clause(subject, verb, tense, time=d.time(kind))
    if verb.key in ("verb:cook", "verb:buy", "verb:write"):
        receiver = prepositional(d.preposition("for"), d.own(subject, "kin", adjective=0.5))
        clause = replace(clause, complements=(receiver,))
    else:
        clause = replace(clause, place=d.location())
    return sentence(question(clause, Phrase("what", "was")), "?")


@frame
def question_who(d: Draw) -> Phrase:
    """The question word as subject: Who invited the friendly neighbor last week?"""
    verb = d.verb("invite", "help", "thank", "see", "visit", "pick_up")
    clause = Clause(Pronoun("who"), verb, "past", direct=d.person(adjective=0.7), time=d.time("recent"))
    clause = replace(clause, place=d.location()) if verb.key in ("verb:help", "verb:see") else clause
    return sentence(Phrase(english_clause(clause), german_main(clause)), "?")


@frame
def question_whom(d: Draw) -> Phrase:
    """The question word as object, in the verb's case: Whom does the nice girl help in the garden?"""
    verb = d.verb("help", "see", "thank", "visit", "invite", "pick_up", "hear", "find")
    clause = Clause(d.person(adjective=0.5), verb, d.pick(("past", "past", "perfect")), place=d.location())
    if clause.tense == "past":
        clause = replace(clause, time=d.time("recent"))
    whom = Pronoun("who")
    return sentence(question(clause, Phrase(whom.english(), whom.german(verb.case))), "?")


@frame
def question_when_why(d: Draw) -> Phrase:
    """When will the uncle repair the old bicycle?"""
    subject = d.subject()
    verb, thing = (
        d.event(subject, adjective=0.8, avoid=("find", "forget"))
        if d.chance(0.5)
        else d.separable(subject, adjective=0.8)
    )
    word = Phrase(*d.pick(("when wann", "why warum")).split())
    tense = d.pick(("past", "future"))
    return sentence(question(Clause(subject, verb, tense, direct=thing), word), "?")


@frame
def question_which(d: Draw) -> Phrase:
    """A der-word that asks: Which book does the student want to read in the evening?"""
    verb = d.verb("read", "buy", "see", "look_for", "hear", "wear")
    tags = {
        "verb:read": ("readable",),
        "verb:buy": ("ware",),
        "verb:see": ("film", "museum", "church", "animal"),
        "verb:look_for": FINDABLE,
        "verb:hear": ("song", "story"),
        "verb:wear": ("clothes", "hat"),
    }[verb.key]
    thing = d.phrase(*tags, determiners=("which",), adjective=0.5, plural=0.2)
    want = d.verb("want", "should", "can")
    clause = Clause(d.subject(), verb, modal=want, time=d.time("future"))
    word = Phrase(thing.english(), thing.german("acc"))
    return sentence(question(clause, word), "?")


@frame
def question_why_put(d: Draw) -> Phrase:
    """Verbs of motion in questions: Why did the boy put the heavy book under the bed?"""
    verb = d.verb("put_stand", "put_lie")
    tag = "stand" if verb.key.endswith("stand") else "lie"
    thing = d.phrase(tag, determiners=("the",), adjective=0.7, plural=0.2)
    kind = d.pick(("on", "under", "next_to", "behind"))
    goal = d.phrase("surface" if kind == "on" else "furniture", determiners=("the",), adjective=0.2, plural=0)
    place = prepositional(d.preposition(kind), goal, "acc")
    clause = Clause(d.subject(), verb, d.pick(("past", "perfect")), direct=thing, complements=(place,))
    return sentence(question(clause, Phrase("why", "warum")), "?")


@frame
def address_can_you(d: Draw) -> Phrase:
    """The vocative decides on du, ihr or Sie: Anna, can you open the old window today?"""
    who = address(d)
    verb, thing = d.separable(who.pronoun, adjective=0.7)
    clause = Clause(who.pronoun, verb, modal=d.verb("can", "want", "must"), direct=thing, time=d.time("future"))
    return addressed(who, question(clause), "?")


@frame
def address_have_you(d: Draw) -> Phrase:
    """Possessives of the second person: Children, have you already found your warm jackets?"""
    who = address(d)
    verb = d.verb("find", "sell", "repair", "clean")
    tags = {
        "verb:find": FINDABLE,
        "verb:sell": ("ware",),
        "verb:repair": ("device", "vehicle"),
        "verb:clean": ("vehicle", "room", "window", "table"),
    }[verb.key]
    thing = replace(d.phrase(*tags, adjective=0.7, plural=0.2), determiner=possessive_for(who.pronoun))
    clause = Clause(who.pronoun, verb, "perfect", direct=thing, frequency=d.adverb("already"))
    return addressed(who, question(clause), "?")


@frame
def address_statement(d: Draw) -> Phrase:
    """A statement to someone: Paul, you must help your old grandmother in the garden."""
    who = address(d)
    kin = d.noun("elder", "aunt", "uncle", "brother", "sister")
    adjective = d.adjective(kin) if d.chance(0.4) else None
    target = NounPhrase(kin, possessive_for(who.pronoun), (adjective,) if adjective else ())
    verb = d.verb("help", "visit", "invite", "thank")
    clause = Clause(
        who.pronoun, verb, modal=d.verb("must", "should", "can", "may"), direct=target, time=d.time("future")
    )
    return addressed(who, main(clause), ".")


@frame
def address_request(d: Draw) -> Phrase:
    """Imperatives by address: Peter, please close the old door in the kitchen!"""
    who = address(d)
    verb = d.verb("open", "close", "turn_on", "turn_off", "lock")
    tag = {"verb:open": "open", "verb:close": "open", "verb:lock": "door"}.get(verb.key, "switch")
    thing = d.phrase(tag, determiners=("the",), adjective=0.6, plural=0.1)
    room = d.inside("indoors", adjective=0.3)
    clause = Clause(who.pronoun, verb, direct=thing, place=room)
    return addressed(
        who, Phrase(f"please {english_imperative(clause)}", german_imperative(clause, who.imperative)), "!"
    )


@frame
def address_give_me(d: Draw) -> Phrase:
    """Imperatives with two objects: Maria, please show us the new pictures after the concert!"""
    who = address(d)
    verb = d.verb("give", "show", "bring", "send")
    tags = ("picture", "letter", "ticket", "clothes") if verb.key != "verb:send" else ("letter", "book", "picture")
    thing = d.phrase(*tags, determiners=("the", "this"), adjective=0.8, plural=0.3)
    event = prepositional(
        d.preposition(d.pick(("before", "after"))), d.phrase("event", determiners=("the",), plural=0), "dat"
    )
    clause = Clause(who.pronoun, verb, direct=thing, indirect=Pronoun(d.pick(("I", "we", "he", "she"))), time=event)
    return addressed(
        who, Phrase(f"please {english_imperative(clause)}", german_imperative(clause, who.imperative)), "!"
    )


@frame
def address_prepositional_object(d: Draw) -> Phrase:
    """A verb with its preposition: Emma, do you look forward to the exciting trip?"""
    who = address(d)
    verb = d.verb("look_forward", "think", "dream", "wait")
    tags = ("public", "person") if verb.key == "verb:wait" else ("event",)
    thing = d.phrase(*tags, determiners=("the",), adjective=0.8)
    tense = "progressive" if verb.key == "verb:wait" else "present"
    clause = Clause(who.pronoun, verb, tense, complements=(governed(verb, thing),))
    if tense == "present" and d.chance(0.5):
        clause = replace(clause, frequency=d.adverb("often", "always", "sometimes"))
    return addressed(who, question(clause), "?")
