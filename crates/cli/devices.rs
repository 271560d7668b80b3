//! `temper devices`: where temper can compute on this machine.

use serde_json::json;
use temper_kernels::{DeviceName, devices};

use crate::terminal::Terminal;

/// List the devices that --device takes, and why those that cannot be used cannot
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper devices
  temper devices --json | jq -r '.[] | select(.usable).device'")]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    let auto = DeviceName::of(&DeviceName::Auto.open()?);
    let mut rows = Vec::new();
    for (device, state) in devices() {
        let (name, is_auto) = (device.to_string(), device == auto);
        if args.json {
            let (usable, about, remedy) = match state {
                Ok(about) => (true, about, None),
                Err(unusable) => (false, unusable.reason, Some(unusable.remedy)),
            };
            rows.push(
                json!({"device": name, "usable": usable, "auto": is_auto, "about": about, "remedy": remedy}),
            );
            continue;
        }
        let auto = if is_auto { "  (what `auto` takes)" } else { "" };
        match state {
            Ok(about) => terminal.print(format!("{name:<8} usable      {about}{auto}"))?,
            Err(unusable) => {
                terminal.print(format!("{name:<8} not usable  {}: {}", unusable.reason, unusable.remedy))?;
            }
        }
    }
    if args.json { terminal.print_json(&rows) } else { Ok(()) }
}
