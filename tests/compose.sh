#!/usr/bin/env bash
# The compose stack from end to end, for real: needs a Docker engine, and ports to itself.
# Run from a clean clone: tests/compose.sh [docker-compose command]
set -euo pipefail
cd "$(dirname "$0")/.."
compose=${*:-docker-compose}
say() { printf '\n== %s\n' "$*"; }
answers() { for _ in $(seq 100); do curl -sf 0.0.0.0:8000/db-check >/dev/null && return; sleep 0.2; done; exit 1; }
expect() { if [[ $1 != *"$2"* ]]; then printf 'expected %s in:\n%s\n' "$2" "$1" >&2; exit 1; fi; }

say 'without IRIS_PASS it says so'
rm -f .env
expect "$($compose config 2>&1 || true)" 'IRIS_PASS is not set - copy .env.example to .env'

say 'up'
cp .env.example .env
$compose up -d --build
trap '$compose down -v; rm -f .env; git checkout -q iris/health.py' EXIT
answers
expect "$(curl -si -X PUT -H 'Content-Type: application/json' \
    -d '{"title": "A new ticket", "assignee": "jchittum", "description": "Get this done ASAP"}' \
    0.0.0.0:8000/tickets)" 'HTTP/1.1 201 Created'
expect "$(curl -s 0.0.0.0:8000/tickets/1)" '"title":"A new ticket"'

say 'psql: the same row, the same rules'
psql="$compose exec -T pgdb psql -U iris iris"
expect "$($psql -Atc 'SELECT title FROM tickets')" 'A new ticket'
expect "$($psql -c "UPDATE tickets SET status = 'blocked'" 2>&1 || true)" 'it may go to: active, resolved, closed'
expect "$($compose exec -T pgdb psql -U postgres -Atc 'SELECT current_user' iris)" 'postgres'

say 'nobody is root, and the port is for this machine only'
expect "$($compose exec -T pgdb id -un)" postgres
expect "$($compose exec -T iris id -un)" iris
expect "$($compose ps)" '127.0.0.1:8000->8000/tcp'

say 'the schema can be brought up to date by the owner, without a password'
$compose exec -T iris iris db upgrade --sql | $compose exec -T pgdb psql -q -v ON_ERROR_STOP=1 -U postgres iris
expect "$($compose exec -T iris iris db check)" 'this Iris needs'

say 'an edit counts after a restart'
sed -i 's/"database": "ok"/"database": "edited"/' iris/health.py
$compose restart iris
answers
expect "$(curl -s 0.0.0.0:8000/db-check)" '"edited"'
git checkout -q iris/health.py

say 'a database that restarts'
$compose restart pgdb
answers

say 'out and in again'
export=$(mktemp)
$compose exec -T iris iris export > "$export"
$compose exec -T pgdb psql -q -U postgres -c "ALTER ROLE postgres PASSWORD 'for-a-moment'" iris
owner=postgresql://postgres:for-a-moment@pgdb/iris
expect "$($compose exec -T -e IRIS_OWNER_URL=$owner iris iris import - < "$export" 2>&1 || true)" 'an export goes into an empty Iris'
$compose down -v
$compose up -d
answers
$compose exec -T pgdb psql -q -U postgres -c "ALTER ROLE postgres PASSWORD 'for-a-moment'" iris
$compose exec -T -e IRIS_OWNER_URL=$owner iris iris import - < "$export"
$compose exec -T pgdb psql -q -U postgres -c 'ALTER ROLE postgres PASSWORD NULL' iris
cmp "$export" <($compose exec -T iris iris export)
rm "$export"

say 'down and up: the data stay'
$compose down
$compose up -d
answers
expect "$(curl -s 0.0.0.0:8000/tickets/1)" '"title":"A new ticket"'

say 'down -v and up: seeded again'
$compose down -v
$compose up -d
answers
expect "$(curl -s 0.0.0.0:8000/tickets)" '[]'
expect "$(curl -s 0.0.0.0:8000/workflow)" '"blocked"'
say 'all is well'
