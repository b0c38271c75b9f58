CREATE TABLE account_standing (
    id TEXT PRIMARY KEY NOT NULL,
    document TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX account_events_account ON account_events (waba_id, document ->> '$.received_at');
-- Notices that wait to be delivered to a business. When the next one is due is looked up in the document: few have any.
ALTER TABLE conversations ADD COLUMN has_notices INTEGER AS (json_array_length(document, '$.notices') > 0);
CREATE INDEX conversations_noticed ON conversations (business_id) WHERE has_notices;
