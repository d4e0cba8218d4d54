-- An old version of the shop knows nothing of the column, and needs not.
ALTER TABLE orders ADD COLUMN customer text;
