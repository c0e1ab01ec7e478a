#!/usr/bin/env bash
# SQLAlchemy 2.1.9: listen(..., insert=True) puts a listener before those that are there, for "connect";
# for "do_connect" it goes behind them without a word. The first that returns a connection wins, so that
# it may never be asked.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/env"
"$scratch/env/bin/pip" install -q --disable-pip-version-check sqlalchemy==2.1.9
"$scratch/env/bin/python" - <<'PROGRAM'
import sqlalchemy as sa

orders = {}
for name in ("connect", "do_connect"):
    engine = sa.create_engine("sqlite://")
    heard = orders[name] = []
    sa.event.listen(engine, name, lambda *_: heard.append("earlier"))
    sa.event.listen(engine, name, lambda *_: heard.append("inserted"), insert=True)
    engine.connect().close()
print(orders)
assert orders == {"connect": ["inserted", "earlier"], "do_connect": ["earlier", "inserted"]}
PROGRAM
