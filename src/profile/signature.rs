//! A detached signature over a profile's file, in the format of `ssh-keygen -Y sign`.
//!
//! OpenSSH checks it: administrators have such keys already, on hardware tokens too, and the file
//! of allowed signers, with its expiry dates and revocations, means what it means to `git`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::io::input;

/// What a signature is for: one over anything else proves nothing about a profile.
pub const NAMESPACE: &str = "wan22-tune";

/// A signature, and a list of who may sign, is a page of text.
const LARGEST_BYTES: u64 = 16 << 20;

/// Who signed `text`, among those that `signers` allows.
///
/// # Errors
/// Nobody did, a file is no signature, or ssh-keygen is missing.
pub fn signer(text: &str, signature: &Path, signers: &Path) -> Result<String> {
    for file in [signature, signers] {
        // ssh-keygen would wait for a pipe, and read a device without end.
        input::bytes(file, LARGEST_BYTES).with_context(|| file.display().to_string())?;
    }
    let files = |command: &mut Command| {
        command.arg("-s").arg(signature).arg("-f").arg(signers);
    };
    let found = ssh_keygen("find-principals", text, files)?;
    let principal = found.lines().next().unwrap_or_default().to_owned();
    ssh_keygen("verify", text, |command| {
        files(command);
        command.args(["-n", NAMESPACE, "-I", &principal]);
    })?;
    Ok(principal)
}

fn ssh_keygen(what: &str, text: &str, add: impl FnOnce(&mut Command)) -> Result<String> {
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", what]);
    add(&mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        command.spawn().context("ssh-keygen checks signatures: apt install openssh-client")?;
    if let Some(mut stdin) = child.stdin.take() {
        // It may end before it has read everything; its status says why.
        let _ = stdin.write_all(text.as_bytes());
    }
    let output = child.wait_with_output().context("waiting for ssh-keygen")?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("the signature does not hold: {}", String::from_utf8_lossy(&said).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
