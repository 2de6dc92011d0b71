internal import Model

/// Records in the OSV format (ossf.github.io/osv-schema): one, several one after the other (JSON Lines), a list, or
/// the answer of a query (`{"vulns": [...]}`).
struct OSVFeed {
    let reader: FeedReader

    func read(_ scanner: inout JSONScanner, _ found: inout FeedReader.Found) throws {
        if scanner.peek() == UInt8(ascii: "[") {
            try scanner.array { try record(&$0, &found) }
            guard scanner.peek() == nil else { throw scanner.damage("something follows its end") }
            return
        }
        guard scanner.peek() != nil else { throw scanner.damage("it is empty") }
        while scanner.peek() != nil { try record(&scanner, &found) }
    }

    /// One record, or an answer that holds several.
    private func record(_ scanner: inout JSONScanner, _ found: inout FeedReader.Found) throws {
        guard scanner.peek() == UInt8(ascii: "{") else { throw scanner.damage("a record is expected") }
        let start = scanner.position
        var (hasID, isWanted, isAnswer) = (false, false, false)
        try scanner.object { scanner, key in
            switch key {
            case "id":
                hasID = true
                _ = try scanner.text()
            case "affected": isWanted = try affected(&scanner, &found) || isWanted
            case "vulns":
                guard !isAnswer else { throw scanner.damage("the key \"vulns\" occurs twice") }
                isAnswer = true
                try scanner.array { try record(&$0, &found) }
            case "next_page_token":
                throw scanner.damage("it is the first page of several, and faults on the others are missing")
            default: try scanner.skip()
            }
        }
        if isAnswer, !hasID { return }
        guard hasID, !isAnswer else { throw scanner.damage("a record has no id", at: start) }
        found.records += 1
        guard isWanted else { return }
        let value = try scanner.value(from: start)
        do {
            for fault in try faults(value) { try found.add(fault, scanner) }
        } catch let failure as Failure where failure.place == nil {
            throw scanner.damage(failure.message, at: start)
        }
    }

    /// Whether one of the affected packages is in the image.
    private func affected(_ scanner: inout JSONScanner, _ found: inout FeedReader.Found) throws -> Bool {
        var isWanted = false
        try scanner.array { scanner in
            try scanner.object { scanner, key in
                guard key == "package" else { return try scanner.skip() }
                let (name, ecosystem) = try package(&scanner)
                if isMine(ecosystem) {
                    guard !name.isEmpty else { throw scanner.damage("a package has no name") }
                    found.speaksOfRelease = true
                    isWanted = isWanted || reader.sources.contains(name)
                } else if found.others.count < FeedReader.Found.othersShown {
                    found.others.insert(ecosystem)
                }
            }
        }
        return isWanted
    }

    private func package(_ scanner: inout JSONScanner) throws -> (name: String, ecosystem: String) {
        var members: [String: String] = [:]
        try scanner.object { scanner, key in
            guard key == "name" || key == "ecosystem" else { return try scanner.skip() }
            guard members.updateValue(try scanner.text(), forKey: key) == nil else {
                throw scanner.damage("the key \"\(key)\" occurs twice")
            }
        }
        return (members["name"] ?? "", members["ecosystem"] ?? "")
    }

    /// `Debian` is about every release, `Debian:12` about one; `Ubuntu:22.04:LTS` names one too.
    private func isMine(_ ecosystem: String) -> Bool {
        let parts = ecosystem.split(separator: ":", omittingEmptySubsequences: false)
        return parts[0].lowercased() == reader.distribution.id
            && (parts.count == 1 || parts[1] == reader.distribution.version)
    }

    // MARK: One record

    private func faults(_ record: JSONValue) throws -> [KnownFault] {
        guard let id = record["id"]?.text, !id.isEmpty, let affected = record["affected"]?.elements else {
            throw Failure(.corruptArchive, "a record lacks its id or what is affected")
        }
        func bad(_ what: String) -> Failure {
            Failure(.corruptArchive, "the record \(id.prefix(80)) \(what)")
        }
        switch record["withdrawn"] {
        case nil, .null: break
        case .string: return []
        default: throw bad("is withdrawn at no time")
        }
        let aliases = try ["aliases", "upstream"].flatMap { try texts(record[$0], bad) }
        return try affected.compactMap { affected in
            guard let name = affected["package"]?["name"]?.text,
                let ecosystem = affected["package"]?["ecosystem"]?.text
            else { throw bad("does not say which package it is about") }
            guard isMine(ecosystem), reader.sources.contains(name) else { return nil }
            guard let severity = try severity(record, affected, bad) else { return nil }
            return KnownFault(
                id: id, aliases: aliases, package: name, severity: severity,
                affected: try versions(affected, bad))
        }
    }

    private func versions(_ affected: JSONValue, _ bad: (String) -> Failure) throws -> KnownFault.Affected {
        // The schema lets other lists be nothing at all. Here it would make less of what is affected.
        guard affected["versions"] != .null, affected["ranges"] != .null else {
            throw bad("has nothing where versions belong")
        }
        let versions = try texts(affected["versions"], bad)
        var ranges: [[KnownFault.Affected.Event]] = []
        for range in try list(affected["ranges"], bad) {
            guard let type = range["type"]?.text else { throw bad("has a range of no type") }
            // Commits and versions of other people's are no versions of packages.
            guard type == "ECOSYSTEM" else { continue }
            ranges.append(try list(range["events"], bad).map { try event($0, bad) })
        }
        guard ranges.allSatisfy({ $0.contains { if case .introduced = $0 { true } else { false } } }) else {
            throw bad("has a range that begins nowhere")
        }
        // A package that is named without versions is affected in all of them, as far as anybody can tell.
        return ranges.isEmpty && versions.isEmpty
            ? .every : KnownFault.Affected(ranges: ranges, versions: versions)
    }

    private func event(_ event: JSONValue, _ bad: (String) -> Failure) throws -> KnownFault.Affected.Event {
        guard let members = event.members, members.count == 1, let (kind, value) = members.first,
            let version = value.text, !version.isEmpty
        else { throw bad("has an event that cannot be read") }
        switch kind {
        case "introduced": return .introduced(version == "0" ? nil : version)
        case "fixed": return .fixed(version)
        case "last_affected": return .lastAffected(version)
        default: throw bad("has an event of the unknown kind \"\(kind.prefix(40))\"")
        }
    }

    /// The worst that anybody says; nil for what Debian says is no fault of its packages.
    private func severity(_ record: JSONValue, _ affected: JSONValue, _ bad: (String) -> Failure) throws
        -> Severity?
    {
        var severities: [Severity] = []
        for rating in try list(record["severity"], bad) + list(affected["severity"], bad) {
            guard let type = rating["type"]?.text, let score = rating["score"]?.text else {
                throw bad("has a severity that cannot be read")
            }
            switch type {
            case "CVSS_V3": severities.append(try CVSS3(vector: score).severity)
            case "Ubuntu": severities.append(OSVFeed.severity(score))
            // Scores of other kinds are not computed: one that stands alone leaves the fault unrated.
            default: continue
            }
        }
        for specific in [record["database_specific"], affected["database_specific"]] {
            guard let rating = specific?["severity"], rating != .null else { continue }
            guard let word = rating.text else { throw bad("has a severity that cannot be read") }
            severities.append(OSVFeed.severity(word))
        }
        for specific in [affected["ecosystem_specific"], record["ecosystem_specific"]] {
            guard let urgency = specific?["urgency"], urgency != .null else { continue }
            guard let word = urgency.text else { throw bad("has an urgency that cannot be read") }
            guard let severity = UrgencyWord.severity(word) else { return nil }
            severities.append(severity)
        }
        return severities.max() ?? .unknown
    }

    private static func severity(_ word: String) -> Severity {
        switch word.lowercased() {
        case "negligible", "low": .low
        case "moderate", "medium": .medium
        case "important", "high": .high
        case "critical": .critical
        default: .unknown
        }
    }

    // MARK: Lists

    private func list(_ value: JSONValue?, _ bad: (String) -> Failure) throws -> [JSONValue] {
        switch value {
        case nil, .null: return []
        case .array(let elements): return elements
        default: throw bad("has something else where a list belongs")
        }
    }

    private func texts(_ value: JSONValue?, _ bad: (String) -> Failure) throws -> [String] {
        try list(value, bad).map {
            guard let text = $0.text else { throw bad("has something else where a text belongs") }
            return text
        }
    }
}
