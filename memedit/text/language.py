"""In which language a short text is, guessed from its script, its function words and its rarer letters."""

from __future__ import annotations

import re
from collections import Counter

SCRIPTS = {
    "ja": "[\u3040-\u30ff]", "ko": "[\uac00-\ud7af]", "zh": "[\u3400-\u9fff]", "ru": "[\u0400-\u04ff]",
    "ar": "[\u0600-\u06ff]", "th": "[\u0e00-\u0e7f]",
}  # fmt: skip
WORDS = {
    "en": """the and is are do does what when how who which to of for my i we you at can on with it this that have has
        be will there any was not your from if our or by as please should where me an they""",
    "de": """der die das und ist sind ich wir ihr sie es ein eine einen einem einer nicht mit wie wann wer was wo auf
        für von zu zum zur den dem des im am bei noch kann muss hab habe gibt mein meine man auch wenn bis oder
        schreib bitte welche welcher wird viel uhr""",
    "fr": """le la les et est je nous vous un une des du de pour dans que qui quand combien ne pas sur avec au aux mon
        ma mes ce cette il elle on à en se où quel quelle sont dois peux faut par c'est j'ai d'un l'on d'ici""",
    "es": """el la los las y es un una de del que en con por para cuándo cuánto cómo qué quién dónde no mi se al lo
        hay puedo está son tengo su más me una nos hasta""",
    "it": """il lo la gli le e è un una di del della che in con quando quanto come chi dove non mi si al nel ho sono
        posso devo anche ci nostro più alle fino i dei""",
    "pt": """o os as e é um uma de do da dos das que em com por para quando quanto como quem onde não meu minha se ao
        no na está posso tem são até você nos""",
    "nl": """de het een en is zijn ik we wij je jij u niet met hoe wanneer wie wat waar op voor van naar bij nog kan
        moet heb heeft mijn ook als tot of er aan dat te""",
    "pl": "w na z się jest nie co jak kto kiedy gdzie ile czy u nas mam mogę dla po za od są nam jaki jaka przez jeśli",
    "tr": "ve bir bu ne kim nerede nasıl mi mı mu için ile kaç var yok da de gün önce sonra bana hangi gerekir olur",
    "sv": "och är det att en ett jag vi du inte med hur när vem vad var på för av till kan måste har också om den som",
}  # fmt: skip
LETTERS = {"de": "[äöüß]", "es": "[ñ¿¡]", "pl": "[łąęśżźń]", "pt": "[ãõ]", "tr": "[şığ]"}
FUNCTION_WORDS = {language: frozenset(words.split()) for language, words in WORDS.items()}
WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


def language_of(text: str, default: str = "en") -> str:
    """Its two letters; the default where nothing speaks for any."""
    letters = max(len(re.findall(r"[^\W\d_]", text)), 1)
    for language, script in SCRIPTS.items():
        if len(re.findall(script, text)) > letters / 5:
            return language
    said = [word.casefold() for word in WORD.findall(text)]
    counts = Counter({one: sum(word in words for word in said) for one, words in FUNCTION_WORDS.items()})
    counts.update({one: 2 for one, letter in LETTERS.items() if re.search(letter, text.casefold())})
    counts[default] += 1  # a word or a letter alone may be of a name
    return counts.most_common(1)[0][0]
