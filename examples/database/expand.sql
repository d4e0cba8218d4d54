-- Version 1 goes on beside it: the new columns may be empty.
ALTER TABLE people ADD COLUMN IF NOT EXISTS first text, ADD COLUMN IF NOT EXISTS last text;
UPDATE people SET first = split_part(name, ' ', 1), last = substr(name, strpos(name || ' ', ' ') + 1)
    WHERE first IS NULL;
