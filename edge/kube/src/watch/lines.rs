//! Cuts a body into lines, however its frames are cut.

use std::time::Duration;

use bytes::BytesMut;
use http_body_util::BodyExt;

use crate::api::{Stream, chain};

/// Longest line kept, in bytes. Ten times what etcd accepts by default, so only a broken server exceeds it.
pub(crate) const LINE_BYTES_MAX: usize = 16 << 20;

/// Silence after which a connection is taken for dead. Servers send a bookmark about every minute.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(150);

/// What the next read gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A complete line, without its newline. Never empty.
    Whole(BytesMut),
    /// A line longer than [`LINE_BYTES_MAX`] was thrown away.
    TooLong,
    /// The body ended; what came after the last newline is a cut line and was thrown away.
    End,
    /// The connection broke.
    Broken(String),
}

/// Reads lines from a streaming body. Cancelling [`Lines::next`] loses nothing.
pub(crate) struct Lines {
    body: Stream,
    buffer: BytesMut,
    /// How much of `buffer` is known to hold no newline.
    scanned: usize,
    /// Inside a line that is being thrown away.
    discarding: bool,
}

impl Lines {
    pub(crate) fn new(body: Stream) -> Lines {
        Lines { body, buffer: BytesMut::new(), scanned: 0, discarding: false }
    }

    pub(crate) async fn next(&mut self) -> Line {
        loop {
            if let Some(line) = self.buffered() {
                return line;
            }
            match tokio::time::timeout(SILENCE_MAX, self.body.frame()).await {
                Err(_) => return Line::Broken(format!("nothing heard for {} s", SILENCE_MAX.as_secs())),
                Ok(None) => return Line::End,
                Ok(Some(Err(error))) => return Line::Broken(chain(&error)),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }

    /// The next line that is already here, if any.
    fn buffered(&mut self) -> Option<Line> {
        while let Some(offset) = self.buffer[self.scanned..].iter().position(|byte| *byte == b'\n') {
            let mut line = self.buffer.split_to(self.scanned + offset + 1);
            self.scanned = 0;
            line.truncate(line.len() - 1);
            if std::mem::take(&mut self.discarding) || line.len() > LINE_BYTES_MAX {
                return Some(Line::TooLong);
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Some(Line::Whole(line));
            }
        }
        self.scanned = self.buffer.len();
        if self.buffer.len() > LINE_BYTES_MAX {
            self.buffer.clear();
            self.scanned = 0;
            self.discarding = true;
        }
        None
    }
}
