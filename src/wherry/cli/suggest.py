"""What was probably meant: similar command names (the rules of cobra)."""

from __future__ import annotations

from wherry.cli.commands import children

#: How many single-letter changes apart a name may be.
DISTANCE = 2


def unrecognized(program: str, group: str, word: str) -> str:
    """The message about *word*, which is no command of *group* (empty: of wherry).

    At the top names that are similar are offered, as Podman does.
    """
    command = f"{program} {group}" if group else program
    text = f"unrecognized command `{command} {word}`\n"
    similar = suggestions(group, word) if not group else []
    if similar:
        text += "\nDid you mean this?\n" + "".join(f"\t{name}\n" for name in similar) + "\n"
    return text + f"Try '{command} --help' for more information"


def suggestions(group: str, word: str) -> list[str]:
    """Commands of *group* that begin with *word* or are at most :data:`DISTANCE` letters from it."""
    lower = word.lower()
    return [
        name
        for name, _help in children(group)
        if name.lower().startswith(lower) or distance(lower, name.lower()) <= DISTANCE
    ]


def distance(first: str, second: str) -> int:
    """Levenshtein distance."""
    row = list(range(len(second) + 1))
    for i, char in enumerate(first, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(second, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (char != other))
    return row[-1]
