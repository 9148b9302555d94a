//! One suite for every variant of a back end.
//!
//! SQLite always; PostgreSQL when `SPARKRTC_TEST_POSTGRES_URL` names a server on which databases
//! may be created.

mod apps;
mod durability;
mod opening;
mod store;
mod webhooks;
