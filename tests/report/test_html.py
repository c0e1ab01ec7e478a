"""The page: well-formed, whole, closed to what texts say, and as a browser shows it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given

from flask_safemigrate.checks.catalogue import run_checks
from flask_safemigrate.facts.history import History, Revision
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Severity
from flask_safemigrate.outcome import Outcome, Status
from flask_safemigrate.report.page import html
from flask_safemigrate.report.wording import clean
from tests.checks.states import PROJECT
from tests.report.outcomes import anything, outcomes
from tests.report.pages import HOSTILE, doctored, hostile
from tests.report.test_json import EVERY

ROOT = Path("/shop")
MADE = datetime(2024, 5, 6, 7, 8, tzinfo=timezone.utc)
X = "{http://www.w3.org/1999/xhtml}"


def page(outcome: Outcome) -> str:
    return html.page(outcome, ROOT, MADE)


def tree(outcome: Outcome) -> ElementTree.Element:
    return ElementTree.fromstring(page(outcome))


def told(element: ElementTree.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def shown_rows(root: ElementTree.Element) -> list[ElementTree.Element]:
    (graph,) = (e for e in root.iter(f"{X}ol") if e.get("class") == "graph")
    return list(graph)


@pytest.mark.parametrize("number", [3, 30, 300])
def test_every_revision_is_there_once_and_links_lead_somewhere(number: int) -> None:
    outcome = doctored(number)
    assert outcome.state is not None
    root = tree(outcome)
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(set(ids)) == len(ids)
    rows = shown_rows(root)
    named = [told(next(row.iter(f"{X}a"))) for row in rows]
    assert sorted(named) == sorted([*outcome.state.history.by_id, "gone"])
    for link in root.iter(f"{X}a"):
        assert (link.get("href") or "").removeprefix("#") in ids


def test_rows_say_where_databases_are_and_what_is_pending() -> None:
    outcome = doctored(12)
    assert outcome.state is not None
    rows = {told(next(row.iter(f"{X}a"))): told(row) for row in shown_rows(tree(outcome))}
    last = outcome.state.history.revisions[11].id
    assert "app.db" in rows[last]
    assert "pending in stats" in rows[last]
    assert rows["id0"].split("first one")[0].split() == [
        "id0",
        "change",
        "number",
        "0",
        "stats",
        "the",
    ]
    assert "pending" not in rows["id0"]
    assert "no file has it" in rows["gone"]
    assert "head pending" in rows["lost"]


def test_findings_are_worst_first_with_their_explanation_folded() -> None:
    outcome = doctored(5)
    root = tree(outcome)
    articles = list(root.iter(f"{X}article"))
    words = [a.get("class") for a in articles]
    assert words == ["finding error"] * 3 + ["finding warning"]
    assert "SM201 revision-syntax" in told(articles[0])
    assert "migrations/versions/odd.py:12" in told(articles[0])
    for article in articles:
        (details,) = article.iter(f"{X}details")
        assert details.get("open") is None
        assert [dt.text for dt in details.iter(f"{X}dt")] == [
            "Cause",
            "Example",
            "Fix",
            "Prevention",
        ]
    assert "SM520 one folder in the image (1 finding)" in told(root)
    assert "3 errors" in told(root)


def test_it_needs_nothing_from_elsewhere() -> None:
    written = page(doctored(30))
    root = tree(doctored(30))
    assert not list(root.iter(f"{X}script"))
    assert not list(root.iter(f"{X}link"))
    assert not [e for e in root.iter() if e.get("src") or e.tag.endswith("}image")]
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/1999/xhtml)", written)


def two_heads() -> Outcome:
    history = History((Revision("a", ()), Revision("b", ("a",)), Revision("c", ("a",))))
    state = State(PROJECT, history)
    return Outcome("doctor", Status.REFUSED, state=state, findings=run_checks(state))


def test_commands_are_code() -> None:
    root = tree(two_heads())
    codes = [told(code) for code in root.iter(f"{X}code")]
    assert 'flask db merge heads -m "merge"' in codes
    assert "flask db doctor --fix" in codes


def test_hostile_texts_are_shown_as_they_are() -> None:
    outcome = hostile()
    written = page(outcome)
    root = ElementTree.fromstring(written)
    assert not list(root.iter(f"{X}script"))
    assert "<script" not in written
    assert "\x1b" not in written
    assert "\u202e" not in written
    text = told(root)
    assert text.count(clean(HOSTILE).strip()) > 20
    codes = [told(code) for code in root.iter(f"{X}code")]
    assert codes.count(clean(HOSTILE).strip()) == len(outcome.findings), "in backquotes"
    assert all(not any(name.startswith("on") for name in e.attrib) for e in root.iter())


def test_no_password() -> None:
    outcome = doctored(5)._replace(error="no mysql://app:s3cr3t@db/x", notes=("pg://a:s3cr3t@b",))
    written = page(outcome)
    assert "s3cr3t" not in written
    assert written.count(":***@") == 2


def test_nothing_wrong() -> None:
    outcome = doctored(5)
    assert outcome.state is not None
    good = outcome._replace(findings=(), status=Status.DONE)
    assert "No problems found" in told(tree(good))
    empty = good._replace(state=outcome.state._replace(history=History(), ignored=()))
    root = tree(empty._replace(databases=()))
    assert not list(root.iter(f"{X}svg"))


def test_without_a_state() -> None:
    root = tree(Outcome("doctor", Status.USAGE, error="There is no check 'X'.", hint="SM301"))
    assert "There is no check 'X'." in told(root)
    assert "usage" in told(root)


@EVERY
@given(outcomes(anything))
def test_any_outcome_is_a_well_formed_page(outcome: Outcome) -> None:
    tree(outcome)


def luminance(color: str) -> float:
    """Relative luminance as WCAG 2.1 defines it."""
    parts = [int(color[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast() -> None:
    """WCAG 2.1 AA: 4.5 for text, 3 for graphics; in light, dark and print."""
    written = page(doctored(3))
    schemes = re.findall(r":root \{(.*?)\}", written, re.S)
    assert len(schemes) == 3
    for scheme in schemes:
        colors = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", scheme))
        for ground in ("paper", "card", "tint"):
            for name, color in colors.items():
                if name in ("paper", "card", "tint", "rule"):
                    continue
                light, dark = sorted((luminance(color), luminance(colors[ground])), reverse=True)
                least = 3 if name.startswith("lane") else 4.5
                assert (light + 0.05) / (dark + 0.05) >= least, (name, ground)


CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium to look at the page with")
@pytest.mark.parametrize("width", [390, 1200])
def test_a_browser_lays_it_out(tmp_path: Path, width: int) -> None:
    """Nothing is wider than the window, and every dot stands in its row and on its lane."""
    assert CHROMIUM is not None
    outcome = doctored(300)
    findings = tuple(f._replace(severity=Severity.INFO) for f in outcome.findings)
    file = tmp_path / "page.html"
    probe = """<script>
      const wide = document.documentElement.scrollWidth;
      const rows = [...document.querySelectorAll(".graph > li")];
      const off = rows.filter(row => {
        const r = row.getBoundingClientRect();
        const d = row.querySelector(".node").getBoundingClientRect();
        const t = row.querySelector(".text").getBoundingClientRect();
        const l = row.querySelector(".lines").getBoundingClientRect();
        return d.top < r.top - 1 || d.bottom > r.bottom + 1 || d.right > t.left + 1
          || Math.abs(l.height - r.height) > 1 || t.right > innerWidth;
      });
      document.title = JSON.stringify([wide, innerWidth, rows.length, off.length]);
    </script>"""
    written = page(outcome._replace(findings=findings))
    # Only this probe runs: the page itself forbids scripts.
    written = re.sub(r"<meta http-equiv=[^>]*>", "", written)
    file.write_text(written.replace("</body>", f"{probe}</body>"), encoding="utf-8")
    # A headless window is never narrower than 500; a frame is.
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe id="f" src="page.html" width="{width}" height="900" style="border:0"></iframe>'
        "<script>f.onload = () => document.title = f.contentDocument.title</script>",
        encoding="utf-8",
    )
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--allow-file-access-from-files",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1300,1000",
            "--virtual-time-budget=20000",
            "--dump-dom",
            frame.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    found = re.search(r"<title>\[(\d+),(\d+),(\d+),(\d+)\]</title>", done.stdout)
    assert found, done.stdout[:2000] + done.stderr[-2000:]
    wide, window, count, off = map(int, found.groups())
    assert (window, count, off) == (width, 302, 0)
    assert wide <= window
