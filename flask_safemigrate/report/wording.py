"""How sizes, times and names are written, and how text is broken into lines."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.cells import cell_len

from flask_safemigrate.report.redaction import without_passwords

_DIALECTS = {
    "sqlite": "SQLite",
    "postgresql": "PostgreSQL",
    "mysql": "MySQL",
    "mariadb": "MariaDB",
}

# What a reader copies must stay in one piece: `quoted code` and our own commands in a sentence.
# Behind a command stands a word of the sentence or an argument of its own: an option, what has a
# digit, a dot or a slash, what is quoted, in capitals, or a name that our options take.
_ARGUMENT = (
    r"(?: (?:--(?= )|--?[A-Za-z][\w-]*(?:=\S+)?|-\d+|'[^'\n]*'|\"[^\"\n]*\"|[A-Z][A-Z_]+(?![\w'])"
    r"|(?:base|heads?)(?![\w-])|(?=[\w./:~^-]*[\d/])[\w./:~^-]*[\w/]|(?<=--bind )[\w.-]*\w))"
)
_CALL = r"\((?:[^()\n]|\((?:[^()\n]|\([^()\n]*\))*\))*\)"
_FLASK = rf"\bflask (?:db|safemigrate) [a-z][a-z-]*{_ARGUMENT}*"
_WHOLE = re.compile(
    r"`[^`\n]+`"
    rf"|{_FLASK}(?: && {_FLASK})*"
    rf"|\bgit [a-z][a-z-]*{_ARGUMENT}+"
    r"|\b(?:createuser|createdb|getent|chmod|chown|mv|mkdir|sudo)"
    r"(?: (?!(?:and|or|then|to|in|on|for|so|which|where)\b|#)[^ ,;\n]+)+"
    r"|\bpip install [\w\[\]'-]*[\w\]']"
    rf"|\b(?:op|sa|app)\.\w+{_CALL}"
    r"|\b(?:SELECT|UPDATE|DELETE FROM|INSERT INTO|ALTER|DROP|CREATE|GRANT|KILL|SET) [^;\n]{1,200};"
)
_ONLY_CODE = re.compile(r"`[^`\s](?:[^`]*[^`\s])?`")
_COMMAND_LINE = re.compile(
    r"(?:\$ |python3? -m |git (?:add|checkout|restore|rm|mv|show|log) |export "
    r"|chmod |chown |mkdir |app\.config\[)"
)


def dialect_name(dialect: str) -> str:
    """Return the name of a database product as its makers write it."""
    return _DIALECTS.get(dialect, dialect)


def size(octets: int | None) -> str:
    """Return a file size for people; "size unknown" for None."""
    if octets is None:
        return "size unknown"
    if octets < 1000:
        return f"{octets} B"
    amount, unit = octets / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if amount >= 999.5:
            amount, unit = amount / 1000, larger
    return f"{amount:.1f} {unit}" if amount < 99.95 else f"{amount:.0f} {unit}"


def duration(seconds: float) -> str:
    """Return a time span for people: ``4 ms``, ``3.2 s``, ``2 min 5 s``."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def count(number: int, noun: str, plural: str = "") -> str:
    """Return ``1 table`` or ``2,000 tables``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def revisions(ids: Sequence[str]) -> str:
    """Return revision ids for a sentence; an empty database is at ``base``."""
    return ", ".join(clean(i).replace("\n", "\\n") for i in ids) or "base"


def clean(text: str) -> str:
    """Return text that cannot steer a terminal and holds no password; keeps line ends."""
    shown = without_passwords(text).replace("\r\n", "\n").expandtabs(4)
    return "".join(c if c == "\n" or c.isprintable() else _escaped(c) for c in shown)


def one_line(text: str) -> str:
    """Return cleaned text on one line."""
    return clean(" ".join(text.split("\n")) if "\n" in text else text).strip()


def _escaped(character: str) -> str:
    if character == "\u00a0":
        return " "
    return character.encode("unicode_escape").decode("ascii")


def wrap(text: str, width: int, *, first: int = 0) -> list[str]:
    """Break text into lines of at most so many cells.

    Lines of the text stay lines; indented ones after the first are code. Commands, code and words
    are never broken, so a longer one makes a longer line, which terminals fold without harm to
    copying.

    :param first: cells that are taken on the first line.
    """
    lines: list[str] = []
    for paragraph in clean(text).split("\n"):
        words = [paragraph.rstrip()] if lines and paragraph.startswith(" ") else _words(paragraph)
        lines.extend(_fill(words, width, 0 if lines else first))
    return lines


def _words(paragraph: str) -> list[str]:
    if _ONLY_CODE.fullmatch(paragraph):
        # Pasted into a shell, the quotes would run the command twice.
        return [paragraph[1:-1]]
    if _COMMAND_LINE.match(paragraph):
        return [paragraph.rstrip()]
    # Cleaned text has no NUL, so it can stand for the blanks that must not break.
    kept = _WHOLE.sub(lambda match: match.group().replace(" ", "\0"), paragraph)
    return [word.replace("\0", " ") for word in kept.split()]


def _fill(words: list[str], width: int, taken: int) -> list[str]:
    lines = [""]
    used = taken
    for word in words:
        gap = 1 if lines[-1] else 0
        if used and used + gap + cell_len(word) > width:
            lines.append("")
            used = gap = 0
        lines[-1] += " " * gap + word
        used += gap + cell_len(word)
    return lines
