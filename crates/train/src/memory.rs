//! How much memory a run needs, how much it has taken, and how much there is.

use std::path::{Path, PathBuf};

use temper_encoder::architecture::Shape;

/// Bytes a run is expected to hold at its peak: weights, gradients (of the word table only the rows of a batch), two
/// moments, and what the backward pass of the largest batch keeps. Calibrated against measured peaks of MiniLM-shaped encoders; an estimate, not a bound.
pub fn estimate(shape: &Shape, parameters: usize, tokens_per_batch: usize) -> u64 {
    let (h, f) = (shape.hidden_size as u64, shape.intermediate_size as u64);
    let kept_per_layer = 4 * (10 * h + 2 * f);
    let in_flight = 4 * (6 * h + 3 * f);
    let activations = tokens_per_batch as u64 * (shape.num_hidden_layers as u64 * kept_per_layer + in_flight);
    let word_table = shape.vocab_size as u64 * h;
    4 * (4 * parameters as u64 - word_table) + activations + (60 << 20)
}

/// Bytes of this process that are in RAM; none where the system does not say as Linux does.
pub fn resident() -> Option<u64> {
    bytes(&std::fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// Bytes that can still be allocated: the smaller of the machine's available memory and what the process's control
/// groups leave. None where the system does not say.
pub fn available() -> Option<u64> {
    let machine =
        std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| bytes(&text, "MemAvailable:"));
    let groups = std::fs::read_to_string("/proc/self/cgroup").map_or(Vec::new(), |text| group_folders(&text));
    machine.into_iter().chain(groups.iter().filter_map(|folder| left(folder))).min()
}

/// The value of a line such as `VmRSS:   2048 kB`.
fn bytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Folders of the process's memory control groups and of every group around them, of both versions.
fn group_folders(text: &str) -> Vec<PathBuf> {
    let group = |line: &str| -> Option<(&str, String)> {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        match controllers {
            "" => Some(("/sys/fs/cgroup", path.to_owned())),
            named if named.split(',').any(|c| c == "memory") => {
                Some(("/sys/fs/cgroup/memory", path.to_owned()))
            }
            _ => None,
        }
    };
    text.lines()
        .filter_map(group)
        .flat_map(|(root, path)| {
            let inside = Path::new(&path).strip_prefix("/").unwrap_or(Path::new("")).to_owned();
            inside.ancestors().map(|folder| Path::new(root).join(folder)).collect::<Vec<_>>()
        })
        .collect()
}

/// What a control group may still use; its file cache counts as free, since the system takes that back.
fn left(folder: &Path) -> Option<u64> {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    let number = |names: [&str; 2]| names.iter().find_map(|name| read(name)?.trim().parse::<u64>().ok());
    let limit = number(["memory.max", "memory.limit_in_bytes"])?;
    let used = number(["memory.current", "memory.usage_in_bytes"])?;
    let stat = read("memory.stat").unwrap_or_default();
    let cache = stat.lines().find_map(|l| l.strip_prefix("inactive_file ")?.trim().parse::<u64>().ok());
    Some(limit.saturating_sub(used.saturating_sub(cache.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_kib() {
        assert_eq!(bytes("MemTotal: 9 kB\nMemAvailable:   2048 kB\n", "MemAvailable:"), Some(2 << 20));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_is_somewhere_in_ram() {
        assert!(resident().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn nested_groups_count_with_those_around_them() {
        let folders = group_folders("5:cpu,memory:/a/b\n1:cpuset:/x\n0::/s\n");
        let expected =
            ["memory/a/b", "memory/a", "memory", "s", ""].map(|f| Path::new("/sys/fs/cgroup").join(f));
        assert_eq!(folders, expected);
    }
}
