//! A signature that a profile has to have.

use std::path::PathBuf;

use clap::Args;

/// A signature that a profile has to have.
#[derive(Debug, Default, Args)]
pub struct SignatureArgs {
    /// Wants the profile signed: a file that `ssh-keygen -Y sign -n wan22-tune -f KEY PROFILE` made.
    #[arg(long, value_name = "FILE", requires = "allowed_signers")]
    pub signature: Option<PathBuf>,
    /// Who may have signed it, in ssh-keygen's format of allowed signers.
    #[arg(long, value_name = "FILE", requires = "signature")]
    pub allowed_signers: Option<PathBuf>,
}
