//! stub
#[derive(Debug, clap::Args)]
/// stub
pub struct MachineArgs {
    /// stub
    #[arg(long)]
    json: bool,
}
/// stub
pub fn run(_args: &MachineArgs) -> anyhow::Result<()> {
    let machine = crate::machine::Machine::detect()?;
    crate::cmd::print(&serde_json::to_string_pretty(&machine)?)
}
