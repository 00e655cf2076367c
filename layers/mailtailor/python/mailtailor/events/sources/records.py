"""Which fields of a CRM's record of a person may be kept, judged by their names, for CRMs let users add any."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

_MAX_NAME: Final = 100
_WORDS: Final = (
    *("email", "phone", "mobile", "fax", "whatsapp", "address", "street"),
    *("lastname", "middlename", "surname", "fullname", "birth", "password", "passport", "socialsecurity", "iban"),
)


@lru_cache(maxsize=4_096)
def is_kept(field: str) -> bool:
    """Return whether a field of this name neither names nor reaches a person: `Work_Phone__c` does.

    A word within another leaves out a field too many rather than keeping one.
    """
    squeezed = "".join(filter(str.isalnum, field[:_MAX_NAME])).lower()
    return not any(word in squeezed for word in _WORDS)
