from __future__ import annotations

import os
import py_compile
import warnings
from pathlib import Path

import alembic
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from flask_safemigrate.facts.history import Revision
from flask_safemigrate.project.history import (
    check_syntax,
    checksum,
    checksums,
    does_nothing,
    named_in,
    read_history,
    same_code,
    with_tables,
)
from tests.support.graphs import random_history


def alembic_reads(directory: Path) -> ScriptDirectory:
    config = Config(str(directory / "alembic.ini"))
    config.set_main_option("script_location", str(directory))
    return ScriptDirectory.from_config(config)


def as_tuple(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)  # type: ignore[arg-type]


def assert_equal_reading(directory: Path) -> int:
    script = alembic_reads(directory)
    theirs = {
        Path(rev.path).resolve(): (
            rev.revision,
            as_tuple(rev.down_revision),
            as_tuple(rev.dependencies),
            set(rev._orig_branch_labels),
            rev.doc.split("\n")[0],
        )
        for rev in script.walk_revisions()
    }
    history = read_history(directory)
    assert history.broken == ()
    ours = {
        Path(r.path).resolve(): (r.id, r.parents, r.depends_on, set(r.labels), r.message)
        for r in history.revisions
    }
    assert ours == theirs
    assert set(history.heads) == set(script.get_heads())
    assert set(history.tips(history.by_id)) == set(script.revision_map._real_heads)
    return len(ours)


def write(directory: Path, name: str, text: str | bytes) -> Path:
    path = directory / "versions" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def only(directory: Path) -> Revision:
    history = read_history(directory)
    assert history.broken == ()
    (revision,) = history.revisions
    return revision


@pytest.mark.parametrize("seed", range(60))
def test_reads_what_alembic_reads(seed: int, tmp_path: Path) -> None:
    nodes = random_history(seed, tmp_path / "versions")
    assert assert_equal_reading(tmp_path) == len(nodes)


HEADERS = {
    "implicit concatenation": "revision = 'a' '1'\ndown_revision = None",
    "constant": "ID = 'a1'\nrevision = ID\ndown_revision = None",
    "escapes": "revision = '\\x61\\x31'\ndown_revision = None",
    "raw string": "revision = r'a1'\ndown_revision = None",
    "semicolon": "revision = 'a1'; down_revision = None",
    "tuple over lines": "revision = 'a1'\ndown_revision = (\n)\nbranch_labels = (\n 'x',\n)",
    "set": "revision = 'a1'\ndown_revision = None\nbranch_labels = {'x'}",
    "empty calls": "revision = 'a1'\ndown_revision = tuple()\ndepends_on = list()",
    "assigned twice": "revision = 'zz'\nrevision = 'a1'\ndown_revision = None",
    "no spaces": "revision='a1'\ndown_revision=None",
    "annotated": "revision: 'str' = 'a1'\ndown_revision: str | None = None",
    "after the functions": "def upgrade(): pass\ndef downgrade(): pass\nrevision = 'a1'\n"
    "down_revision = None",
    "text that looks like a header": "TEXT = '''\nrevision = 'zz'\n'''\nrevision = 'a1'\n"
    "down_revision = None",
    "text below that looks like a header": "revision = 'a1'\ndown_revision = None\n"
    "def upgrade():\n    '''\ndepends_on = 'zz'\n'''",
    "windows line ends": "revision = 'a1'\r\ndown_revision = None\r\n",
    "byte order mark": "\ufeffrevision = 'a1'\ndown_revision = None",
    "chained": "revision = ID = 'a1'\ndown_revision = None",
    "in a condition": "revision = 'a1'\ndown_revision = None\nif False:\n    pass",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize(
    "docstring",
    ["", '"""add "users"\n\nCreate Date: 2024-01-31\nrevision = \'no\'\n"""\n', "'''add'''\n"],
    ids=["bare", "docstring", "single quotes"],
)
def test_reads_headers_written_by_hand(header: str, docstring: str, tmp_path: Path) -> None:
    mark = "\ufeff" if header.startswith("\ufeff") else ""
    text = mark + docstring + header.removeprefix(mark) + "\n"
    if "def upgrade" not in text:
        text += "\ndef upgrade(): pass\n"
    write(tmp_path, "a1_x.py", text)
    assert assert_equal_reading(tmp_path) == 1
    assert only(tmp_path).id == "a1"


def test_reads_message_and_date(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a1.py",
        '"""add users\nand more\n\nRevision ID: a1\nCreate Date: 2024-01-31 10:00:00\n\n"""\n'
        "revision = 'a1'\ndown_revision = None\n",
    )
    revision = only(tmp_path)
    assert (revision.message, revision.created) == ("add users", "2024-01-31 10:00:00")


def test_takes_the_id_from_the_file_name_as_alembic_does(tmp_path: Path) -> None:
    write(tmp_path, "a1b2.py", "down_revision = None\n")
    assert assert_equal_reading(tmp_path) == 1


def test_skips_what_alembic_skips(tmp_path: Path) -> None:
    write(tmp_path, "a1.py", "revision = 'a1'\ndown_revision = None\n")
    write(tmp_path, "__init__.py", "")
    write(tmp_path, ".#a1.py", "not python")
    write(tmp_path, "notes.txt", "revision = 'b2'")
    write(tmp_path, "__pycache__/b2.py", "revision = 'b2'\ndown_revision = None\n")
    write(tmp_path, "more/c3.py", "revision = 'c3'\ndown_revision = None\n")
    assert assert_equal_reading(tmp_path) == 1


BROKEN = {
    "syntax": ("revision = 'a1'\ndown_revision = (\n", "syntax", 2, "a1"),
    "no python at all": ("hello world\n", "syntax", 1, ""),
    "null byte": (b"revision = 'a1' '\0'\ndown_revision = None\n", "syntax", None, "a1"),
    "merge marker in the header": (
        "revision = 'a1'\n<<<<<<< HEAD\ndown_revision = 'x'\n=======\ndown_revision = 'y'\n"
        ">>>>>>> other\n",
        "merge marker",
        2,
        "a1",
    ),
    "no revision": ("x = 1\n", "no revision", None, ""),
    "empty": ("", "no revision", None, ""),
    "no down_revision": ("revision = 'a1'\n", "no revision", None, "a1"),
    "number": ("revision = 12\ndown_revision = None\n", "not literal", None, ""),
    "computed": ("revision = str(1)\ndown_revision = None\n", "not literal", None, ""),
    "computed parent": ("revision = 'a1'\ndown_revision = f()\n", "not literal", None, "a1"),
    "imported": ("from x import revision\ndown_revision = None\n", "not literal", None, ""),
    "in a condition": (
        "revision = 'a1'\nif x:\n    down_revision = None\n",
        "not literal",
        None,
        "a1",
    ),
    "latin-1": (b"revision = 'a1'\n# \xe9\ndown_revision = None\n", "unreadable", 2, ""),
}


@pytest.mark.parametrize(("text", "problem", "line", "id"), BROKEN.values(), ids=BROKEN)
def test_says_what_is_wrong_with_a_file(
    text: str | bytes, problem: str, line: int | None, id: str, tmp_path: Path
) -> None:
    path = write(tmp_path, "x_file.py", text)
    write(tmp_path, "z.py", "revision = 'z'\ndown_revision = None\n")
    history = read_history(tmp_path)
    assert [r.id for r in history.revisions] == ["z"]
    (broken,) = history.broken
    assert (broken.path, broken.problem, broken.id) == (str(path), problem, id)
    if line is not None:
        assert broken.line == line


def test_coding_comment_is_obeyed(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a1.py",
        b"# -*- coding: latin-1 -*-\n'''caf\xe9'''\nrevision = 'a1'\ndown_revision = None\n",
    )
    assert assert_equal_reading(tmp_path) == 1
    assert only(tmp_path).message == "café"


def test_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "versions" / "a1.py"
    path.parent.mkdir()
    path.symlink_to(tmp_path / "gone.py")
    (broken,) = read_history(tmp_path).broken
    assert broken.problem == "unreadable"
    assert broken.path == str(path)


def test_broken_body_keeps_the_revision_in_the_graph(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "a1.py",
        "revision = 'a1'\ndown_revision = None\n\ndef upgrade():\n    op.create_table('t'\n",
    )
    quick = read_history(tmp_path)
    assert [r.id for r in quick.revisions] == ["a1"]
    assert quick.broken == ()
    thorough = read_history(tmp_path, compile=True)
    assert [r.id for r in thorough.revisions] == ["a1"]
    (broken,) = thorough.broken
    assert (broken.problem, broken.line, broken.id) == ("syntax", 5, "a1")
    assert check_syntax(str(path), "a1") == broken


def test_merge_marker_in_the_body_is_found_without_compiling(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a1.py",
        "revision = 'a1'\ndown_revision = None\n\ndef upgrade():\n<<<<<<< HEAD\n    pass\n",
    )
    history = read_history(tmp_path)
    assert [r.id for r in history.revisions] == ["a1"]
    assert [(b.problem, b.line) for b in history.broken] == [("merge marker", 5)]


def test_python_cache_spares_the_compilation_until_the_file_changes(tmp_path: Path) -> None:
    good = "revision = 'a1'\ndown_revision = None\n\ndef upgrade():\n    pass\n"
    path = write(tmp_path, "a1.py", good)
    py_compile.compile(str(path), doraise=True)
    times = path.stat()
    other = good.replace("pass", "((((")
    path.write_text(other)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert check_syntax(str(path)) is None, "the cache is asked, by time and size, as Python does"
    path.write_text(good + "\ndef downgrade(:\n")
    problem = check_syntax(str(path))
    assert problem is not None
    assert problem.line == 7


def test_doubtful_escapes_warn_nobody(tmp_path: Path) -> None:
    path = write(tmp_path, "a1.py", "revision = ('a1')\ndown_revision = None\nX = '\\d'\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_history(tmp_path, compile=True).broken == ()
        assert check_syntax(str(path)) is None


INI = {
    "os": "version_locations = %(here)s/versions{sep}%(here)s/more\npath_separator = os",
    "space": "version_locations = %(here)s/versions %(here)s/more\npath_separator = space",
    "newline": "version_locations =\n    %(here)s/versions\n    %(here)s/more\n"
    "path_separator = newline",
    "old name": "version_locations = %(here)s/versions;%(here)s/more\nversion_path_separator = ;",
    "none": "version_locations = %(here)s/versions, %(here)s/more",
    "script_location": "version_locations = %(script_location)s/versions:%(here)s/more\n"
    "path_separator = :",
    "twice": "version_locations = %(here)s/more:%(here)s/more\npath_separator = :",
    "missing folder": "version_locations = %(here)s/versions:%(here)s/gone\npath_separator = :",
    "recursive": "recursive_version_locations = true",
    "not recursive": "recursive_version_locations = yes",
    "other section": "[loggers]\nversion_locations = %(here)s/more",
    "package": "version_locations = json:versions %(here)s/more\npath_separator = space",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ini", INI.values(), ids=INI)
def test_looks_where_alembic_looks(ini: str, tmp_path: Path) -> None:
    version = tuple(int(part) for part in alembic.__version__.split(".")[:2])
    if "\npath_separator" in ini and version < (1, 16):
        pytest.skip("path_separator came with Alembic 1.16")
    text = ini.replace("{sep}", os.pathsep)
    (tmp_path / "alembic.ini").write_text("[alembic]\n" + text + "\n")
    write(tmp_path, "a1.py", "revision = 'a1'\ndown_revision = None\n")
    write(tmp_path, "sub/b2.py", "revision = 'b2'\ndown_revision = 'a1'\n")
    write(tmp_path, "../more/c3.py", "revision = 'c3'\ndown_revision = None\n")
    assert assert_equal_reading(tmp_path) >= 1


def test_symbolic_links_count_once(tmp_path: Path) -> None:
    path = write(tmp_path, "a1.py", "revision = 'a1'\ndown_revision = None\n")
    (path.parent / "b.py").symlink_to(path)
    assert len(read_history(tmp_path).revisions) == 1


def test_no_folder_is_an_empty_history(tmp_path: Path) -> None:
    history = read_history(tmp_path / "nowhere", compile=True)
    assert (history.revisions, history.broken) == ((), ())


def test_checksum_is_that_of_the_text_whatever_its_line_ends(tmp_path: Path) -> None:
    unix = write(tmp_path, "a1.py", "revision = 'a1'\ndown_revision = None\n")
    before = checksum(str(unix))
    assert len(before) == 64
    assert checksums(read_history(tmp_path)) == {"a1": before}
    unix.write_bytes(unix.read_bytes().replace(b"\n", b"\r\n"))
    assert checksum(str(unix)) == before
    unix.write_text("revision = 'a1'\ndown_revision = None\n# edited\n")
    assert checksum(str(unix)) != before
    assert checksum(str(tmp_path / "gone.py")) == ""


def test_tables_of_an_upgrade(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "a1.py",
        """
revision = 'a1'
down_revision = None
NAME = 'constant'

def upgrade():
    op.create_table('users', sa.Column('id'))
    op.add_column(table_name='posts', column=sa.Column('title'))
    op.create_index('ix', 'tags', ['name'])
    op.drop_constraint('fk', table_name='votes')
    op.rename_table('old', 'new')
    with op.batch_alter_table(NAME) as batch_op:
        batch_op.drop_column('secret')
    op.create_table(computed())
    op.execute('DROP TABLE hidden')
    op.create_table('users')

def downgrade():
    op.drop_table('only_down')
""",
    )
    expected = ("users", "posts", "tags", "votes", "old", "new", "constant")
    assert with_tables(Revision("a1", (), path=str(path))).tables == expected


def test_tables_that_revisions_name(tmp_path: Path) -> None:
    one = write(tmp_path, "a1.py", "op.create_table('Users')\nop.execute('DROP TABLE my-tags')\n")
    other = write(tmp_path, "b2.py", "op.execute(f'INSERT INTO app.posts VALUES (1)')\n")
    tables = ["users", "user", "my-tags", "your-tags", "x.posts", "post"]
    found = named_in([str(one), str(other)], tables)
    assert found == {"users", "my-tags", "x.posts"}
    assert named_in([], tables) == frozenset()
    every = write(tmp_path, "c3.py", "db.metadata.create_all(op.get_bind())\n")
    assert named_in([str(one), str(every)], tables) == frozenset(tables)
    assert named_in([str(tmp_path / "gone.py")], tables) == frozenset(tables)


def test_tables_of_every_bind(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "a1.py",
        "def upgrade(engine_name):\n    globals()[f'upgrade_{engine_name}']()\n"
        "def upgrade_():\n    op.drop_table('a')\n"
        "def upgrade_other():\n    op.drop_table('b')\n",
    )
    found = with_tables(Revision("a1", (), path=str(path)))
    assert found.tables == ("a", "b")
    assert (found.of_bind("").tables, found.of_bind("other").tables) == (("a",), ("b",))
    assert found.of_bind("third").tables == ()
    assert Revision("a1", (), tables=("a",)).of_bind("other").tables == ("a",)


def test_tables_of_a_broken_file(tmp_path: Path) -> None:
    for path in (write(tmp_path, "a1.py", "def (\n"), tmp_path / "gone.py"):
        assert with_tables(Revision("a1", (), path=str(path))).tables == ()


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("import sqlalchemy as sa\nfrom alembic import op\n\nx = 1\n", True),
        ('"""Said."""\nfrom alembic import op  # why\nimport sqlalchemy as sa\nx = 1\n', True),
        ("from alembic import op\nimport sqlalchemy as sb\nx = 1\n", False),
        ("from alembic import op\nx = 1\nimport sqlalchemy as sa\n", False),
    ],
)
def test_the_order_of_imports_is_no_change(other: str, same: bool) -> None:
    assert same_code("from alembic import op\nimport sqlalchemy as sa\nx = 1\n", other) is same


@pytest.mark.parametrize(
    ("text", "idle"),
    [
        ("def downgrade():\n    pass\n", True),
        ('def downgrade():\n    """There is no way back."""\n', True),
        ("def downgrade():\n    op.drop_table('t')\n", False),
        ("def downgrade():\n    raise NotImplementedError\n", False),
        ("def downgrade(name):\n    globals()[name]()\ndef downgrade_():\n    pass\n", True),
        ("def upgrade():\n    pass\n", False),
    ],
)
def test_a_function_that_does_nothing(tmp_path: Path, text: str, idle: bool) -> None:
    path = tmp_path / "a1.py"
    path.write_text(text)
    assert does_nothing(str(path), "downgrade") is idle
