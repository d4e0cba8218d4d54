CREATE TABLE orders (id serial PRIMARY KEY, words text NOT NULL);
GRANT SELECT, INSERT ON orders TO shop;
