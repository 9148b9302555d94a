CREATE TABLE apps (
    id                      TEXT    NOT NULL PRIMARY KEY,
    name                    TEXT    NOT NULL,
    kind                    TEXT    NOT NULL,
    status                  TEXT    NOT NULL,
    -- Empty once the app is deleted.
    app_key                 TEXT    NOT NULL,
    -- The key before the last rotation, and until when it still counts.
    previous_key            TEXT,
    previous_key_until_ms   BIGINT,
    -- 1: joining needs a good token or signature; 0: naming the app is enough.
    join_authentication     BIGINT  NOT NULL,
    -- How long after its ctime an access signature still counts.
    signature_tolerance_s   BIGINT  NOT NULL,
    created_at_ms           BIGINT  NOT NULL,
    updated_at_ms           BIGINT  NOT NULL,
    -- Rows of deleted apps stay, because their history stays readable.
    deleted_at_ms           BIGINT
);

CREATE UNIQUE INDEX apps_by_name ON apps (name) WHERE deleted_at_ms IS NULL;
CREATE INDEX apps_by_age ON apps (created_at_ms, id);
