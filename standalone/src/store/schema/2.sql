CREATE TABLE account_standing (
    id TEXT PRIMARY KEY NOT NULL,
    document TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX account_events_account ON account_events (waba_id, document ->> '$.received_at');
