internal import Model

/// What the proxy counted of each service, over all its workers: a worker's counters end with it.
struct ProxyCounts: Codable, Sendable {
    private struct Worker: Codable {
        var counts: [ServiceKey: TrafficCounts] = [:]
        /// Answers with 5xx of servers that it has no more; the backend still counts them.
        var departed: [ServiceKey: Int] = [:]
    }

    /// By process number: the one that works, and those that finish after a reload, as they were last seen.
    private var workers: [String: Worker] = [:]
    /// Of workers that are gone.
    private var earlier: [ServiceKey: TrafficCounts] = [:]

    func total(of key: ServiceKey) -> TrafficCounts {
        workers.values.reduce(earlier[key] ?? TrafficCounts()) { $0 + ($1.counts[key] ?? TrafficCounts()) }
    }

    /// Takes what a worker says now.
    mutating func learn(_ seen: ProxyStatistics, of worker: String) {
        for (key, service) in seen.services {
            let departed = workers[worker]?.departed[key] ?? 0
            let counts = service.counts(departed: departed)
            let before = workers[worker]?.counts[key] ?? TrafficCounts()
            // A look from before a server left may be learned after it: nothing goes backwards in between.
            workers[worker, default: Worker()].counts[key] = before + counts.since(before)
        }
    }

    /// Adds up what workers other than these counted.
    mutating func settle(living: Set<String>) {
        for (name, worker) in workers where !living.contains(name) {
            for (key, counts) in worker.counts { earlier[key] = (earlier[key] ?? TrafficCounts()) + counts }
            workers[name] = nil
        }
    }

    /// To be told before a server is deleted: later, its errors would for a moment count as the proxy's own.
    mutating func depart(_ server: ProxyStatistics.Server, of key: ServiceKey, worker: String) {
        workers[worker, default: Worker()].departed[key, default: 0] += server.serverErrors
    }

    /// Takes `depart` back where the server is still there.
    mutating func stay(_ server: ProxyStatistics.Server, of key: ServiceKey, worker: String) {
        workers[worker, default: Worker()].departed[key, default: 0] -= server.serverErrors
    }

    mutating func forget(_ key: ServiceKey) {
        earlier[key] = nil
        for name in workers.keys {
            workers[name]?.counts[key] = nil
            workers[name]?.departed[key] = nil
        }
    }
}
