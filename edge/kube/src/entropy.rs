//! Bytes that nobody can guess, for keys. What only has to look random comes from [`rng`](crate::rng).

use std::fmt;
use std::sync::Arc;

use crate::rng::Rng;

/// Bytes of one draw.
pub const ENTROPY_BYTES: usize = 32;

type Draw = dyn Fn() -> Result<[u8; ENTROPY_BYTES], String> + Send + Sync;

/// A source of them. Cheap to clone.
#[derive(Clone)]
pub struct Entropy(Arc<Draw>);

impl Entropy {
    /// The operating system's.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(|| {
            let mut bytes = [0; ENTROPY_BYTES];
            let drawn = getrandom::fill(&mut bytes);
            drawn
                .map(|()| bytes)
                .map_err(|error| format!("the operating system gave no random bytes: {error}"))
        }))
    }

    /// The same bytes for the same seed: for simulations, which keep no secrets.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let mut rng = Rng::for_key(seed, "entropy", "");
        let words: [[u8; 8]; 4] = std::array::from_fn(|_| rng.next_u64().to_be_bytes());
        let bytes = std::array::from_fn(|index| words[index / 8][index % 8]);
        Self(Arc::new(move || Ok(bytes)))
    }

    /// Draws bytes.
    ///
    /// # Errors
    /// In words, where the operating system gives none.
    pub fn draw(&self) -> Result<[u8; ENTROPY_BYTES], String> {
        (self.0)()
    }
}

impl Default for Entropy {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy")
    }
}
