package import Model
internal import Planning

/// One release of one service, for a comparison.
package struct ReleaseSide: Hashable, Sendable {
    package var key: ServiceKey
    package var release: ReleaseNumber
    package var image: Digest
    /// nil where the release is not the one that serves: nothing says how many of it should run.
    package var instances: String?
}

extension Controller {
    /// What differs between two releases; nil for the one that serves, or that is rolled out first.
    package func compare(
        _ first: ServiceKey, _ firstNumber: ReleaseNumber?, with second: ServiceKey,
        _ secondNumber: ReleaseNumber?
    ) async throws -> (from: ReleaseSide, to: ReleaseSide, changes: [ReleaseChange]) {
        let (one, old) = try await side(first, firstNumber)
        let (two, new) = try await side(second, secondNumber)
        var changes = ReleaseChange.list(from: old.content, to: new.content)
        if let before = one.instances, let after = two.instances, before != after {
            changes.append(ReleaseChange(field: "instances", old: before, new: after))
        }
        return (one, two, changes)
    }

    private func side(_ key: ServiceKey, _ number: ReleaseNumber?) async throws -> (ReleaseSide, Release) {
        let snapshot = try await snapshot(of: key)
        let state = snapshot.state
        let current = state.current ?? state.rollout?.to
        guard let number = number ?? current else {
            throw Failure(.notFound, "no release of \(key) serves", suggestion: "name one, as in r4")
        }
        guard let release = snapshot.releases[number] else {
            throw Failure(
                .notFound, "\(key) has no \(number)", suggestion: "`kiln history \(key)` lists its releases")
        }
        let runs = snapshot.seen.instances.values.count {
            $0.release == number && $0.phase == .running && !$0.isTask
        }
        let wanted = state.replicas ?? release.content.run.replicas
        return (
            ReleaseSide(
                key: key, release: number, image: release.content.image,
                instances: number == current ? "\(runs) of \(wanted)" : nil), release
        )
    }
}
