"""Whether a statement for a server can reach anything outside of the database that it runs in.

What is not known to stay inside counts as reaching out: a history whose replay is left out loses
a comparison, one that is replayed wrongly loses data.

PostgreSQL: statements about what all databases of a cluster share, and functions that reach files,
processes or other servers, none of which a rollback takes back
(https://www.postgresql.org/docs/current/manage-ag-overview.html). MariaDB and MySQL: names with
a database before them, and statements about the server
(https://mariadb.com/kb/en/identifier-qualifiers/).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

# Text of a statement, the longest first: a comment, a string, a quoted name, a word, a sign.
_PARTS = re.compile(
    r"""
    (?P<comment>--[^\n]*|\#[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<dollar>\$(?P<tag>[A-Za-z_0-9\x80-\U0010ffff]*)\$.*?(?:\$(?P=tag)\$|\Z))
    |(?P<string>'(?:[^'\\]|''|\\.)*(?:'|\Z))
    |(?P<double>"(?:[^"\\]|""|\\.)*(?:"|\Z))
    |(?P<tick>`(?:[^`]|``)*(?:`|\Z))
    |(?P<word>[\w$\x80-\U0010ffff]+)
    |(?P<sign>\S)
    """,
    re.VERBOSE | re.DOTALL,
)
# In MariaDB and MySQL two dashes begin a comment only before a blank: 1--1 is 2.
PARTS_MYSQL = re.compile(
    _PARTS.pattern.replace(r"--[^\n]*|", r"--(?=\s|\Z)[^\n]*|"), re.VERBOSE | re.DOTALL
)
# In PostgreSQL # is an operator and \ an ordinary character of a string without E before it.
_PARTS_POSTGRESQL = re.compile(
    _PARTS.pattern.replace(r"|\#[^\n]*", "").replace(
        r"(?P<string>'(?:[^'\\]|''|\\.)*(?:'|\Z))",
        r"(?P<string>\b[eE]'(?:[^'\\]|''|\\.)*(?:'|\Z)|'(?:[^']|'')*(?:'|\Z))",
    ),
    re.VERBOSE | re.DOTALL,
)

_SHARED = r"(?:ROLE|USER(?!\s+MAPPING\b)|GROUP|DATABASE|TABLESPACE|SUBSCRIPTION)"
#: What a statement of PostgreSQL does, by how it begins.
_BEGINNINGS = tuple(
    (re.compile(pattern), says)
    for pattern, says in (
        (rf"(?:CREATE|ALTER|DROP)\s+{_SHARED}\b", "is about what all databases share"),
        (r"(?:REASSIGN|DROP)\s+OWNED\b", "is about what all databases share"),
        (r"ALTER\s+SYSTEM\b", "changes the server"),
        (r"ALTER\s+DEFAULT\s+PRIVILEGES\s+FOR\b", ""),
        (
            rf"(?:COMMENT|SECURITY\s+LABEL)\b[^;]*\bON\s+{_SHARED}\b",
            "is about what all databases share",
        ),
        (
            r"(?:GRANT|REVOKE)\b(?:(?!\bON\b)[^;])*(?:;|$)",
            "is about roles, which all databases share",
        ),
        (
            r"(?:GRANT|REVOKE)\b[^;]*?\bON\s+(?:DATABASE|TABLESPACE|PARAMETER)\b",
            "is about what all databases share",
        ),
        (r"(?:COMMIT|ROLLBACK|PREPARE)\s+(?:PREPARED|TRANSACTION)\b", "outlives its database"),
        (r"CHECKPOINT\b", "is about the server"),
        (r"LOAD\b", "loads a library into the server"),
        (r"IMPORT\s+FOREIGN\s+SCHEMA\b", "reaches another server"),
        (r"CREATE\s+FOREIGN\s+TABLE\b", "reaches another server"),
        (
            r"COPY\b[^;]*\b(?:FROM|TO)\s+(?:PROGRAM\b|(?:U\s*&\s*)?')",
            "reads or writes files of the server",
        ),
        (
            r"CREATE\s+(?:OR\s+REPLACE\s+)?(?:TRUSTED\s+|PROCEDURAL\s+)*"
            r"(?:FUNCTION|PROCEDURE)\b[^;]*\bLANGUAGE\s+'?(?:PL\w+U|PLSH|C|INTERNAL)\b",
            "makes a function that may do anything",
        ),
        (r"DO\b[^;]*\bLANGUAGE\s+'?PL\w+U\b", "is code that may do anything"),
        (r"(?:SET|RESET)\s+SESSION\s+AUTHORIZATION\b", "changes the user"),
    )
    if says
)
_FUNCTIONS = re.compile(
    r"\b(DBLINK\w*|LO_(?:IMPORT|EXPORT)|PG_(?:TERMINATE|CANCEL)_BACKEND|PG_RELOAD_CONF|PG_PROMOTE"
    r"|PG_ROTATE_LOGFILE\w*|PG_FILE_\w+|PG_SWITCH_\w+|PG_CREATE_\w+|PG_DROP_REPLICATION_SLOT"
    r"|PG_COPY_\w+|PG_LOGICAL_\w+|PG_REPLICATION_\w+|PG_(?:START|STOP)_BACKUP|PG_BACKUP_\w+"
    r"|PG_WAL_REPLAY_\w+|PG_STAT_RESET_(?:SHARED|SLRU|REPLICATION_SLOT)|PG_READ_\w*FILE"
    r"|PG_LS_\w+|PG_STAT_FILE|POSTGRES_FDW_\w+|PG_STAT_STATEMENTS_RESET"
    r"|PG_STAT_RESET_SUBSCRIPTION_STATS|HTTP(?:_\w+)?|(?:CRON|AWS_\w+)\s*\.\s*\w+)\s*\("
)
_UNTRUSTED = re.compile(r"PL\w+U|PLSH|C|INTERNAL")
_COPIES_FILE = re.compile(r"(?<!\w)COPY\b[^;]*\b(?:FROM|TO)\s+(?:PROGRAM\b|(?:E|U\s*&\s*)?'|\$)")
# Code inside of a statement: there what it runs may stand anywhere.
_CODE = re.compile(r"(?:DO|CREATE\s+(?:OR\s+REPLACE\s+)?(?:FUNCTION|PROCEDURE|RULE|TRIGGER))\b")


def reaches_out(dialect: str, statement: str, others: Collection[str] = ()) -> str:
    """Say how a statement reaches outside of its database, in a clause; "" where it does not.

    :param dialect: ``postgresql``, ``mysql`` or ``mariadb``; of others nothing is known.
    :param others: the names of the server's other databases.
    """
    if dialect == "postgresql":
        return _postgresql(statement)
    if dialect in ("mysql", "mariadb"):
        return _mysql(statement, frozenset(map(str.casefold, others)))
    return ""


def _blank(statement: str, *, keep: bool) -> str:
    """The statement in capitals, on one line, without comments; strings are only kept if asked."""
    parts = []
    for part in _PARTS_POSTGRESQL.finditer(statement):
        kind, text = part.lastgroup, part.group()
        if kind == "comment":
            continue
        if kind in ("dollar", "string", "tag") or part["dollar"]:
            parts.append(" ".join(("'", text.strip("'"), "'")) if keep else "''")
        elif kind == "double":
            # A quoted name is none of the words; a function is one by its quoted name as well.
            name = text.strip('"')
            told = _FUNCTIONS.match(f"{name.upper()}(") or _UNTRUSTED.fullmatch(name.upper())
            parts.append(name if told else '"x"')
        else:
            parts.append(text)
    return re.sub(r"(?<=\w) (?=\()", "", " ".join(parts)).upper()


def _postgresql(statement: str) -> str:
    blank = _blank(statement, keep=False)
    for one in (each.strip() for each in blank.split(";")):
        # What EXPLAIN ANALYZE, a CTE or PREPARE runs stands behind it.
        if (says := _says(one)) or (
            one.startswith(("EXPLAIN", "PREPARE")) and (says := _anywhere(one))
        ):
            return says
    if any(_CODE.match(each.strip()) for each in blank.split(";")):
        code = _blank(statement, keep=True)
        if _COPIES_FILE.search(code):
            return "reads or writes files of the server"
        # Code in quotes is code with quotes doubled, and what it puts together is in strings.
        return _anywhere(re.sub(r"[\"']+|\$\w*\$", " ", code))
    return ""


def _says(one: str) -> str:
    for pattern, says in _BEGINNINGS:
        if pattern.match(one):
            return says
    found = _FUNCTIONS.search(one)
    return f"calls {found[1].lower()}()" if found else ""


def _anywhere(code: str) -> str:
    for pattern, says in _BEGINNINGS[:5]:
        if re.search(rf"(?<!\w){pattern.pattern}", code):
            return says
    if _COPIES_FILE.search(code):
        return "reads or writes files of the server"
    found = _FUNCTIONS.search(code)
    return f"calls {found[1].lower()}()" if found else ""


#: How statements of MariaDB and MySQL begin that change no more than the database they are in.
_INSIDE = re.compile(
    r"(?:CREATE|ALTER|DROP|TRUNCATE|RENAME|ANALYZE|OPTIMIZE|CHECK|REPAIR|SELECT|INSERT|UPDATE"
    r"|DELETE|REPLACE|WITH|VALUES|TABLE|SET|SHOW|DESC|DESCRIBE|EXPLAIN|BEGIN|START TRANSACTION"
    r"|COMMIT|ROLLBACK|SAVEPOINT|RELEASE SAVEPOINT|LOCK TABLES?|UNLOCK TABLES|DO|CALL|NOT ATOMIC"
    r"|PREPARE|EXECUTE|DEALLOCATE)(?!\w)|\("
)
# What else a statement of a stored program begins with.
_INSIDE_CODE = re.compile(
    r"(?:END|IF|ELSE|ELSEIF|THEN|DECLARE|SIGNAL|RESIGNAL|GET|WHILE|LOOP|LEAVE|ITERATE|RETURN|OPEN"
    r"|FETCH|CLOSE|CASE|WHEN|REPEAT|UNTIL|FOR|\w+ :)(?!\w)"
)
_STORED = re.compile(
    r"BEGIN\b|CREATE(?: OR REPLACE)?(?: AGGREGATE)?(?: IF NOT EXISTS)? ?(?:PROCEDURE|FUNCTION"
    r"|TRIGGER|PACKAGE)\b"
)
_FOREIGN_TO_CODE = re.compile(
    r"(?:\b(?:BEGIN|ATOMIC|THEN|ELSE|DO|LOOP|REPEAT|ROW|SQL|DATA|INVOKER|DEFINER|DETERMINISTIC"
    r"|SQLEXCEPTION|SQLWARNING|FOUND)|\)|'') "
    r"(?:GRANT|REVOKE|FLUSH|LOAD|KILL|RESET|SHUTDOWN|INSTALL|UNINSTALL|PURGE|CHANGE|START SLAVE"
    r"|START REPLICA|STOP|USE|RENAME USER|(?:CREATE|DROP|ALTER)(?: OR REPLACE)? (?:USER|ROLE"
    r"|DATABASE|SCHEMA|SERVER|TABLESPACE|EVENT))\b"
)
_MADE = re.compile(
    r"(?:CREATE|ALTER|DROP|RENAME)(?:\s+(?:OR REPLACE|IF NOT EXISTS|IF EXISTS|UNDO|LOGFILE))*"
    r"\s+(USER|ROLE|DATABASE|SCHEMA|SERVER|TABLESPACE|LOGFILE|EVENT|INSTANCE|RESOURCE|SPATIAL"
    r"\s+REFERENCE|PUBLIC|PACKAGE BODY|BINLOG|LIBRARY)\b"
)
_SERVER_WIDE = (
    (re.compile(r"\bINTO (?:OUTFILE|DUMPFILE)\b"), "writes a file of the server"),
    (re.compile(r"\bSET (?:GLOBAL|PERSIST|PERSIST_ONLY|PASSWORD|DEFAULT ROLE)\b"), ""),
    (re.compile(r"\bSET\b.*(?:, (?:GLOBAL|PERSIST|PERSIST_ONLY) |@ @ (?:GLOBAL|PERSIST))"), ""),
    (re.compile(r"\bSONAME\b"), "loads a library into the server"),
    (re.compile(r"\b(?:DATA|INDEX) DIRECTORY\b"), "writes to a folder of the server"),
    (re.compile(r"\bENGINE (?:= )?(?:FEDERATED|FEDERATEDX|CONNECT|SPIDER|S3)\b"), "uses an engine "
     "that reaches elsewhere"),
    (re.compile(r"\bEXECUTE IMMEDIATE\b"), "runs SQL that it puts together"),
    (re.compile(r"\bDEFINER\b(?!.*\bCURRENT_USER\b).*\bEVENT\b"), "makes an event"),
    (re.compile(r"\b(?:LOAD_FILE|SYS_EXEC|SYS_EVAL) \("), "reaches files of the server"),
)  # fmt: skip
_TABLE_FOLLOWS = frozenset(
    [
        "FROM",
        "JOIN",
        "INTO",
        "UPDATE",
        "TABLE",
        "TABLES",
        "EXISTS",
        "REFERENCES",
        "TRUNCATE",
        "LIKE",
        "VIEW",
        "TRIGGER",
        "PROCEDURE",
        "FUNCTION",
        "SEQUENCE",
        "TO",
        "USING",
        "CALL",
        "INSERT",
        "REPLACE",
        "IGNORE",
        "LOW_PRIORITY",
        "DELAYED",
        "QUICK",
        "STRAIGHT_JOIN",
        "DELETE",
        "INDEX",
        "DESC",
        "DESCRIBE",
        "EXPLAIN",
        "COLUMNS",
        "FIELDS",
        "HANDLER",
    ]
)
#: Databases of the server itself: to read them is no more than to ask.
_OF_SERVER = frozenset({"information_schema", "performance_schema", "sys"})
_WRITES = re.compile(
    r"\b(?:CALL|UPDATE|TRUNCATE|INSERT|REPLACE|DELETE)"
    r"(?: (?:LOW_PRIORITY|HIGH_PRIORITY|DELAYED|QUICK|IGNORE|INTO|FROM|TABLE))* (\w+) \."
)
_CONDITIONAL = re.compile(r"/\*M?!\d*")


def _words_of(statement: str) -> Iterator[tuple[str, str]]:
    """What a statement of MariaDB or MySQL consists of: kind and text, names without quotes."""
    # What stands in /*! ... */ is run (https://mariadb.com/kb/en/comment-syntax/).
    opened = re.sub(r"\*/", " ", _CONDITIONAL.sub(" ", statement)) if "!" in statement else None
    for part in PARTS_MYSQL.finditer(opened if opened is not None else statement):
        kind, text = str(part.lastgroup), part.group()
        if kind == "comment":
            continue
        if kind == "tick":
            yield "name", text.strip("`").replace("``", "`")
        elif kind == "double":
            yield "double", text.strip('"').replace('""', '"')
        elif kind == "string":
            yield "string", text[1:-1]
        elif kind == "word":
            yield "word", text
        else:
            yield from (("sign", sign) for sign in text if not sign.isspace())


def _mysql(statement: str, others: frozenset[str]) -> str:
    words = list(_words_of(statement))
    line = " ".join("''" if kind == "string" else text for kind, text in words).upper().strip("; ")
    stored = _STORED.match(_without_definer(line)) is not None
    if stored and _FOREIGN_TO_CODE.search(line):
        return "has code that is about the server"
    for one in (each.strip() for each in line.split(" ; ")):
        if not (stored and _INSIDE_CODE.match(one)) and (says := _of_server(one)):
            return says
    names = [(kind, text.casefold()) for kind, text in words]
    alone = {
        text
        for at, (kind, text) in enumerate(names)
        if kind in ("name", "word", "double")
        and (at + 1 == len(names) or names[at + 1][1] != ".")
        and (at == 0 or names[at - 1][1] != ".")
    }
    begins = line.partition(" ")[0]
    for written in _WRITES.finditer(line):
        if (database := written[1].casefold()) in _OF_SERVER:
            return f'changes database "{database}"'
    for at, (kind, text) in enumerate(names[:-2]):
        qualified = names[at + 1] == ("sign", ".") and (at == 0 or names[at - 1][1] != ".")
        if kind not in ("name", "word", "double") or not qualified or text not in others:
            continue
        before = names[at - 1] if at else ("", "")
        three = at + 3 < len(names) and names[at + 3] == ("sign", ".")
        is_table = before[0] == "word" and before[1].upper() in _TABLE_FOLLOWS
        on_table = before == ("word", "on") and begins in ("CREATE", "DROP", "GRANT")
        listed = before == ("sign", ",") and begins in ("DROP", "RENAME", "LOCK", "TRUNCATE")
        if three or is_table or on_table or listed or text not in alone:
            return f'names database "{text}"'
    # A database may be named without a table: SHOW TABLES FROM x changes nothing, nor does this.
    if "PREPARE" in line:
        for at, (kind, text) in enumerate(words[:-1]):
            if kind == "word" and text.upper() == "FROM" and begins == "PREPARE":
                follows = words[at + 1]
                if follows[0] not in ("string", "double"):
                    return "runs SQL that it puts together"
                return _mysql(follows[1], others)
        if begins != "PREPARE" and "DEALLOCATE" not in begins and " PREPARE " in line:
            return "runs SQL that it puts together"
    return ""


def _of_server(one: str) -> str:
    if not one:
        return ""
    if one.startswith("SET STATEMENT ") and " FOR " in one:
        return _of_server(one.partition(" FOR ")[2])
    if not _INSIDE.match(one):
        return "is about the server, or is not known to stay in one database"
    if made := _MADE.match(_without_definer(one)):
        return f"is about {_article(made[1].lower())}, which is no part of one database"
    for pattern, says in _SERVER_WIDE:
        if pattern.search(one):
            return says or "changes settings of the server"
    return ""


def _without_definer(one: str) -> str:
    return re.sub(
        r"^(CREATE(?: OR REPLACE)?|ALTER) DEFINER = \S+(?: @ \S+)?(?: \( \))?", r"\1", one
    )


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeio' else 'a'} {noun}"
