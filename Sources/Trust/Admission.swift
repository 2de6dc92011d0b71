package import Model

/// Whether an image may start: what the host asks and what its service asks, each in full. Neither can take anything
/// away from the other.
package struct Admission: Hashable, Sendable {
    /// Who asks.
    package enum Asker: String, Hashable, Sendable, Codable, CaseIterable {
        case host, service
    }

    /// nil where the host asks for nothing.
    package var host: AdmissionPolicy?
    package var service: AdmissionPolicy?
    /// The host's keys. What it says of a key's time and revocation holds wherever the key is named.
    package var ring: KeyRing

    package init(host: AdmissionPolicy?, service: AdmissionPolicy?, ring: KeyRing) {
        self.host = host
        self.service = service
        self.ring = ring
    }

    package struct Refusal: Hashable, Sendable {
        package var asker: Asker
        package var why: TrustRefusal

        package init(asker: Asker, why: TrustRefusal) {
            self.asker = asker
            self.why = why
        }

        /// `the host's policy, rule key: …`
        package var failure: Failure {
            var failure = why.failure
            failure.message = "the \(asker.rawValue)'s policy, \(failure.message)"
            return failure
        }
    }

    package enum Decision: Hashable, Sendable {
        /// What was believed, and which faults pass for a time only.
        case accepted([Believed], excepted: [FaultVerdict.Excepted])
        /// The host's refusals first.
        case refused([Refusal])
    }

    /// The policies that there are, with who asks.
    package var asking: [(asker: Asker, policy: AdmissionPolicy)] {
        [(.host, host), (.service, service)].compactMap { asker, policy in policy.map { (asker, $0) } }
    }

    /// The same without what time alone brings against an image: its age, the times of keys, faults that become known.
    /// Revocations stay.
    package var timeless: Admission {
        func timeless(_ policy: AdmissionPolicy?) -> AdmissionPolicy? {
            guard var policy else { return nil }
            // An age is read from a provenance: without the age the provenance is still asked for.
            let provenance = PredicateType.provenance.text
            if policy.maximumAge != nil, !policy.required.contains(provenance) {
                policy.required.append(provenance)
            }
            (policy.maximumAge, policy.vulnerabilities) = (nil, nil)
            return policy
        }
        return Admission(host: timeless(host), service: timeless(service), ring: ring.timeless)
    }

    /// Feeds that have to be read before it can be decided.
    package var feeds: [String] {
        Set(asking.compactMap { $0.policy.vulnerabilities?.feed }).sorted()
    }

    /// - Parameters:
    ///   - packages: what the image's own records say that it holds
    ///   - feeds: what became of reading each of `feeds`; one that is left out counts as missing
    package func decide(
        image: Digest, evidence: [Evidence], packages: [InstalledPackage],
        feeds: [String: FaultFeed.Reading], now: Instant
    ) -> Decision {
        var believed: [Believed] = []
        var excepted: [FaultVerdict.Excepted] = []
        var refusals: [Refusal] = []
        for (asker, policy) in asking {
            switch policy.statements(image: image, evidence: evidence, ring: ring, now: now) {
            case .accepted(let counts): believed += counts.filter { !believed.contains($0) }
            case .refused(let why): refusals += why.map { Refusal(asker: asker, why: $0) }
            }
            guard let rule = policy.vulnerabilities else { continue }
            switch rule.decide(packages: packages, reading: feeds[rule.feed] ?? .missing, now: now) {
            case .success(let verdict): excepted += verdict.excepted.filter { !excepted.contains($0) }
            case .failure(let refused): refusals += refused.why.map { Refusal(asker: asker, why: $0) }
            }
        }
        return refusals.isEmpty ? .accepted(believed, excepted: excepted) : .refused(refusals)
    }
}

extension AdmissionPolicy {
    /// What must be signed, as this host's keys see it.
    ///
    /// Throws where a key of the policy cannot be used.
    package func trustPolicy(ring: KeyRing) throws -> TrustPolicy {
        let trusted =
            try keys.isEmpty
            // Keys of other roles are among them, so that a refusal can say that one did another's work.
            ? ring.keys
            : keys.map { key in
                guard let der = Base64.decode(key.publicKey) else {
                    throw Failure(.keyUnusable, "the key \(key.name) of the policy is no base64")
                }
                let publicKey = try PublicKey(der: der)
                try KeyRole.build.require(publicKey)
                return ring.keys.first { $0.publicKey == publicKey }
                    ?? TrustedKey(name: key.name, publicKey: publicKey, role: .build)
            }
        return TrustPolicy(
            keys: trusted, required: required.map { PredicateType($0) }, builders: builders.map { Set($0) },
            sources: sources.map { Set($0) }, allowsDirtySources: allowsDirtySources, maximumAge: maximumAge)
    }

    fileprivate func statements(image: Digest, evidence: [Evidence], ring: KeyRing, now: Instant)
        -> TrustDecision
    {
        let policy: TrustPolicy
        do {
            policy = try trustPolicy(ring: ring)
        } catch {
            let why = Failure.list(error)[0]
            return .refused([
                TrustRefusal(
                    .key, why.message, keySeen: nil,
                    remedy: "name another key, and deploy again: \(why.suggestion ?? "")")
            ])
        }
        guard policy.demanded.isEmpty || !policy.keys.isEmpty else {
            return .refused([
                TrustRefusal(
                    .key, "the policy names no key, and the host has none whose signatures could count",
                    keySeen: nil, remedy: "kiln key generate NAME --role build, or name keys in the policy")
            ])
        }
        return policy.decide(image: image, evidence: evidence, now: now)
    }
}

extension VulnerabilityRule {
    /// `Result` wants an error.
    package struct Refused: Error, Hashable { package var why: [TrustRefusal] }

    /// Refusals that are written out; the last one counts the others.
    private static let shown = 20

    /// Whether the packages may start, by what is known of them. What the feed cannot say is a refusal too.
    package func decide(packages: [InstalledPackage], reading: FaultFeed.Reading, now: Instant)
        -> Result<FaultVerdict, Refused>
    {
        func no(_ message: String, _ remedy: String) -> Result<FaultVerdict, Refused> {
            .failure(Refused(why: [TrustRefusal(.feed, message, keySeen: nil, remedy: remedy)]))
        }
        let feed: FaultFeed
        switch reading {
        case .missing: return no("there is no feed \(self.feed)", "put the feed there, and renew it daily")
        case .unreadable(let failure):
            return no(
                "the feed \(self.feed) cannot be used: \(failure.message)"
                    + (failure.place.map { " (\($0))" } ?? ""),
                failure.suggestion ?? "fetch the feed again")
        case .packagesUnknown(let failure):
            return no(
                "the image's packages cannot be told, nor their faults: \(failure.message)"
                    + (failure.place.map { " (\($0))" } ?? ""),
                failure.suggestion ?? "bake or pull the image again")
        case .read(let read): feed = read
        }
        if let maximumFeedAge {
            guard feed.writtenAt <= now + TrustPolicy.Limit.clockSkew else {
                return no(
                    "the feed \(self.feed) was written at \(feed.writtenAt), which is yet to come: now it is \(now)",
                    "set the clock right, and fetch the feed again")
            }
            guard now - feed.writtenAt <= maximumFeedAge else {
                return no(
                    "the feed \(self.feed) was written at \(feed.writtenAt), more than \(maximumFeedAge) ago",
                    "fetch the feed again")
            }
        }
        let verdict = verdict(on: packages, faults: feed.faults, now: now)
        guard !verdict.refused.isEmpty else { return .success(verdict) }
        var refusals = verdict.refused.prefix(VulnerabilityRule.shown).map(VulnerabilityRule.refusal)
        if verdict.refused.count > refusals.count {
            refusals.append(
                TrustRefusal(
                    .vulnerable,
                    "\(counted(verdict.refused.count - refusals.count, "more fault")) of its packages",
                    keySeen: nil, remedy: "kiln image vulnerabilities lists them all"))
        }
        return .failure(Refused(why: refusals))
    }

    private static func refusal(_ fault: PackageFault) -> TrustRefusal {
        let rating = fault.severity == .unknown ? "not rated" : fault.severity.rawValue
        let fix = fault.fixedIn.map { "mended in \($0)" } ?? "not mended yet"
        return TrustRefusal(
            .vulnerable, "\(fault.package) \(fault.version) has \(fault.id): \(rating), \(fix)",
            keySeen: nil,
            remedy: fault.fixedIn == nil
                ? "leave the package out, or except the fault until a day, with a reason"
                : "kiln lock --update \(fault.package), and deploy again")
    }
}
