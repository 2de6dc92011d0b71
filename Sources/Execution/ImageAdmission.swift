package import Logging
package import Model
package import Ports
internal import Synchronization
package import Trust

/// Decides from the host's policy, the service's, and what lies beside the image in the store. Asks no network.
package struct ImageAdmission: AdmissionController {
    private let store: any ImageStore
    private let host: any HostTrust
    private let faults: any FaultSource
    private let ledger: any Ledger
    private let logger: Logger
    /// Whose decisions these are, in verification summaries.
    private let verifier: String
    private let told = Told()

    package init(
        store: any ImageStore, host: any HostTrust, faults: any FaultSource, ledger: any Ledger,
        verifier: String, logger: Logger
    ) {
        self.store = store
        self.host = host
        self.faults = faults
        self.ledger = ledger
        self.verifier = verifier
        self.logger = logger
    }

    package func decide(
        _ image: Digest, asking policy: AdmissionPolicy?, for key: ServiceKey, _ occasion: AdmissionOccasion,
        at now: Instant
    ) async -> AdmissionVerdict {
        do {
            let rules = try host.rules()
            try await tell(rules, at: now)
            let asked = Admission(host: rules.policy, service: policy, ring: rules.ring)
            guard !asked.asking.isEmpty else {
                return AdmissionVerdict(
                    image: image, warnings: ImageAdmission.slips(rules),
                    message: "nothing is asked of images here")
            }
            let question = Question(
                image: image, key: key, asked: asked, rules: rules, occasion: occasion, now: now)
            var verdict = try await answer(question)
            verdict.warnings += ImageAdmission.slips(rules)
            return verdict
        } catch {
            let failures = Failure.list(error)
            return AdmissionVerdict(
                image: image, refusals: failures,
                message: "\(image) may not start: it could not be decided: \(failures[0].message)")
        }
    }

    /// What people should hear of before the daemon is started anew.
    private static func slips(_ rules: HostRules) -> [Failure] {
        guard var problem = rules.problem else { return [] }
        problem.message =
            "the host's files cannot be used as they are now, and what they said last goes on: "
            + problem.message
        return [problem]
    }

    private struct Question {
        var image: Digest
        var key: ServiceKey
        var asked: Admission
        var rules: HostRules
        var occasion: AdmissionOccasion
        var now: Instant
    }

    private func answer(_ question: Question) async throws -> AdmissionVerdict {
        let image = question.image
        let record = try store.record(of: image)
        let evidence = try record.map {
            try store.evidence(of: $0, limit: TrustPolicy.Limit.evidence + 1).map { Evidence(stored: $0) }
        }
        let known = question.asked.feeds.isEmpty ? nil : await faults.known(of: image, question.asked.feeds)
        let index = record?.index
        let isListed = try index.map { try store.listed(in: $0).contains(image) } ?? false
        func decide(_ asked: Admission) -> Admission.Decision {
            func decide(_ subject: Digest) -> Admission.Decision {
                asked.decide(
                    image: subject, evidence: evidence ?? [], packages: known?.packages ?? [],
                    feeds: known?.feeds ?? [:], now: question.now)
            }
            let own = decide(image)
            // Who signs an index signs what it lists.
            guard case .refused = own, let index, isListed,
                case .accepted(let counts, let excepted) = decide(index)
            else { return own }
            return .accepted(counts, excepted: excepted)
        }
        let decision = decide(question.asked)
        // What only time has brought against a release that served is no reason to take it down.
        guard case .refused(let refusals) = decision, question.occasion == .again else {
            return try verdict(decision, question)
        }
        let timeless = decide(question.asked.timeless)
        guard case .accepted = timeless else { return try verdict(decision, question) }
        return try verdict(timeless, question, against: refusals.map(\.failure))
    }

    private func verdict(
        _ decision: Admission.Decision, _ question: Question, against warnings: [Failure] = []
    ) throws -> AdmissionVerdict {
        let (image, now) = (question.image, question.now)
        var verdict = AdmissionVerdict(image: image, warnings: warnings, message: "")
        var believed: [Believed] = []
        switch decision {
        case .accepted(let counts, let excepted):
            believed = counts
            verdict.details["excepted"] = ImageAdmission.joined(
                excepted.map { "\($0.fault.id) until \($0.until)" })
        case .refused(let refusals):
            verdict.refusals = refusals.map(\.failure)
            verdict.details["rules"] = ImageAdmission.joined(refusals.map(\.why.rule.rawValue))
            verdict.details["keySeen"] = refusals.lazy.compactMap(\.why.keySeen).first
        }
        let words = believed.map { "\(PredicateWord.text($0.predicateType.text)) by \($0.key.called)" }
        verdict.message =
            verdict.isAdmitted
            ? "\(image) may start: \(words.isEmpty ? "nothing is held against it" : words.joined(separator: ", "))"
            : "\(image) may not start: \(verdict.refusals[0].message)"
                + (verdict.refusals.count > 1
                    ? "; and \(counted(verdict.refusals.count - 1, "more rule"))" : "")
        if let warning = warnings.first {
            verdict.message += "; released now it would be refused: \(warning.message)"
        }
        let summary = VerificationSummary(
            verifier: verifier, verifiedAt: now, resource: VerificationSummary.resource(question.key),
            policy: try ImageAdmission.policy(question), evidence: believed.map(\.document),
            isPassed: verdict.isAdmitted)
        let subject = Statement.Subject(name: question.key.service.text, digest: image)
        verdict.evidence = Digest.sha256(of: summary.statement(about: subject).bytes)
        verdict.details[VerificationSummary.detail] = String(
            decoding: summary.predicate.bytes, as: UTF8.self)
        return verdict
    }

    /// Names the host's policy and the service's together.
    private static func policy(_ question: Question) throws -> Digest {
        let service = try question.asked.service.map {
            Digest.sha256(of: [UInt8](try CanonicalJSON.encode($0)))
        }
        let lines = "host \(question.rules.policyDigest)\nservice \(service.map { "\($0)" } ?? "none")\n"
        return Digest.sha256(of: Array(lines.utf8))
    }

    private static func joined(_ words: [String]) -> String? {
        words.isEmpty ? nil : words.joined(separator: " ")
    }

    // MARK: What the host asks

    /// What the ledger was told last.
    private final class Told: Sendable {
        let state = Mutex<String?>(nil)
    }

    /// Writes down what the host asks now, if that is news.
    private func tell(_ rules: HostRules, at now: Instant) async throws {
        var text = "the host asks: \(rules.policy.map(\.words) ?? "nothing")"
        if let problem = rules.problem { text += "; its files cannot be used as they are now: \(problem)" }
        let keys = rules.ring.keys.filter { $0.standing(at: now) == .trusted }
        let state = "\(rules.policyDigest) \(text) " + keys.map(\.publicKey.id.text).joined()
        guard told.state.withLock({ $0 != state }) else { return }
        if let problem = rules.problem {
            logger.error("policy not usable", metadata: ["problem": "\(problem)"])
        }
        try await ledger.append([
            LedgerEntry(
                .policy, text, at: now, by: LedgerEntry.daemon, evidence: rules.policyDigest,
                details: [
                    "trusted": keys.map(\.called).joined(separator: ", "),
                    // Whole, as far as an entry is long: two policies may have the same words.
                    "policy": try rules.policy.map {
                        String(decoding: try CanonicalJSON.encode($0), as: UTF8.self)
                    } ?? "",
                ])
        ])
        // Only now: what could not be written is still to be told.
        told.state.withLock { $0 = state }
    }
}

extension AdmissionPolicy {
    /// For people, in a line.
    fileprivate var words: String {
        var words = required.map(PredicateWord.text)
        if let builders { words.append("a builder among \(builders.joined(separator: ", "))") }
        if let sources { words.append("a source among \(sources.joined(separator: ", "))") }
        if let maximumAge { words.append("no older than \(maximumAge)") }
        if let vulnerabilities {
            words.append("no known fault that is \(vulnerabilities.atLeast.rawValue) or worse")
        }
        let names = keys.isEmpty ? "the host's build keys" : keys.map(\.name).joined(separator: ", ")
        return words.isEmpty ? "nothing" : words.joined(separator: ", ") + "; by \(names)"
    }
}

/// What is known of the faults of an image's packages.
package protocol FaultSource: Sendable {
    /// - Parameter feeds: paths of the feeds to look into
    func known(of image: Digest, _ feeds: [String]) async -> KnownFaults
}

package struct KnownFaults: Sendable {
    package var packages: [InstalledPackage]
    package var feeds: [String: FaultFeed.Reading]

    package init(packages: [InstalledPackage], feeds: [String: FaultFeed.Reading]) {
        self.packages = packages
        self.feeds = feeds
    }
}
