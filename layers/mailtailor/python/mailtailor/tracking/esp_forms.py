"""How each e-mail service provider (ESP) puts a recipient's token into a mail.

A token is base64url, so no ESP's escaping of values changes it, in an attribute or in plain text. Each merge tag can
stand in a double-quoted `href`: it has no double quotes, angle brackets or ampersands, and where a language allows
either kind of quotes they are single. What a vendor's own page does not say is marked in `docs/esp-forms.md`, beside
the pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mailtailor.errors import BadInput
from mailtailor.tracking.tokens import Purpose

MIN_ATTRIBUTE_CHARACTERS: Final = 100
"""What an attribute for a token must hold: tokens are about 50 characters, and 74 with the longest id of a key."""


@dataclass(frozen=True, slots=True)
class EspForm:
    """What an ESP needs to put tokens into mails.

    Attributes
    ----------
    name
        What the command line and the API call it.
    title
        What its vendor calls it.
    attributes
        The attribute that holds the token of each purpose.
    before, after
        What stands around an attribute's name in a merge tag.
    instance_tag
        The merge tag of a send's id; empty if the vendor documents none that differs from send to send.
    holder
        What holds the tokens: the vendor's word for attributes of a person, and the type to choose.
    links
        What it does to links by itself, and what to switch off.
    """

    name: str
    title: str
    attributes: Mapping[Purpose, str]
    before: str
    after: str
    instance_tag: str
    holder: str
    links: str

    def tag(self, purpose: Purpose) -> str:
        """Return the merge tag of the token for `purpose`."""
        return f"{self.before}{self.attributes[purpose]}{self.after}"

    @property
    def recipient_tag(self) -> str:
        """The merge tag of the token that links and pixel carry."""
        return self.tag(Purpose.TRACK)

    @property
    def hint(self) -> str:
        """What must be set up before a mail with links and pixel goes out, in a sentence."""
        return self.hint_for(self.attributes[Purpose.TRACK])

    def hint_for(self, attribute: str) -> str:
        """Return what must be set up before a mail goes out that shows `attribute`, in a sentence."""
        return (
            f"{self.title} must hold each person's token in {self.holder} {attribute} "
            f"(at least {MIN_ATTRIBUTE_CHARACTERS} characters); get the tokens for import with: "
            f"mailtailor tokens export --esp {self.name}"
        )


ATTRIBUTES: Final = {
    Purpose.TRACK: "mailtailor_track",
    Purpose.CONTENT: "mailtailor_content",
    Purpose.MANAGE: "mailtailor_manage",
}

_FORMS: Final = (
    EspForm(
        name="sfmc",
        title="Salesforce Marketing Cloud Engagement",
        attributes=ATTRIBUTES,
        before="%%",
        after="%%",
        instance_tag="%%jobid%%",
        holder="the column (type Text) of the sendable data extension, or the profile attribute,",
        links="It wraps links in redirects of its own: send without click tracking; for text parts Salesforce's "
        "support switches it off. RedirectTo() is not needed, for scheme and host of each link are in the mail.",
    ),
    EspForm(
        name="braze",
        title="Braze",
        attributes=ATTRIBUTES,
        before="{{custom_attribute.${",
        after="}}}",
        instance_tag="{{campaign.${dispatch_id}}}",
        holder="the custom attribute (type String)",
        links="It wraps http and https links: switch click tracking off, for a person with "
        "email_click_tracking_disabled; link templates and aliasing would add parameters, which the redirect drops.",
    ),
    EspForm(
        name="hubspot",
        title="HubSpot",
        attributes=ATTRIBUTES,
        before="{{ contact.",
        after=" }}",
        instance_tag="",
        holder="the contact property (single-line text, internal name)",
        links="It wraps the links of all marketing mails: switch click tracking off in the account's e-mail settings.",
    ),
    EspForm(
        name="klaviyo",
        title="Klaviyo",
        attributes=ATTRIBUTES,
        before="{{ person|lookup:'",
        after="' }}",
        instance_tag="",
        holder="the custom profile property (text)",
        links="It wraps links by a tracking domain: set is_tracking_clicks to false in the campaign's tracking "
        "options.",
    ),
    EspForm(
        name="iterable",
        title="Iterable",
        attributes=ATTRIBUTES,
        before="{{",
        after="}}",
        instance_tag="",
        holder="the user profile's field (type string)",
        links="It wraps links: switch its click tracking off, or every click takes two redirects.",
    ),
    EspForm(
        name="mailchimp",
        title="Mailchimp",
        attributes={Purpose.TRACK: "MT_TRACK", Purpose.CONTENT: "MT_CONTENT", Purpose.MANAGE: "MT_MANAGE"},
        before="*|",
        after="|*",
        instance_tag="*|CAMPAIGN_UID|*",
        holder="the audience field (type text, not public) with the merge tag",
        links="It wraps links: untick Track clicks; free accounts, and paid ones of little activity, are redirected "
        "still.",
    ),
    EspForm(
        name="generic",
        title="Your ESP",
        attributes=ATTRIBUTES,
        before="{{ ",
        after=" }}",
        instance_tag="",
        holder="the attribute",
        links="Switch its own click tracking off, or every click takes two redirects and is counted twice.",
    ),
)

ESP_FORMS: Final[Mapping[str, EspForm]] = {form.name: form for form in _FORMS}


def esp_form(name: str) -> EspForm:
    """Return the form of the ESP called `name`; raise `BadInput`, which names those known, if it is none."""
    try:
        return ESP_FORMS[name]
    except KeyError as error:
        raise BadInput(
            f"{name!r} is no ESP that Mailtailor knows.",
            f"Known are {', '.join(ESP_FORMS)}; for any other use generic, or give the merge tag itself.",
        ) from error
