internal import Model

/// The JSON of Debian's security tracker: source package → fault → release → status.
struct TrackerFeed {
    let reader: FeedReader
    /// The release's code name; nil for one that the tracker has none for.
    private let release: String?

    /// Code names by VERSION_ID (os-release of each release).
    private static let codeNames = [
        "8": "jessie", "9": "stretch", "10": "buster", "11": "bullseye", "12": "bookworm", "13": "trixie",
        "14": "forky", "15": "duke",
    ]

    init(reader: FeedReader) {
        self.reader = reader
        release =
            reader.distribution.id == "debian" ? TrackerFeed.codeNames[reader.distribution.version] : nil
    }

    /// Whether the first fault of the first package has releases.
    static func isTracker(_ bytes: UnsafeRawBufferPointer) throws -> Bool {
        var scanner = JSONScanner(bytes)
        guard scanner.peek() == UInt8(ascii: "{") else { return false }
        struct Answer: Error { var isTracker: Bool }
        do {
            try scanner.object { scanner, _ in
                guard scanner.peek() == UInt8(ascii: "{") else { throw Answer(isTracker: false) }
                try scanner.object { scanner, _ in
                    guard scanner.peek() == UInt8(ascii: "{") else { throw Answer(isTracker: false) }
                    var hasReleases = false
                    try scanner.object { scanner, key in
                        hasReleases = hasReleases || key == "releases"
                        try scanner.skip()
                    }
                    throw Answer(isTracker: hasReleases)
                }
                throw Answer(isTracker: false)
            }
        } catch let answer as Answer {
            return answer.isTracker
        }
        return false
    }

    func read(_ scanner: inout JSONScanner, _ found: inout FeedReader.Found) throws {
        var seen: Set<String> = []
        try scanner.object { scanner, package in
            let isWanted = reader.sources.contains(package)
            // Readers differ in which of two they take, so neither is believed.
            if isWanted, !seen.insert(package).inserted {
                throw scanner.damage("the package \(package.prefix(80)) occurs twice")
            }
            if isWanted {
                try faults(of: package, &scanner, &found)
            } else {
                try scanner.object { scanner, _ in
                    found.records += 1
                    if found.speaksOfRelease { try scanner.skip() } else { try look(&scanner, &found) }
                }
            }
        }
    }

    private func faults(of package: String, _ scanner: inout JSONScanner, _ found: inout FeedReader.Found)
        throws
    {
        var seen: Set<String> = []
        try scanner.object { scanner, id in
            guard seen.insert(id).inserted else {
                throw scanner.damage("the fault \(id.prefix(80)) of \(package) occurs twice")
            }
            found.records += 1
            _ = scanner.peek()
            let start = scanner.position
            try scanner.skip()
            let record = try scanner.value(from: start)
            guard let releases = record["releases"]?.members else {
                throw scanner.damage("the fault \(id.prefix(80)) of \(package) has no releases", at: start)
            }
            found.speaksOfRelease = found.speaksOfRelease || release.map { releases[$0] != nil } ?? false
            found.others.formUnion(releases.keys.prefix(FeedReader.Found.othersShown))
            guard let release, let here = releases[release] else { return }
            do {
                if let fault = try TrackerFeed.fault(id, package, here) { try found.add(fault, scanner) }
            } catch let failure as Failure where failure.place == nil {
                throw scanner.damage(failure.message, at: start)
            }
        }
    }

    /// Learns from a fault of another package which releases there are.
    private func look(_ scanner: inout JSONScanner, _ found: inout FeedReader.Found) throws {
        try scanner.object { scanner, key in
            guard key == "releases" else { return try scanner.skip() }
            try scanner.object { scanner, name in
                if name == release { found.speaksOfRelease = true }
                if found.others.count < FeedReader.Found.othersShown { found.others.insert(name) }
                try scanner.skip()
            }
        }
    }

    /// nil where the release's package does not have the fault, in any version.
    static func fault(_ id: String, _ package: String, _ here: JSONValue) throws -> KnownFault? {
        func bad(_ what: String) -> Failure {
            Failure(.corruptArchive, "the fault \(id.prefix(80)) of \(package.prefix(80)) \(what)")
        }
        guard let status = here["status"]?.text else { throw bad("has no status") }
        guard let severity = try TrackerFeed.severity(here["urgency"], bad) else { return nil }
        let affected: KnownFault.Affected
        switch status {
        case "resolved":
            guard let fixed = here["fixed_version"]?.text, !fixed.isEmpty else {
                throw bad("is resolved, and no version says where")
            }
            // The tracker's way of saying that no version of the release ever had it.
            if fixed == "0" { return nil }
            affected = KnownFault.Affected(ranges: [[.introduced(nil), .fixed(fixed)]])
        // Nobody knows yet whether it is there: that is no reason to believe that it is not.
        case "open", "undetermined": affected = .every
        default: throw bad("has the unknown status \"\(status.prefix(40))\"")
        }
        return KnownFault(id: id, package: package, severity: severity, affected: affected)
    }

    /// nil for what is no fault of the packages as Debian builds and ships them.
    private static func severity(_ urgency: JSONValue?, _ bad: (String) -> Failure) throws -> Severity? {
        guard let word = urgency?.text else { throw bad("has no urgency") }
        return UrgencyWord.severity(word)
    }
}

/// Debian's urgencies, as its tracker's documentation explains them.
enum UrgencyWord {
    /// nil for `unimportant`: what the binary packages do not have, or what is no fault in practice.
    static func severity(_ word: String) -> Severity? {
        // Stars mark what no person has looked at.
        switch word.prefix(while: { $0 != "*" }) {
        case "unimportant": nil
        case "low": .low
        case "medium": .medium
        case "high": .high
        // `not yet assigned` and `end-of-life` say nothing of how bad it is, and neither does a word of tomorrow.
        default: .unknown
        }
    }
}
