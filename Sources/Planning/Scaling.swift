import Model

/// The number of instances follows the load, where the release that serves asks for it.
extension Draft {
    mutating func autoscale() {
        guard !state.isRetiring, let current = state.current,
            let run = situation.releases[current]?.content.run,
            let settings = run.autoscale
        else { return }
        let before = size(of: current)
        let count = Autoscaler.count(
            settings, milliCPU: run.limits.milliCPU, current: before, samples: situation.load, at: now)
        guard count != before else { return }
        state.replicas = count
        notes.append(
            Note(
                .scaled, "\(state.key) runs \(counted(count, "instance")), for the load",
                details: ["replicas": "\(count)", "from": "\(before)"]))
    }
}
