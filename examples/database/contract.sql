-- Only when nothing older than version 3 runs, or may run again: this is where the way back ends.
DO $$ BEGIN
    IF EXISTS (SELECT FROM information_schema.columns
               WHERE table_name = 'people' AND column_name = 'name') THEN
        UPDATE people SET first = split_part(name, ' ', 1),
                          last = substr(name, strpos(name || ' ', ' ') + 1) WHERE first IS NULL;
        ALTER TABLE people DROP COLUMN name,
            ALTER COLUMN first SET NOT NULL, ALTER COLUMN last SET NOT NULL;
    END IF;
END $$;
