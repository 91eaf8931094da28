//! Words for numbers and link states.

use podbond_kernel::LinkState;

/// Returns a number with what it counts: `1 port`, `2 ports`.
pub(crate) fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// Returns the state of a link: `down`, `up` or `no carrier`.
pub(crate) fn link_state(state: LinkState, carrier: bool) -> &'static str {
    match (state, carrier) {
        (LinkState::Down, _) => "down",
        (LinkState::Up, true) => "up",
        (LinkState::Up, false) => "no carrier",
    }
}
