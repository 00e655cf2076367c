"""Links of blocks are told apart from each other and from the mail's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailtailor.content.links import LINKS_A_BLOCK, BlockLinks, first_position
from mailtailor.segments.memory import MAX_POSITION
from mailtailor.tracking.tokens import Keyring, MailingToken, read_link


def test_positions_of_a_block_are_beyond_the_mails_own_and_the_same_at_every_fetch() -> None:
    # given
    keyring = Keyring.from_secret({"active": "k1", "k1": "a secret key of the tests, long enough"})

    def positions(block: str) -> list[int]:
        links = BlockLinks(
            block=block,
            keyring=keyring,
            click_url="https://t.example",
            profile_id="A" * 22,
            mailing=MailingToken("spring", ""),
            now=0,
        )
        urls = [links(f"https://shop.example/{n}", product_id="", category="") for n in range(3)]
        return [read_link(keyring, url.split("/")[4]).position for url in urls]

    # when, then
    first, second = positions("products"), positions("offers")
    assert first == positions("products")
    assert len({*first, *second}) == 6
    assert min(first + second) > 1_000


@given(st.text(min_size=1, max_size=64))
def test_no_position_is_beyond_what_is_accepted(block: str) -> None:
    assert 1_000 <= first_position(block) <= MAX_POSITION - LINKS_A_BLOCK + 1
