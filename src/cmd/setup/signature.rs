//! The flags for a signature, wherever a profile is read.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::cmd::terminal;
use crate::profile::{self, Profile, signature};

/// A signature that a profile has to have.
#[derive(Debug, Default, Args)]
pub struct SignatureArgs {
    /// Wants the profile signed: a file that `ssh-keygen -Y sign -n wan22-tune -f KEY PROFILE` made.
    #[arg(long, value_name = "FILE", requires = "allowed_signers")]
    signature: Option<PathBuf>,
    /// Who may have signed it, in ssh-keygen's format of allowed signers.
    #[arg(long, value_name = "FILE", requires = "signature")]
    allowed_signers: Option<PathBuf>,
}

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
