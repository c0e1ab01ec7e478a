"""Statements with the secrets in them taken out, for records and messages."""

from __future__ import annotations

import re

_LITERAL = (
    r"(?:(?:_\w{1,20}\s{0,9}|[EBNX]|U&)?'(?:[^'\\]|\\.|'')*(?:'|\Z)|\"(?:[^\"\\]|\\.|\"\")*(?:\"|\Z)|0x[0-9A-Fa-f]+"
    r"|\$\w{0,20}\$[^$]*(?:\$\w{0,20}\$|\Z))"
)
# What MariaDB, MySQL and PostgreSQL write before a password or its hash.
_BEFORE = re.compile(
    r"(\bIDENTIFIED\s+(?:(?:WITH|VIA)\s+[\w`'\"]+\s+)?(?:BY|AS|USING)\s+(?:PASSWORD\s*\(?\s*)?"
    r"|\bOR\s+[\w`]+\s+(?:AS|USING)\s+(?:PASSWORD\s*\(?\s*)?"
    r"|\bREPLACE\s+(?=['\"][^'\"]*['\"]\s*(?:RETAIN|;|$))"
    r"|\b(?:AES_(?:EN|DE)CRYPT|PGP_SYM_(?:EN|DE)CRYPT(?:_BYTEA)?)\s*\([^()']{0,200},\s*"
    r"|\b\w*(?:PASSWORD|PASSWD|SECRET|TOKEN)\w*['\"`]?\s*(?::?=|\()?\s*"
    r"(?:FOR\s+[\w`'\"@.%]+\s*=\s*)?(?:PASSWORD\s*\(\s*)?)"
    rf"({_LITERAL})",
    re.IGNORECASE | re.DOTALL,
)
# In a string of parameters: CONNECTION 'host=db password=x', or in a URL.
_INSIDE = re.compile(r"(\b(?:password|passwd|secret|token)\s*=\s*)([^\s'\"&;,)]+)", re.IGNORECASE)
_URL = re.compile(r"(\b[a-z][a-z0-9+.]{1,30}://[^\s'\":/@]{0,100}:)([^\s'\"@]{1,200})(?=@)", re.I)


# https://www.postgresql.org/docs/current/libpq-exec.html#LIBPQ-PQRESULTERRORMESSAGE
_CITED = re.compile(r"\nLINE \d+: [^\n]*(?:\n[ \t]*\^[ \t]*(?=\n|\Z))?")


def without_citation(said: str) -> str:
    """Return PostgreSQL's words without the line of the statement that they cite.

    psycopg2 has put the values of parameters into the statement before the server reads it.
    """
    return _CITED.sub("", said)


def without_secrets(statement: str) -> str:
    """Return a statement with the literals that stand where a password does as ``'***'``."""
    shown = _BEFORE.sub(lambda found: f"{found[1]}'***'", statement)
    return _URL.sub(r"\1***", _INSIDE.sub(r"\1***", shown))
