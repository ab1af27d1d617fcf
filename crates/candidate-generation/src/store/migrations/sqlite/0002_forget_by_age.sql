-- What is forgotten by age is found by age: without these, forgetting reads all that is remembered.

CREATE INDEX folded_events_by_age ON folded_events (folded_at);

CREATE INDEX folded_positions_by_age ON folded_positions (folded_at);
