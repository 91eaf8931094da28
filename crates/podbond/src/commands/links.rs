//! How `status` and `doctor` show the PCI function behind a link.

use podbond_kernel::LinkFunction;

/// Returns the cells PF and VF of a table.
pub(super) fn function_cells(function: Option<&LinkFunction>) -> [String; 2] {
    let pf = function.and_then(|function| function.pf.as_ref()).map(ToString::to_string);
    let vf = function.and_then(|function| function.vf).map(|vf| vf.to_string());
    [pf.unwrap_or_default(), vf.unwrap_or_default()]
}
