"""Which script a language is written in, and whether a text is."""

import functools
import unicodedata

# The first word of a letter's name in Unicode, for the scripts of each language.
_BY_LANGUAGE = {
    "LATIN": "af az bs ca cs cy da de en eo es et eu fi fr ga gl hr ht hu id is it la lb lt lv mg ms mt nb nl nn no "
    "oc pl pt ro sk sl so sq sv sw tl tr uz vi xh yo zu",
    "CYRILLIC": "be bg kk ky mk mn ru tg uk",
    "LATIN CYRILLIC": "sr",
    "GREEK": "el",
    "ARABIC": "ar fa ps ur",
    "HEBREW": "he yi",
    "ARMENIAN": "hy",
    "GEORGIAN": "ka",
    "ETHIOPIC": "am",
    "DEVANAGARI": "hi mr ne sa",
    "BENGALI": "as bn",
    "GUJARATI": "gu",
    "GURMUKHI": "pa",
    "KANNADA": "kn",
    "MALAYALAM": "ml",
    "ORIYA": "or",
    "SINHALA": "si",
    "TAMIL": "ta",
    "TELUGU": "te",
    "THAI": "th",
    "LAO": "lo",
    "KHMER": "km",
    "MYANMAR": "my",
    "TIBETAN": "bo",
    "CJK": "zh",
    "CJK HIRAGANA KATAKANA": "ja",
    "HANGUL CJK": "ko",
}
_SCRIPTS = {code: tuple(scripts.split()) for scripts, codes in _BY_LANGUAGE.items() for code in codes.split()}
# Script subtags of language codes, such as sr-Latn, for the scripts above.
_SUBTAGS = {
    "latn": ("LATIN",),
    "cyrl": ("CYRILLIC",),
    "arab": ("ARABIC",),
    "deva": ("DEVANAGARI",),
    "hans": ("CJK",),
    "hant": ("CJK",),
}


def scripts_of(language: str) -> tuple[str, ...] | None:
    """The scripts that a language is written in, as the first words of its letters' Unicode names; None where that is
    not known here.

    Args:
        language: a code of two letters, alone or with subtags (pt, pt-BR, de_DE, sr-Latn).
    """
    code, *subtags = language.lower().replace("_", "-").split("-")
    for subtag in subtags:
        if subtag in _SUBTAGS:
            return _SUBTAGS[subtag]
    return _SCRIPTS.get(code)


def known_languages() -> list[str]:
    """The codes that `scripts_of` knows."""
    return sorted(_SCRIPTS)


def is_in_script(text: str, scripts: tuple[str, ...]) -> bool:
    """Whether at least half of a text's letters are of these scripts, which a text without letters is too."""
    familiar = _familiar(scripts)
    if familiar.issuperset(text):  # which builds no set of the text, and is nearly always so
        return True
    foreign = {character for character in set(text) - familiar if _is_foreign(character, scripts)}
    return 2 * sum(text.count(character) for character in foreign) <= sum(character.isalpha() for character in text)


@functools.cache
def _familiar(scripts: tuple[str, ...]) -> frozenset[str]:
    """The characters of Unicode's first plane that aren't foreign: nearly all of any text."""
    return frozenset(character for character in map(chr, range(1 << 16)) if not _is_foreign(character, scripts))


def _is_foreign(character: str, scripts: tuple[str, ...]) -> bool:
    return character.isalpha() and _script(character) not in scripts


@functools.cache
def _script(character: str) -> str:
    # A letter in full or half width, or in a style for formulas, is the letter that it shows.
    plain = unicodedata.normalize("NFKC", character)[0]
    return unicodedata.name(plain, "").partition(" ")[0]
