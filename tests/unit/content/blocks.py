"""Small blocks, written in the tests that use them."""

from __future__ import annotations

from typing import Any

from mailtailor.content.block import Block
from mailtailor.content.render import Format, Renderer


def block(template: str, *, text: str | None = None, parts: dict[str, str] | None = None) -> Block:
    return Block.model_validate(
        {
            "name": "hero",
            "description": "A block.",
            "variants": [{"name": "only", "template": template, "text": text}],
            "parts": parts or {},
            "fallback": "<p>Hello</p>",
            "fallback_text": "Hello",
        }
    )


def render(template: str, data: dict[str, Any] | None = None, **parts: str) -> str:
    made = block(template, parts=parts)
    return Renderer(made).render(made.variants[0], Format.HTML, data or {}, untracked)


def render_text(template: str, data: dict[str, Any]) -> str:
    made = block("unused", text=template)
    return Renderer(made).render(made.variants[0], Format.TEXT, data, untracked)


def untracked(url: str, *, product_id: str, category: str) -> str:
    return f"{url}#{product_id}{category}"
