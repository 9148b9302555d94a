//! Rebuilds when a migration is added: the macro that embeds them sees only files it knew before.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
