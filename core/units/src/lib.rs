//! The values that people type and Kubernetes stores: durations, percentages, quantities, names and canonical JSON, and text
//! of others in one line.
//!
//! Every parser here is total: any text gives a value or an error that says what was wrong, never a panic, and
//! what a type prints it also reads back. Nothing here knows a cluster, a clock or a file.
//!
//! ```
//! use trimtab_units::{GoDuration, IntOrPercent, Quantity};
//!
//! let watch: GoDuration = "1h2m3.5s".parse().unwrap();
//! assert_eq!(watch.to_string(), "1h2m3.5s");
//!
//! let surge: IntOrPercent = "25%".parse().unwrap();
//! assert_eq!(surge.resolve_surge(10), 3);
//!
//! let memory: Quantity = "1536Mi".parse().unwrap();
//! assert_eq!(memory.value(), 1536 * 1024 * 1024);
//! assert_eq!("2048Mi".parse::<Quantity>().unwrap().to_string(), "2Gi");
//! ```

pub mod canonical;
mod duration;
mod int_or_percent;
pub mod line;
pub mod names;
mod percent;
mod quantity;
mod template_hash;

pub use duration::{DurationError, GoDuration, duration_words};
pub use int_or_percent::{Fenceposts, IntOrPercent, IntOrPercentError};
pub use percent::{Percent, PercentError};
pub use quantity::{Quantity, QuantityError, QuantityFormat};
pub use template_hash::{TemplateDigest, TemplateHash, TemplateHashError, template_digest, template_hash};

/// Implements `Serialize` and `Deserialize` through `Display` and `FromStr`, for types that are text on the wire.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_text;
