internal import Model

/// What the demo measured.
struct DemoReport: Encodable {
    var requests = 0
    var failed = 0
    /// From packages on disk to an image, nothing cached.
    var bakeColdSeconds = 0.0
    /// After a change of one page.
    var bakeWarmSeconds = 0.0
    /// With nothing changed.
    var bakeUnchangedSeconds = 0.0
    /// From the start of a launch to the instance proven healthy; the median.
    var launchMilliseconds = 0
    /// From the decision to the last request that still went to the old release.
    var switchMilliseconds = 0
    var rollbackMilliseconds = 0
    /// From the kill to the replacement taking traffic.
    var replaceMilliseconds = 0
    /// What the failed requests met.
    var problems: [String] = []

    var table: String {
        Screen.table(
            [
                ["requests", "\(requests)"],
                ["failed requests", Screen.coloured("\(failed)", failed == 0 ? .green : .red)],
                ["bake, cold", "\(seconds(bakeColdSeconds)) s"],
                ["bake, one page changed", "\(seconds(bakeWarmSeconds)) s"],
                ["bake, nothing changed", "\(seconds(bakeUnchangedSeconds)) s"],
                ["launch to proven healthy", "\(launchMilliseconds) ms"],
                ["switch of all traffic", "\(switchMilliseconds) ms"],
                ["killed instance replaced", "\(replaceMilliseconds) ms"],
                ["rollback of all traffic", "\(rollbackMilliseconds) ms"],
            ] + problems.map { ["a request met", $0] })
    }

    private func seconds(_ value: Double) -> String {
        let thousandths = Int((value * 1000).rounded())
        let fraction = String(thousandths % 1000)
        return "\(thousandths / 1000)." + String(repeating: "0", count: 3 - fraction.count) + fraction
    }
}
