package import Model
package import Ports

extension AdmissionVerdict {
    /// As the ledger keeps it.
    package func entry(
        _ key: ServiceKey, at now: Instant, by operatorName: String, instance: InstanceID? = nil
    ) -> LedgerEntry {
        LedgerEntry(
            .admission, message, at: now, by: operatorName, service: key, release: instance?.release,
            instance: instance, image: image, evidence: evidence, details: details)
    }
}

extension World {
    /// Has a release's image decided on and made ready, before the release is made. What is refused, and an image that
    /// is no longer what it was, are in the ledger.
    func admit(_ content: Release.Content, for key: ServiceKey, by operatorName: String) async throws {
        let verdict = await admission.decide(
            content.image, asking: content.policy, for: key, .new, at: clock.now)
        if !verdict.isAdmitted {
            try await ledger.append([verdict.entry(key, at: clock.now, by: operatorName)])
        }
        try verdict.requireAdmitted()
        do {
            try await platform.prepare(content.image)
        } catch let failure as Failure where failure.code == .storeDamaged {
            let told = "\(content.image) is not what it was when it was made: \(failure)"
            try await ledger.append([
                LedgerEntry(
                    .drift, told, at: clock.now, by: operatorName, service: key, image: content.image)
            ])
            throw failure
        }
    }
}

extension ServiceController {
    /// Decides whether an instance may start, and has that on disk before it does. A launch that is tried again and again
    /// is refused once in the ledger, until it is refused for another reason or was accepted in between.
    func admit(_ id: InstanceID, of release: Release) async throws {
        let occasion: AdmissionOccasion = machine.state.good.contains(release.number) ? .again : .new
        let verdict = await world.admission.decide(
            release.content.image, asking: release.content.policy, for: key, occasion, at: world.clock.now)
        // What a refusal says may have the time in it; the same rule by another key is another reason.
        let reason = verdict.details["rules"].map { "\($0) \(verdict.details["keySeen"] ?? "")" }
        let isOther = wasRefused(release.number, verdict.isAdmitted ? nil : reason ?? verdict.message)
        if verdict.isAdmitted ? verdict.evidence != nil : isOther {
            let entry = verdict.entry(key, at: world.clock.now, by: LedgerEntry.daemon, instance: id)
            try await world.ledger.append([entry])
        }
        try verdict.requireAdmitted()
    }
}
