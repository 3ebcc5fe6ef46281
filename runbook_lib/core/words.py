"""
Values and numbers formatted for a person.
"""

from collections.abc import Collection, Mapping, Set


def in_words(value: object) -> str:
    """
    Return a value as text: "yes", "1,234", "none", "a, b and c".

    A tuple inside a list is one item: `[("worker-1", "running")]` is "worker-1 running".
    """
    if isinstance(value, str):
        return value or "none"
    if isinstance(value, Mapping):
        return _listed([f"{name}: {in_words(each)}" for name, each in value.items()])
    if isinstance(value, Collection):
        items = sorted(value, key=str) if isinstance(value, Set) else value
        return _listed([_item(item) for item in items])
    plain = value.item() if hasattr(value, "item") else value  # a NumPy scalar
    if isinstance(plain, bool):
        return "yes" if plain else "no"
    if isinstance(plain, float):
        return f"{plain:,.0f}" if abs(plain) >= 1e6 else f"{plain:,g}"
    return f"{plain:,}" if isinstance(plain, int) else "none" if plain is None else str(plain)


def _item(value: object) -> str:
    return " ".join(map(in_words, value)) if type(value) is tuple else in_words(value)


def _listed(items: list[str]) -> str:
    if len(items) < 2:
        return "".join(items) or "none"
    if any(", " in item or " and " in item for item in items):
        return "; ".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def sentence(text: str) -> str:
    """
    Add a capital letter and a full stop to a text.
    """
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def count_of(number: int, noun: str) -> str:
    """
    Return a count with its noun: "1 change", "1,234 changes".
    """
    return f"{number:,} {noun}{'s' * (number != 1)}"


def printable(text: str) -> str:
    """
    Return a text whose control characters are escaped: a terminal would obey them.
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
