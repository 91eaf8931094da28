//! The record during ADD of a plugin: room for it, its result, and its end when it fails.

use podbond_cni::{CniResult, Request};
use podbond_kernel::NetnsIdentity;

use crate::{Error, Record, Records, State, Stored};

/// The record with which an ADD begins.
#[derive(Debug, PartialEq)]
pub struct Begun {
    /// It.
    pub record: Record,
    /// The record that the maker of a chain has written, to be put back when the ADD leaves nothing.
    pub of_chain: Option<Record>,
}

impl Records {
    /// Returns the record with which an ADD in this namespace begins. An earlier attachment of the same
    /// key whose namespace is over, or whose lease is pending, is deleted first, by `del`. One that may be
    /// there is an error, since its record says what its links were like. What cannot be read counts as
    /// missing.
    pub fn begin<E: From<Error>>(
        &self,
        request: &Request,
        netns: NetnsIdentity,
        del: impl FnOnce(&Request) -> Result<(), E>,
    ) -> Result<Begun, E> {
        let new = Record::of_add(request, netns);
        let attachment = request.attachment();
        let Stored::Whole(earlier) = self.read(&attachment)? else {
            return Ok(Begun { record: new, of_chain: None });
        };
        if earlier.chain.is_some() && earlier.add.is_none() {
            let record = Record { add: new.add, netns: new.netns, ..(*earlier).clone() };
            return Ok(Begun { record, of_chain: Some(*earlier) });
        }
        match earlier.del(&request.path) {
            Some(earlier_del) if earlier.is_orphan() && earlier.is_of(&request.config.plugin) => {
                del(&earlier_del)?;
                self.expect_lease_released(&attachment)?;
                Ok(Begun { record: new, of_chain: None })
            }
            _ => {
                let (attachment, path) = (earlier.to_string(), self.path(&earlier));
                Err(Error::AlreadyAdded { attachment, path }.into())
            }
        }
    }

    /// Records the result of an ADD. That the attachment is active is for the maker of a chain to record,
    /// once all its plugins have succeeded.
    pub fn write_result(&self, record: &Record, result: &CniResult) -> Result<(), Error> {
        let mut record = record.clone();
        if let Some(add) = &mut record.add {
            add.result = Some(result.clone());
        }
        if record.chain.is_none() {
            record.state = State::Active;
        }
        self.write(&record)
    }

    /// Ends the record of an ADD that has left its links as they were; a pending lease stays recorded. What
    /// cannot be written or removed tells of links that are as they were, which is harmless.
    pub fn end_failed_add(&self, begun: Begun, pending: Option<&str>) {
        let Begun { record, of_chain } = begun;
        let _ = match (pending, of_chain) {
            (None, Some(of_chain)) => self.write(&of_chain),
            (pending, of_chain) => {
                let devices = of_chain.map(|of_chain| of_chain.devices).unwrap_or_default();
                self.end_plugin(Record { link: None, devices, ..record }, pending)
            }
        };
    }
}
