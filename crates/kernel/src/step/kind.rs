use super::Step;

impl Step {
    /// The kind of the step, in the word under which it is written down.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AddBond { .. } => "add-bond",
            Self::RemoveBond { .. } => "remove-bond",
            Self::AddVlan { .. } => "add-vlan",
            Self::RemoveVlan { .. } => "remove-vlan",
            Self::Enslave { .. } => "enslave",
            Self::Release { .. } => "release",
            Self::SetPort { .. } => "set-port",
            Self::SetPortRole { .. } => "set-port-role",
            Self::Move { .. } => "move",
            Self::SetMtu { .. } => "set-mtu",
            Self::SetMac { .. } => "set-mac",
            Self::SetState { .. } => "set-state",
            Self::SetVf { .. } => "set-vf",
            Self::SetNumVfs { .. } => "set-num-vfs",
            Self::BindDriver { .. } => "bind-driver",
            Self::AddAddress { .. } => "add-address",
            Self::RemoveAddress { .. } => "remove-address",
            Self::AddRoute { .. } => "add-route",
            Self::RemoveRoute { .. } => "remove-route",
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::step::tests::one_of_each;

    #[test]
    fn a_kind_is_the_word_that_is_written_down() {
        for step in one_of_each() {
            assert_eq!(serde_json::to_value(&step).unwrap()["step"], step.kind());
        }
    }
}
