"""Frames of main clauses: objects, tenses, separable verbs, government, comparison, possession, pronouns."""

from __future__ import annotations

from dataclasses import replace

from training.corpus.clauses import Clause, english_clause, german_coordinate, german_main, main, sentence
from training.corpus.draw import FINDABLE, Draw
from training.corpus.lexicon import PREPOSITIONS
from training.corpus.phrases import (
    Named,
    NounPhrase,
    Pair,
    Phrase,
    Pronoun,
    adverbial,
    governed,
    possessive_for,
    prepositional,
    pronoun_for,
)
from training.corpus.registry import frame


@frame
def past_event(d: Draw) -> Phrase:
    """Preterite: The old man bought a red bicycle yesterday."""
    subject = d.subject()
    verb, thing = d.event(subject, adjective=0.8)
    return sentence(main(Clause(subject, verb, "past", direct=thing, time=d.time("recent"))))


@frame
def past_event_time_first(d: Draw) -> Phrase:
    """Time in front, subject behind the verb: Last week the woman sold an old lamp."""
    subject = d.subject()
    verb, thing = d.event(subject, adjective=0.7)
    return sentence(main(Clause(subject, verb, "past", direct=thing, time=d.time("recent")), front_time=True))


@frame
def habit_with_frequency(d: Draw) -> Phrase:
    """Present: The woman often drinks hot tea in the kitchen."""
    subject = d.subject()
    verb, thing = d.habit(subject, adjective=0.6)
    clause = Clause(subject, verb, direct=thing, frequency=d.frequency(), place=d.habit_place(verb))
    return sentence(main(clause))


@frame
def habit_time_first(d: Draw) -> Phrase:
    """Every morning the tall student reads a long letter."""
    subject = d.subject()
    verb, thing = d.habit(subject, adjective=0.8)
    return sentence(main(Clause(subject, verb, direct=thing, time=d.time("habit")), front_time=True))


@frame
def perfect_already(d: Draw) -> Phrase:
    """Perfect with a definite object before "schon": The boy has already read the long letter."""
    subject = d.subject()
    verb, thing = (
        d.event(subject, 0.9, avoid=("look_for", "forget")) if d.chance(0.5) else d.habit(subject, adjective=0.9)
    )
    if thing.determiner == "a":
        thing = replace(thing, determiner="the")
    return sentence(main(Clause(subject, verb, "perfect", direct=thing, frequency=d.adverb("already", "never"))))


@frame
def future_event(d: Draw) -> Phrase:
    """Future: The baker will sell the small house next week."""
    subject = d.subject()
    verb, thing = d.event(subject, adjective=0.7, avoid=("forget", "find", "look_for"))
    return sentence(main(Clause(subject, verb, "future", direct=thing, time=d.time("future"))))


@frame
def progressive(d: Draw) -> Phrase:
    """Progressive as present with "gerade": The student is reading a book in the garden."""
    subject = d.subject()
    verb, thing = d.habit(subject, adjective=0.6)
    return sentence(main(Clause(subject, verb, "progressive", direct=thing, place=d.habit_place(verb))))


@frame
def separable_present(d: Draw) -> Phrase:
    """Prefix at the end: The neighbor turns on the old radio every morning."""
    subject = d.subject()
    verb, thing = d.separable(subject, adjective=0.7)
    return sentence(main(Clause(subject, verb, direct=thing, time=d.time("habit"))))


@frame
def separable_past_time_first(d: Draw) -> Phrase:
    """Prefix at the end of an inverted preterite: Yesterday the aunt invited her old friend."""
    subject = d.subject()
    verb, thing = d.separable(subject, adjective=0.7)
    return sentence(main(Clause(subject, verb, "past", direct=thing, time=d.time("recent")), front_time=True))


@frame
def separable_perfect(d: Draw) -> Phrase:
    """Participle with ge- inside: The girl has already turned off the computer."""
    subject = d.subject()
    verb, thing = d.separable(subject, adjective=0.9)
    if thing.determiner == "a":
        thing = replace(thing, determiner="the")
    return sentence(main(Clause(subject, verb, "perfect", direct=thing, frequency=d.adverb("already"))))


@frame
def switch_in_room(d: Draw) -> Phrase:
    """A place before the object: The guest turned on the lamp in the small room."""
    verb = d.verb("turn_on", "turn_off")
    thing = d.phrase("switch", determiners=("the",), adjective=0.2, plural=0)
    room = d.inside("indoors", adjective=0.4)
    return sentence(main(Clause(d.subject(), verb, "past", direct=thing, place=room)))


@frame
def give_noun(d: Draw) -> Phrase:
    """Dative before accusative: The uncle gives the child a sweet apple."""
    subject, verb = d.subject(), d.verb("give", "show", "send", "bring")
    receiver = d.person(adjective=0.2)
    gifts = ("picture", "novel") if verb.key == "verb:show" else ("present", "readable", "clothes", "toy")
    tense, kind = d.pick(("past recent", "future future")).split()
    thing = d.phrase(*gifts, determiners=("a", "the"), adjective=0.6)
    return sentence(main(Clause(subject, verb, tense, direct=thing, indirect=receiver, time=d.time(kind))))


@frame
def give_pronoun(d: Draw) -> Phrase:
    """A pronoun as dative object: On Sunday the grandmother showed him the new picture."""
    subject, verb = d.person(plural=0.1), d.verb("give", "show", "send", "bring")
    gifts = ("picture", "novel", "letter", "ticket") if verb.key == "verb:show" else ("present", "readable", "clothes")
    receiver = d.pick(("I", "we", "he", "she", "they"))
    clause = Clause(
        subject, verb, "past", direct=d.phrase(*gifts, adjective=0.7), indirect=Pronoun(receiver),
        time=d.time("recent"),
    )  # fmt: skip
    return sentence(main(clause, front_time=d.chance(0.5)))


@frame
def explain_to(d: Draw) -> Phrase:
    """English "to" as a plain dative: The teacher explains the difficult question to the student."""
    subject = d.person(plural=0.1)
    thing = d.phrase("idea", determiners=("the", "a"), adjective=0.7, plural=0.2)
    clause = Clause(
        subject, d.verb("explain"), d.pick(("present", "past")), direct=thing, indirect=d.person(plural=0.3)
    )
    return sentence(main(clause))


@frame
def tell_story(d: Draw) -> Phrase:
    """Two objects: The grandfather told the children an exciting story in the evening."""
    subject = d.person(plural=0.1)
    thing = d.phrase("story", determiners=("a", "the"), adjective=0.9, plural=0.2)
    clause = Clause(
        subject, d.verb("tell"), "past", direct=thing, indirect=d.person(plural=0.4), time=d.time("recent")
    )
    return sentence(main(clause))


@frame
def help_dative(d: Draw) -> Phrase:
    """Verbs with the dative: The friendly girl often helps the old neighbor in the garden."""
    subject = d.person(adjective=0.4)
    verb = d.verb("help")
    return sentence(main(Clause(subject, verb, direct=d.person(), frequency=d.frequency(), place=d.location())))


@frame
def thank_for(d: Draw) -> Phrase:
    """A dative and a preposition with the accusative: The guest thanked the baker for the fresh cake."""
    subject = d.subject()
    thing = d.phrase("present", "piece", "readable", "clothes", determiners=("the",), adjective=0.7)
    reason = prepositional(d.preposition("for"), thing)
    return sentence(main(Clause(subject, d.verb("thank"), "past", direct=d.person(), complements=(reason,))))


@frame
def follow_dative(d: Draw) -> Phrase:
    """A dative verb with "sein": The small dog has followed the boy into the forest."""
    animal = d.phrase("animal", determiners=("the",), adjective=0.5, plural=0.2)
    place = d.into("outdoors", "house", adjective=0.5)
    tense = d.pick(("past", "perfect"))
    return sentence(main(Clause(animal, d.verb("follow"), tense, direct=d.person(), complements=(place,))))


@frame
def belong_to(d: Draw) -> Phrase:
    """A thing as subject of a dative verb: This red bicycle belongs to the young doctor."""
    thing = d.phrase("thing", "pet", determiners=("the", "this"), adjective=0.9)
    return sentence(main(Clause(thing, d.verb("belong"), d.pick(("present", "past")), direct=d.person(adjective=0.7))))


@frame
def like_a_work(d: Draw) -> Phrase:
    """ "like" of works and events, "gefallen": subject and object change places."""
    person = d.person(adjective=0.5)
    verb, tense = d.verb("like_please"), d.pick(("present", "past"))
    thing = d.phrase("art", "tale", "event", determiners=("the", "this"), adjective=0.8)
    english, german = Clause(person, verb, tense, direct=thing), Clause(thing, verb, tense, direct=person)
    return sentence(Phrase(english_clause(english), german_main(german)))


@frame
def like_food(d: Draw) -> Phrase:
    """ "like" of food and drink, "mögen", with strong endings: The guest likes cold milk and fresh bread."""
    subject = d.subject()
    first = d.phrase("drink", determiners=("",), adjective=0.9, plural=0)
    second = d.phrase("bread", "cheese", "fish", determiners=("",), adjective=0.9, plural=0)
    both = d.conjunction("and")
    clause = Clause(subject, d.verb("like_taste"), direct=Pair(first, both.english, both.german, second))
    return sentence(main(clause))


@frame
def drink_with_or_without(d: Draw) -> Phrase:
    """Strong endings by case: Every morning Anna drinks hot coffee with cold milk."""
    subject = d.subject()
    drink = d.phrase("coffee", "tea", determiners=("",), adjective=0.6)
    addition = d.phrase("milk", determiners=("",), adjective=0.7)
    where = prepositional(d.preposition(d.pick(("with", "without"))), addition)
    clause = Clause(subject, d.verb("drink"), direct=replace(drink, after=where), time=d.time("habit"))
    return sentence(main(clause, front_time=d.chance(0.5)))


@frame
def market_goods(d: Draw) -> Phrase:
    """Strong plurals and mass nouns: The farmer sells fresh eggs and sweet juice at the market."""
    verb = d.verb("buy", "sell")
    first = d.phrase("fruit", "egg", "cake", determiners=("",), adjective=0.8, plural=1.0, avoid=("juice",))
    second = d.phrase("bread", "cheese", "fish", "milk", "juice", determiners=("",), adjective=0.8, plural=0)
    both = d.conjunction("and")
    place = prepositional(d.preposition("at_market"), NounPhrase(d.noun("market")), "dat")
    goods = Pair(first, both.english, both.german, second)
    return sentence(main(Clause(d.subject(), verb, d.pick(("present", "past")), direct=goods, place=place)))


@frame
def wait_for(d: Draw) -> Phrase:
    """Prepositional object: The tourists are waiting for the bus in front of the station."""
    if d.chance(0.6):
        thing = d.phrase("public", determiners=("the",), adjective=0)
        near, building = d.preposition(d.pick(("in_front_of", "behind", "next_to"))), d.phrase("building", plural=0)
        place = prepositional(near, replace(building, determiner="the"), "dat")
    else:
        thing, place = d.person(), d.location()
    verb = d.verb("wait")
    tense = d.pick(("progressive", "past"))
    return sentence(main(Clause(d.subject(), verb, tense, place=place, complements=(governed(verb, thing),))))


@frame
def think_of(d: Draw) -> Phrase:
    """Verb with its own preposition and case: The grandfather often thinks of his old car."""
    subject, verb = d.someone(), d.verb("think", "dream")
    tags = ("kin", "vehicle", "pet") if verb.key == "verb:think" else ("trip", "vehicle", "pet", "house")
    target = governed(verb, d.own(subject, *tags, adjective=0.6))
    clause = Clause(subject, verb, d.pick(("present", "past")), frequency=d.frequency(), complements=(target,))
    return sentence(main(clause))


@frame
def talk_about(d: Draw) -> Phrase:
    """Two prepositional objects: The teacher talked to her colleague about the new plan."""
    subject, verb = d.someone(), d.verb("talk")
    partner = d.own(subject, "kin") if d.chance(0.5) else d.person(plural=0.3)
    topic = governed(verb, d.phrase("idea", "event", "weather", "tale", determiners=("the",), adjective=0.5))
    # With "sprechen" English "to" is German "mit".
    hearer = Phrase(f"to {partner.english()}", f"mit {partner.german('dat')}")
    d.used(PREPOSITIONS["with"])
    tense, kind = d.pick(("past recent", "future future")).split()
    return sentence(main(Clause(subject, verb, tense, time=d.time(kind), complements=(hearer, topic)), d.chance(0.5)))


@frame
def look_forward(d: Draw) -> Phrase:
    """A reflexive verb: The children look forward to the exciting film."""
    subject, verb = d.subject(), d.verb("look_forward")
    target = governed(verb, d.phrase("event", determiners=("the", "this"), adjective=0.8))
    return sentence(
        main(Clause(subject, verb, d.pick(("present", "past")), frequency=d.frequency(), complements=(target,)))
    )


@frame
def adjective_predicate(d: Draw) -> Phrase:
    """A predicate adjective, which has no ending: The new teacher was very tired yesterday."""
    subject = d.phrase("person", "pet", determiners=("the",), adjective=0.7, plural=0.3)
    clause = Clause(
        subject, d.verb("be"), "past", time=adverbial(d.adverb("today", "yesterday", "in the evening", "on Monday")),
        complements=(d.named_adjective("tired", "sick", "happy", very=d.chance(0.6)),),
    )  # fmt: skip
    return sentence(main(clause))


@frame
def two_adjectives(d: Draw) -> Phrase:
    """Two predicates: The garden is small but very beautiful."""
    tags = ("building", "town", "outdoors", "thing", "art")
    subject = d.phrase(*tags, determiners=("the", "this"), adjective=0, plural=0.2)
    first, but = d.predicate(subject), d.conjunction("but")
    second = d.predicate(subject, very=1.0)
    both = Phrase(f"{first.en} {but.english} {second.en}", f"{first.de}, {but.german} {second.de}")
    return sentence(main(Clause(subject, d.verb("be"), d.pick(("present", "past")), complements=(both,))))


@frame
def comparative(d: Draw) -> Phrase:
    """Comparative with "als": The new church is more beautiful than the museum."""
    tag = d.pick(("person", "animal", "ware", "building", "event", "town", "tale"))
    first = d.phrase(tag, determiners=("the",), adjective=0.6, plural=0.2)
    second = d.phrase(tag, determiners=("the",), adjective=0.6, plural=0.1)
    adjective = d.common_adjective(first.noun, second.noun)
    degree = Phrase(
        f"{adjective.english[1]} than {second.english()}", f"{adjective.german[1]} als {second.german('nom')}"
    )
    return sentence(main(Clause(first, d.verb("be"), d.pick(("present", "past")), complements=(degree,))))


@frame
def not_as_as(d: Draw) -> Phrase:
    """Equality denied: The short film is not as good as the concert."""
    tag = d.pick(("person", "animal", "ware", "building", "event", "town", "tale"))
    first = d.phrase(tag, determiners=("the",), adjective=0.5, plural=0.2)
    second = d.phrase(tag, determiners=("the",), adjective=0.5, plural=0.1)
    adjective = d.common_adjective(first.noun, second.noun)
    degree = Phrase(
        f"as {adjective.english[0]} as {second.english()}", f"so {adjective.german[0]} wie {second.german('nom')}"
    )
    return sentence(main(Clause(first, d.verb("be"), complements=(degree,), negated=True)))


@frame
def superlative(d: Draw) -> Phrase:
    """Superlative with an ending: The baker has the oldest house in the small village."""
    noun = d.noun("house", "garden", "hotel", "office", "dog", "cat", "horse", "bicycle", "car", "television")
    adjective = d.common_adjective(noun, noun)
    town = prepositional(
        d.preposition("in"), d.phrase("town", determiners=("the", "this"), adjective=0.6, plural=0), "dat"
    )
    thing = NounPhrase(noun, "the", (adjective,), degree=2, after=town)
    return sentence(main(Clause(d.subject(), d.verb("have"), d.pick(("present", "past")), direct=thing)))


@frame
def genitive_attribute(d: Draw) -> Phrase:
    """Genitive: The brother of the young doctor bought a house."""
    owner = d.person(adjective=0.6, plural=0.15)
    relative = NounPhrase(d.noun("kin"), "the")
    subject = replace(relative, after=Phrase(f"of {owner.english()}", owner.german("gen")))
    verb, thing = d.event(relative, adjective=0.5)
    return sentence(main(Clause(subject, verb, "past", direct=thing)))


@frame
def genitive_name(d: Draw) -> Phrase:
    """A name in the genitive: Anna's young brother repairs the old bicycle every day."""
    name, noun = d.name(), d.noun("kin")
    adjective = d.adjective(noun)
    core = NounPhrase(noun, "", (adjective,) if adjective else ())
    subject = Named(name, core)
    verb, thing = d.habit(core, adjective=0.6)
    return sentence(main(Clause(subject, verb, direct=thing, time=d.time("habit"))))


@frame
def pronoun_object(d: Draw) -> Phrase:
    """ "it" agrees with its antecedent: The woman bought a red coat and wears it every day."""
    subject = d.subject()
    thing = d.phrase("clothes", "hat", determiners=("a", "the"), adjective=0.8, plural=float(subject.plural))
    both = d.conjunction("and")
    first = Clause(subject, d.verb("buy", "find"), "past", direct=thing)
    second = Clause(subject, d.verb("wear"), direct=pronoun_for(thing), time=d.time("habit"))
    head = main(first)
    return sentence(
        Phrase(
            f"{head.en} {both.english} {english_clause(second, subject=False)}",
            f"{head.de} {both.german} {german_coordinate(second)}",
        )
    )


@frame
def but_no_other(d: Draw) -> Phrase:
    """A pronoun subject in a second clause: The man has a dog, but he does not have a cat."""
    subject, but = d.someone(), d.conjunction("but")
    first = d.phrase("thing", "pet", determiners=("a",), adjective=0.5)
    second = d.phrase("thing", "pet", determiners=("no",), adjective=0.3)
    have = d.verb("have")
    left = main(Clause(subject, have, direct=first))
    right = main(Clause(pronoun_for(subject), have, direct=second, english_negated=True))
    return sentence(Phrase(f"{left.en}, {but.english} {right.en}", f"{left.de}, {but.german} {right.de}"))


@frame
def own_things(d: Draw) -> Phrase:
    """Possessives agree with the owner and the thing: The woman looked for her key in the office."""
    subject, verb = d.someone(), d.verb("look_for", "find", "forget")
    thing = d.own(subject, "load", "key", "ticket", "letter", "hat", adjective=0.6, plural=0.2)
    return sentence(main(Clause(subject, verb, d.pick(("past", "perfect")), direct=thing, place=d.location())))


@frame
def own_things_first_person(d: Draw) -> Phrase:
    """First persons with their possessives: Yesterday we sold our old car."""
    subject = Pronoun(d.pick(("I", "we")))
    verb = d.verb("sell", "repair", "find", "look_for")
    tags = {"verb:repair": ("device", "vehicle"), "verb:sell": ("ware",)}.get(verb.key, FINDABLE)
    tense, kind = d.pick(("past recent", "future future")).split()
    thing = replace(d.phrase(*tags, adjective=0.8, plural=0.2), determiner=possessive_for(subject))
    return sentence(main(Clause(subject, verb, tense, direct=thing, time=d.time(kind)), front_time=d.chance(0.7)))


@frame
def buy_for(d: Draw) -> Phrase:
    """ "für" with the accusative: The uncle bought a beautiful gift for his daughter."""
    subject, verb = d.someone(), d.verb("buy", "write", "find")
    tags = {"verb:write": ("song", "letter", "story")}.get(verb.key, ("thing",))
    receiver = prepositional(d.preposition("for"), d.own(subject, "kin", adjective=0.4))
    thing = d.phrase(*tags, determiners=("a",), adjective=0.8)
    return sentence(main(Clause(subject, verb, d.pick(("past", "perfect")), direct=thing, complements=(receiver,))))


@frame
def know_a_person(d: Draw) -> Phrase:
    """ "know" of people and places is "kennen": Max knows the friendly neighbor from the village."""
    subject, verb = d.subject(), d.verb("know_person")
    if d.chance(0.6):
        target = replace(d.person(adjective=0.8), after=d.origin())
    else:
        target = d.phrase("town", "told", adjective=0.9, determiners=("the", "this"))
    return sentence(main(Clause(subject, verb, d.pick(("present", "past")), direct=target)))


@frame
def sing_song(d: Draw) -> Phrase:
    """A place before an indefinite object: The children sang a beautiful song in the church."""
    subject, verb = d.subject(), d.verb("sing", "hear")
    song = d.phrase("song", adjective=0.9, plural=0.3)
    return sentence(
        main(Clause(subject, verb, d.pick(("past", "perfect", "future")), direct=song, place=d.location()))
    )
