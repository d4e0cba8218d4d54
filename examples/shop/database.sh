#!/bin/sh
# Makes sure of a PostgreSQL server in a container, of a user and a database, and of all migrations.
# Whatever is there already stays. Variables: NAME, NETWORK, PORT, PASSWORD, DELIVERY.
set -eu
cd "$(dirname "$0")"

sql() {
    docker exec --interactive "$NAME" psql --quiet --no-psqlrc -v ON_ERROR_STOP=1 -U postgres "$@"
}

is_there() {
    docker "$1" inspect "$2" >/dev/null 2>&1
}

is_there network "$NETWORK" ||
    docker network create --label "pipe.delivery=$DELIVERY" "$NETWORK" >/dev/null
is_there container "$NAME" ||
    docker run --detach --name "$NAME" --network "$NETWORK" --label "pipe.delivery=$DELIVERY" \
        --publish "127.0.0.1:$PORT:5432" --env POSTGRES_PASSWORD="$PASSWORD" postgres:17 >/dev/null
docker start "$NAME" >/dev/null

# The public image starts twice when it is new; only the second server listens to the network.
until docker exec "$NAME" pg_isready --quiet --host 127.0.0.1; do sleep 0.2; done

sql -v "password=$PASSWORD" <<'END'
SELECT 'CREATE ROLE shop LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'shop') \gexec
ALTER ROLE shop PASSWORD :'password';
SELECT 'CREATE DATABASE shop OWNER shop'
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'shop') \gexec
\connect shop
SET client_min_messages = warning;
CREATE TABLE IF NOT EXISTS migrations (version text PRIMARY KEY);
GRANT SELECT ON migrations TO shop;
END

applied=$(sql -Atc 'SELECT version FROM migrations' shop)
for file in migrations/*.sql; do
    version=$(basename "$file" .sql)
    ! echo "$applied" | grep -qx "$version" || continue
    { cat "$file"; echo "INSERT INTO migrations VALUES ('$version');"; } | sql --single-transaction shop
    echo "applied $version"
done
