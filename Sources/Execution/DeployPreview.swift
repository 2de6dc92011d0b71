package import Model
internal import Planning

/// What a deploy would change, and the steps that it would take if nothing went wrong.
package struct DeployPreview: Sendable {
    package var from: ReleaseNumber?
    package var to: ReleaseNumber
    package var changes: [ReleaseChange]
    package var steps: [Step]
    /// Why the image may not start; empty: it may.
    package var refusals: [Failure] = []
    package var warnings: [Failure] = []

    static func make(
        _ content: Release.Content, digest: Digest, key: ServiceKey, snapshot: ServiceSnapshot?, now: Instant
    ) throws -> DeployPreview {
        var state = snapshot?.state ?? ServiceState(key: key)
        var releases = snapshot?.releases ?? [:]
        let current = state.current.flatMap { releases[$0] }
        let number = state.nextRelease()
        let release = Release(
            key: key, number: number, content: content, digest: digest, createdAt: now, by: "", message: "")
        let changes = ReleaseChange.list(from: current?.content, to: content)
        guard current?.digest != digest || state.rollout != nil else {
            return DeployPreview(from: current?.number, to: current?.number ?? number, changes: [], steps: [])
        }
        try ServiceController.lint(content, state)
        _ = try state.deploy(release, replacing: current, at: now, by: "")
        releases[number] = release
        let situation = Situation(
            state: state, releases: releases, seen: snapshot?.seen ?? Observation(at: now), now: now)
        return DeployPreview(
            from: current?.number, to: number, changes: changes, steps: Preview.steps(situation))
    }
}
