internal import Model
internal import Notary
internal import Ports

/// Where an image ran, by what the ledger says: a release of a service, since when, until when, by whom.
struct LedgerUse: Hashable, Sendable, Encodable {
    var service: ServiceKey
    var release: ReleaseNumber?
    var image: Digest
    /// Who released it, and when; where that is not logged, who is named first.
    var by: String
    var since: Instant
    var lastSeen: Instant
    /// When the last of its instances was removed; nil where some may run yet.
    var until: Instant?
    var instances: Int
}

/// Follows one release through the entries that tell of it, the oldest first.
private struct UseTrace {
    private var use: LedgerUse
    private var isReleased = false
    /// Instances that were launched and are not removed.
    private var live: Set<String> = []

    init(_ service: ServiceKey, _ release: ReleaseNumber?, _ image: Digest, _ first: LedgerEntry) {
        use = LedgerUse(
            service: service, release: release, image: image, by: first.by, since: first.at,
            lastSeen: first.at,
            instances: 0)
    }

    mutating func take(_ entry: LedgerEntry) {
        use.since = min(use.since, entry.at)
        use.lastSeen = max(use.lastSeen, entry.at)
        if entry.kind == .deploy, !isReleased {
            isReleased = true
            use.by = entry.by
        }
        guard let instance = entry.instance?.text else { return }
        switch (entry.kind, entry.details["step"]) {
        case (.outcome, "launch") where entry.details["result"] == "failed":
            live.remove(instance)
        case (.intent, "launch"), (.outcome, "launch"):
            if live.insert(instance).inserted { use.instances += 1 }
            use.until = nil
        case (.outcome, "remove"):
            live.remove(instance)
            if live.isEmpty { use.until = entry.at }
        default: break
        }
    }

    var result: LedgerUse { use }
}

/// Answers "where has this ever run" from the ledger, a page of entries at a time.
struct LedgerUses {
    let ledger: any LedgerArchive

    private static let page = 500
    /// Releases of one image that are followed.
    private static let releases = 100_000

    /// Every use of an image, the oldest first.
    func of(_ image: Digest) throws -> [LedgerUse] {
        var traces: [String: UseTrace] = [:]
        var order: [(name: String, service: ServiceKey, release: ReleaseNumber?)] = []
        try forEach(LedgerQuery(image: image)) { entry in
            // What was only baked ran nowhere.
            guard let service = entry.service, entry.kind != .bake else { return }
            let name = "\(service) \(entry.release?.description ?? "-")"
            if traces[name] == nil, order.count < LedgerUses.releases {
                traces[name] = UseTrace(service, entry.release, image, entry)
                order.append((name, service, entry.release))
            }
            // What is told of a release is read below, whole.
            if entry.release == nil { traces[name]?.take(entry) }
        }
        for (name, service, release) in order {
            guard let release else { continue }
            try forEach(LedgerQuery(service: service, release: release)) { traces[name]?.take($0) }
        }
        return order.compactMap { traces[$0.name]?.result }.sorted { $0.since < $1.since }
    }

    /// Every image that the ledger names.
    func images() throws -> [Digest] {
        var (found, order): (Set<Digest>, [Digest]) = ([], [])
        for kind in [LedgerEntry.Kind.deploy, .admission] {
            try forEach(LedgerQuery(kind: kind)) { entry in
                if let image = entry.image, found.insert(image).inserted { order.append(image) }
            }
        }
        return order
    }

    private func forEach(_ query: LedgerQuery, _ body: (LedgerEntry) throws -> Void) throws {
        var query = query
        while true {
            let page = try ledger.entries(query, order: .oldestFirst, limit: LedgerUses.page)
            guard let last = page.last else { return }
            // What a later version wrote is no use that this one knows of.
            for entry in page { if let parsed = try? entry.parsed() { try body(parsed) } }
            query.numbers = last.number + 1..<Int.max
        }
    }
}
