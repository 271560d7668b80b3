//! How much memory a run needs, and how much there is.

use temper_encoder::BertConfig;

/// Bytes a run is expected to hold at its peak: weights, gradients, two moments, and what the backward pass of
/// the largest batch keeps. Calibrated against measured peaks of MiniLM-shaped encoders; an estimate, not a bound.
pub fn estimate(config: &BertConfig, parameters: usize, tokens_per_batch: usize) -> u64 {
    let (h, f) = (config.hidden_size as u64, config.intermediate_size as u64);
    let kept_per_layer = 4 * (10 * h + 2 * f);
    let in_flight = 4 * (6 * h + 3 * f);
    let activations =
        tokens_per_batch as u64 * (config.num_hidden_layers as u64 * kept_per_layer + in_flight);
    parameters as u64 * 4 * 4 + activations + (60 << 20)
}

/// Bytes that can still be allocated: the smaller of the machine's available memory and what the control group
/// leaves. None where the system does not say.
pub fn available() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| meminfo_available(&text));
    [machine, cgroup_v2(), cgroup_v1()].into_iter().flatten().min()
}

fn meminfo_available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

fn cgroup_v2() -> Option<u64> {
    left("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current")
}

fn cgroup_v1() -> Option<u64> {
    left("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes")
}

fn left(limit: &str, used: &str) -> Option<u64> {
    let number = |path| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    Some(number(limit)?.saturating_sub(number(used)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_is_in_kib() {
        assert_eq!(meminfo_available("MemTotal: 9 kB\nMemAvailable:   2048 kB\n"), Some(2 << 20));
    }
}
