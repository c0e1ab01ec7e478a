"""Parts of the documentation that the code itself knows: settings, exit codes, checks.

Run as a script, it writes the README's table of settings anew.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

from flask_safemigrate.checks.catalogue import CATALOGUE, FAMILIES, Check
from flask_safemigrate.outcome import Status, exit_code
from flask_safemigrate.settings import PREFIX, Settings

README_HEAD = "| setting | default | meaning |\n|---|---|---|"
MEANING = {
    Status.DONE: "done",
    Status.NOTHING_TO_DO: "there was nothing to do",
    Status.FAILED: "failed, or answered no; the database is as it was before",
    Status.USAGE: "the command, a setting or the application itself is wrong",
    Status.REFUSED: "refused by checks; nothing was started",
    Status.UNAVAILABLE: "the database or the lock could not be had in time",
    Status.NEEDS_PERSON: (
        "failed in the middle, and the database needs a person (MariaDB and MySQL; on PostgreSQL "
        "only a revision that does other things beside its ``autocommit_block()``)"
    ),
}


def write_all(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "settings.rst").write_text(settings(), encoding="utf-8")
    (folder / "checks.rst").write_text(checks(), encoding="utf-8")
    (folder / "exit_codes.rst").write_text(exit_codes(), encoding="utf-8")


def settings() -> str:
    """A list-table of every setting."""
    return table(
        ("setting", "default", "meaning"),
        [(f"``{key}``", f"``{default}``", meaning) for key, default, meaning in setting_rows()],
    )


def setting_rows() -> list[tuple[str, str, str]]:
    """Key, default and meaning of every setting, out of the docstring of ``Settings``."""
    text = inspect.cleandoc(Settings.__doc__ or "")
    meaning = {
        match[1]: " ".join(match[2].split())
        for match in re.finditer(r":param (\w+): (.*?)(?=\n:param|\Z)", text, re.S)
    }
    return [
        (PREFIX + f.name.upper(), repr(f.default), meaning[f.name].rstrip("."))
        for f in fields(Settings)
    ]


def readme_settings() -> str:
    """The README's table of settings."""
    rows = [
        f"| `{key}` | `{default}` | {meaning.replace('``', '`')} |"
        for key, default, meaning in setting_rows()
    ]
    return "\n".join([README_HEAD, *rows])


def exit_codes() -> str:
    """A list-table of the exit codes, out of the one function that gives them."""
    codes: dict[int, list[str]] = {}
    for status in Status:
        codes.setdefault(exit_code(status), []).append(MEANING[status])
    return table(("code", "meaning"), [(str(c), ", or ".join(m)) for c, m in codes.items()])


def checks() -> str:
    """A section for each family, in it one for each check, out of the checks' docstrings."""
    parts = []
    for family, subject in FAMILIES.items():
        members = [check for check in CATALOGUE if check.family == family]
        if members:
            parts += [heading(f"{family}xx: {subject}", "-"), *map(check_section, members)]
    return "\n".join(parts)


def check_section(check: Check) -> str:
    blocks = f"Blocks {', '.join(check.blocks)}." if check.blocks else "Blocks nothing."
    return (
        f".. _{check.code}:\n\n"
        + heading(f"{check.code} {check.name}", "~")
        + f"*{check.severity.word.capitalize()}.* {blocks}\n\n{check.explanation}\n"
    )


def heading(text: str, underline: str) -> str:
    return f"{text}\n{underline * len(text)}\n\n"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in [head, *rows]:
        lines += [f"   {'* -' if n == 0 else '  -'} {cell}" for n, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    readme = Path(__file__).resolve().parent.parent / "README.md"
    before, head, rest = readme.read_text(encoding="utf-8").partition(README_HEAD)
    after = rest.partition("\n\n")[2]
    readme.write_text(f"{before}{readme_settings()}\n\n{after}", encoding="utf-8")
