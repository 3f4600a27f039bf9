"""Random choice under semantic restriction: what a frame asks for when it wants a person, a drink or a time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from training.corpus.lexicon import (
    ADJECTIVES,
    ADVERBS,
    CONJUNCTIONS,
    NAMES,
    NOUNS,
    PREPOSITIONS,
    VERBS,
    Adjective,
    Adverb,
    Conjunction,
    Name,
    Noun,
    Preposition,
    Verb,
)
from training.corpus.phrases import (
    NameNominal,
    Nominal,
    NounPhrase,
    Phrase,
    Pronoun,
    adverbial,
    possessive_for,
    prepositional,
)

Entry = TypeVar("Entry", Noun, Verb, Adjective, Adverb, Name, Preposition, Conjunction)

_TIMES = {
    "habit": ("every day", "every morning", "in the evening"),
    "past": ("yesterday", "last week", "on Sunday", "on Monday"),
    "recent": ("yesterday", "on Sunday", "on Monday", "last week"),
    "future": ("tomorrow", "next week", "in the evening", "on Sunday", "on Monday", "today"),
}
# What one does once, what one does again and again, and what one does with separable verbs: verb -> tags of objects.
FINDABLE = ("load", "lie", "clothes", "hat", "toy", "pet")
EVENTS: dict[str, tuple[str, ...]] = {
    "buy": ("ware",),
    "sell": ("ware",),
    "find": FINDABLE,
    "look_for": FINDABLE,
    "forget": ("load", "key", "ticket", "hat"),
    "repair": ("device", "vehicle"),
    "open": ("open",),
    "close": ("open",),
    "write": ("letter", "novel", "story"),
    "see": ("animal", "film"),
    "visit": ("kin",),
}
HABITS: dict[str, tuple[str, ...]] = {
    "read": ("readable",),
    "eat": ("piece", "bread", "cheese", "fish", "soup"),
    "drink": ("drink",),
    "cook": ("cooked",),
    "hear": ("song", "bird"),
    "clean": ("window", "vehicle", "table", "kitchen"),
    "wear": ("clothes", "hat"),
    "carry": ("load",),
}
SEPARABLE: dict[str, tuple[str, ...]] = {
    "lock": ("door", "suitcase", "house"),
    "tidy_up": ("indoors", "house"),
    "call": ("kin",),
    "turn_on": ("switch",),
    "turn_off": ("switch",),
    "put_on": ("clothes",),
    "put_on_hat": ("hat",),
    "take_off": ("clothes",),
    "invite": ("kin",),
    "pick_up": ("sibling", "elder"),
}
FREQUENCIES = ("often", "always", "sometimes", "never")


def _tagged(tags: Sequence[str]) -> list[Noun]:
    return [noun for noun in NOUNS.values() if noun.tags.intersection(tags)]


_BY_TAGS: dict[tuple[str, ...], list[Noun]] = {}
_FITTING: dict[str, list[Adjective]] = {
    noun.key: [adjective for adjective in ADJECTIVES.values() if adjective.tags & noun.tags] for noun in NOUNS.values()
}
# Fits only behind "be": English would put other words before the noun.
_PREDICATE_ONLY = frozenset({"adjective:tired", "adjective:happy", "adjective:sick"})
# Of people these stand before the noun alone: a "new teacher" is not new himself.
_NEVER_PREDICATE: frozenset[str] = frozenset({"adjective:new"})
# Where each habit is at home.
_HABIT_PLACES: dict[str, tuple[str, ...]] = {
    "read": ("park", "garden", "kitchen", "hotel", "room", "office", "school", "forest"),
    "eat": ("park", "garden", "kitchen", "hotel", "room", "office", "school", "forest", "village"),
    "drink": ("park", "garden", "kitchen", "hotel", "room", "office", "museum", "village", "city"),
    "cook": ("house", "kitchen", "hotel", "garden", "school", "hospital"),
    "hear": ("park", "garden", "forest", "village", "city", "room"),
    "clean": ("house", "garden", "hotel", "school", "hospital", "village"),
    "wear": ("village", "city", "church", "museum", "school", "office", "bank", "hospital", "forest"),
    "carry": ("village", "city", "hotel", "museum", "park", "hospital"),
}


@dataclass
class Draw:
    """One sentence's random choices and the lemmas they used."""

    rng: random.Random
    lemmas: list[str] = field(default_factory=list)

    def used(self, entry: Entry) -> Entry:
        """Return the entry after noting its lemma."""
        self.lemmas.append(entry.key)
        return entry

    def chance(self, probability: float) -> bool:
        """Return true with the given probability."""
        return self.rng.random() < probability

    def pick(self, options: Sequence[str]) -> str:
        """Return one of several strings."""
        return options[int(self.rng.random() * len(options))]

    def noun(self, *tags: str, avoid: Sequence[str] = ()) -> Noun:
        """Return a noun that bears one of the tags (a noun's own name is one of its tags)."""
        options = _BY_TAGS.get(tags)
        if options is None:
            options = _BY_TAGS[tags] = _tagged(tags)
        while True:
            chosen = options[int(self.rng.random() * len(options))]
            if not chosen.tags.intersection(avoid) and chosen.key not in self.lemmas:
                return self.used(chosen)

    def verb(self, *keys: str) -> Verb:
        """Return one of the verbs named."""
        return self.used(VERBS[self.pick(keys)])

    def adjective(self, noun: Noun, predicate: bool = False) -> Adjective | None:
        """Return an adjective that fits the noun and is new in the sentence, or nothing if there is none."""
        never = _NEVER_PREDICATE if "person" in noun.tags else frozenset()
        options = [
            adjective
            for adjective in _FITTING[noun.key]
            if adjective.key not in self.lemmas and adjective.key not in (never if predicate else _PREDICATE_ONLY)
        ]
        return self.used(options[int(self.rng.random() * len(options))]) if options else None

    def adverb(self, *keys: str) -> Adverb:
        """Return one of the adverbs named."""
        return self.used(ADVERBS[self.pick(keys)])

    def frequency(self) -> Adverb:
        """Return an adverb of frequency."""
        return self.adverb(*FREQUENCIES)

    def time(self, kind: str) -> Phrase:
        """Return an expression of time: habit, now, past, recent or future."""
        return adverbial(self.adverb(*_TIMES[kind]))

    def preposition(self, key: str) -> Preposition:
        """Return the preposition named."""
        return self.used(PREPOSITIONS[key])

    def conjunction(self, key: str) -> Conjunction:
        """Return the conjunction named."""
        return self.used(CONJUNCTIONS[key])

    def phrase(
        self,
        *tags: str,
        determiners: Sequence[str] = ("the", "the", "a"),
        adjective: float = 0.4,
        plural: float = 0.15,
        avoid: Sequence[str] = (),
    ) -> NounPhrase:
        """Return a noun phrase whose noun bears one of the tags."""
        noun = self.noun(*tags, avoid=avoid)
        chosen = self.adjective(noun) if self.chance(adjective) else None
        many = not noun.mass and self.chance(plural)
        determiner = self.pick(determiners)
        if many and determiner == "a" and chosen is None:
            # A bare plural with nothing before it says too little: "he sold pictures".
            determiner = "the"
        return NounPhrase(noun, determiner, (chosen,) if chosen else (), many)

    def person(self, *, adjective: float = 0.3, plural: float = 0.25, neuter: bool = True) -> NounPhrase:
        """Return people as a subject or object; without neuter nouns where a pronoun shall refer to them."""
        noun = self.noun("person", avoid=() if neuter else ("child", "girl"))
        chosen = self.adjective(noun) if self.chance(adjective) else None
        many = self.chance(plural) and "elder" not in noun.tags
        return NounPhrase(noun, "the", (chosen,) if chosen else (), many)

    def someone(self, *, plural: float = 0.2) -> Nominal:
        """Return a person by noun or by first name, to whom "he", "she" or "they" can refer."""
        if self.chance(0.25):
            return self.name()
        return self.person(plural=plural, neuter=False, adjective=0.25)

    def name(self) -> NameNominal:
        """Return a first name."""
        return NameNominal(self.used(NAMES[self.pick([key for key, name in NAMES.items() if name.kind == "first"])]))

    def surname(self, gender: str) -> NameNominal:
        """Return a last name for a man or a woman."""
        names = [key for key, name in NAMES.items() if name.kind == "last" and name.gender == gender]
        return NameNominal(self.used(NAMES[self.pick(names)]))

    def own(self, owner: Nominal, *tags: str, adjective: float = 0.3, plural: float = 0.1) -> NounPhrase:
        """Return what belongs to someone, with the possessive that agrees with the owner."""
        if tags[0] in ("kin", "elder"):
            plural = 0.0
        # Children have no children of their own.
        young = isinstance(owner, NounPhrase) and "young" in owner.noun.tags
        avoid = ("son", "daughter", "colleague") if young else ()
        owned = (possessive_for(owner),)
        return self.phrase(*tags, determiners=owned, adjective=adjective, plural=plural, avoid=avoid)

    def habit_place(self, verb: Verb) -> Phrase:
        """Return a place where a habit is at home."""
        tags = _HABIT_PLACES[verb.key.partition(":")[2]]
        return prepositional(
            self.preposition("in"), self.phrase(*tags, determiners=("the",), adjective=0.5, plural=0), "dat"
        )

    def inside(self, *tags: str, adjective: float = 0.4, avoid: Sequence[str] = ()) -> Phrase:
        """Return "in" and a place, at rest."""
        place = self.phrase(*tags, determiners=("the",), adjective=adjective, plural=0, avoid=avoid)
        return prepositional(self.preposition("in"), place, "dat")

    def into(self, *tags: str, adjective: float = 0.4) -> Phrase:
        """Return "into" and a place, which is motion and asks for the accusative."""
        place = self.phrase(*tags, determiners=("the",), adjective=adjective, plural=0)
        return prepositional(self.preposition("into"), place, "acc")

    def goal(self, adjective: float = 0.4) -> Phrase:
        """Return where someone goes: "to" is zu before a building, in (with the accusative) before a town."""
        place = self.phrase("goal", "town", determiners=("the",), adjective=adjective, plural=0)
        if "town" in place.noun.tags:
            return prepositional(self.preposition("to_town"), place, "acc")
        return prepositional(self.preposition("to"), place)

    def location(self) -> Phrase:
        """Return where something happens: a two-way preposition with the dative."""
        kind = self.pick(("in", "in", "in", "at", "market", "front", "edge"))
        if kind == "in":
            place = self.phrase("place", determiners=("the",), adjective=0.25, plural=0)
            return prepositional(self.preposition("in"), place, "dat")
        if kind == "market":
            return prepositional(self.preposition("at_market"), NounPhrase(self.noun("market")), "dat")
        if kind == "at":
            return prepositional(self.preposition("at_edge"), NounPhrase(self.noun("station", "lake")), "dat")
        if kind == "edge":
            shore = NounPhrase(self.noun("shore"))
            river = NounPhrase(self.noun("river"))
            bank = NounPhrase(shore.noun, after=Phrase(f"of {river.english()}", river.german("gen")))
            return prepositional(self.preposition("on_edge"), bank, "dat")
        building = self.phrase("building", determiners=("the",), plural=0)
        return prepositional(self.preposition(self.pick(("in_front_of", "behind", "next_to"))), building, "dat")

    def predicate(self, phrase: NounPhrase, very: float = 0.0) -> Phrase:
        """Return a predicate adjective that fits a noun phrase, with "very" at the given probability."""
        adjective = self.adjective(phrase.noun, predicate=True)
        assert adjective is not None, f"no adjective is left for {phrase.noun.key}"
        if "colored" not in adjective.tags and self.chance(very):
            degree = self.adverb("very")
            return Phrase(f"{degree.english} {adjective.english[0]}", f"{degree.german} {adjective.german[0]}")
        return Phrase(adjective.english[0], adjective.german[0])

    def named_adjective(self, *names: str, very: bool = False) -> Phrase:
        """Return one of the adjectives named as a predicate."""
        adjective = self.used(ADJECTIVES[self.pick(names)])
        phrase = Phrase(adjective.english[0], adjective.german[0])
        if not very:
            return phrase
        degree = self.adverb("very")
        return Phrase(f"{degree.english} {phrase.en}", f"{degree.german} {phrase.de}")

    def common_adjective(self, first: Noun, second: Noun) -> Adjective:
        """Return an adjective that fits both nouns and is new in the sentence."""
        both = [
            adjective
            for adjective in _FITTING[first.key]
            if adjective in _FITTING[second.key]
            and adjective.key not in self.lemmas
            and "colored" not in adjective.tags
            and adjective.key != "adjective:sick"
            and ("person" not in first.tags or adjective.key not in _NEVER_PREDICATE)
        ]
        return self.used(both[int(self.rng.random() * len(both))])

    def origin(self) -> Phrase:
        """Return where someone comes from, as an attribute: from the small village."""
        place = self.phrase("town", "hotel", "hospital", determiners=("the",), adjective=0.4, plural=0)
        return prepositional(self.preposition("from"), place)

    def subject(self, *, plural: float = 0.25) -> Nominal:
        """Return any subject: mostly people by noun, sometimes a first name or a pronoun."""
        chance = self.rng.random()
        if chance < 0.15:
            return Pronoun(self.pick(("I", "we", "he", "she", "they")))
        return self.name() if chance < 0.3 else self.person(plural=plural)

    def _object(
        self, objects: dict[str, tuple[str, ...]], verb: Verb, subject: Nominal, adjective: float
    ) -> NounPhrase:
        tags = objects[verb.key.partition(":")[2]]
        if "clothes" in tags or "hat" in tags:
            # Several people wear several coats.
            return self.phrase(*tags, adjective=adjective, plural=1.0 if subject.plural else 0.0)
        if tags[0] in ("kin", "sibling") and not (isinstance(subject, NounPhrase) and subject.noun.gender == "n"):
            return self.own(subject, *tags, adjective=adjective)
        if verb.prefix or tags in (("open",), ("kin",)):
            return self.phrase(*tags, determiners=("the",), adjective=adjective, plural=0.1)
        return self.phrase(*tags, adjective=adjective)

    def event(self, subject: Nominal, adjective: float = 0.5, avoid: tuple[str, ...] = ()) -> tuple[Verb, NounPhrase]:
        """Return a verb and an object for something done once."""
        verb = self.verb(*(key for key in EVENTS if key not in avoid))
        return verb, self._object(EVENTS, verb, subject, adjective)

    def habit(self, subject: Nominal, adjective: float = 0.5, avoid: tuple[str, ...] = ()) -> tuple[Verb, NounPhrase]:
        """Return a verb and an object for something done again and again."""
        verb = self.verb(*(key for key in HABITS if key not in avoid))
        return verb, self._object(HABITS, verb, subject, adjective)

    def separable(self, subject: Nominal, adjective: float = 0.5) -> tuple[Verb, NounPhrase]:
        """Return a separable verb and its object."""
        verb = self.verb(*SEPARABLE)
        return verb, self._object(SEPARABLE, verb, subject, adjective)
