internal import Model

/// The times that instances took to answer, as the proxy keeps them in one table for each service: reading one costs
/// far more than the statistics, so it is read only where something was answered since, and not at every look.
struct ProxyLatencies: Sendable {
    private struct Table {
        var histograms: [InstanceID: LatencyHistogram] = [:]
        /// Answers that had been counted when it was read.
        var answers = 0
        var readAt = Int.min
    }

    private var worker = ""
    private var tables: [ServiceKey: Table] = [:]

    subscript(key: ServiceKey, id: InstanceID) -> LatencyHistogram {
        tables[key]?.histograms[id] ?? LatencyHistogram()
    }

    /// The services whose tables should be read now, in milliseconds of a steady clock.
    mutating func due(_ seen: ProxyStatistics, at now: Int) -> [ServiceKey] {
        if seen.worker != worker { (worker, tables) = (seen.worker, [:]) }
        tables = tables.filter { seen.services[$0.key] != nil }
        return seen.services.compactMap { key, service in
            let table = tables[key] ?? Table()
            guard service.isHTTP, service.hasFrontend, service.answers != table.answers else { return nil }
            let isOld = table.readAt == .min || now - table.readAt >= Limit.latencyAge.milliseconds
            return isOld ? key : nil
        }
    }

    /// Takes the answer to `show table`, given after `seen`.
    mutating func learn(_ text: String, of key: ServiceKey, _ seen: ProxyStatistics, at now: Int) {
        guard seen.worker == worker, let service = seen.services[key] else { return }
        tables[key] = Table(
            histograms: ProxyLatencies.histograms(text), answers: service.answers, readAt: now)
    }

    mutating func forget(_ id: InstanceID, of key: ServiceKey) { tables[key]?.histograms[id] = nil }

    /// `0x5638: key=web-r1-1/412 use=0 exp=0 gpc0=17` is one row.
    static func histograms(_ text: String) -> [InstanceID: LatencyHistogram] {
        var found: [Substring: LatencyHistogram] = [:]
        for row in text.split(separator: "\n") {
            let fields = row.split(separator: " ")
            guard fields.count > 2, fields[1].hasPrefix("key="),
                let count = fields.last.flatMap({ $0.hasPrefix("gpc0=") ? Int($0.dropFirst(5)) : nil })
            else { continue }
            let name = fields[1].dropFirst(4).split(separator: "/")
            guard name.count == 2, let bucket = bucket(name[1]), count > 0 else { continue }
            found[name[0], default: LatencyHistogram()].counts[bucket, default: 0] += count
        }
        var histograms: [InstanceID: LatencyHistogram] = [:]
        for (name, histogram) in found {
            if let id = try? InstanceID(String(name)) { histograms[id] = histogram }
        }
        return histograms
    }

    /// Digits and front as the proxy wrote them; nil for a time before its beginning, when somebody set the clock.
    private static func bucket(_ text: Substring) -> Int? {
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(text) else { return nil }
        // One digit has no second one: 17 is 7 µs.
        return text.utf8.count == 2 ? number / 10 * 100 + number % 10 : number
    }

    /// The names of an instance's rows in a table.
    static func rows(of id: InstanceID, in text: String) -> [Substring] {
        text.split(separator: "\n").compactMap { row in
            let fields = row.split(separator: " ")
            guard fields.count > 1, fields[1].hasPrefix("key=\(id)/") else { return nil }
            return fields[1].dropFirst(4)
        }
    }
}
