//! The seal on a record: proof that the manager itself wrote the template that the record keeps.
//!
//! Whoever may edit a namespace may write an `AppRelease` by hand, under any field manager, with any template. A seal is an
//! HMAC-SHA256 over what a restore rests on, with a key that only the manager's namespace holds.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use trimtab_units::{TemplateDigest, canonical, template_digest};

/// Annotation of a record that carries its seal.
pub const SEAL_ANNOTATION: &str = "trimtab.dev/seal";
/// Bytes of a key, and of a seal.
pub const KEY_BYTES: usize = 32;
/// Says what is sealed, and in which form: another form is another word.
const FORM: &str = "trimtab.dev/seal/1";

/// What a seal vouches for beside the template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// Namespace of the record.
    pub namespace: &'a str,
    /// The service.
    pub service: &'a str,
    /// The number.
    pub number: u64,
    /// Uid of the Deployment that it was released to.
    pub target_uid: &'a str,
    /// Hash of the template, as the record says it.
    pub template_hash: &'a str,
}

impl Sealed<'_> {
    /// All of it as one text. No two values have the same.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { namespace, service, number, target_uid, template_hash } = self;
        canonical::to_string(&json!({
            "namespace": namespace, "service": service, "number": number,
            "targetUid": target_uid, "templateHash": template_hash,
        }))
    }
}

/// The seal of one record: 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal([u8; KEY_BYTES]);

impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text is no seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealError;

impl FromStr for Seal {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        let mut bytes = [0; KEY_BYTES];
        if text.len() != 2 * KEY_BYTES {
            return Err(SealError);
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(SealError);
            *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Ok(Self(bytes))
    }
}

/// The key of a manager's seals.
#[derive(Clone, PartialEq, Eq)]
pub struct SealKey([u8; KEY_BYTES]);

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey")
    }
}

impl SealKey {
    /// A key of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The seal on `template` and on `about`, a [`Sealed::text`].
    #[must_use]
    pub fn seal(&self, about: &str, template: &TemplateDigest) -> Seal {
        Seal(self.mac(about, template).finalize().into_bytes().into())
    }

    /// Whether `seal` is that seal. Takes as long for a wrong one as for a right one.
    #[must_use]
    pub fn verifies(&self, about: &str, template: &TemplateDigest, seal: &Seal) -> bool {
        self.mac(about, template).verify_slice(&seal.0).is_ok()
    }

    /// Every part is preceded by its length, so that no two have the same bytes.
    fn mac(&self, about: &str, template: &TemplateDigest) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        for part in [FORM.as_bytes(), about.as_bytes(), template.as_bytes()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

/// What a reader knows about seals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Nothing yet: nothing that is sealed counts.
    #[default]
    Nothing,
    /// The key: only what it sealed counts.
    Key(SealKey),
    /// That a command has no key: what carries a seal and has a status counts, for nobody but the manager writes a status.
    /// Commands decide nothing.
    Form,
}

/// What a record says of itself, as far as it tells who wrote it.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// Namespace of the record.
    pub namespace: &'a str,
    /// The service.
    pub service: &'a str,
    /// The number.
    pub number: u64,
    /// Uid of the Deployment that it was released to.
    pub target_uid: Option<&'a str>,
    /// Hash of the template.
    pub template_hash: Option<&'a str>,
    /// The template.
    pub template: Option<&'a Value>,
    /// The seal.
    pub seal: Option<&'a str>,
    /// Whether its status says anything.
    pub has_status: bool,
}

/// Who wrote what a record keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Author {
    /// A person who took the number: it keeps no template yet, and the manager fills it in.
    #[default]
    Person,
    /// The manager.
    Manager,
    /// It keeps something, and has no seal.
    Unsealed,
    /// It has a seal, and not all that a seal is on.
    Incomplete,
    /// Its seal is of another key, or of another record.
    Foreign,
    /// It has a seal that nobody here can check, and the manager has written nothing about it.
    Unseen,
}

impl Author {
    /// Tells who wrote a record. The manager does so once for each version of it.
    #[must_use]
    pub fn of(written: &Written<'_>, trust: &Trust) -> Self {
        let Written { namespace, service, number, target_uid, template_hash, template, seal, .. } = *written;
        let Some(seal) = seal else {
            let empty = template.is_none() && template_hash.is_none() && target_uid.is_none();
            return if empty { Self::Person } else { Self::Unsealed };
        };
        let (Some(template), Some(template_hash), Some(target_uid)) = (template, template_hash, target_uid)
        else {
            return Self::Incomplete;
        };
        let proven = match trust {
            Trust::Nothing => false,
            Trust::Form if written.has_status => true,
            Trust::Form => return Self::Unseen,
            Trust::Key(key) => {
                let about = Sealed { namespace, service, number, target_uid, template_hash }.text();
                let verifies = |seal: Seal| key.verifies(&about, &template_digest(template), &seal);
                seal.parse().is_ok_and(verifies)
            }
        };
        if proven { Self::Manager } else { Self::Foreign }
    }

    /// Why a record does not count; `None` where it does.
    #[must_use]
    pub fn fault(self) -> Option<&'static str> {
        Some(match self {
            Self::Person | Self::Manager => return None,
            Self::Unsealed => "the manager did not write it: it has no seal",
            Self::Incomplete => "the manager did not write it: it has a seal and no template",
            Self::Foreign => "its seal is not of this manager's key, or of another record",
            Self::Unseen => "the manager has not taken it up",
        })
    }
}
