//! The flags for a signature, wherever a profile is read.

use std::path::Path;

use anyhow::{Context, Result};

use crate::cli::SignatureArgs;
use crate::cmd::terminal;
use crate::profile::{self, Profile, signature};

impl SignatureArgs {
    /// Reads a profile, once somebody who may has signed these very bytes.
    ///
    /// # Errors
    /// The signature does not hold, or the profile is refused.
    pub fn read(&self, path: &Path) -> Result<Profile> {
        let place = || format!("profile {}", path.display());
        let text = profile::text(path).with_context(place)?;
        if let Some((signed, signers)) = self.signature.as_ref().zip(self.allowed_signers.as_ref())
        {
            let who = signature::signer(&text, signed, signers).with_context(place)?;
            terminal::tell(&format!("wan22-tune: {} is signed by {who}", path.display()));
        }
        Profile::parse(profile::unmarked(&text)).with_context(place)
    }
}
