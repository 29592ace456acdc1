//! Printing what somebody may read.

use std::fmt::{self, Write as _};

use trimtab_units::line::is_unsafe;

/// Writes what the grammar printed. It leaves characters that steer a line as they are, and they stand in quoted texts alone;
/// Prometheus reads them escaped, and whoever reads its query log sees that they are there.
pub(crate) fn write_printed(printed: &str, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    for character in printed.chars() {
        match u32::from(character) {
            _ if !is_unsafe(character) => formatter.write_char(character)?,
            code @ 0..=0xffff => write!(formatter, "\\u{code:04x}")?,
            code => write!(formatter, "\\U{code:08x}")?,
        }
    }
    Ok(())
}
