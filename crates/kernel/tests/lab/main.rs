//! What the crate does with a kernel: run by `cargo xtask test` as root, in the virtual machine.
