//! The commands for people, each by its name; `preview` is what `apply` and `plan` share.

mod apply;
mod check;
mod delete;
mod doctor;
mod exec;
mod gc;
mod install;
mod links;
mod plan;
mod preview;
mod status;

pub(crate) use apply::apply;
pub(crate) use check::check;
pub(crate) use delete::delete;
pub(crate) use doctor::doctor;
pub(crate) use exec::exec;
pub(crate) use gc::gc;
pub(crate) use install::{install, uninstall};
pub(crate) use plan::plan;
pub(crate) use status::status;
