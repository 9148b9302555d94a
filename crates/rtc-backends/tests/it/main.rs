//! One suite for every variant of a back end.
//!
//! SQLite always; PostgreSQL when `SPARKRTC_TEST_POSTGRES_URL` names a server on which databases
//! may be created.

#[cfg(test)]
mod apps;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod store;
#[cfg(test)]
mod webhooks;
