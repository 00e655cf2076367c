"""Fields of CRMs' records: those that name or reach a person are left out, whatever they are called around it."""

from __future__ import annotations

import pytest

from mailtailor.events.sources.records import is_kept


@pytest.mark.parametrize(
    "name",
    [
        *("email", "work_email", "Second_E_Mail__c", "hs_additional_emails", "MobilePhone", "phone2", "Work_Phone__c"),
        *("OtherStreet", "address2", "last_name", "LastName", "Geburtsname_Surname__c", "date_of_birth", "Birthdate"),
        *("hs_whatsapp_phone_number", "ip_address", "IBAN__c"),
    ],
)
def test_what_names_or_reaches_a_person_is_left_out(name: str) -> None:
    assert not is_kept(name)


@pytest.mark.parametrize(
    "name", ["firstname", "City", "lifecyclestage", "Loyalty_Tier__c", "LeadSource", "hs_lead_status", "zip", ""]
)
def test_what_says_something_of_them_is_kept(name: str) -> None:
    assert is_kept(name)
