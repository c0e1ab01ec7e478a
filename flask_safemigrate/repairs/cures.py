"""Writing the cures of hazards into revision files."""

from __future__ import annotations

import difflib
import io
import tokenize
from collections.abc import Mapping, Sequence
from pathlib import Path

from flask_safemigrate.errors import Refused
from flask_safemigrate.findings import Finding
from flask_safemigrate.outcome import Cured
from flask_safemigrate.project.fixes import fixed
from flask_safemigrate.repairs.revisions import Files

#: Path -> the bytes before and after.
Contents = Mapping[str, tuple[bytes, bytes]]


def cures_of(
    findings: Sequence[Finding],
) -> tuple[tuple[Cured, ...], tuple[str, ...], Contents]:
    """Return the files that change, why others of the findings are left, and the contents."""
    by_file: dict[str, list[Finding]] = {}
    for finding in findings:
        by_file.setdefault(finding.file, []).append(finding)
    cured: list[Cured] = []
    left: list[str] = []
    contents: dict[str, tuple[bytes, bytes]] = {}
    for path, mine in by_file.items():
        before = Path(path).read_bytes()
        encoding, _ = tokenize.detect_encoding(io.BytesIO(before).readline)
        text = before.decode(encoding)
        result = fixed(text, mine)
        name = "/".join(Path(path).parts[-3:])
        left += dict.fromkeys(
            f'{finding.code} in "{name}", line {finding.line}, is left: {why}.'
            for finding, why in result.left
            if why
        )
        without = sorted({finding.code for finding, why in result.left if not why})
        if without:
            left.append(
                f'"{name}": there is no fix for {", ".join(without)}; the hints say what helps.'
            )
        if result.text == text:
            continue
        codes = tuple(dict.fromkeys(finding.code for finding in result.done))
        cured.append(Cured(path, codes, _diff(text, result.text, name)))
        contents[path] = before, result.text.encode(encoding)
    return tuple(cured), tuple(left), contents


def _diff(before: str, after: str, name: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), name, name, lineterm="", n=2
    )
    return "\n".join(lines)


def write(contents: Contents) -> None:
    """Write the files, all of them or none.

    :raises Refused: one has changed since it was read.
    """
    for path, (before, _) in contents.items():
        if Path(path).read_bytes() != before:
            raise Refused(
                f'"{path}" was changed meanwhile; nothing was written.',
                hint="run the command again",
            )
    files = Files()
    try:
        for path, (_, after) in contents.items():
            files.write(Path(path), after)
    except BaseException:
        files.take_back()
        raise
