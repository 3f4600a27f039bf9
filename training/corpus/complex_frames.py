"""Frames with subordinate clauses: conjunctions, relative clauses, indirect questions and infinitives with zu."""

from __future__ import annotations

from dataclasses import replace

from training.corpus import german
from training.corpus.clauses import (
    Clause,
    english_clause,
    fronted,
    german_last,
    infinitive,
    main,
    sentence,
    subordinate,
)
from training.corpus.draw import FINDABLE, Draw
from training.corpus.lexicon import Verb
from training.corpus.phrases import (
    Nominal,
    NounPhrase,
    Phrase,
    Pronoun,
    adverbial,
    governed,
    possessive_for,
    prepositional,
    pronoun_for,
)
from training.corpus.registry import frame

RAIN_SUBJECT = Pronoun("it")


def after_comma(left: Phrase, right: Phrase) -> Phrase:
    """Return main and subordinate clause: German always puts a comma between them, English does not here."""
    return Phrase(f"{left.en} {right.en}", f"{left.de}, {right.de}")


def weather_verb(d: Draw) -> Verb:
    """Return a verb of the weather, whose subject is "it"."""
    return d.verb("rain", "snow")


def definite(thing: NounPhrase) -> NounPhrase:
    """Return the noun phrase with a definite article in place of an indefinite one."""
    return replace(thing, determiner="the") if thing.determiner == "a" else thing


@frame
def because_event(d: Draw) -> Phrase:
    """ "weil" with the verb last: The boy was happy because he had found the red ball."""
    subject, because = d.someone(), d.conjunction("because")
    mood = d.pick(("happy", "tired"))
    left = main(Clause(subject, d.verb("be"), "past", complements=(d.named_adjective(mood),)))
    avoid = (
        ("forget", "look_for", "open", "close")
        if mood == "happy"
        else ("forget", "buy", "sell", "find", "see", "visit", "open", "close")
    )
    verb, thing = d.event(subject, adjective=0.7, avoid=avoid)
    clause = Clause(pronoun_for(subject), verb, "pluperfect", direct=thing)
    return sentence(after_comma(left, subordinate(because.english, because.german, clause)))


@frame
def because_separable(d: Draw) -> Phrase:
    """A separable verb joined at the end: The aunt was happy because the boy tidied up the kitchen."""
    because, subject = d.conjunction("because"), d.subject()
    verb, thing = d.separable(subject, adjective=0.5)
    reason = subordinate(because.english, because.german, Clause(subject, verb, "past", direct=thing))
    other = d.person(adjective=0.4)
    left = main(Clause(other, d.verb("be"), "past", complements=(d.named_adjective("happy", "tired"),)))
    return sentence(after_comma(left, reason))


@frame
def because_it_is(d: Draw) -> Phrase:
    """ "it" as a subject with German gender: The girl reads the book because it is exciting."""
    subject, because = d.subject(), d.conjunction("because")
    verb = d.verb("buy", "read", "sell")
    tags = {"verb:read": ("readable",)}.get(verb.key, ("ware",))
    thing = d.phrase(*tags, determiners=("the", "this"), adjective=0.2, plural=0.15)
    quality = d.predicate(thing, very=0.5)
    reason = Clause(pronoun_for(thing), d.verb("be"), complements=(quality,))
    left = main(Clause(subject, verb, direct=thing))
    return sentence(after_comma(left, subordinate(because.english, because.german, reason)))


@frame
def because_modal(d: Draw) -> Phrase:
    """A modal last of all: The doctor gets up early because he must repair the car."""
    subject, because = d.someone(), d.conjunction("because")
    hour = adverbial(d.adverb("early", "late"))
    left = main(Clause(subject, d.verb("get_up"), "present", complements=(hour,)))
    verb, thing = d.event(subject, adjective=0.5, avoid=("forget", "find"))
    reason = Clause(pronoun_for(subject), verb, modal=d.verb("want", "must", "can", "should"), direct=thing)
    return sentence(after_comma(left, subordinate(because.english, because.german, reason)))


@frame
def know_that(d: Draw) -> Phrase:
    """ "know" of facts is "wissen": The farmer knows that the uncle has sold the old car."""
    that, verb = d.conjunction("that"), d.verb("know_fact", "believe", "say", "hope")
    subject = d.subject()
    other = d.person(adjective=0.3, plural=0.15)
    action, thing = d.event(other, adjective=0.7, avoid=("forget", "look_for"))
    clause = Clause(other, action, d.pick(("perfect", "past", "future")), direct=thing)
    return sentence(after_comma(main(Clause(subject, verb)), subordinate(that.english, that.german, clause)))


@frame
def say_that_separable(d: Draw) -> Phrase:
    """A separable verb at the end of a "dass" clause: Paul says that the aunt turned off the radio."""
    that, verb = d.conjunction("that"), d.verb("know_fact", "believe", "say", "hope")
    subject, other = d.subject(), d.person(adjective=0.3, plural=0.15)
    action, thing = d.separable(other, adjective=0.6)
    clause = Clause(other, action, d.pick(("past", "perfect")), direct=thing)
    return sentence(after_comma(main(Clause(subject, verb)), subordinate(that.english, that.german, clause)))


@frame
def know_whether(d: Draw) -> Phrase:
    """ "ob": The guests do not know whether she will buy the house tomorrow."""
    whether, verb = d.conjunction("whether"), d.verb("know_fact")
    other = d.subject()
    action, thing = d.event(other, adjective=0.7)
    tense, kind = d.pick(("past recent", "future future")).split()
    clause = Clause(other, action, tense, direct=thing, time=d.time(kind))
    left = main(Clause(d.person(adjective=0.2), verb, negated=True))
    return sentence(after_comma(left, subordinate(whether.english, whether.german, clause)))


@frame
def ask_whether(d: Draw) -> Phrase:
    """ "ask" for an answer is "fragen": The tourist asks the baker whether he can repair the old car."""
    whether, asker, asked = d.conjunction("whether"), d.subject(), d.person(neuter=False, plural=0)
    verb, thing = d.event(asked, adjective=0.6, avoid=("forget", "find"))
    clause = Clause(pronoun_for(asked), verb, modal=d.verb("can", "want"), direct=thing)
    left = main(Clause(asker, d.verb("ask_question"), direct=asked))
    return sentence(after_comma(left, subordinate(whether.english, whether.german, clause)))


@frame
def ask_to(d: Draw) -> Phrase:
    """ "ask" for a favor is "bitten": The grandmother asked the neighbor to lock the old door."""
    asker, asked = d.subject(), d.person(neuter=False, plural=0.1)
    verb, thing = d.separable(asked, adjective=0.7)
    favor = infinitive(Clause(asked, verb, direct=thing))
    tense = d.pick(("past", "present"))
    left = main(Clause(asker, d.verb("ask_favor"), tense, direct=asked))
    return sentence(after_comma(left, favor))


@frame
def try_to(d: Draw) -> Phrase:
    """ "zu" before a verb or inside it: In the evening the boy tried to repair the small radio."""
    subject = d.someone()
    verb, thing = d.event(subject, 0.7, avoid=("forget", "look_for")) if d.chance(0.5) else d.separable(subject, 0.8)
    left = main(Clause(subject, d.verb("try"), "past", time=d.time("recent")), front_time=True)
    return sentence(after_comma(left, infinitive(Clause(subject, verb, direct=thing))))


@frame
def in_order_to(d: Draw) -> Phrase:
    """ "um ... zu": Emma went to the city by bus to buy a warm coat."""
    subject = d.someone()
    if d.chance(0.7):
        town = d.phrase("town", determiners=("the",), adjective=0.3, plural=0)
        goal = prepositional(d.preposition("to_town"), town, "acc")
    else:
        goal = prepositional(d.preposition("to"), d.phrase("market", "hotel", determiners=("the",), plural=0))
    by = d.preposition("by")
    vehicle = d.noun("bus", "train", "car", "bicycle")
    way = Phrase(f"{goal.en} by {vehicle.english}", f"{by.german} dem {vehicle.german} {goal.de}")
    verb = d.verb("buy", "sell", "visit", "look_for")
    if verb.key == "verb:visit":
        thing = d.own(subject, "kin", adjective=0.5)
    else:
        thing = d.phrase("ware", adjective=0.7, determiners=("a",))
    left = main(Clause(subject, d.verb("go_ride"), d.pick(("past", "present")), complements=(way,)))
    purpose = infinitive(Clause(subject, verb, direct=thing))
    return sentence(after_comma(left, Phrase(purpose.en, f"um {purpose.de}")))


@frame
def in_order_to_separable(d: Draw) -> Phrase:
    """ "um" with zu inside the verb: The uncle went into the kitchen to turn off the light."""
    subject = d.someone()
    verb = d.verb("turn_on", "turn_off", "lock")
    tag = "switch" if verb.key.startswith("verb:turn") else "suitcase"
    thing = d.phrase(tag, determiners=("the",), adjective=0.6, plural=0)
    place = d.into("indoors", "house", adjective=0.3)
    left = main(Clause(subject, d.verb("go_foot", "run"), "past", complements=(place,)))
    purpose = infinitive(Clause(subject, verb, direct=thing))
    return sentence(after_comma(left, Phrase(purpose.en, f"um {purpose.de}")))


@frame
def if_weather(d: Draw) -> Phrase:
    """ "wenn" in front, inversion behind: If it rains tomorrow, the children will play in the house."""
    when = d.conjunction("if")
    condition = subordinate(when.english, when.german, Clause(RAIN_SUBJECT, weather_verb(d), time=d.time("future")))
    verb = d.verb("play", "work", "sing", "sleep")
    return sentence(
        fronted(condition, Clause(d.subject(), verb, "future", place=d.inside("indoors", "house", "school", "hotel")))
    )


@frame
def if_event(d: Draw) -> Phrase:
    """ "wenn" and a separable verb: If the guest turns off the radio, the aunt will read a book."""
    when = d.conjunction("if")
    subject, other = d.subject(), d.person(adjective=0.2)
    first, thing = d.separable(subject, adjective=0.3)
    condition = subordinate(when.english, when.german, Clause(subject, first, direct=thing))
    second, other_thing = d.event(other, adjective=0.3, avoid=("forget", "find"))
    return sentence(fronted(condition, Clause(other, second, "future", direct=other_thing)))


@frame
def when_past_event(d: Draw) -> Phrase:
    """ "when" of the past is "als": When the uncle arrived, Anna read a book in the park."""
    when = d.conjunction("when_past")
    subject = d.person(adjective=0.4)
    way = Clause(subject, d.verb("arrive", "return", "get_up", "fall_asleep"), "past")
    other = d.subject()
    verb, thing = d.habit(other, adjective=0.5)
    event = subordinate(when.english, when.german, way)
    return sentence(fronted(event, Clause(other, verb, "past", direct=thing, place=d.habit_place(verb))))


@frame
def before_clause(d: Draw) -> Phrase:
    """ "before" a clause is "bevor": Before Anna ate the soup, she turned off the radio."""
    before = d.conjunction("before")
    subject = d.someone()
    first, thing = d.habit(subject, adjective=0.5, avoid=("wear", "carry"))
    second, other = d.separable(subject, adjective=0.5)
    event = subordinate(before.english, before.german, Clause(subject, first, "past", direct=thing))
    return sentence(fronted(event, Clause(pronoun_for(subject), second, "past", direct=other)))


@frame
def after_clause(d: Draw) -> Phrase:
    """ "after" a clause is "nachdem", with the pluperfect: After she had eaten the soup, Maria read a book."""
    after = d.conjunction("after")
    subject = d.someone()
    first, thing = d.habit(subject, adjective=0.5, avoid=("wear", "carry"))
    second, other = d.habit(subject, adjective=0.4)
    event = subordinate(after.english, after.german, Clause(subject, first, "pluperfect", direct=thing))
    return sentence(fronted(event, Clause(pronoun_for(subject), second, "past", direct=other)))


@frame
def although_state(d: Draw) -> Phrase:
    """ "obwohl" in front: Although the teacher was very tired, he cooked hot soup."""
    although = d.conjunction("although")
    subject = d.someone()
    state = Clause(subject, d.verb("be"), "past", complements=(d.named_adjective("tired", "sick", very=True),))
    verb, thing = d.habit(subject, adjective=0.5)
    concession = subordinate(although.english, although.german, state)
    return sentence(fronted(concession, Clause(pronoun_for(subject), verb, "past", direct=thing)))


@frame
def although_behind(d: Draw) -> Phrase:
    """ "obwohl" behind: The boys swim in the lake although the weather is very cold."""
    although, verb = d.conjunction("although"), d.verb("swim", "play", "sing", "work")
    if verb.key == "verb:swim":
        place = d.inside("waters", adjective=0.4)
    else:
        place = d.inside("outdoors", adjective=0.5)
    weather = NounPhrase(d.noun("weather"))
    tense = d.pick(("present", "past"))
    state = Clause(weather, d.verb("be"), tense, complements=(d.named_adjective("bad", "cold", very=d.chance(0.6)),))
    left = main(Clause(d.subject(), verb, tense, complements=(place,)))
    return sentence(after_comma(left, subordinate(although.english, although.german, state)))


# --- relative clauses -----------------------------------------------------------------------------------------------


def related(antecedent: NounPhrase, english: str, pronoun: str, clause: Clause, subject: bool) -> NounPhrase:
    """Return the antecedent with its relative clause, between commas in German."""
    text = german_last(clause, subject=subject)
    return replace(antecedent, after=Phrase(english, f", {pronoun} {text},"))


def relative_word(antecedent: NounPhrase) -> str:
    """Return the English relative pronoun for people or things."""
    return "who" if "person" in antecedent.noun.tags else "that"


def finish(phrase: Phrase) -> Phrase:
    """Return the sentence with the commas of its relative clauses drawn to the words before them."""
    return sentence(Phrase(phrase.en, phrase.de.replace(" ,", ",").rstrip(",")))


@frame
def relative_subject(d: Draw) -> Phrase:
    """The pronoun as subject: The man who lives next to the church sold the old car."""
    antecedent = d.person(adjective=0.1, plural=0.25)
    near = prepositional(
        d.preposition("next_to"), d.phrase("building", determiners=("the",), adjective=0.2, plural=0), "dat"
    )
    clause = Clause(antecedent, d.verb("live", "work"), complements=(near,))
    pronoun = german.relative_pronoun("nom", antecedent.noun.gender, antecedent.plural)
    english = f"{relative_word(antecedent)} {english_clause(clause, subject=False)}"
    subject = related(antecedent, english, pronoun, clause, subject=False)
    verb, thing = d.event(antecedent, adjective=0.4)
    return finish(main(Clause(subject, verb, "past", direct=thing)))


@frame
def relative_object(d: Draw) -> Phrase:
    """The pronoun as object: The book that the student bought yesterday is interesting."""
    antecedent = d.phrase("clothes", "load", "book", "art", "device", determiners=("the",), adjective=0.2, plural=0.25)
    reader = d.subject()
    clause = Clause(reader, d.verb("buy", "sell", "find", "look_for"), "past", time=d.time("recent"))
    pronoun = german.relative_pronoun("acc", antecedent.noun.gender, antecedent.plural)
    subject = related(antecedent, f"that {english_clause(clause)}", pronoun, clause, subject=True)
    state = d.predicate(antecedent, very=0.7)
    return finish(main(Clause(subject, d.verb("be"), complements=(state,))))


@frame
def relative_dative(d: Draw) -> Phrase:
    """The pronoun in the dative: The woman whom the boy often helps is very friendly."""
    antecedent = d.person(adjective=0.1, plural=0.3)
    verb = d.verb("help", "thank")
    clause = Clause(d.person(adjective=0.3), verb, d.pick(("past", "present")), frequency=d.adverb("often", "always"))
    pronoun = german.relative_pronoun("dat", antecedent.noun.gender, antecedent.plural)
    subject = related(antecedent, f"whom {english_clause(clause)}", pronoun, clause, subject=True)
    return finish(
        main(
            Clause(
                subject, d.verb("be"), d.pick(("present", "past")), complements=(d.predicate(antecedent, very=0.7),)
            )
        )
    )


@frame
def relative_place(d: Draw) -> Phrase:
    """The pronoun behind a preposition: The house in which the aunt lives is very small."""
    antecedent = d.phrase("building", "town", determiners=("the",), adjective=0.2, plural=0, avoid=("station",))
    where, verb = d.preposition("in"), d.verb("live", "work", "play")
    clause = Clause(d.subject(), verb, d.pick(("present", "past")))
    pronoun = german.relative_pronoun("dat", antecedent.noun.gender)
    subject = related(
        antecedent, f"in which {english_clause(clause)}", f"{where.german} {pronoun}", clause, subject=True
    )
    return finish(main(Clause(subject, d.verb("be"), complements=(d.predicate(antecedent, very=0.8),))))


@frame
def relative_at_the_end(d: Draw) -> Phrase:
    """A relative clause at the end: The child sees the dog that belongs to the farmer."""
    thing = d.phrase(*FINDABLE, determiners=("the",), adjective=0.3, plural=0.25)
    owner = d.person(adjective=0.4)
    clause = Clause(thing, d.verb("belong"), direct=owner)
    pronoun = german.relative_pronoun("nom", thing.noun.gender, thing.plural)
    english = f"that {english_clause(clause, subject=False)}"
    target = related(thing, english, pronoun, clause, subject=False)
    return finish(
        main(Clause(d.subject(), d.verb("see", "find", "look_for"), d.pick(("present", "past")), direct=target))
    )


@frame
def relative_whose(d: Draw) -> Phrase:
    """The pronoun in the genitive: The man whose dog is very old works in the bank."""
    antecedent = d.person(adjective=0.1, plural=0.2)
    noun = d.noun("ride", "pet", "house", "garden", avoid=("public",))
    owned = NounPhrase(noun, "")
    clause = Clause(owned, d.verb("be"), complements=(d.predicate(owned, very=0.5),))
    pronoun = german.relative_pronoun("gen", antecedent.noun.gender, antecedent.plural)
    subject = related(antecedent, f"whose {english_clause(clause)}", pronoun, clause, subject=True)
    return finish(
        main(Clause(subject, d.verb("work", "live", "sleep"), d.pick(("past", "present")), place=d.location()))
    )


@frame
def ask_where_is(d: Draw) -> Phrase:
    """An indirect question: The tourist asks the farmer where he bought this coat."""
    asker, asked = d.subject(), d.person(adjective=0.2)
    action = d.verb("buy", "find", "see", "sell")
    # What is asked about lies before the asking.
    asked_tense, tense = d.pick(("present past", "past pluperfect")).split()
    thing = d.phrase(*FINDABLE, determiners=("the", "this"), adjective=0.5)
    clause = Clause(pronoun_for(asked) if asked.noun.gender != "n" else d.name(), action, tense, direct=thing)
    left = main(Clause(asker, d.verb("ask_question"), asked_tense, direct=asked))
    return sentence(after_comma(left, subordinate("where", "wo", clause)))


@frame
def not_know_why(d: Draw) -> Phrase:
    """An indirect question about a reason: I do not know why the boys turned off the radio yesterday."""
    knower: Nominal = d.subject()
    subject = d.person(adjective=0.3, plural=0.3)
    action, thing = d.separable(subject, adjective=0.6)
    clause = Clause(subject, action, "past", direct=thing, time=d.time("recent"))
    left = main(Clause(knower, d.verb("know_fact"), negated=True))
    word = Phrase(*d.pick(("why warum", "when wann", "where wo")).split())
    return sentence(after_comma(left, subordinate(word.en, word.de, clause)))


@frame
def hope_to_wait(d: Draw) -> Phrase:
    """A prepositional object in a "dass" clause: The son hopes that his aunt is waiting for him in the park."""
    that, subject = d.conjunction("that"), d.someone()
    other = NounPhrase(d.noun("kin"), possessive_for(subject))
    verb = d.verb("wait", "think")
    place = d.location() if verb.key == "verb:wait" else None
    target = governed(verb, pronoun_for(subject))
    clause = Clause(other, verb, "progressive", place=place, complements=(target,))
    if verb.key == "verb:think":
        clause = replace(clause, tense="present", frequency=d.frequency())
    left = main(Clause(subject, d.verb("hope", "believe", "know_fact")))
    return sentence(after_comma(left, subordinate(that.english, that.german, clause)))
