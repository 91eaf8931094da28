//! The documented case, end to end, in the lab.
