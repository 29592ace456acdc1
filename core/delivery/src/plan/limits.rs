//! How often and how long: the limits of what a plan does by itself.

use std::time::Duration;

/// Times that the previous template is restored before Trimtab stops and asks for a person: whoever writes the rejected
/// template back that often, while nothing holds it at admission, is not going to stop.
pub const RESTORES_MAX: u32 = 5;
/// The same where a person calls a release back that is being rolled back: what was restored before they did does not count
/// against them.
pub(super) const CALLED_BACK_MAX: u32 = 2 * RESTORES_MAX;
/// How long a number given by a person waits for its template to appear on the Deployment.
pub const PENDING_MAX: Duration = Duration::from_secs(120);
/// How long the previous release may take to run again before a person is asked.
pub const RECOVERY_MAX: Duration = Duration::from_secs(600);

/// Largest pod template that is recorded and judged, in bytes of JSON. A record holds the template, and etcd refuses
/// objects of more than 1.5 MiB: what is left is for the record's own fields and who owns them.
pub const TEMPLATE_BYTES_MAX: usize = 1 << 20;
