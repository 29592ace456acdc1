//! What the stores keep of our own kinds: little, because a fleet has thousands of services and each remembers many
//! releases. Measured in `control/tests/memory.rs`.

use std::fmt;

use trimtab_api::ObjectMeta;

use crate::resource::Key;
use crate::uid::Uid;
use crate::watch::{ProjectError, Row};

/// An object of one of our kinds as the stores keep it.
#[derive(Clone, Debug)]
pub struct OwnRow<T> {
    pub(super) key: Key,
    pub(super) resource_version: u64,
    /// What is kept of the object.
    pub object: T,
}

impl<T: Send + Sync + 'static> Row for OwnRow<T> {
    fn key(&self) -> &Key {
        &self.key
    }

    fn resource_version(&self) -> u64 {
        self.resource_version
    }
}

pub(super) fn version(meta: &ObjectMeta) -> Result<u64, ProjectError> {
    let version = &meta.resource_version;
    version.parse().map_err(|_| ProjectError(format!("resource version {version:?} is not a number")))
}

/// What is written where a uid belongs, in 16 bytes where it is one.
#[derive(Clone, Debug)]
pub(super) enum WrittenUid {
    Uid(Uid),
    Other(Box<str>),
}

impl From<String> for WrittenUid {
    fn from(text: String) -> Self {
        match text.parse::<Uid>() {
            // One in capitals would be printed otherwise than it was written.
            Ok(uid) if uid.to_string() == text => Self::Uid(uid),
            _ => Self::Other(text.into()),
        }
    }
}

impl PartialEq<Uid> for WrittenUid {
    fn eq(&self, uid: &Uid) -> bool {
        matches!(self, Self::Uid(own) if own == uid)
    }
}

impl fmt::Display for WrittenUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => uid.fmt(f),
            Self::Other(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_read_as_they_were_written() {
        let check = |text: &str, is_uid: bool| {
            let written = WrittenUid::from(text.to_owned());
            assert_eq!((written.to_string().as_str(), matches!(written, WrittenUid::Uid(_))), (text, is_uid));
        };
        check("9f3b2c1d-4e5f-4a6b-8c7d-0123456789ab", true);
        check("9F3B2C1D-4e5f-4a6b-8c7d-0123456789ab", false);
        check("", false);
        check("uid-1", false);
    }
}
