#!/usr/bin/env bash
# docker-compose.ha.yml for real: each part is killed, or stopped, in turn under load; nothing acknowledged is lost.
# Needs a Docker engine, and the port to itself. From a clean clone: tests/compose_ha.sh [docker-compose command]
set -euo pipefail
cd "$(dirname "$0")/.."
compose="${*:-docker-compose} -f docker-compose.yml -f docker-compose.ha.yml"
say() { printf '\n== %s\n' "$*"; }
expect() { if [[ $1 != *"$2"* ]]; then printf 'expected %s in:\n%s\n' "$2" "$1" >&2; exit 1; fi; }
patronictl() { for node in pgdb pgdb2 pgdb3; do $compose exec -T $node timeout 60 patronictl -c /opt/patroni/patroni.yml "$@" 2>/dev/null && return; done; }
leader() { patronictl list -f tsv | awk -F '\t' '$4 == "Leader" { print $2 }'; }
primary() { $compose exec -T "$(leader)" psql -U postgres -At iris -c "$1"; }
id() { $compose ps -q "$1"; }

# Whole: three that run, one of them the synchronous standby, for some seconds.
whole() {
    local since=0
    for _ in $(seq 300); do
        list=$(patronictl list -f tsv || true)
        if [[ $(grep -cE 'Leader.*running|Standby.*streaming|Replica.*streaming' <<< "$list") = 3 && $list == *'Sync Standby'* ]]; then
            since=$((since + 1))
            if [ $since -ge 4 ]; then return; fi
        else since=0; fi
        sleep 1
    done
    printf 'not whole:\n%s\n' "$list" >&2
    exit 1
}

ledger=$(mktemp -d)
# Files tickets, each with its key until that is answered, and notes which was, and when.
writer() {
    local number=0 status
    while [ ! -e "$ledger/enough" ]; do
        number=$((number + 1))
        while :; do
            status=$(curl -s -m 8 -o /dev/null -w '%{http_code}' -X PUT -H "Idempotency-Key: $1-$number" \
                -d "title=$1-$number" "0.0.0.0:8000/tickets") || true
            if [[ $status = 201 ]]; then break; fi
            if [[ $status != 000 && $status != 50[0234] ]]; then echo "$1-$number $status" >> "$ledger/wrong"; break; fi
            sleep 0.2
        done
        echo "$1-$number $(date +%s.%N)" >> "$ledger/$1"
    done
}
# Wait until each writer has been answered after a moment; say how long nobody was, which must not be longer than so
# many seconds.
answered_again() {
    local began=$1 most=$2 answered= gap
    for _ in $(seq 600); do
        if [ "$(cat "$ledger"/one "$ledger"/two | awk -v b="$began" '$2 > b + 1' | wc -l)" -gt 10 ]; then answered=yes; break; fi
        sleep 0.2
    done
    if [ -z "$answered" ]; then echo 'no write is answered any more' >&2; exit 1; fi
    gap=$(sort -n -k 2 "$ledger"/one "$ledger"/two | awk -v b="$began" '
        $2 < b { before = $2 } $2 >= b { if ($2 - before > gap) gap = $2 - before; before = $2 } END { printf "%.1f", gap }')
    echo "   no write was answered for $gap s"
    if awk "BEGIN { exit !($gap > $most) }"; then echo "that is more than $most s" >&2; exit 1; fi
}
# Wait until an Iris answers.
serves() {
    for _ in $(seq 60); do
        if $compose exec -T "$1" python -c 'import urllib.request; urllib.request.urlopen("http://127.0.0.1:8000/health")' 2> /dev/null; then return; fi
        sleep 1
    done
    echo "$1 does not come back" >&2
    exit 1
}
# PostgreSQL alone, whose Patroni lives on and tells the others; the whole node, of which nobody hears any more.
crash() { $compose exec -T "$1" sh -c 'kill -9 "$(head -n 1 /var/lib/postgresql/18/patroni/postmaster.pid)"'; }
lose() { docker kill "$(id "$1")" > /dev/null; }
silence() { docker pause "$(id "$1")" > /dev/null; }

say 'without a password for the nodes it says so'
sed 's/^IRIS_PASS=.*/IRIS_PASS=chosen/' .env.example > .env
expect "$($compose config 2>&1 || true)" 'IRIS_CLUSTER_PASS is not set'

say 'up'
echo 'IRIS_CLUSTER_PASS=of-the-nodes' >> .env
# Writers that wait for an answer would wait for ever.
trap 'kill ${one:-} ${two:-} 2> /dev/null || true; $compose down -v; rm -rf .env "$ledger"' EXIT
$compose up -d --build
for _ in $(seq 300); do curl -sf 0.0.0.0:8000/db-check > /dev/null && break; sleep 0.5; done
whole
expect "$(curl -si -X PUT -d 'title=A new ticket' 0.0.0.0:8000/tickets)" '201 Created'

say 'nobody is root'
for part in etcd pgdb balancer iris; do [ "$($compose exec -T $part id -u)" != 0 ]; done

say 'what is heavy is read on a standby, right after it was written'
for _ in $(seq 20); do
    word=w$RANDOM$RANDOM
    curl -s -X PUT -d "title=$word" 0.0.0.0:8000/tickets > /dev/null
    expect "$(curl -s "0.0.0.0:8000/tickets?q=$word")" "$word"
done
expect "$(for iris in iris iris2; do $compose exec -T $iris python -c \
    'import urllib.request; print(urllib.request.urlopen("http://127.0.0.1:8000/metrics").read().decode())'; done \
    | grep -E 'heavy_reads_total.server="standby". [1-9]')" standby

say 'psql: the primary and the standbys by the balancer'
psql="$compose exec -T -e PGPASSWORD=chosen pgdb psql -U iris -At iris"
expect "$($psql -h balancer -c 'SELECT pg_is_in_recovery()')" f
expect "$($psql -h balancer -p 5433 -c 'SELECT pg_is_in_recovery()')" t

say 'under load'
touch "$ledger/one" "$ledger/two"
writer one & one=$!
writer two & two=$!
sleep 3

for part in iris iris2 etcd balancer; do
    say "$part is killed"
    docker kill "$(id $part)" > /dev/null
    began=$(date +%s.%N)
    if [ $part = balancer ]; then sleep 2; $compose start $part > /dev/null; fi
    answered_again "$began" 10
    $compose start $part > /dev/null
    # On a slow machine an Iris is not there at once, and the other one is to be killed next.
    if [[ $part = iris* ]]; then serves $part; fi
    sleep 3
done

for how in crash lose silence; do
    node=$(leader)
    say "the primary, $node: $how"
    $how "$node"
    began=$(date +%s.%N)
    answered_again "$began" $([ $how = crash ] && echo 10 || echo 30)
    if [ $how = lose ]; then $compose start "$node" > /dev/null; fi
    if [ $how = silence ]; then docker unpause "$(id "$node")" > /dev/null; fi
    whole
    echo "   $(leader) is primary"
done

node=$(patronictl list -f tsv | awk -F '\t' '$4 == "Sync Standby" { print $2 }')
say "the synchronous standby, $node, is killed"
docker kill "$(id "$node")" > /dev/null
began=$(date +%s.%N)
answered_again "$began" 10
$compose start "$node" > /dev/null
whole

say 'another is made primary, as planned'
node=$(leader)
began=$(date +%s.%N)
# On a slow machine it is done, and says so too late; who is primary then tells.
patronictl switchover iris --leader "$node" --force > /dev/null || true
answered_again "$began" 10
whole
if [ "$(leader)" = "$node" ]; then echo "$node is still primary" >&2; exit 1; fi

say 'nothing acknowledged is lost, nothing is there twice'
touch "$ledger/enough"
wait $one $two
[ ! -e "$ledger/wrong" ] || { cat "$ledger/wrong"; exit 1; }
primary "SELECT title FROM tickets WHERE title ~ '^(one|two)-'" | sort > "$ledger/there"
cat "$ledger/one" "$ledger/two" | awk '{ print $1 }' | sort > "$ledger/acknowledged"
diff "$ledger/acknowledged" "$ledger/there" > /dev/null || { diff "$ledger/acknowledged" "$ledger/there" | head; exit 1; }
echo "   $(wc -l < "$ledger/acknowledged") acknowledged, each there once"
curl -s '0.0.0.0:8000/events?after=0&limit=1' > /dev/null
expect "$($compose exec -T iris iris verify)" 'ok'
say 'all is well'
