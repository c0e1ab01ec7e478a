"""Secrets, taken out of whatever is shown or kept.

Those that are known are replaced by value; what else looks like one is found by where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from flask_safemigrate.ddl.secrets import without_citation

BLANK = "***"

Mask = Callable[[str], str]

# The longest that a scheme such as postgresql+psycopg2cffi may be.
_SCHEME = re.compile(r"[A-Za-z][\w+.-]{0,40}\Z")
_LONGEST_SCHEME = 41
_RUN = re.compile(r"\S*")
_PORT = re.compile(r"[^\s/:@]*:\d+(?![^/?#,;'\")\]])")
#: Characters of a line in which the end of a password with blanks is looked for.
_LINE = 300
#: Where a name without a password is nobody's secret; elsewhere it may be a token.
_DATABASES = frozenset(
    ("postgresql", "postgres", "mysql", "mariadb", "oracle", "mssql", "cockroachdb")
)

_NAMES = (
    r"(?:passw(?:or)?d|passphrase|pwd|secret|token|credential"
    r"|(?:api|auth|access|account|private|secret|encryption)[_-]?key)"
)
_NAME = re.compile(_NAMES, re.IGNORECASE)
# An unquoted value stands right behind its name; `password = crypt(x)` is SQL, and :name, %(name)s
# and ? stand for what is not there, and `hide_password=False` is code. What SQLite calls an
# unrecognized token is a piece of SQL.
_NAMED = re.compile(
    rf"(?i)(?<!unrecognized )({_NAMES}\w{{0,20}}['\"]?)"
    r"(?:(\s{0,3}[=:]\s{0,3}(?:[EBNX]|U&)?)(?:'((?:[^'\\]|\\.|'')*)'|\"((?:[^\"\\]|\\.)*)\")"
    r"|=((?![:%?$*{]|[BEN]['\"]|(?:True|False|None)\b)[^\s&'\"`<>]*[^\s&'\"`<>)\].,;]))"
)
# What SQL may write before a literal: E'...', b'...', U&'...'; and dollars in the place of quotes.
_TEXT = (
    r"(?:(?:[EBNX]|U&)?'((?:[^'\\]|\\.|'')*)'|[EBN]?\"((?:[^\"\\]|\\.)*)\""
    r"|\$\w{0,20}\$([^$]*)\$\w{0,20}\$)"
)
_IN_SQL = re.compile(
    r"(?i)\b((?:"
    # CREATE USER of MySQL and MariaDB
    r"IDENTIFIED\s{1,9}(?:(?:WITH|VIA)\s{1,9}[^\s']{1,40}\s{1,9})?(?:BY|AS|USING)"
    r"(?:\s{1,9}PASSWORD)?(?:\s|\s{0,9}\()"
    # CREATE ROLE of PostgreSQL, OPTIONS of its foreign servers, SET PASSWORD of MySQL
    r"|PASSWORD(?:\s|\s{0,9}\()"
    r"|PASSWORD\s{1,9}FOR\s{1,9}[^\s=]{1,130}\s{0,9}=(?:\s{0,9}PASSWORD\s{0,9}\()?"
    # SQLCipher
    r"|(?:PRAGMA\s{1,9}(?:hex)?(?:re)?key\s{0,9}=|AS\s{1,9}\S{1,60}\s{1,9}KEY)"
    # what encrypts in the database
    r"|(?:pgp_sym_(?:en|de)crypt(?:_bytea)?|aes_(?:en|de)crypt)\s{0,9}\([^()']{0,200},"
    r")\s{0,9})" + _TEXT
)
_HEADER = re.compile(
    r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)(['\"]?\s{0,3}[:=]\s{0,3}['\"]?)"
    r"([^\s'\"][^\n'\"]{0,4000})"
)
# `X-Api-Key: value`, and YAML. A message goes on in words there.
_SAID = re.compile(
    rf"(?i)(\b[\w-]{{0,30}}{_NAMES}:[ \t]{{1,3}})(?=[^\s'\"]{{0,60}}\d)[^\s'\",;)]{{6,}}"
)
_KEY = re.compile(r"(-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----)[^-]*")
_SIGNED = re.compile(r"(?i)([?&][\w-]{0,30}sig(?:nature)?=)[^\s&'\"<>]+")
_OPTION = re.compile(r"\b((?:mysql|mariadb)[\w-]{0,20} [^\n]{0,200}? -p)(?=\S)[^\s'\"]+")
# As SQLAlchemy writes them, on one line.
_VALUES = re.compile(r"\[parameters: [^\n]*")
_SUSPECT = re.compile(
    rf"(?i){_NAMES}|identified|\[parameters: |authorization|cookie|key\b|sig|crypt| -p"
)


def without_passwords(text: str) -> str:
    """Return the text with ``***`` for what stands where secrets stand.

    These are the passwords of addresses, the tokens of those that are no database's, values of
    names such as ``password`` and ``token``, literals of ``IDENTIFIED BY`` and its like, headers
    that authorize, keys, and the parameters that SQLAlchemy adds to its errors. Takes time in
    proportion to the text.
    """
    if "://" in text:
        text = _without_users(text)
    if _SUSPECT.search(text):
        if _VALUES.search(text):
            text = _VALUES.sub(_parameters, without_citation(text))
        text = _HEADER.sub(rf"\1\2{BLANK}", text)
        text = _KEY.sub(rf"\1{BLANK}", text)
        text = _SIGNED.sub(rf"\1{BLANK}", text)
        text = _OPTION.sub(rf"\1{BLANK}", text)
        text = _SAID.sub(rf"\1{BLANK}", text)
        text = _IN_SQL.sub(_literal, text)
        text = _NAMED.sub(_value, text)
    return text


def _parameters(found: re.Match[str]) -> str:
    _, end, rest = found[0].rpartition("]")
    return f"[parameters: {BLANK}{end}{rest if end else ''}"


def _literal(found: re.Match[str]) -> str:
    value = next(text for text in found.groups()[1:] if text is not None)
    return found[0] if value == "..." else f"{found[1]}'{BLANK}'"


def _value(found: re.Match[str]) -> str:
    name, between, single, double, bare = found.groups()
    if bare is not None:
        return f"{name}={BLANK}"
    if (single or double or "...") == "...":
        return found[0]
    mark = "'" if single is not None else '"'
    return f"{name}{between}{mark}{BLANK}{mark}"


def _without_users(text: str) -> str:
    """Blank the user's part of every address, as far as it is a secret."""
    parts = []
    done, place = 0, text.find("://")
    scheme = _scheme_before(text, 0, place)
    while place >= 0:
        start, following = place + 3, text.find("://", place + 3)
        next_scheme = _scheme_before(text, start, following)
        end = len(text) if following < 0 else following - len(next_scheme)
        hidden = _hidden(text[start:end], scheme.partition("+")[0].lower()) if scheme else None
        if hidden is not None:
            parts += [text[done : start + hidden[0]], BLANK]
            done = start + hidden[1]
        place, scheme = following, next_scheme
    return "".join((*parts, text[done:]))


def _scheme_before(text: str, start: int, place: int) -> str:
    found = _SCHEME.search(text[max(start, place - _LONGEST_SCHEME) : max(place, 0)])
    return found[0] if found else ""


def _hidden(rest: str, scheme: str) -> tuple[int, int] | None:
    """What is to be blanked of what follows ``://``: from here to there."""
    if scheme in ("sqlite", "file"):
        return None
    database = scheme in _DATABASES
    run = _RUN.match(rest)
    place = run.end() if run else 0
    at = rest.rfind("@", 0, place)
    colon = rest.find(":", 0, at if at >= 0 else place)
    port = _PORT.match(rest) is not None
    ended = at >= 0 and rest[at + 1 : place].strip("'\")],.")
    if colon >= 0 and not port and not ended:
        # A password may hold blanks, and the address go on behind them.
        line = rest[:_LINE].partition("\n")[0]
        at = max(at, line.rfind("@"))
    if at < 0 or (port and not database):
        return None
    slash = rest.find("/", 0, at)
    if colon >= 0 and (database or slash < 0 or colon < slash):
        return colon + 1, at
    # A path may hold an @, too.
    return None if database or slash >= 0 else (0, at)


#: Words that errors are made of; blanked, they would show what the secret is.
_WORDS = frozenset(
    """
    access account address admin administrator alembic allow already application available backend
    because been before begin cache cannot changed client column command commit config connect
    connected connection constraint content could create cursor data database databases debug
    default delete demo denied deny deploy detail dev development does done down drop driver
    duplicate empty engine error exist exists expected fail failed false fatal field file flask
    folder foreign found from function given grant group guest hello hint hook host index insert
    integer interface invalid key line local localhost lock login main mariadb master message
    migrate migration missing model module mysql name none null object option owner pass passwd
    password permission please port postgres postgresql primary privilege process prod production
    public query read reason refused relation replica request reset restore revision role root row
    rows safemigrate sample schema secret select server service session settings shop snapshot
    socket sqlite staging statement status string support syntax system table target test tester
    testing text that this time timeout token transaction true type unique unknown update upgrade
    user username users using value values version view welcome with without work write wrong
    """.split()  # noqa: SIM905
)


def is_telling(secret: str) -> bool:
    """Whether a text that holds this holds it for no other reason than that it is the secret."""
    return len(secret) >= 4 and secret.lower() not in _WORDS


def _forms(secret: str) -> Iterable[str]:
    """How a secret may be written."""
    yield secret
    yield quote(secret, safe="")
    yield quote(secret)
    yield quote_plus(secret)
    yield unquote(secret)
    yield repr(secret)[1:-1]
    yield ascii(secret)[1:-1]
    yield secret.replace("'", "''")
    yield secret.replace("%", "%%")
    yield secret.replace("\\", "\\\\")
    yield " ".join(secret.split())


def mask_of(secrets: Iterable[str], public: Iterable[str] = ()) -> Mask:
    """Return what takes these secrets out of a text, and whatever else looks like one.

    A secret that is a word of messages, or so short that it is a part of words, is taken out only
    where secrets stand: blanked everywhere, the gaps would tell it.

    :param public: names that are shown, such as the user's; no secret, whoever uses one as such.
    """
    shown = {name.lower() for name in public}
    wanted = {
        form
        for secret in secrets
        if is_telling(secret) and secret.lower() not in shown
        for form in _forms(secret)
        if is_telling(form)
    }
    if not wanted:
        return without_passwords
    longest_first = sorted(wanted, key=lambda form: (-len(form), form))
    pattern = re.compile("|".join(map(_pattern, longest_first)))

    def mask(text: str) -> str:
        if "..." in text:
            text = _without_beginnings(text, longest_first)
        return without_passwords(pattern.sub(BLANK, text))

    return mask


def _pattern(secret: str) -> str:
    # What might be a word of its own is one only between others.
    plain = len(secret) < 8 or (secret.isalpha() and len(secret) < 16)
    return rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])" if plain else re.escape(secret)


def _without_beginnings(text: str, secrets: Iterable[str]) -> str:
    """Blank the beginning of a secret where a text was cut in the middle of it."""
    first, *rest = text.split("...")
    parts = [first]
    for part in rest:
        before = parts[-1]
        for secret in secrets:
            cut = next((n for n in range(len(secret), 3, -1) if before.endswith(secret[:n])), 0)
            if cut:
                parts[-1] = before[:-cut] + BLANK
                break
        parts.append(part)
    return "...".join(parts)


#: What addresses and drivers are told that is nobody's secret.
_HARMLESS = frozenset(
    """
    application_name async_fallback autocommit cached_statements channel_binding charset
    check_same_thread client_encoding client_flag collation compress connect_timeout connection
    cursorclass database db dbname detect_types echo factory fallback_application_name gssencmode
    host hostaddr init_command isolation_level keepalives keepalives_count keepalives_idle
    keepalives_interval krbsrvname load_balance_hosts local_infile max_allowed_packet mode options
    passfile plugin poolclass port prepare_threshold program_name read_default_file
    read_default_group read_timeout replication requirepeer row_factory server_settings service
    sql_mode ssl ssl_ca ssl_capath ssl_cert ssl_check_hostname ssl_cipher ssl_disabled ssl_key
    ssl_mode ssl_verify_cert ssl_verify_identity sslcert sslcertmode sslcompression sslcrl
    sslcrldir sslkey sslmode sslnegotiation sslrootcert sslsni target_session_attrs
    tcp_user_timeout time_zone timeout unix_sock unix_socket uri use_unicode user username vfs
    write_timeout ca capath cert cipher check_hostname key verify_mode
    """.split()  # noqa: SIM905
)
#: Variables that are named like secrets and hold a folder.
_FOLDERS = frozenset(("PWD", "OLDPWD"))


def is_harmless(parameter: str) -> bool:
    """Whether what a driver is told by this name is nobody's secret."""
    return parameter.lower() in _HARMLESS


_ADDRESS = re.compile(r"\s*[A-Za-z][\w+.-]{0,40}://")


class Secrets:
    """Secrets that were found, and the names that stand beside them.

    :ivar values: the secrets.
    :ivar public: users, hosts and databases, which are shown.
    """

    def __init__(self) -> None:
        self.values: set[str] = set()
        self.public: set[str] = set()

    def add_named(self, settings: Mapping[Any, Any]) -> None:
        """Add what settings or variables hold: by their names, and the addresses among them."""
        for name, value in settings.items():
            if isinstance(value, Mapping):
                self.add_named(value)
            elif isinstance(value, str):
                # A path, as of a file that holds the secret, is no secret.
                if _NAME.search(str(name)) and name not in _FOLDERS and value[:1] != "/":
                    self.values.add(value)
                if _ADDRESS.match(value):
                    self.add_address(value)

    def add_options(self, options: Mapping[Any, Any]) -> None:
        """Add what a driver is told, but for what is known to be harmless."""
        for name, value in options.items():
            if isinstance(value, Mapping):
                self.add_options(value)
            elif str(name).lower() not in _HARMLESS:
                several = value if isinstance(value, (tuple, list)) else (value,)
                for each in several:
                    text = each.decode(errors="replace") if isinstance(each, bytes) else each
                    if isinstance(text, str):
                        self.values.add(text)

    def add_address(self, written: str) -> None:
        """Add what is secret in the text of an address, whether it can be read or not."""
        scheme, _, rest = written.partition("://")
        if scheme.partition("+")[0] in ("sqlite", "file"):
            return
        if is_misread(written):
            # Any part of it may be taken for the host, the port or the name of the database.
            password = rest.rpartition("@")[0].partition(":")[2]
            self.values.update(filter(None, (password, *re.split(r"[@/?#&=:]", password))))
            return
        user, password, place, query = _parts(rest)
        if password:
            self.values.add(password)
        elif scheme.partition("+")[0] not in _DATABASES:
            self.values.add(user)
        self.public.update(filter(None, (user if password else "", *re.split(r"[/:,]", place))))
        self.add_options(dict(pair.partition("=")[::2] for pair in query.split("&")))

    def mask(self) -> Mask:
        """What takes them out of a text."""
        return mask_of(self.values, self.public)


#: Parameters that may hold an @ of their own.
_WITH_AT = frozenset(
    """
    application_name client_encoding host init_command options passfile passwd password
    read_default_file service sslcert sslcrl sslkey sslpassword sslrootcert ssl_ca ssl_cert ssl_key
    unix_sock unix_socket user username
    """.split()  # noqa: SIM905
)


def is_misread(written: str) -> bool:
    """Whether a part of the password in an address would be taken for something else.

    That is so where it holds an ``@`` that is not escaped: what follows becomes the host, the name
    of the database or a parameter, which are shown and asked for.
    """
    scheme, found, rest = written.partition("://")
    if not found or scheme.partition("+")[0] in ("sqlite", "file"):
        return False
    _, _, place, query = _parts(rest)
    return "@" in place or any(
        "@" in pair and pair.partition("=")[0].lower() not in _WITH_AT for pair in query.split("&")
    )


# https://github.com/sqlalchemy/sqlalchemy/blob/main/lib/sqlalchemy/engine/url.py, _parse_url
_USER = re.compile(r"([^:/]*)(?::([^@]*))?@")


def _parts(rest: str) -> tuple[str, str, str, str]:
    """User, password, host with database, and parameters, as SQLAlchemy reads them."""
    found = _USER.match(rest)
    user, password = (found[1], found[2] or "") if found else ("", "")
    place, _, query = rest[found.end() if found else 0 :].partition("?")
    return user, password, place, query


#: Fields that are no text for a reader, or many and made of files of the project; and SQL, which
#: is run as it stands.
_UNTOUCHED = frozenset(("history", "steps", "journal", "checksums", "script", "statements"))


def redacted(value: Any, mask: Mask) -> Any:
    """Return plain data, such as an outcome, with every text in it masked.

    Where no secret is known, reports find by themselves what looks like one.
    """
    if mask is without_passwords:
        return value
    if isinstance(value, str):
        return mask(value)
    names = getattr(value, "_fields", None)
    if names is not None:
        fields = [
            each if name in _UNTOUCHED else redacted(each, mask)
            for name, each in zip(names, value, strict=True)
        ]
        changed = any(new is not old for new, old in zip(fields, value, strict=True))
        return type(value)._make(fields) if changed else value
    if isinstance(value, (tuple, list, frozenset)):
        items = [redacted(each, mask) for each in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return type(value)(items)
    if isinstance(value, Mapping):
        return {key: redacted(each, mask) for key, each in value.items()}
    return value


def _change(error: BaseException | None, mask: Mask) -> None:
    if error is not None:
        error.args = tuple(mask(a) if isinstance(a, str) else a for a in error.args)


def hide(error: BaseException, mask: Mask) -> None:
    """Mask the texts of an error, and of those that it came from, where they are."""
    seen: list[BaseException | None] = [None]
    todo: list[BaseException | None] = [error]
    while todo:
        current = todo.pop()
        if current is None or current in seen:
            continue
        seen.append(current)
        _change(current, mask)
        if hasattr(current, "hide_parameters"):
            # https://docs.sqlalchemy.org/en/20/core/exceptions.html#sqlalchemy.exc.StatementError
            current.hide_parameters = True
            if getattr(current, "params", None):
                _change(current, without_citation)
                _change(getattr(current, "orig", None), without_citation)
        todo += [current.__cause__, current.__context__, getattr(current, "orig", None)]
