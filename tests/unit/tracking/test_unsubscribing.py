from __future__ import annotations

import pytest

from mailtailor.tracking.unsubscribing import is_unsubscribing

ADDRESS = "https://shop.example/x"


@pytest.mark.parametrize(
    "words",
    [
        "Unsubscribe",
        "click here to opt out",
        "Manage your email preferences",
        "Email settings",
        "Vom Newsletter abmelden",
        "Newsletter abbestellen",
        "Se désabonner",
        "se désinscrire",
        "Darse de baja",
        "Cancelar la suscripción",
        "Disiscriviti",
        "Annulla l'iscrizione",
        "Cancelar a inscrição",
        "Afmelden",
        "Uitschrijven",
        "Avregistrera dig",
        "Afmeld nyhedsbrev",
        "Meld deg av",
        "Wypisz się",
        "Odhlásit odběr",
        "Leiratkozás",
        "Dezabonare",
    ],
)
def test_the_words_of_a_link_tell_that_it_stops_mails(words: str) -> None:
    assert is_unsubscribing(ADDRESS, words)


@pytest.mark.parametrize("words", ["Optical lenses", "Adopt a cat", "Shop now", "Bajamos precios", "", "Abonnieren"])
def test_other_words_do_not(words: str) -> None:
    assert not is_unsubscribing(ADDRESS, words)


def test_a_whole_paragraph_is_not_the_name_of_a_link() -> None:
    assert not is_unsubscribing(ADDRESS, f"unsubscribe {'x' * 300}")


@pytest.mark.parametrize(
    "address",
    ["https://s.example/unsubscribe", "https://s.example/email-preferences", "https://s.example/abmelden?u=1"],
)
def test_an_address_tells_it_too(address: str) -> None:
    assert is_unsubscribing(address, "here")
