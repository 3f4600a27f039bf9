"""Bilingual phrases: noun phrases, pronouns and prepositional phrases that speak English and German at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from training.corpus import english, german
from training.corpus.lexicon import Adjective, Adverb, Name, Noun, Preposition, Verb


@dataclass(frozen=True)
class Phrase:
    """A stretch of text in both languages."""

    en: str
    de: str


class Nominal(Protocol):
    """What a subject or object must be able to say about itself."""

    @property
    def person(self) -> int: ...

    @property
    def plural(self) -> bool: ...

    @property
    def is_pronoun(self) -> bool: ...

    @property
    def definite(self) -> bool: ...

    @property
    def german_plural(self) -> bool: ...

    @property
    def german_person(self) -> int: ...

    def english(self, subject: bool = False) -> str: ...

    def german(self, case: str) -> str: ...


# Determiner -> German stem. Those with a stem of an ein-word take mixed adjective endings.
_POSSESSIVES = {
    "my": "mein",
    "your_familiar": "dein",
    "your_plural": "euer",
    "your_formal": "Ihr",
    "his": "sein",
    "her": "ihr",
    "our": "unser",
    "their": "ihr",
}
_DIES_WORDS = {"this": "dies", "every": "jed", "which": "welch"}


@dataclass(frozen=True)
class NounPhrase:
    """A noun with its determiner and adjectives.

    Determiners: the, a, no (English "a" or "any" beside a negated verb, German kein), this, every, which, the
    possessives, and "" for none. An indefinite article with a mass noun or a plural is no article at all.
    """

    noun: Noun
    determiner: str = "the"
    adjectives: tuple[Adjective, ...] = ()
    plural: bool = False
    degree: int = 0
    after: Phrase | None = None  # an attribute behind the noun

    @property
    def person(self) -> int:
        return 3

    @property
    def german_person(self) -> int:
        return 3

    @property
    def german_plural(self) -> bool:
        return self.plural

    @property
    def is_pronoun(self) -> bool:
        return False

    @property
    def definite(self) -> bool:
        return self.determiner not in ("a", "no", "")

    def english(self, subject: bool = False) -> str:
        """Return the English noun phrase (subject and object look alike)."""
        noun = self.noun.english_plural if self.plural else self.noun.english
        core = " ".join([*(adjective.english[self.degree] for adjective in self.adjectives), noun])
        bare = self.plural or self.noun.mass
        if self.determiner == "a":
            core = core if bare else english.indefinite(core)
        elif self.determiner == "no":
            core = f"any {core}" if bare else english.indefinite(core)
        elif self.determiner == "this":
            core = f"{'these' if self.plural else 'this'} {core}"
        elif self.determiner:
            core = f"{self.determiner.partition('_')[0]} {core}"
        return f"{core} {self.after.en}" if self.after else core

    def german(self, case: str) -> str:
        """Return the German noun phrase in a case."""
        gender, plural = self.noun.gender, self.plural
        declension, article = "mixed", ""
        if self.determiner == "" or (self.determiner == "a" and (plural or self.noun.mass)):
            declension = "strong"
        elif self.determiner == "the":
            declension, article = "weak", german.definite_article(case, gender, plural)
        elif self.determiner in _DIES_WORDS:
            declension, article = "weak", german.dies_form(_DIES_WORDS[self.determiner], case, gender, plural)
        else:
            stem = {"a": "ein", "no": "kein"}.get(self.determiner) or _POSSESSIVES[self.determiner]
            article = german.ein_form(stem, case, gender, plural)
        adjectives = [
            german.adjective_form(adjective, declension, case, gender, plural, self.degree)
            for adjective in self.adjectives
        ]
        words = [article, *adjectives, german.noun_form(self.noun, case, plural)]
        core = " ".join(word for word in words if word)
        return f"{core} {self.after.de}" if self.after else core


@dataclass(frozen=True)
class Pronoun:
    """A personal pronoun (or "who"); `gender` is the German gender of what an English "it" stands for."""

    key: str
    gender: str = ""

    @property
    def person(self) -> int:
        return 1 if self.key in ("I", "we") else 2 if self.key.startswith("you") else 3

    @property
    def plural(self) -> bool:
        return self.key in ("we", "they", "you_plural")

    @property
    def german_person(self) -> int:
        return 3 if self.key == "you_formal" else self.person

    @property
    def german_plural(self) -> bool:
        return self.plural or self.key == "you_formal"

    @property
    def is_pronoun(self) -> bool:
        return True

    @property
    def definite(self) -> bool:
        return True

    def english(self, subject: bool = False) -> str:
        """Return the English pronoun as subject or object."""
        return english.pronoun(self.key, subject)

    def german(self, case: str) -> str:
        """Return the German pronoun in a case; "it" follows the gender of its antecedent."""
        key = {"m": "he", "f": "she"}.get(self.gender, "it") if self.key == "it" else self.key
        return german.pronoun(key, case)


@dataclass(frozen=True)
class NameNominal:
    """A first name as subject or object."""

    name: Name

    @property
    def text(self) -> str:
        return self.name.text

    @property
    def person(self) -> int:
        return 3

    @property
    def german_person(self) -> int:
        return 3

    @property
    def plural(self) -> bool:
        return False

    @property
    def german_plural(self) -> bool:
        return False

    @property
    def is_pronoun(self) -> bool:
        return False

    @property
    def definite(self) -> bool:
        return True

    def english(self, subject: bool = False) -> str:
        """Return the name."""
        return self.text

    def german(self, case: str) -> str:
        """Return the name, with an s in the genitive (with an apostrophe alone after a sibilant)."""
        if case != "gen":
            return self.text
        return f"{self.text}'" if self.text[-1] in "sxzß" else f"{self.text}s"


class Pair:
    """Two coordinated noun phrases as one object."""

    person = german_person = 3
    plural = german_plural = True
    is_pronoun = False

    def __init__(self, first: NounPhrase, english: str, german: str, second: NounPhrase) -> None:
        self.first, self.second, self.words = first, second, (english, german)
        self.definite = first.definite

    def english(self, subject: bool = False) -> str:
        """Return both noun phrases joined by the English conjunction."""
        return f"{self.first.english(subject)} {self.words[0]} {self.second.english(subject)}"

    def german(self, case: str) -> str:
        """Return both noun phrases joined by the German conjunction, each in the case."""
        return f"{self.first.german(case)} {self.words[1]} {self.second.german(case)}"


@dataclass(frozen=True)
class Named:
    """A noun phrase whose owner's name stands before it in the genitive: Anna's brother, Annas Bruder."""

    owner: NameNominal
    core: NounPhrase

    person = german_person = 3
    is_pronoun = False
    definite = True

    @property
    def plural(self) -> bool:
        return self.core.plural

    @property
    def german_plural(self) -> bool:
        return self.core.plural

    def english(self, subject: bool = False) -> str:
        """Return the owner with 's and the rest."""
        return f"{english.possessive_name(self.owner.text)} {self.core.english(subject)}"

    def german(self, case: str) -> str:
        """Return the owner in the genitive and the rest with strong endings."""
        return f"{self.owner.german('gen')} {self.core.german(case)}"


def pronoun_for(antecedent: Nominal) -> Pronoun:
    """Return the pronoun that stands for a nominal: he or she for people, it with German gender for the rest."""
    if isinstance(antecedent, Pronoun):
        return antecedent
    if antecedent.plural:
        return Pronoun("they")
    if isinstance(antecedent, NameNominal):
        return Pronoun("he" if antecedent.name.gender == "m" else "she")
    assert isinstance(antecedent, NounPhrase)
    if "person" in antecedent.noun.tags and antecedent.noun.gender != "n":
        return Pronoun("he" if antecedent.noun.gender == "m" else "she")
    return Pronoun("it", antecedent.noun.gender)


def possessive_for(owner: Nominal) -> str:
    """Return the possessive determiner whose owner is the given nominal."""
    key = pronoun_for(owner).key
    return {"I": "my", "we": "our", "he": "his", "she": "her", "they": "their"}.get(key) or "your_" + key[4:]


def prepositional(preposition: Preposition, nominal: Nominal, case: str = "") -> Phrase:
    """Return a prepositional phrase; `case` is needed for two-way prepositions only."""
    governed = preposition.case if preposition.case != "two-way" else case
    text = nominal.german(governed)
    # Only the definite article contracts: a relative or demonstrative pronoun would stand alone.
    joined = german.contract(preposition.german, text) if " " in text else f"{preposition.german} {text}"
    return Phrase(f"{preposition.english} {nominal.english()}", joined)


def governed(verb: Verb, nominal: Nominal) -> Phrase:
    """Return a verb's prepositional object (wait for, warten auf); only "von" contracts here (an das Haus denken)."""
    preposition, german_preposition, case = verb.preposition
    text = nominal.german(case)
    contracts = german_preposition == "von" and " " in text
    joined = german.contract(german_preposition, text) if contracts else f"{german_preposition} {text}"
    return Phrase(f"{preposition} {nominal.english()}", joined)


def adverbial(adverb: Adverb) -> Phrase:
    """Return an adverb as a phrase."""
    return Phrase(adverb.english, adverb.german)
