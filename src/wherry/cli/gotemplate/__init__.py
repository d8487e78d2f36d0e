"""Go's text/template for ``--format``: the language Podman's users write their templates in.

:class:`~wherry.cli.gotemplate.template.Template` parses and renders.  Syntax, functions and error texts are those of
Go's ``text/template`` and ``fmt``; values are Python's, with :mod:`~wherry.cli.gotemplate.values` giving structs, times
and nil pointers the shape Go programs show.  Not there: complex numbers and template sets from several files.
"""
