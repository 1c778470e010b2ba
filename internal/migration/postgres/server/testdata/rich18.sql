CREATE TABLE eighteen (a int CONSTRAINT a_is_there NOT NULL, b int GENERATED ALWAYS AS (a * 2) VIRTUAL, c int, d int CHECK (d > 0) NOT ENFORCED);
ALTER TABLE eighteen ADD CONSTRAINT soon NOT NULL c NOT VALID;
CREATE TABLE eighteen_heir (CONSTRAINT theirs NOT NULL c) INHERITS (eighteen);
