"""What becomes of HTML in a plain-text part."""

from __future__ import annotations

import pytest

from mailtailor.content import neutral
from mailtailor.content.html_text import text_of


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("<div>One</div><div>Two<br>Three</div>", "One\n\nTwo\nThree"),
        ("<p>A   lot\n of   blanks</p>", "A lot of blanks"),
        ('<a href="https://shop.example/1">See it</a>', "See it\nhttps://shop.example/1"),
        ('<a href="https://shop.example/1">https://shop.example/1</a>', "https://shop.example/1"),
        ('<a href="/x"><img src="a.png" alt="A lantern"></a>', "A lantern\n/x"),
        ('<img src="a.png" alt="">', ""),
        ("<ul><li>One</li><li>Two</li></ul>", "- One\n\n- Two"),
        ("<style>p{color:red}</style><p>Seen</p>", "Seen"),
        ("<p>&pound;2.50 &amp; more &lt;b&gt;</p>", "£2.50 & more <b>"),
        ("<div style='display: none'>Hidden <b>deep</b><br></div>Seen", "Seen"),
        ("<td aria-hidden='true'>L</td><td>Lantern</td>", "Lantern"),
        ("<!--[if mso]><p>Outlook</p><![endif]--><!--[if !mso]><!--><p>Others</p><!--<![endif]-->", "Others"),
        ("<p>Not closed <b>bold", "Not closed bold"),
        ("", ""),
    ],
)
def test_html_is_read_as_people_see_it(html: str, text: str) -> None:
    assert text_of(html) == text


@pytest.mark.parametrize("data", ["{{secret}}", "%%=v(@x)=%%", "*|FNAME|*", "[[tag]]", "{% if x %}"])
def test_what_data_says_in_an_esps_language_stays_harmless_after_decoding(data: str) -> None:
    # when
    text = text_of(f'<p>{neutral.in_html(data)}</p><img alt="{neutral.in_html(data)}">')

    # then
    assert text == f"{neutral.in_text(data)}\n\n{neutral.in_text(data)}"
