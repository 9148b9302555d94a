-- Where an app's room events are sent, beside the URLs of the configuration.
CREATE TABLE app_webhooks (
    app_id                  TEXT    NOT NULL,
    url                     TEXT    NOT NULL,
    -- Place in the app's list, from 0.
    position                BIGINT  NOT NULL,
    -- Event names with a space between; empty means every event.
    events                  TEXT    NOT NULL,
    -- 1: the receiver could be connected to when the URL was set.
    reachable               BIGINT  NOT NULL,
    created_at_ms           BIGINT  NOT NULL,
    PRIMARY KEY (app_id, url)
);
