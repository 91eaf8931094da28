//! Tests in the lab's cluster, with pods as users make them. `cargo xtask cluster test` runs them.

#![allow(clippy::unwrap_used, reason = "a panic here is the failure's report")]

mod namespace;
mod vfs;
