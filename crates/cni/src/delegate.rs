use crate::{CniResult, Command, Failure, Plugin, Request};

/// What to do with the name of one of our own plugins that is not found on `CNI_PATH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// It is an error, as the specification has it: a runtime called us.
    PathOnly,
    /// Our own plugin serves: a person called us, nothing needs to be installed.
    PathThenBuiltin,
}

/// How plugins call plugins: as a function when the file on `CNI_PATH` is our own executable (same
/// device and inode), by exec when it is any other.
pub struct Delegates<'p> {
    builtins: &'p [&'p dyn Plugin],
    lookup: Lookup,
}

impl<'p> Delegates<'p> {
    /// Delegation that knows these plugins as our own.
    pub fn new(builtins: &'p [&'p dyn Plugin], lookup: Lookup) -> Self {
        Self { builtins, lookup }
    }

    /// Calls the plugin that `request.config.plugin` names. Gives the result of an ADD, none for
    /// the other commands. For 1.1.0's STATUS and GC the request's container and interface are not
    /// passed on.
    pub fn call(
        &self,
        _command: Command,
        _request: &Request,
    ) -> Result<Option<CniResult>, Failure> {
        let _ = (self.builtins, self.lookup);
        todo!()
    }

    /// Calls the IPAM plugin of `request.config` with the same configuration, as the specification
    /// has it ("the IPAM plugin receives the same network configuration", section "IPAM"). None
    /// when the configuration has no `ipam.type`.
    pub fn ipam(
        &self,
        _command: Command,
        _request: &Request,
    ) -> Result<Option<CniResult>, Failure> {
        todo!()
    }
}
