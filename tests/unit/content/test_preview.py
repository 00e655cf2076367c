"""What a preview shows and tells: the same as serving, and no more than the recipient's mail would."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import pytest

from mailtailor.consent.policy import Consent, Purpose
from mailtailor.content.block import FALLBACK, Block
from mailtailor.content.catalog import Catalog, Product
from mailtailor.content.links import untracked
from mailtailor.content.preview import Preview, Who, preview, read_settings
from mailtailor.content.recipient import view_of
from mailtailor.content.render import Format, Renderer
from mailtailor.content.select import Shelf, serve
from mailtailor.errors import BadInput
from mailtailor.instant import DAY, HOUR
from mailtailor.profiles.profile import Profile
from mailtailor.profiles.projection import evaluate
from mailtailor.segments.engine import Engine
from tests.unit.segments.people import NOW, definition, person

BUYERS: Final = {"event": "order_completed", "within": "7d"}
ENGINE: Final = Engine([definition(BUYERS, "buyers")])
SHELF: Final = Shelf(Catalog([Product("1", "Lamp", Decimal(5), "GBP", "https://shop.example/1", "Lighting", 1)]), ())
BLOCK: Final = Block.model_validate(
    {
        "name": "hero",
        "description": "A block.",
        "inputs": {
            "headline": {"type": "text", "default": "Hi", "max_length": 20},
            "shown": {"type": "number", "default": 3, "at_least": 1, "at_most": 9},
            "accent": {"type": "colour", "default": "#9a4a1f"},
        },
        "request": {"season": {"type": "choice", "of": ["winter", "summer"]}},
        "variants": [
            {"name": "broken", "audience": ["buyers"], "template": "{{ products[7].name }}"},
            {"name": "summer", "when": {"request.season": "summer"}, "template": "<p>Summer</p>"},
            {
                "name": "viewed",
                "needs": {"products": 1},
                "template": "<a href='{{ track(products[0].url) }}'>You saw</a>",
            },
            {"name": "offer", "needs": {"offer": True}, "template": "<p>Offer</p>"},
            {"name": "gone", "audience": ["nobody_knows"], "template": "<p>Gone</p>"},
            {
                "name": "greeting",
                "template": "<p>{{ inputs.headline }} {{ recipient.first_name | default('there') }}</p>",
            },
        ],
        "fallback": "<p>Welcome</p>",
        "fallback_text": "Welcome",
    }
)


def look(
    who: Who = Who.RECIPIENT,
    profile: Profile | None = None,
    *,
    block: Block = BLOCK,
    at: int = NOW,
    form: Format = Format.HTML,
    **settings: str,
) -> Preview:
    renderer = Renderer(block, ENGINE.audience)
    return preview(who, profile, renderer, read_settings(block, settings, form), at, engine=ENGINE, shelf=SHELF)


def reasons(shown: Preview) -> dict[str, str]:
    return {rung.variant: rung.reason for rung in shown.rungs}


def buyer() -> Profile:
    return person(ENGINE, ("order_completed", NOW - DAY, {"order_id": "o"}), first_name="Anna")


def test_the_body_is_what_serving_makes() -> None:
    # given
    anna = person(ENGINE, ("product_viewed", NOW - HOUR, {"product_id": "1"}), first_name="Anna")
    renderer = Renderer(BLOCK, ENGINE.audience)
    request = read_settings(BLOCK, {}, Format.HTML)
    # when
    shown = look(profile=anna)
    # then
    assert shown.served == serve(renderer, request, view_of(anna, ENGINE, NOW), SHELF, untracked)
    assert shown.served.variant == "viewed"


def test_each_variant_before_it_is_told_with_why_and_those_after_it_are_not_reached() -> None:
    # when
    shown = look(profile=buyer())
    # then
    assert reasons(shown) == {
        "broken": "UndefinedError",
        "summer": "context",
        "viewed": "products",
        "offer": "offer",
        "gone": "audience_unknown",
        "greeting": "shown",
    }
    assert [rung.says for rung in shown.rungs] == [
        "It fails: UndefinedError.",
        "What it asks of the fetch or the recipient is not so: request.season.",
        "It needs 1 from their own views and purchases, and there are fewer.",
        "It needs an offer, and none stands for them then.",
        "Its audience names a segment that is not deployed, or events that no segment asks for.",
        "It is shown.",
    ]
    assert shown.served.body == "<p>Hi Anna</p>"
    assert reasons(look(profile=buyer(), season="summer"))["greeting"] == "not_reached"


def test_an_audience_is_told_with_truth_evidence_and_until_when() -> None:
    # when
    condition = look(profile=buyer()).rungs[0].condition
    other = look(profile=person(ENGINE)).rungs[0]
    # then
    assert condition is not None
    assert condition.payload() == {
        "says": "they are in the segment buyers",
        "holds": True,
        "until": "2026-09-27T14:13:20.000Z",
        "conditions": [
            {
                "says": "they have bought in the last 7 days",
                "holds": True,
                "until": "2026-09-27T14:13:20.000Z",
                "evidence": "the last purchase was on 2026-09-20 14:13:20 UTC; "
                "it leaves the window on 2026-09-27 14:13:20 UTC",
            }
        ],
    }
    assert other.reason == "audience"
    assert other.condition is not None
    assert not other.condition.holds


def test_whoever_allowed_nothing_personal_is_shown_what_they_are_sent_and_is_not_looked_at() -> None:
    # given
    anna = replace(buyer(), consent={Purpose.PERSONALIZATION: Consent(granted=False, at=0)})
    # when
    shown = look(profile=anna)
    # then
    assert (shown.served.variant, shown.served.body) == (FALLBACK, "<p>Welcome</p>")
    assert set(reasons(shown).values()) == {"impersonal", "shown"}
    assert shown.notes == (
        "They allowed no personal content, so this is what they are sent; what they did was not looked at.",
    )
    told = str(shown.payload())
    assert "condition" not in told
    assert "Anna" not in told


@pytest.mark.parametrize(
    ("who", "body", "note"),
    [
        (
            Who.EMPTY,
            "<p>Hi there</p>",
            "This is somebody who allowed personal content and of whom nothing else is known.",
        ),
        (Who.ANONYMOUS, "<p>Welcome</p>", "The fetch names nobody, so this is what is the same for all."),
        (Who.OUTAGE, "<p>Welcome</p>", "Nothing that the block needs answers in time, so its static variant is shown."),
    ],
)
def test_what_nobody_in_particular_sees(who: Who, body: str, note: str) -> None:
    # when
    shown = look(who)
    # then
    assert (shown.served.body, shown.notes, shown.profile_id) == (body, (note,), "")


def test_while_nothing_answers_each_variant_comes_too_late_whomever_it_is_for() -> None:
    assert set(reasons(look(Who.OUTAGE)).values()) == {"late", "shown"}
    assert set(reasons(look(Who.ANONYMOUS)).values()) == {"impersonal", "shown"}


def test_plain_text_is_shown_as_a_text_part_would_have_it() -> None:
    assert look(Who.OUTAGE, form=Format.TEXT).served.body == "Welcome"
    assert look(Who.EMPTY, form=Format.TEXT).served.body.strip() == "Hi there"


def test_a_shared_block_is_the_same_for_all_whoever_asks() -> None:
    # given
    shared = Block.model_validate(
        BLOCK.model_dump(by_alias=True, exclude_unset=True)
        | {"cache": {"kind": "shared"}, "variants": [{"name": "all", "template": "<p>{{ inputs.headline }}</p>"}]}
    )
    # then
    for who, profile in ((Who.RECIPIENT, buyer()), (Who.EMPTY, None), (Who.ANONYMOUS, None)):
        assert look(who, profile, block=shared).served.body == "<p>Hi</p>"
    assert look(Who.OUTAGE, block=shared).served.body == "<p>Welcome</p>"


def test_another_instant_is_another_audience() -> None:
    # given: somebody who bought, evaluated a moment ago
    anna = buyer()
    evaluate(anna, engine=ENGINE, now=NOW, reason="event:e0")
    # when
    before, now, later = (look(profile=anna, at=at) for at in (NOW - 2 * DAY, NOW, NOW + 7 * DAY))
    # then
    assert [reasons(shown)["broken"] for shown in (before, now, later)] == ["audience", "UndefinedError", "audience"]
    assert before.notes[0].startswith("They were evaluated on 2026-09-21 14:13:20 UTC, after the instant asked for")
    assert not now.notes


def test_links_lead_to_their_destination_so_that_clicks_count_for_nobody() -> None:
    anna = person(ENGINE, ("product_viewed", NOW - HOUR, {"product_id": "1"}))

    assert "href='https://shop.example/1'" in look(profile=anna).served.body


def test_inputs_and_what_a_fetch_says_can_be_set() -> None:
    assert look(Who.EMPTY, headline="Good day").served.body == "<p>Good day there</p>"
    assert look(Who.EMPTY, season="summer").served.body == "<p>Summer</p>"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"headlin": "x"}, "In hero no 'headlin' can be set. Did you mean 'headline'?"),
        ({"zzz": "x"}, "In hero no 'zzz' can be set. There are season, headline, shown, accent."),
        ({"headline": "x" * 21}, "the text has more than 20 characters"),
        ({"shown": "many"}, "shown cannot be 'many': a number is needed."),
        ({"shown": "10"}, "shown cannot be '10': the number must be from 1 to 9."),
        ({"accent": "red"}, "accent cannot be 'red'"),
        ({"season": "spring"}, "season cannot be 'spring'"),
    ],
)
def test_what_cannot_be_set_is_a_sentence(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        look(Who.EMPTY, **settings)

    assert sentence in str(refused.value)
