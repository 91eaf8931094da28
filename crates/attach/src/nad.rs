//! From a NAD's configuration text to the configuration of each plugin.
