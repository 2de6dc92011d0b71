/// One thing that was done, decided or tried, for the ledger: who, what, to what, and why.
package struct LedgerEntry: Hashable, Sendable {
    /// Stable names: people and scripts look for them, so they are never renamed or reused.
    package enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        /// The daemon began to serve this folder.
        case start
        case bake
        /// A signature or statement was put beside an image.
        case sign
        /// A key was made, replaced or revoked.
        case key
        /// What images have to prove on this host changed.
        case policy
        /// Whether an image may start was decided.
        case admission
        /// A release was made of an image and its settings.
        case deploy
        /// Somebody said yes to a gate.
        case approval
        /// A gate was met or not, or a comparison told something.
        case gate
        /// A rollout began, moved on, was paused, or ended.
        case rollout
        /// Traffic went to other instances than before.
        case `switch`
        case rollback
        case scale
        case retire
        /// A step that is about to be taken.
        case intent
        /// What came of a step.
        case outcome
        /// What runs was found to be other than what was released.
        case drift
        /// Something that failed or differed was replaced.
        case repair
        /// A person went around a rule.
        case breakGlass = "break-glass"
    }

    package enum Limit {
        /// The longest form that a log of 16-bit lengths can hold.
        package static let bytes = 65_535
        /// Texts longer than these are cut: whoever wants more follows `evidence`.
        package static let text = 2048
        static let name = 256
        /// All details together, as JSON writes them.
        static let details = 16_384
        static let version = 1
    }

    package var kind: Kind
    package var at: Instant
    /// `uid:1000` from the kernel, a token's name, or `kiln` for what the daemon decided by itself.
    package var by: String
    package var service: ServiceKey?
    package var release: ReleaseNumber?
    package var instance: InstanceID?
    package var image: Digest?
    /// What, in a sentence.
    package var message: String
    /// Why, as the person said.
    package var reason: String?
    /// The Git commit that it came from.
    package var commit: String?
    /// SHA-256 of what proves it: a lock, a verification summary, an approval, a release's content.
    package var evidence: Digest?
    package var details: [String: String]

    /// What the daemon decides by itself is done by this name.
    package static let daemon = "kiln"

    package init(
        _ kind: Kind, _ message: String, at: Instant, by: String, service: ServiceKey? = nil,
        release: ReleaseNumber? = nil, instance: InstanceID? = nil, image: Digest? = nil,
        reason: String? = nil, commit: String? = nil, evidence: Digest? = nil, details: [String: String] = [:]
    ) {
        self.kind = kind
        self.at = at
        self.by = by
        self.service = service
        self.release = release
        self.instance = instance
        self.image = image
        self.message = message
        self.reason = reason
        self.commit = commit
        self.evidence = evidence
        self.details = details
    }
}

extension LedgerEntry {
    /// The bytes that the log hashes: JSON with sorted keys, in which what is unknown is left out. Texts are cut so
    /// that no entry is longer than a log can hold.
    package var bytes: [UInt8] {
        var members: [String: JSONValue] = [
            "version": .number(Limit.version), "kind": .string(kind.rawValue), "at": .string(at.description),
            "by": .string(LedgerEntry.cut(by, Limit.name)), "message": .string(LedgerEntry.cut(message)),
        ]
        members["service"] = service.map { .string($0.description) }
        members["release"] = release.map { .string($0.description) }
        members["instance"] = instance.map { .string($0.text) }
        members["image"] = image.map { .string($0.description) }
        members["reason"] = reason.map { .string(LedgerEntry.cut($0)) }
        members["commit"] = commit.map { .string(LedgerEntry.cut($0, Limit.name)) }
        members["evidence"] = evidence.map { .string($0.description) }
        if !details.isEmpty {
            members["details"] = .object(LedgerEntry.bounded(details).mapValues { .string($0) })
        }
        return JSONValue.object(members).bytes
    }

    /// Reads what `bytes` writes. Members that are unknown here are passed over: a later version may have more.
    package init(parsing bytes: [UInt8]) throws {
        let json = try JSONValue(parsing: bytes)
        guard json["version"]?.number == Limit.version,
            let kind = json["kind"]?.text.flatMap(Kind.init(rawValue:)),
            let at = json["at"]?.text.flatMap(Instant.init), let by = json["by"]?.text,
            let message = json["message"]?.text
        else {
            throw Failure(
                .malformedEvidence,
                "an entry of the ledger cannot be read: its kind, time, author or message",
                suggestion: "is this kiln older than the one that wrote it?")
        }
        self.init(
            kind, message, at: at, by: by,
            service: try json["service"]?.text.map { try ServiceKey(parsing: $0) },
            release: try json["release"]?.text.map { try ReleaseNumber(parsing: $0) },
            instance: try json["instance"]?.text.map { try InstanceID($0) },
            image: try json["image"]?.text.map { try Digest(parsing: $0) }, reason: json["reason"]?.text,
            commit: json["commit"]?.text,
            evidence: try json["evidence"]?.text.map { try Digest(parsing: $0) },
            details: (json["details"]?.members ?? [:]).compactMapValues(\.text))
    }

    private static func bounded(_ details: [String: String]) -> [String: String] {
        var (kept, left) = ([String: String](), Limit.details)
        for (key, value) in details.sorted(by: { $0.key < $1.key }) {
            let text = cut(value)
            left -= JSONValue.object([key: .string(text)]).bytes.count
            guard left >= 0 else { break }
            kept[key] = text
        }
        return kept
    }

    private static func cut(_ text: String, _ limit: Int = Limit.text) -> String {
        text.utf8.count <= limit ? text : String(decoding: text.utf8.prefix(limit), as: UTF8.self) + "…"
    }
}
