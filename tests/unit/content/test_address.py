from __future__ import annotations

import pytest

from mailtailor.content.address import Shape, read


@pytest.mark.parametrize(
    ("path", "block", "shape"),
    [
        ("/content/hero", "hero", Shape.HTML),
        ("/content/hero.html", "hero", Shape.HTML),
        ("/content/hero.json", "hero", Shape.JSON),
        ("/content/hero.txt", "hero", Shape.TEXT),
        ("//content//hero.json/", "hero", Shape.JSON),
        ("/content/her%6F", "hero", Shape.HTML),
        ("/content/hero.pdf", "hero.pdf", Shape.HTML),
        ("/content/.json", "", Shape.JSON),
        ("/content/", "", Shape.HTML),
        ("/content/a/b", "", Shape.HTML),
        ("/other/hero", "", Shape.HTML),
        ("/content/\ufffd%ff", "\ufffd\ufffd", Shape.HTML),
        ("/content/" + "x" * 20_000, "", Shape.HTML),
    ],
)
def test_a_path_names_a_block_and_how_it_is_wanted(path: str, block: str, shape: Shape) -> None:
    assert read(path) == (block, shape)


@pytest.mark.parametrize(
    ("path", "blocks"),
    [
        ("/content/hero.json", ("hero",)),
        ("/content/hero,footer.json", ("hero", "footer")),
        ("/content/hero%2Cfooter", ("hero", "footer")),
        ("/content/,hero,,hero,footer,.txt", ("hero", "footer")),
        ("/content/" + ",".join(f"b{number}" for number in range(10)), tuple(f"b{number}" for number in range(10))),
        ("/content/" + ",".join(f"b{number}" for number in range(11)), ()),
        ("/content/,.json", ()),
    ],
)
def test_a_path_may_name_several_blocks(path: str, blocks: tuple[str, ...]) -> None:
    assert read(path).blocks == blocks
