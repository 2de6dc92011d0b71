package import Model
internal import Planning
internal import Ports

/// A service as intended and as seen, for those who look.
package struct ServiceSnapshot: Sendable {
    package var state: ServiceState
    package var releases: [ReleaseNumber: Release]
    package var seen: Observation

    package init(state: ServiceState, releases: [ReleaseNumber: Release], seen: Observation) {
        self.state = state
        self.releases = releases
        self.seen = seen
    }
}

extension ServiceController {
    func snapshot() async throws -> ServiceSnapshot {
        let seen = try await observe()
        return ServiceSnapshot(state: state, releases: releases, seen: seen)
    }

    var imagesInUse: Set<Digest> {
        Set(state.releasesInUse.compactMap { releases[$0]?.content.image })
    }

    func deploy(
        _ content: Release.Content, digest: Digest, message: String, by operatorName: String, force: Bool
    ) async throws -> Rollout? {
        let (now, key, known) = (world.clock.now, key, releases)
        return try await change { state in
            let current = state.current.flatMap { known[$0] }
            if !force, state.rollout == nil, current?.digest == digest { return (nil, [], nil) }
            let release = Release(
                key: key, number: state.nextRelease(), content: content, digest: digest, createdAt: now,
                by: operatorName, message: message)
            let created = Note(
                .releaseCreated, "\(release.number) is image sha256:\(content.image.short)",
                release: release.number,
                details: ["by": operatorName, "message": message, "digest": digest.description])
            let begun = try state.deploy(release, replacing: current, at: now, by: operatorName)
            return (release, [created] + begun, state.rollout)
        }
    }

    func rollBack(to release: ReleaseNumber?, by operatorName: String) async throws -> Rollout {
        let (now, known) = (world.clock.now, Set(releases.keys))
        return try await change { state in
            let notes = try state.rollBack(to: release, known: known, at: now, by: operatorName)
            return (nil, notes, state.rollout!)
        }
    }
}
