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

say 'an example is no password'
cp .env.example .env
expect "$($compose config 2>&1 || true)" 'IRIS_PASS is not set - copy .env.example to .env'

say 'up'
sed 's/^IRIS_PASS=.*/IRIS_PASS=chosen/' .env.example > .env
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

say 'beside the service there is no psql, and it says where there is one'
expect "$($compose exec -T iris iris psql -c 'SELECT 1' 2>&1 || true)" 'docker-compose exec pgdb psql -U iris iris'

say 'the log says when, who, and what'
curl -s -H 'Iris-Actor: alice' 0.0.0.0:8000/tickets/1 >/dev/null
expect "$($compose logs iris)" ' alice "GET /tickets/1 HTTP/1.1" 200 '

say 'a statement that was slow is in the log of the database'
$psql -Atc 'SELECT pg_sleep(1.1)' >/dev/null
expect "$($compose logs pgdb)" 'pg_sleep(1.1)'

say 'another port'
IRIS_PORT=8123 $compose up -d iris
for _ in $(seq 100); do curl -sf 0.0.0.0:8123/db-check >/dev/null && break; sleep 0.2; done
expect "$(curl -s 0.0.0.0:8123/tickets/1)" '"title":"A new ticket"'
$compose up -d iris
answers

say 'a password that was changed in .env only is named, until the database knows it, too'
IRIS_PASS=another $compose up -d iris
for _ in $(seq 100); do curl -s 0.0.0.0:8000/db-check | grep -q database_refused && break; sleep 0.2; done
expect "$(curl -s 0.0.0.0:8000/db-check)" 'the password that Iris was given is not the one there'
expect "$(curl -s 0.0.0.0:8000/tickets)" '"sqlstate": "28P01"'
expect "$($compose logs iris)" 'iris: the database does not let Iris in'
$compose exec -T pgdb psql -q -U postgres iris -c "ALTER ROLE iris_service PASSWORD 'another'"
answers
$compose exec -T pgdb psql -q -U postgres iris -c "ALTER ROLE iris_service PASSWORD 'chosen'"
$compose up -d iris
answers
expect "$(IRIS_PASS=choose-a-password $compose run --rm -T iris iris serve 2>&1 || true)" 'IRIS_PASS is that of an older .env.example'

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

say 'what is there is what this Iris makes'
owner="$compose exec -T pgdb psql -q -v ON_ERROR_STOP=1 -U postgres iris"
differences=$($compose exec -T iris iris doctor --sql | $owner -At)
if [[ -n $differences ]]; then printf 'not as shipped:\n%s\n' "$differences" >&2; exit 1; fi
$compose exec -T iris iris doctor --quick
dump=$(mktemp)
$compose exec -T pgdb pg_dump -U postgres -Fc iris > "$dump"

say 'down -v and up: seeded again'
$compose down -v
$compose up -d
answers
expect "$(curl -s 0.0.0.0:8000/tickets)" '[]'
expect "$(curl -s 0.0.0.0:8000/workflow)" '"blocked"'

say 'a backup into a new volume'
$compose exec -T pgdb pg_restore -U postgres -d iris --clean --if-exists --no-owner --single-transaction < "$dump"
$compose exec -T iris iris db upgrade --sql | $owner
$compose restart iris
answers
expect "$(curl -s 0.0.0.0:8000/tickets/1)" '"title":"A new ticket"'
rm "$dump"

say 'for a team: tokens over HTTP, a login in psql, whoever the proxy names'
export IRIS_AUTH=token IRIS_PROXIES=172.16.0.0/12
$compose up -d iris
for _ in $(seq 100); do curl -sf 0.0.0.0:8000/health >/dev/null && break; sleep 0.2; done
expect "$(curl -s 0.0.0.0:8000/tickets)" '"code": "unauthorized"'
ada=$($compose exec -T iris iris token add ada --role admin)
dan=$($compose exec -T iris iris token add dan --role reader --psql)
expect "$(curl -s -u ":$ada" -X DELETE -w '%{http_code}' 0.0.0.0:8000/tickets/1)" 204
expect "$(curl -s -u ":$dan" -X PUT -d title=x 0.0.0.0:8000/tickets)" 'permission denied for table tickets'
expect "$($compose exec -T -e PGPASSWORD="$dan" pgdb psql -h pgdb -U dan iris -c 'DELETE FROM tickets' 2>&1 || true)" \
    'permission denied for table tickets'
expect "$($compose exec -T -e PGPASSWORD=x pgdb psql -h pgdb -U dan iris -c 'SELECT 1' 2>&1 || true)" 'authentication failed'
curl -s -u ":$dan" -H 'X-Forwarded-For: 203.0.113.9' 0.0.0.0:8000/me >/dev/null
expect "$($compose logs iris)" '203.0.113.9 dan "GET /me'
for _ in $(seq 50); do $compose ps iris | grep -q '(healthy)' && break; sleep 0.2; done
expect "$($compose ps iris)" '(healthy)'
say 'all is well'
