"""A word on one line: its fields that are not zero, each with what it means."""

from __future__ import annotations

from ..schema import Bits, Field, Rule, meaning_of

NOTHING_SET = "no field is set"


def describe(held: Bits) -> str:
    """`SNPActive (SEV-SNP), SNPBTBIsolation (Branch target buffer is isolated)`."""
    said = [_field(field, getattr(held, field.name)) for field in held.declaration.fields]
    return ", ".join(text for text in said if text) or NOTHING_SET


def describe_code(value: object) -> str:
    """`FAIL_INUSE (another processor works on the entry)`; a number without a name in hex."""
    name = getattr(value, "name", None)
    if name is None:
        return f"{value:#x}, which has no name"
    meaning = meaning_of(value)
    return f"{name} ({meaning})" if meaning else str(name)


def _field(field: Field, value: int) -> str:
    if field.enum is not None:
        known = isinstance(value, field.enum)
        return f"{field.spec} = {describe_code(value)}" if known or value else ""
    if not value:
        return ""
    if field.rule is not None:
        rule = "is ignored" if field.rule is Rule.IGNORED else field.rule.value
        return f"{field.name} = {value:#x}, which {rule}"
    means = first_sentence(field.meaning)
    said = f" ({means})" if means.lower() != field.spec.lower() else ""
    return f"{field.spec}{said}" if value is True else f"{field.spec} = {value:#x}{said}"


def first_sentence(meaning: str) -> str:
    """Enough beside a value: the layout has all sentences."""
    return meaning.partition(". ")[0]
