CREATE TABLE analytics (
    id TEXT PRIMARY KEY NOT NULL,
    document TEXT NOT NULL,
    business_id TEXT AS (document ->> '$.business_id'),
    day TEXT AS (document ->> '$.day'),
    count_at TEXT AS (document ->> '$.count_at'),
    expire_at TEXT AS (document ->> '$.expire_at')
) WITHOUT ROWID;
CREATE INDEX analytics_day ON analytics (day, business_id);
CREATE INDEX analytics_business ON analytics (business_id, day);
CREATE INDEX analytics_due ON analytics (count_at) WHERE count_at IS NOT NULL;
CREATE INDEX analytics_expired ON analytics (expire_at);

CREATE INDEX messages_day ON messages (business_id, timestamp);
