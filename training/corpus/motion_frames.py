"""Frames of place, direction and time: two-way prepositions, verbs of position and motion, genitive prepositions."""

from __future__ import annotations

from dataclasses import replace

from training.corpus.clauses import Clause, english_clause, german_coordinate, main, sentence
from training.corpus.draw import Draw
from training.corpus.lexicon import Verb
from training.corpus.phrases import NounPhrase, Phrase, adverbial, prepositional, pronoun_for
from training.corpus.registry import frame

_SPOTS = ("on", "under", "behind", "next_to", "in_front_of")


def spot(d: Draw, case: str, kinds: tuple[str, ...] = _SPOTS, adjective: float = 0.5) -> Phrase:
    """Return a place at a piece of furniture: motion asks for the accusative, rest for the dative."""
    kind = d.pick(kinds)
    tags = {"on": ("surface",), "under": ("furniture",)}.get(kind, ("furniture", "door"))
    return prepositional(
        d.preposition(kind), d.phrase(*tags, determiners=("the",), adjective=adjective, plural=0), case
    )


def put(d: Draw) -> tuple[Verb, NounPhrase]:
    """Return "put" with an object: what stands is gestellt, what lies is gelegt."""
    verb = d.verb("put_stand", "put_lie")
    tag = "stand" if verb.key.endswith("stand") else "lie"
    return verb, d.phrase(tag, determiners=("the", "the", "a"), adjective=0.6, plural=0.2)


@frame
def put_somewhere(d: Draw) -> Phrase:
    """Motion with the accusative: The aunt put the green bottle on the table yesterday."""
    verb, thing = put(d)
    clause = Clause(d.subject(), verb, "past", direct=thing, complements=(spot(d, "acc"),), time=d.time("recent"))
    return sentence(main(clause, front_time=d.chance(0.5)))


@frame
def put_modal(d: Draw) -> Phrase:
    """Motion under a modal: The student should put the heavy book under the chair."""
    verb, thing = put(d)
    modal = d.verb("should", "must", "want", "can")
    return sentence(main(Clause(d.subject(), verb, modal=modal, direct=thing, complements=(spot(d, "acc"),))))


@frame
def put_perfect(d: Draw) -> Phrase:
    """Motion in the perfect: I have already put the newspaper on the old sofa."""
    verb, thing = put(d)
    thing = replace(thing, determiner="the")
    return sentence(
        main(
            Clause(
                d.subject(),
                verb,
                "perfect",
                direct=thing,
                frequency=d.adverb("already"),
                complements=(spot(d, "acc"),),
            )
        )
    )


@frame
def thing_is_somewhere(d: Draw) -> Phrase:
    """Rest with the dative, "be" by posture: The green bottle is on the small table in the kitchen."""
    verb = d.verb("be_stand", "be_lie")
    tag = "stand" if verb.key.endswith("stand") else "lie"
    thing = d.phrase(tag, determiners=("the",), adjective=0.7, plural=0.3)
    room = d.inside("indoors", adjective=0.3)
    here = spot(d, "dat")
    return sentence(
        main(
            Clause(
                thing,
                verb,
                d.pick(("present", "past")),
                complements=(Phrase(f"{here.en} {room.en}", f"{room.de} {here.de}"),),
            )
        )
    )


@frame
def put_and_now_there(d: Draw) -> Phrase:
    """Motion and rest in one sentence: Paul put the key on the table, but now it is under the chair."""
    subject = d.someone()
    verb, thing = put(d)
    rest = d.verb("be_stand") if verb.key.endswith("stand") else d.verb("be_lie")
    clause = Clause(subject, verb, "past", direct=thing, complements=(spot(d, "acc", adjective=0.0),))
    now, but = adverbial(d.adverb("now", "today")), d.conjunction("but")
    there = Clause(pronoun_for(thing), rest, complements=(spot(d, "dat", adjective=0.0),))
    left, right = main(clause), main(replace(there, time=now), front_time=True)
    return sentence(Phrase(f"{left.en}, {but.english} {right.en}", f"{left.de}, {but.german} {right.de}"))


@frame
def animal_rests(d: Draw) -> Phrase:
    """Rest with the dative: The black cat often sleeps under the table in the kitchen."""
    animal = d.phrase("pet", determiners=("the", "a"), adjective=0.8, plural=0.2)
    verb = d.verb("sleep", "sit")
    room = d.inside("indoors", "house", adjective=0.4)
    here = spot(d, "dat", adjective=0.2)
    where = Phrase(f"{here.en} {room.en}", f"{room.de} {here.de}")
    return sentence(
        main(Clause(animal, verb, d.pick(("present", "past")), frequency=d.frequency(), complements=(where,)))
    )


@frame
def animal_runs(d: Draw) -> Phrase:
    """Motion with the accusative: Yesterday the small dog ran under the old bed."""
    animal = d.phrase("pet", determiners=("the", "a"), adjective=0.8, plural=0.2)
    if d.chance(0.5):
        place = d.into("enter", adjective=0.4)
    else:
        place = spot(d, "acc", ("under", "behind"))
    clause = Clause(animal, d.verb("run"), "past", complements=(place,), time=d.time("recent"))
    return sentence(main(clause, front_time=d.chance(0.5)))


@frame
def run_through(d: Draw) -> Phrase:
    """ "durch" with the accusative: Every morning the young woman runs through the quiet forest."""
    place = prepositional(
        d.preposition("through"), d.phrase("outdoors", "town", adjective=0.8, plural=0, determiners=("the",))
    )
    clause = Clause(d.subject(), d.verb("run", "go_foot"), complements=(place,), time=d.time("habit"))
    return sentence(main(clause, front_time=d.chance(0.6)))


@frame
def go_into(d: Draw) -> Phrase:
    """ "into" with the accusative: In the evening the guests went into the beautiful garden."""
    place = d.into("enter", adjective=0.8)
    tense, kind = d.pick(("past recent", "present habit")).split()
    clause = Clause(d.subject(), d.verb("go_foot", "run"), tense, complements=(place,), time=d.time(kind))
    return sentence(main(clause, front_time=True))


@frame
def go_by(d: Draw) -> Phrase:
    """ "go" with a vehicle is "fahren": The teacher goes to the museum by bus every day."""
    goal = d.goal()
    vehicle = d.noun("bus", "train", "car", "bicycle")
    by = d.preposition("by")
    means = Phrase(f"{by.english} {vehicle.english}", f"{by.german} dem {vehicle.german}")
    tense, kind = d.pick(("past recent", "future future", "present habit", "present habit")).split()
    way = Phrase(f"{goal.en} {means.en}", f"{means.de} {goal.de}")
    return sentence(
        main(Clause(d.subject(), d.verb("go_ride"), tense, complements=(way,), time=d.time(kind)), d.chance(0.5))
    )


@frame
def go_not(d: Draw) -> Phrase:
    """ "nicht" before a direction: Tomorrow the children will not go to the old school."""
    goal = d.goal(0.7)
    tense, kind = d.pick(("past recent", "future future")).split()
    clause = Clause(d.subject(), d.verb("go_foot"), tense, complements=(goal,), time=d.time(kind), negated=True)
    return sentence(main(clause, front_time=True))


@frame
def go_to_with(d: Draw) -> Phrase:
    """ "mit" and "zu" with the dative: Maria went to the market with her grandmother."""
    subject = d.someone()
    goal = d.goal()
    company = prepositional(d.preposition("with"), d.own(subject, "kin", "pet", adjective=0.4))
    way = Phrase(f"{goal.en} {company.en}", f"{company.de} {goal.de}")
    tense = d.pick(("past", "perfect"))
    return sentence(main(Clause(subject, d.verb("go_foot"), tense, complements=(way,))))


@frame
def live_somewhere(d: Draw) -> Phrase:
    """Two places: The uncle lives in a small house next to the old church."""
    verb = d.verb("live")
    home = prepositional(
        d.preposition("in"), d.phrase("house", "hotel", "room", determiners=("a",), adjective=0.8, plural=0), "dat"
    )
    near = d.phrase("building", "lake", determiners=("the",), adjective=0.4, plural=0)
    beside = prepositional(d.preposition(d.pick(("next_to", "behind"))), near, "dat")
    clause = Clause(d.subject(), verb, d.pick(("present", "past")), complements=(home, beside))
    return sentence(main(clause))


@frame
def work_somewhere(d: Draw) -> Phrase:
    """Place of work: The young doctor works in a big hospital every day."""
    place = prepositional(
        d.preposition("in"), d.phrase("work", determiners=("a", "the"), adjective=0.8, plural=0), "dat"
    )
    tense, kind = d.pick(("past past", "future future", "present habit")).split()
    clause = Clause(d.subject(), d.verb("work"), tense, complements=(place,), time=d.time(kind))
    return sentence(main(clause, front_time=d.chance(0.4)))


@frame
def bank_of_river(d: Draw) -> Phrase:
    """The "bank" of a river is "Ufer": In the evening the boys sat on the bank of the long river."""
    shore, verb = d.noun("shore"), d.verb("sit", "sing", "play")
    river = d.phrase("river", determiners=("the",), adjective=0.8, plural=0)
    bank = NounPhrase(shore, after=Phrase(f"of {river.english()}", river.german("gen")))
    place = prepositional(d.preposition("on_edge"), bank, "dat")
    tense, kind = d.pick(("past recent", "present habit")).split()
    return sentence(main(Clause(d.subject(), verb, tense, complements=(place,), time=d.time(kind)), d.chance(0.5)))


@frame
def swim_somewhere(d: Draw) -> Phrase:
    """ "sein" in the perfect of motion: The tourists have often swum in this lake."""
    place = prepositional(
        d.preposition("in"), d.phrase("waters", determiners=("the", "this"), adjective=0.6, plural=0), "dat"
    )
    tense = d.pick(("perfect", "past", "present"))
    clause = Clause(d.subject(), d.verb("swim"), tense, frequency=d.frequency(), complements=(place,))
    return sentence(main(clause))


@frame
def before_after_event(d: Draw) -> Phrase:
    """ "before" and "after" a noun are "vor" and "nach": After the long film the guests drank coffee."""
    event = d.phrase("event", determiners=("the",), adjective=0.7, plural=0)
    when = prepositional(d.preposition(d.pick(("before", "after"))), event, "dat")
    subject = d.subject()
    verb, thing = d.habit(subject, adjective=0.5)
    return sentence(main(Clause(subject, verb, "past", direct=thing, time=when), front_time=True))


@frame
def during_event(d: Draw) -> Phrase:
    """ "während" with the genitive: During the long concert the child fell asleep in the church."""
    event = d.phrase("film", "concert", determiners=("the", "this"), adjective=0.9, plural=0)
    when = prepositional(d.preposition("during"), event)
    subject = d.person(adjective=0.7)
    verb = d.verb("fall_asleep", "sleep")
    hall = d.phrase(
        "park", "church", "hotel", "school", "museum", "room", determiners=("the",), adjective=0.4, plural=0
    )
    place = prepositional(d.preposition("in"), hall, "dat")
    return sentence(main(Clause(subject, verb, "past", time=when, place=place), front_time=True))


@frame
def because_of_weather(d: Draw) -> Phrase:
    """ "wegen" and "trotz" with the genitive: Because of the bad weather the children play in the hotel."""
    weather = d.phrase("weather", determiners=("the", "this"), adjective=1.0)
    reason = d.pick(("because_of", "despite"))
    why = prepositional(d.preposition(reason), weather)
    # Good weather is a reason to be outdoors, bad weather is one to stay inside.
    good = any(adjective.english[0] in ("good", "beautiful") for adjective in weather.adjectives)
    tags = ("outdoors", "town") if good == (reason == "because_of") else ("indoors", "building")
    hall = d.phrase(*tags, determiners=("the",), adjective=0.4, plural=0, avoid=("station",))
    place = prepositional(d.preposition("in"), hall, "dat")
    verb = d.verb("play", "work", "sing", "sit")
    clause = Clause(d.subject(), verb, d.pick(("present", "past")), time=why, place=place)
    return sentence(main(clause, front_time=True))


@frame
def arrive_at(d: Draw) -> Phrase:
    """A separable verb of motion: On Monday the tourists arrived late at the small station."""
    hour = adverbial(d.adverb("late", "early"))
    station = d.phrase("station", determiners=("the",), adjective=0.8, plural=0)
    place = prepositional(d.preposition("at_edge"), station, "dat")
    subject = d.phrase("public", determiners=("the",)) if d.chance(0.3) else d.subject()
    tense, kind = d.pick(("past recent", "future future")).split()
    how = Phrase(f"{hour.en} {place.en}", f"{hour.de} {place.de}")
    way = Clause(subject, d.verb("arrive"), tense, complements=(how,), time=d.time(kind))
    return sentence(main(way, front_time=True))


@frame
def return_from(d: Draw) -> Phrase:
    """ "aus" with the dative: The neighbor will return from the hospital next week."""
    place = d.phrase(
        "building",
        "town",
        "outdoors",
        "office",
        determiners=("the",),
        adjective=0.6,
        plural=0,
        avoid=("station", "church"),
    )
    start = prepositional(d.preposition("from"), place)
    tense, kind = d.pick(("past recent", "future future")).split()
    clause = Clause(d.subject(), d.verb("return"), tense, complements=(start,), time=d.time(kind))
    return sentence(main(clause, front_time=d.chance(0.5)))


@frame
def get_up_and(d: Draw) -> Phrase:
    """Two verbs, one subject: Every morning the farmer gets up early and drinks hot coffee."""
    subject, hour = d.subject(), adverbial(d.adverb("late", "early"))
    time, both = adverbial(d.adverb("every day", "every morning")), d.conjunction("and")
    first = Clause(subject, d.verb("get_up"), complements=(hour,), time=time)
    verb, thing = d.habit(subject, adjective=0.6)
    second = Clause(subject, verb, direct=thing)
    left = main(first, front_time=True)
    right = Phrase(english_clause(second, subject=False), german_coordinate(second))
    return sentence(Phrase(f"{left.en} {both.english} {right.en}", f"{left.de} {both.german} {right.de}"))


@frame
def bring_along(d: Draw) -> Phrase:
    """A receiver with "zu": On Sunday the son brought the heavy suitcase to the station."""
    subject = d.someone()
    thing = d.own(subject, "load", adjective=0.6)
    goal = d.goal()
    tense, kind = d.pick(("past recent", "future future")).split()
    clause = Clause(subject, d.verb("bring", "carry"), tense, direct=thing, complements=(goal,), time=d.time(kind))
    return sentence(main(clause, front_time=d.chance(0.5)))
