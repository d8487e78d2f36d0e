"""The command line: words in, words and an exit code out.

It owns flag parsing, help, the command table, table/JSON/template rendering, terminal streams and the launcher.  It
promises Podman's words, flags, output and exit codes, and that a command imports only the modules it needs.  All
work is done by :mod:`wherry.engine`; nothing here decides anything about containers or images.
"""
