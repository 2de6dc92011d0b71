/// What an image has to prove before it may start: as a service asks for it in kiln.yaml, or a host of all its services.
/// Where both ask, both have to be satisfied.
package struct AdmissionPolicy: Hashable, Sendable, Codable {
    /// A build key, held by its public half.
    package struct Key: Hashable, Sendable, Codable {
        package var name: String
        /// SubjectPublicKeyInfo (RFC 5280), DER in base64.
        package var publicKey: String

        package init(name: String, publicKey: String) {
            self.name = name
            self.publicKey = publicKey
        }
    }

    /// Whose signatures count. Empty: those of the build keys in the host's own ring.
    package var keys: [Key]
    /// Types of in-toto predicates, whole and compared exactly. Each must be signed by one of the keys.
    package var required: [String]
    /// Builders whose provenance is believed; nil for any.
    package var builders: [String]?
    /// Repositories that images may be baked from; nil for any.
    package var sources: [String]?
    package var allowsDirtySources: Bool
    package var maximumAge: Span?
    package var vulnerabilities: VulnerabilityRule?

    package init(
        keys: [Key] = [], required: [String] = [], builders: [String]? = nil, sources: [String]? = nil,
        allowsDirtySources: Bool = false, maximumAge: Span? = nil, vulnerabilities: VulnerabilityRule? = nil
    ) {
        self.keys = keys
        self.required = required
        self.builders = builders
        self.sources = sources
        self.allowsDirtySources = allowsDirtySources
        self.maximumAge = maximumAge
        self.vulnerabilities = vulnerabilities
    }
}

/// How bad a known fault of a package is, by the words that CVSS 3 has for its scores.
package enum Severity: String, Hashable, Sendable, Codable, CaseIterable, Comparable {
    /// The feed does not say.
    case unknown
    case low, medium, high, critical

    package static func < (left: Severity, right: Severity) -> Bool {
        allCases.firstIndex(of: left)! < allCases.firstIndex(of: right)!
    }
}

/// Which known faults keep an image from starting.
package struct VulnerabilityRule: Hashable, Sendable, Codable {
    /// Lets one fault pass for a time.
    package struct Exception: Hashable, Sendable, Codable {
        /// `CVE-2024-3094`, or another name that the feed has for it.
        package var id: String
        /// nil: in any package.
        package var package: String?
        /// The first moment at which it counts again.
        package var until: Instant
        package var reason: String

        package init(id: String, package: String? = nil, until: Instant, reason: String) {
            self.id = id
            self.package = package
            self.until = until
            self.reason = reason
        }
    }

    /// What becomes of faults that the feed does not rate. Debian's tracker rates few, bad ones among the others.
    package enum Unrated: String, Hashable, Sendable, Codable, CaseIterable {
        case refuse
        /// Refuses those that another version mends: there is something that can be done about them.
        case refuseFixed = "refuse-fixed"
        case pass
    }

    /// A file on the host: OSV records, or the JSON of Debian's security tracker.
    package var feed: String
    /// The least severity that is refused.
    package var atLeast: Severity
    package var unrated: Unrated
    /// How old the feed may be before nothing is believed on its account; nil: any age.
    package var maximumFeedAge: Span?
    package var exceptions: [Exception]

    package init(
        feed: String, atLeast: Severity, unrated: Unrated = .refuseFixed, maximumFeedAge: Span? = nil,
        exceptions: [Exception] = []
    ) {
        self.feed = feed
        self.atLeast = atLeast
        self.unrated = unrated
        self.maximumFeedAge = maximumFeedAge
        self.exceptions = exceptions
    }
}
