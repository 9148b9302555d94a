//! The control plane as its users meet it: over HTTP, over the bus, and as a library.

#[cfg(test)]
mod apps;
#[cfg(test)]
mod joins;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod rest;
#[cfg(test)]
mod rooms;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod world;
