"""Lets git see revision files that a rule of ``.gitignore`` hides."""

from __future__ import annotations

import os
from pathlib import Path

from flask_safemigrate.project.git import read_git, repository


def unignore(folder: Path) -> tuple[Path, str | None, tuple[str, ...]] | None:
    """Add rules that bring the revision files of a folder back.

    The deepest ``.gitignore`` above the folder has the last word, whichever file hides them.

    :return: the changed file, its text before (None: there was none) and the new lines; None where
        no rule could help.
    """
    top = repository(folder)
    if top is None:
        return None
    real = Path(os.path.realpath(folder))
    above = [p for p in (real, *real.parents) if p == top or top in p.parents]
    places = [p for p in above if (p / ".gitignore").is_file()] or [top]
    place = places[0]
    path = place / ".gitignore"
    before = path.read_text(encoding="utf-8") if path.is_file() else None
    inside = real.relative_to(place).parts
    lines = [f"!/{'/'.join(inside[: n + 1])}/" for n in range(len(inside))]
    # A folder that is left out must come back before what is in it.
    lines.append(f"!/{'/'.join((*inside, '*.py'))}")
    start = "" if not before or before.endswith("\n") else "\n"
    path.write_text(f"{before or ''}{start}" + "\n".join(lines) + "\n", encoding="utf-8")
    if read_git(folder, [folder], []).ignored:
        if before is None:
            path.unlink()
        else:
            path.write_text(before, encoding="utf-8")
        return None
    return path, before, tuple(lines)
