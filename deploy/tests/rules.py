"""A rule looks at something and yields what is wrong with it, in words."""

from collections.abc import Callable, Iterator
from typing import Any

Rule = Callable[[Any], Iterator[str]]


class Rules(list[Rule]):
    """Rules about one kind of thing."""

    def add(self, rule: Rule) -> Rule:
        """Registers a rule; a decorator."""
        self.append(rule)
        return rule

    def named(self, name: str) -> Rule:
        """The one of this name."""
        return next(rule for rule in self if rule.__name__ == name)


def ids(rules: list[Rule]) -> list[str]:
    """Their names, for pytest."""
    return [rule.__name__ for rule in rules]


# For `put`: no value, as `None` is one.
MISSING: Any = object()


def put(subject: Any, path: str, value: Any = MISSING) -> None:
    """Plants a fault: sets what is at a path (`spec.ports.0.port`), or removes it.

    A key that contains dots is written with `~` in their place.
    """
    *way, last = (key.replace("~", ".") for key in path.split("."))
    for key in way:
        subject = subject[int(key)] if isinstance(subject, list) else subject.setdefault(key, {})
    place: Any = int(last) if isinstance(subject, list) and last != "-" else last
    if value is MISSING:
        del subject[place]
    elif place == "-":
        subject.append(value)
    else:
        subject[place] = value
