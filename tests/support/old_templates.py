"""Old ``env.py`` files of Flask-Migrate, made out of the installed one by taking changes back.

Whether the result is what was shipped is told by its hash, which the package has.
"""

from __future__ import annotations

import re

from flask_safemigrate.project.templates import installed

#: What a release brought: text of the newer template, text of the older one.
_BACK: dict[str, list[tuple[str, str]]] = {
    "4.0.4": [
        ("(TypeError, AttributeError)", "TypeError"),
        (
            "    conf_args = current_app.extensions['migrate'].configure_args\n"
            '    if conf_args.get("process_revision_directives") is None:\n'
            '        conf_args["process_revision_directives"] = process_revision_directives\n\n',
            "",
        ),
        (
            "            **conf_args\n",
            "            process_revision_directives=process_revision_directives,\n"
            "            **current_app.extensions['migrate'].configure_args\n",
        ),
    ],
    "4.0.3": [
        (r"re:def get_engine_url\(\):.*?\n\n\n(?=#)", ""),
        (
            "config.set_main_option('sqlalchemy.url', get_engine_url())",
            "config.set_main_option(\n"
            "    'sqlalchemy.url', str(get_engine().url).replace('%', '%%'))",
        ),
    ],
    "4.0.0": [
        (r"re:def get_engine\(\):.*?\n\n\n(?=#)", ""),
        ("re:\\A", "from __future__ import with_statement\n\n"),
        (
            "    'sqlalchemy.url', str(get_engine().url).replace('%', '%%'))",
            "    'sqlalchemy.url',\n    str(get_engine().url).replace(\n        '%', '%%'))",
        ),
        ("get_engine()", "current_app.extensions['migrate'].db.get_engine()"),
    ],
    "3.1.0": [
        (r"re:def get_metadata\(\):.*?\n\n\n(?=def)", ""),
        (
            "target_db = current_app.extensions['migrate'].db\n",
            "target_metadata = current_app.extensions['migrate'].db.metadata\n",
        ),
        ("get_metadata()", "target_metadata"),
    ],
    "3.0.0": [("db.get_engine()", "db.engine")],
    "2.6.0": [
        (
            "    connectable = current_app.extensions['migrate'].db.engine\n",
            "    connectable = engine_from_config(\n"
            "        config.get_section(config.config_ini_section),\n"
            "        prefix='sqlalchemy.',\n"
            "        poolclass=pool.NullPool,\n"
            "    )\n",
        ),
        (
            "from flask import current_app\n",
            "from sqlalchemy import engine_from_config\n"
            "from sqlalchemy import pool\n"
            "from flask import current_app\n",
        ),
    ],
    "2.5.2": [
        (
            "str(current_app.extensions['migrate'].db.engine.url).replace(\n        '%', '%%')",
            "current_app.config.get(\n        'SQLALCHEMY_DATABASE_URI').replace('%', '%%')",
        ),
    ],
    "2.4.0": [("'SQLALCHEMY_DATABASE_URI').replace('%', '%%')", "'SQLALCHEMY_DATABASE_URI')")],
}
#: The last release that had each text; 3.0.1 and 4.0.1 gave way to 3.1.0 and 4.0.3 unchanged.
OLD = tuple(_BACK)


def old_env(release: str) -> str:
    """The ``env.py`` of a release, up to comments and layout; line by line from 3.1 on."""
    path = installed("flask")
    assert path is not None
    text = path.read_text(encoding="utf-8")
    for each, changes in _BACK.items():
        for new, old in changes:
            if new.startswith("re:"):
                text = re.sub(new[3:], old, text, count=1, flags=re.DOTALL)
            else:
                text = text.replace(new, old)
        if each == release:
            return text
    raise KeyError(release)
