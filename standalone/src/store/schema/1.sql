-- Times in a conversation's columns are milliseconds since 1970; in the other tables they are texts of one length, which
-- sort as times do.

CREATE TABLE conversations (
    id TEXT PRIMARY KEY NOT NULL,
    document TEXT NOT NULL,
    business_id TEXT AS (document ->> '$.business_id'),
    subdomain TEXT AS (document ->> '$.subdomain'),
    due_at INTEGER AS (CAST(round(unixepoch(document ->> '$.due_at', 'subsec') * 1000) AS INTEGER)),
    lease_until INTEGER AS (CAST(round(unixepoch(document ->> '$.lease.until', 'subsec') * 1000) AS INTEGER)),
    lease_worker TEXT AS (document ->> '$.lease.worker'),
    waits_for TEXT AS (document ->> '$.waits_for.token'),
    merge_into TEXT AS (document ->> '$.merge.into'),
    merge_try_at INTEGER AS (CAST(round(unixepoch(document ->> '$.merge.try_at', 'subsec') * 1000) AS INTEGER)),
    merged_into TEXT AS (document ->> '$.merged_into'),
    forgotten_at INTEGER AS (CAST(round(unixepoch(document ->> '$.forgotten_at', 'subsec') * 1000) AS INTEGER)),
    -- When the next notice is due is looked up in the document: few have any.
    has_notices INTEGER AS (json_array_length(document, '$.notices') > 0),
    look_after_at INTEGER AS (CAST(round(unixepoch(document ->> '$.look_after_at', 'subsec') * 1000) AS INTEGER))
) WITHOUT ROWID;
CREATE INDEX conversations_due ON conversations (due_at, subdomain) WHERE due_at IS NOT NULL;
CREATE INDEX conversations_leased ON conversations (lease_worker) WHERE lease_worker IS NOT NULL;
CREATE INDEX conversations_waiting ON conversations (business_id) WHERE waits_for IS NOT NULL;
CREATE INDEX conversations_merging ON conversations (merge_try_at) WHERE merge_into IS NOT NULL;
CREATE INDEX conversations_to_merge ON conversations (merge_into) WHERE merge_into IS NOT NULL;
CREATE INDEX conversations_merged ON conversations (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX conversations_forgotten ON conversations (forgotten_at) WHERE forgotten_at IS NOT NULL;
CREATE INDEX conversations_noticed ON conversations (business_id) WHERE has_notices;
CREATE INDEX conversations_closed ON conversations (look_after_at) WHERE look_after_at IS NOT NULL;

CREATE TABLE businesses (
    id TEXT PRIMARY KEY NOT NULL,
    document TEXT NOT NULL,
    subdomain TEXT AS (document ->> '$.subDomain'),
    waba_id TEXT AS (document ->> '$.wabaId')
) WITHOUT ROWID;
CREATE INDEX businesses_subdomain ON businesses (subdomain);
CREATE INDEX businesses_account ON businesses (waba_id);

CREATE TABLE identities (
    id TEXT PRIMARY KEY NOT NULL,
    document TEXT NOT NULL,
    conversation TEXT AS (document ->> '$.conversation')
) WITHOUT ROWID;
CREATE INDEX identities_conversation ON identities (conversation);

CREATE TABLE messages (
    id TEXT PRIMARY KEY NOT NULL,
    document TEXT NOT NULL,
    conversation TEXT AS (document ->> '$.conversation'),
    business_id TEXT AS (document ->> '$.business_id'),
    timestamp TEXT AS (document ->> '$.timestamp'),
    expire_at TEXT AS (document ->> '$.expire_at')
) WITHOUT ROWID;
CREATE INDEX messages_conversation ON messages (conversation, timestamp);
CREATE INDEX messages_expired ON messages (expire_at);

CREATE TABLE dead_letters (
    id TEXT PRIMARY KEY NOT NULL,
    document TEXT NOT NULL,
    handle TEXT AS (document ->> '$.handle'),
    conversation TEXT AS (document ->> '$.conversation'),
    business_id TEXT AS (document ->> '$.business_id'),
    phone_number_id TEXT AS (document ->> '$.phone_number_id'),
    reason TEXT AS (document ->> '$.reason'),
    replay TEXT AS (document ->> '$.replay'),
    buried_at TEXT AS (document ->> '$.buried_at'),
    expire_at TEXT AS (document ->> '$.expire_at')
) WITHOUT ROWID;
CREATE INDEX dead_letters_handle ON dead_letters (handle);
CREATE INDEX dead_letters_conversation ON dead_letters (conversation);
CREATE INDEX dead_letters_of_intake ON dead_letters (phone_number_id) WHERE conversation IS NULL;
CREATE INDEX dead_letters_replay ON dead_letters (replay, phone_number_id, buried_at) WHERE replay IS NOT NULL;
CREATE INDEX dead_letters_requested ON dead_letters (replay, buried_at) WHERE replay IS NOT NULL;
CREATE INDEX dead_letters_age ON dead_letters (buried_at DESC, id);
CREATE INDEX dead_letters_expired ON dead_letters (expire_at);

CREATE TABLE account_events (
    id TEXT PRIMARY KEY NOT NULL,
    document TEXT NOT NULL,
    phone_number_id TEXT AS (document ->> '$.phone_number_id'),
    waba_id TEXT AS (document ->> '$.waba_id'),
    expire_at TEXT AS (document ->> '$.expire_at')
) WITHOUT ROWID;
CREATE INDEX account_events_number ON account_events (phone_number_id, waba_id);
CREATE INDEX account_events_account ON account_events (waba_id, document ->> '$.received_at');
CREATE INDEX account_events_expired ON account_events (expire_at);

CREATE TABLE knowledge (
    id TEXT PRIMARY KEY NOT NULL,
    document TEXT NOT NULL,
    business_id TEXT AS (document ->> '$.business_id'),
    source TEXT AS (document ->> '$.source'),
    n INTEGER AS (document ->> '$.n')
) WITHOUT ROWID;
CREATE INDEX knowledge_business ON knowledge (business_id, source, n);
-- Of these alone SQLite reads no row: it does of whatever names a column that is computed.
CREATE INDEX knowledge_size
    ON knowledge (document ->> '$.business_id', document ->> '$.language', document ->> '$.characters');

CREATE TABLE usage (
    id TEXT PRIMARY KEY NOT NULL,
    document TEXT NOT NULL,
    expire_at TEXT AS (document ->> '$.expire_at')
) WITHOUT ROWID;
CREATE INDEX usage_expired ON usage (expire_at);

CREATE TABLE account_standing (
    id TEXT PRIMARY KEY NOT NULL,
    document TEXT NOT NULL
) WITHOUT ROWID;
