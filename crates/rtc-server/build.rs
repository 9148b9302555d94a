//! Has a release build notice when the page was built anew, or for the first time.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Only release builds embed the page. A file that is missing makes cargo build again each
    // time, which a debug build must not.
    if std::env::var_os("PROFILE").is_some_and(|profile| profile == "release") {
        println!("cargo::rerun-if-changed=../../web/playground/dist/index.html");
    }
}
