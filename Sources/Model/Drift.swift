/// One way in which what runs differs from what was released.
package struct Drift: Hashable, Sendable, Codable {
    /// Stable names: specs, ledgers and scripts use them.
    package enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        /// The file system of an image has other bytes than were made of it.
        case image
        /// A program that is not in the image was run, or was about to be.
        case program
        /// A process that the instance's own first process did not start.
        case process
        /// Mounts, environment, capabilities, system call filter, user, namespaces or resource limits of a process.
        case confinement
        /// The limits of the control group.
        case limits
        /// Addresses, routes, firewall rules or listening sockets in the instance's network.
        case network
        /// An instance under Kiln's own prefix that nothing intended knows.
        case stranger
        /// The proxy's configuration or live state.
        case router
        /// A setting or part of the host that instances depend on.
        case host
        /// A name in a registry that stands for another image than when the release was made. Nothing that runs differs.
        case tag

        /// Whether it is of what Kiln made for all services, and puts back as it was.
        package var isPutBack: Bool {
            switch self {
            case .router, .host, .stranger: true
            case .image, .program, .process, .confinement, .limits, .network, .tag: false
            }
        }

        /// Those that a service can answer in its own way; the others are of what all services share.
        package static let ofInstances: [Kind] = [
            .image, .program, .process, .confinement, .limits, .network,
        ]
    }

    package enum Source: String, Hashable, Sendable, Codable {
        /// The kernel told of it as it happened.
        case event
        /// It was found by looking.
        case poll
    }

    package var kind: Kind
    /// What differs, as few words as name it, and the same ones as long as it is the same thing: `memory.max`,
    /// `mount /etc/hosts`, `/dev/shm/x`.
    package var subject: String
    /// What was found, in a sentence.
    package var message: String
    /// As it was released, where that can be said shortly.
    package var expected: String?
    package var found: String?
    /// The package, or the line of the recipe, that the thing belongs to; nil: nothing of the image has it.
    package var owner: String?
    package var source: Source
    /// When it was first seen.
    package var at: Instant

    package init(
        _ kind: Kind, _ subject: String, _ message: String, expected: String? = nil, found: String? = nil,
        owner: String? = nil, source: Source, at: Instant
    ) {
        self.kind = kind
        self.subject = subject
        self.message = message
        self.expected = expected
        self.found = found
        self.owner = owner
        self.source = source
        self.at = at
    }

    /// A setting of the host, which Kiln never changes, and by which it is told.
    package static let forwarding = "net.ipv4.ip_forward"

    /// Whether Kiln puts it back as it was.
    package var isPutBack: Bool { kind.isPutBack && subject != Drift.forwarding }

    package enum Limit {
        /// Different drifts of one kind and instance that are remembered; more of them say nothing new.
        package static let perInstance = 32
        /// Characters of `subject`, `message`, `expected` and `found`.
        package static let text = 500
    }
}

/// What is done where something drifts: the `drift` key of a spec.
package struct DriftSettings: Hashable, Sendable, Codable {
    package enum Mode: String, Hashable, Sendable, Codable, CaseIterable {
        /// What differs is replaced.
        case replace
        /// It is told and recorded, and left as it is.
        case alert
        /// Nobody looks.
        case off
    }

    /// One kind of drift that is answered otherwise, for a reason, until a day.
    package struct Exception: Hashable, Sendable, Codable {
        package var kind: Drift.Kind
        package var mode: Mode
        package var reason: String
        /// From here on it no longer counts.
        package var until: Instant

        package init(kind: Drift.Kind, mode: Mode, reason: String, until: Instant) {
            self.kind = kind
            self.mode = mode
            self.reason = reason
            self.until = until
        }
    }

    package var mode: Mode
    package var exceptions: [Exception]

    package init(mode: Mode = .replace, exceptions: [Exception] = []) {
        self.mode = mode
        self.exceptions = exceptions
    }

    package func mode(for kind: Drift.Kind, at now: Instant) -> Mode {
        exceptions.first { $0.kind == kind && now < $0.until }?.mode ?? mode
    }
}

/// An instance that was touched, by drift or by a person. It is replaced, and never becomes a clean one again.
package struct TaintedInstance: Hashable, Sendable, Codable {
    package var id: InstanceID
    package var at: Instant
    /// `uid:0`, a token's name; nil: found by Kiln itself.
    package var by: String?
    package var reason: String
    /// What was found; empty where a person said that they would touch it.
    package var drifts: [Drift]
    /// It stays until then, with another in its place, because a person is in it or wants to look at it; nil: it goes
    /// as soon as others serve.
    package var keptUntil: Instant?
    /// It takes traffic all the same while it is kept.
    package var isInTraffic: Bool

    package init(
        id: InstanceID, at: Instant, by: String?, reason: String, drifts: [Drift] = [],
        keptUntil: Instant? = nil, isInTraffic: Bool = false
    ) {
        self.id = id
        self.at = at
        self.by = by
        self.reason = reason
        self.drifts = drifts
        self.keptUntil = keptUntil
        self.isInTraffic = isInTraffic
    }
}

/// How drift was answered lately: the base of its budget, and of giving up.
package struct DriftHistory: Hashable, Sendable, Codable {
    /// What was told and answered by nothing, or put right: it is not told again, and not put right twice.
    package struct Told: Hashable, Sendable, Codable {
        package var id: InstanceID
        package var kind: Drift.Kind
        package var subject: String

        package init(id: InstanceID, kind: Drift.Kind, subject: String) {
            self.id = id
            self.kind = kind
            self.subject = subject
        }
    }

    /// How often one kind of drift was answered by replacing.
    package struct Answered: Hashable, Sendable, Codable {
        package var kind: Drift.Kind
        package var count: Int
        package var last: Instant
        /// It came back too often: nothing is replaced because of it any more.
        package var isHalted: Bool

        package init(kind: Drift.Kind, count: Int, last: Instant, isHalted: Bool) {
            self.kind = kind
            self.count = count
            self.last = last
            self.isHalted = isHalted
        }
    }

    package var rounds: RestartHistory
    package var told: [Told]
    package var answered: [Answered]

    package init() {
        rounds = RestartHistory()
        told = []
        answered = []
    }
}

/// What was written down about an instance before it was replaced.
package struct KeptEvidence: Hashable, Sendable, Codable {
    /// SHA-256 of the file.
    package var digest: Digest
    package var path: String

    package init(digest: Digest, path: String) {
        self.digest = digest
        self.path = path
    }
}
