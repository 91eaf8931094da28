//! Two SR-IOV cards, a switch and a node, in a virtual machine: for demo, tests and trying things.
//!
//! Nobody needs the hardware: QEMU's `igb` is a card whose VFs work. The node is a Debian kernel
//! with Debian's own tools; both are fetched with apt (which checks them), kept in the user's cache,
//! and put into an initramfs together with our executables. What the node looks like from inside is
//! in `guest/init`, which is meant to be read.
//!
//! The same cache holds what the checks need outside of the machine: the valgrind that instructions are
//! counted with, and cargo's tools.

mod accel;
pub mod apt;
mod cache;
mod channel;
mod cpio;
mod error;
mod guest;
mod kernel;
mod lab;
mod machine;
mod progress;
mod qemu;
mod terminal;
mod userland;
mod valgrind;

pub use accel::Accel;
pub use cache::Cache;
pub use error::Error;
pub use kernel::Kernel;
pub use lab::{Builder, Lab, PFS, Switch, VFS};
pub use machine::{Console, Machine, Stdin};
pub use progress::Progress;
pub use userland::Userland;
pub use valgrind::Valgrind;
