#!/bin/sh
# Makes sure of a PostgreSQL server in a network of its own, and migrates it in one transaction.
# migrate.sh MIGRATION; variables: NAME (of network and server), DELIVERY (what they are labelled with).
set -eu

is_there() {
    docker "$1" inspect "$NAME" >/dev/null 2>&1
}

is_there network || docker network create --label "pipe.delivery=$DELIVERY" "$NAME" >/dev/null
# Who is not in the network cannot reach the server, and who is needs no password.
is_there container ||
    docker run --detach --name "$NAME" --network "$NAME" --label "pipe.delivery=$DELIVERY" \
        --env POSTGRES_USER=people --env POSTGRES_HOST_AUTH_METHOD=trust postgres:17 >/dev/null
docker start "$NAME" >/dev/null
until docker exec "$NAME" psql -h "$NAME" -U people -c 'SELECT 1' >/dev/null 2>&1; do sleep 0.2; done

docker exec --interactive --env PGOPTIONS=--client-min-messages=warning "$NAME" \
    psql --quiet --no-psqlrc --single-transaction -v ON_ERROR_STOP=1 -U people <"$(dirname "$0")/$1.sql"
