"""Write flask_safemigrate/project/templates.json out of a clone of Flask-Migrate.

    git clone https://github.com/miguelgrinberg/Flask-Migrate
    python scripts/templates.py Flask-Migrate

Every release has a tag there but 1.3.1, whose templates are those of 1.3.0.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import subprocess
from pathlib import Path

from flask_safemigrate.project import templates

TARGET = Path(templates.__file__).with_suffix(".json")
SOURCE = "Flask-Migrate, https://github.com/miguelgrinberg/Flask-Migrate"
LICENCE = "MIT, Copyright (c) 2013 Miguel Grinberg; only hashes of its lines are kept here"


def git(clone: Path, *arguments: str) -> str:
    command = ["git", "-C", str(clone), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def releases(clone: Path) -> list[str]:
    tags = [tag for tag in git(clone, "tag").split() if re.fullmatch(r"v\d+(\.\d+)+", tag)]
    return sorted(tags, key=lambda tag: tuple(map(int, tag[1:].split("."))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clone", type=Path)
    clone = parser.parse_args().clone
    found: dict[tuple[str, tuple[str, ...]], dict[str, str]] = {}
    for tag in releases(clone):
        for path in git(clone, "ls-tree", "-r", tag, "--name-only").splitlines():
            match = re.search(r"templates/([^/]+)/env\.py$", path)
            if match:
                text = git(clone, "show", f"{tag}:{path}")
                lines = tuple(templates.line_key(line) for line in text.splitlines())
                about = found.setdefault(
                    (match[1], lines),
                    {"first": tag[1:], "meaning": templates.meaning(ast.parse(text))},
                )
                about["last"] = tag[1:]
    keys = list(dict.fromkeys(key for _, lines in found for key in lines))
    numbers = {key: number for number, key in enumerate(keys)}
    document = {
        "source": SOURCE,
        "licence": LICENCE,
        "lines": keys,
        "templates": [
            {"name": name, **about, "lines": [numbers[key] for key in lines]}
            for (name, lines), about in found.items()
        ],
    }
    text = json.dumps(document, separators=(",", ":"))
    TARGET.write_text(text.replace('{"name"', '\n{"name"') + "\n", encoding="utf-8")
    print(f"{TARGET}: {len(found)} templates, {len(keys)} lines")


if __name__ == "__main__":
    main()
