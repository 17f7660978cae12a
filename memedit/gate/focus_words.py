"""The words and patterns by which `focus` reads a conversation: what asks, what refers back, what ends a sentence."""

from __future__ import annotations

import re


def words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


WH = "who whom whose what which when where why how who's what's where's when's how's"
AUX = """is are was were am do does did has have had can could will would should may might must
    isn't aren't wasn't doesn't don't didn't can't"""
TASK = "summarise summarize translate rewrite rephrase paraphrase proofread correct shorten condense classify edit"
ORDER = f"""name tell give list write show find explain describe set read forward send remind recommend suggest compare
    state identify complete create make compute calculate call book play open add {TASK}"""
SMALL = """a an the and or but so then now of in at on for to from with by about as since until than not no yes ok okay
    else more exactly really sure mean know think that this these those there here it its he him his she her they them
    their i i'm i'd my me we our us you your one ones much many long often old far please same go again well also only
    just if most some all both usually currently sorry true right"""
DATES = """monday tuesday wednesday thursday friday saturday sunday mondays tuesdays wednesdays thursdays fridays
    saturdays sundays january february march april may june july august september october november december"""
KINDS = """company firm business bank city town country place region river person man woman player team club drug
    medicine product device model phone app book novel film movie song show school university hotel restaurant shop"""
JOBS = "ceo cfo cto coo cio cmo hq"
FUNCTION = words_of(f"{WH} {AUX} {SMALL}")
OPENERS = FUNCTION | words_of(f"{ORDER} hi hello hey dear thanks thank nice great never continue")
UNNAMED = words_of(f"{DATES} {JOBS}")  # capitalised, and yet no name of what an edit may be about
TITLES = words_of("dr mr mrs ms prof st mt ft sr jr gen col capt lt sgt rev hon vs e.g i.e fig vol approx ca")
MAYBE_LAST = words_of("inc ltd co corp etc a.m p.m u.s u.k u.n e.u ph.d b.c a.d jan feb aug sept oct nov dec")


def pattern(pattern: str, flags: re.RegexFlag = re.I) -> re.Pattern[str]:
    """A pattern in which `@(some words)` stands for any of these words, as a whole word."""
    return re.compile(re.sub(r"@\(([^()]+)\)", lambda m: rf"(?:{'|'.join(m[1].split())})\b", pattern), flags)


TOKEN, INITIALS = re.compile(r"\w(?:[\w'’&.+-]*\w)?"), re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
STOP = re.compile(r"""[.!?…]{1,4}["'”’»)\]]{0,2}\s{1,9}|[。！？।؟]{1,4}[”」』]?\s{0,9}|\n\s{0,9}""")
ASKED, ENDED = re.compile(r"""[?？؟]["'”’»」)\]!]*$"""), re.compile(r"""[.!…。！।,:]["'”’»」)\]]*$""")
ASKING = pattern(rf"(?:@(and but or so please then ok okay now),?\s+)*@({WH} {AUX} {ORDER})")
ON_TEXT = pattern(rf"(?:@(please can\syou could\syou),?\s+)*@({TASK})")
MANNER = pattern(r"(?:please\s+)?@(answer reply respond keep be think take use only just explain\syour)")
POLITE = pattern(
    r"@(thanks thank thx cheers ok okay great perfect hi hello hey bye nice danke merci gracias never\smind)"
    rf"(?!.*\b@({WH}))[^?]{{0,60}}$"
)
QUESTION = pattern(
    r"(?:^[ \t]*(?:\w+ ){0,4}|[.!?]\s)(?:Q|Questions?|Query|Frage|Pregunta|Domanda|Вопрос|问题|問題|سؤال|प्रश्न)"
    r"(?: ?\d+)?[ \t]*[:：]\s*(\S.*(?:\n(?!\s*\n|[\w ]{1,24}[:：]).+)*)",
    re.I | re.M,
)
OPEN_END = re.compile(r"\n[ \t]*[\w ]{1,24}[:：]\s*$")
LISTED = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)]|\(?[a-e1-9]\))\s+")
STARTER = pattern(
    r"¿?(?:@(ok okay so then),?\s+)?(?:@(and but or)\s+)?"
    r"@(what\sabout how\sabout no,\si\smeant i\smeant and but or und et y och а и)\s+"
)
PREPOSITION = pattern(r"(@(in of at for on by from with to during von für en de pour))\s+")
VERB = pattern(rf"\b@({AUX})")
NUMBER, JOB = re.compile(r"\b\d+\b"), pattern(rf"\b@({JOBS})")
POINTER = pattern(
    r"\b(?:(?P<vague>@(the\ssame that\sone this\sone er ihn ihm dort él ella elle ils elles он она его её)|[他她它]"
    r"|the\s(?:\w+\s)?ones?\b(?!\s@(who that which))|(?:that|this|those|these)(?=\s*(?:[?.!,]|$)))"
    rf"|(?P<thing>@(this that these those)\s@({KINDS})|its?\b)|(?P<people>@(they them their))"
    r"|(?P<person>@(he him his she her))"
    rf"|(?P<place>(?<!\bis )(?<!\bare )(?<!\bwas )(?<!\bwere )there\b(?!['’]s|\s@({AUX}))))"
)
DUMMY = pattern(r"(it\s+(?:\w+\s+){1,3}(?:that|to|if)\s)|it\s+(?:rain|snow)|what\s(?:time|day)\sis\sit\b")
CLAUSE = pattern(r"[,;:]|\b@(and or but when while after before if because since that who which until)")
# What the pronouns of an ask may stand for in the ask itself: "a cheque", "do cats …", besides names
HERE = pattern(rf"\b(?:an?\s+|@(do does did can should)\s+(?:the\s+)?(?!@({SMALL})))\w+")
OPENS_NAMED = pattern(rf"['’]s|\W*$|\s+(?:@({AUX})|[^\W\d_a-z])", re.NOFLAG)
OTHER = pattern(
    rf"\ban?\s+\w|^@({ORDER})\s(?!.*\babout\b)"
)  # "Has Acme a shop? Is it open?" "Read Jo's mail. Forward it."
DESCRIBE = re.compile(r"[Ww]h(?:o|at) (?:is|was|are) [A-Z][^'’]*$")  # "Who is Ann Lee?" brings nobody else
# The questions whose answer brings what a pronoun then stands for: "Which city is it? Linz. Who is its mayor?"
BRINGS = {
    "person": pattern("@(who)"),
    "people": pattern("@(who which what)"),
    "thing": pattern(r"@(which what's\sthe what\sis\sthe what\swas\sthe)"),
    "place": pattern(r"@(where which what's\sthe what\sis\sthe what\swas\sthe)"),
}
