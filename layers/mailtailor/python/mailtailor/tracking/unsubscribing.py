"""Links by which people stop mails or choose them: never tracked, for they must work whatever happens to us."""

from __future__ import annotations

import re
from typing import Final

MAX_WORDS: Final = 300
"""A longer text is not the name of a link."""

_STEMS: Final = (
    # English, German, French, Spanish, Italian, Portuguese, Dutch, Scandinavian, Polish, Czech, Hungarian, Romanian
    r"unsub|(?<![a-z])opt[-_ ]?out(?![a-z])"
    r"|(?<![a-z])abmeld|(?<![a-z])abbestell|newsletter[-_ ]?einstellungen"
    r"|d[eé]s[-_]?abonn|d[eé]s[-_]?inscri"
    r"|desuscri|cancelar?[-_ ](?:l?a[-_ ])?(?:suscripci|subscri|inscri|assinatura)|anular[-_ ](?:la[-_ ])?suscripci"
    r"|(?<![a-z])dis[-_]?iscri|(?:cancella|annulla)\w{0,4}[-_ ](?:l['\u2019])?iscrizione"
    r"|descadastr"
    r"|(?<![a-z])afmeld|uitschrijv"
    r"|avregistrer|avprenumerera|framelding|meld deg av|avmeld"
    r"|wypisz|anuluj[-_ ]subskrypcj|odhl[aá][sš]|leiratkoz|dezabon"
)
_ADDRESS: Final = re.compile(
    rf"{_STEMS}|preferences?(?![a-z])|(?:manage|e?mail)[-_]?(?:subscriptions?|settings)", re.IGNORECASE
)
_WORDS: Final = re.compile(
    rf"{_STEMS}"
    r"|(?:e-?mail|mail|newsletter|communication|contact|subscription)s?[ -](?:preferences?|settings|einstellungen)"
    r"|(?:manage|update|change|edit|set) (?:your |my )?(?:e-?mail |mailing |newsletter )?(?:preferences|subscriptions?)"
    r"|stop receiving|remove me|(?:dar(?:se|me|te)?|date|dame) de baja|austragen"
    r"|(?:g[eé]rer|modifier) (?:mes|vos) pr[eé]f[eé]rences|(?:gestionar|actualizar) (?:mis|tus|sus) preferencias"
    r"|gestisci (?:le )?(?:tue )?preferenze|voorkeuren (?:aanpassen|wijzigen|beheren)|zrezygnuj z",
    re.IGNORECASE,
)
# No pattern matches without one of these, and to look for them is far quicker than to try all patterns.
_HINTS: Final = (
    *("unsub", "opt", "abmeld", "abbestell", "einstellungen", "abonn", "inscri", "iscri", "suscri", "subscri"),
    *("assinatura", "descadastr", "afmeld", "uitschrijv", "avregistrer", "avprenumer", "framelding", "meld deg"),
    *("avmeld", "wypisz", "subskry", "odhl", "leiratk", "dezabon", "prefer", "pr\u00e9f", "settings", "receiving"),
    *("remove", "baja", "austragen", "voorkeuren", "zrezygnuj"),
)


def is_unsubscribing(address: str, words: str) -> bool:
    """Return whether a link is for unsubscribing or for preferences, by its address or by what people read there."""
    read = words if len(words) <= MAX_WORDS else ""
    lower = f"{address} {read}".lower()
    if not any(hint in lower for hint in _HINTS):
        return False
    return bool(_ADDRESS.search(address) or _WORDS.search(read))
