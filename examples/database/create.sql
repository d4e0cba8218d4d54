CREATE TABLE IF NOT EXISTS people (id serial PRIMARY KEY, name text);
