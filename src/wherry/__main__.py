"""``python -m wherry``: the command line."""

from wherry.cli.main import console

console()
