//! The commands for people, one file each.

mod apply;
mod check;
mod delete;
mod doctor;
mod exec;
mod gc;
mod install;
mod plan;
mod status;

pub(crate) use apply::{UNCHANGED, apply, is_running, nad_outcome};
pub(crate) use check::check;
pub(crate) use delete::delete;
pub(crate) use doctor::doctor;
pub(crate) use exec::exec;
pub(crate) use gc::gc;
pub(crate) use install::install;
pub(crate) use plan::plan;
pub(crate) use status::status;
