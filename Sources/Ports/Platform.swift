package import Model

/// Where instances run. Every act is idempotent: doing it again after a crash is always right.
package protocol Platform: Sendable {
    /// Everything of a service (nil: of all) that exists here now under this root, dead and half-made things included.
    /// What was launched is seen until it is removed, in some form, also after the machine was restarted.
    func observe(_ key: ServiceKey?) async throws -> [ObservedInstance]

    /// Makes an image ready for launches on this platform (for a host: its file system, mounted read-only).
    func prepare(_ image: Digest) async throws

    /// Starts one instance and returns once its process runs. Throws a `Failure` with the last log lines when it
    /// cannot. The image has been prepared.
    func launch(_ order: LaunchOrder) async throws

    /// Asks the instance to end, kills it after `grace`, and removes all that belongs to it except its log.
    /// An instance that does not exist is already removed.
    func remove(_ id: InstanceID, grace: Span) async throws

    /// Lets go of whatever was prepared for images that are neither in `images` nor used by an instance.
    func forgetImages(except images: Set<Digest>) async throws

    /// The newest lines of an instance's log, oldest first; also for an instance that was removed.
    func log(of id: InstanceID, lines: Int) async throws -> [LogLine]

    /// Runs a command inside a running instance and returns its exit status.
    func execute(_ command: [String], in id: InstanceID, timeout: Span) async throws -> Int

    /// What differs on the platform itself, apart from any one instance. Looks at once.
    func hostDrifts() async throws -> [Drift]

    /// Puts back what Kiln owns of what differs on the platform itself. Throws where it cannot or does not own it.
    /// Gives what was written down of something that is gone now; nil where there was nothing to write.
    @discardableResult
    func setRight(_ drift: Drift) async throws -> KeptEvidence?

    /// Puts an instance's own limits back to those of its launch.
    func restoreLimits(of id: InstanceID) async throws

    /// Writes down what can be said of an instance that is about to be replaced: processes, open files, mounts, what
    /// was written to its scratch folders, the last lines of its log. Bounded in size; the file is whole or not there.
    func keepEvidence(of id: InstanceID, about drifts: [Drift]) async throws -> KeptEvidence

    /// What confines a running instance, as the platform sees it now.
    func confinement(of id: InstanceID) async throws -> Confinement

    /// Signals that something changed by itself (an instance ended, the router died) and a look is worth while.
    var changes: AsyncStream<Void> { get }
}

extension Platform {
    package func observe() async throws -> [ObservedInstance] { try await observe(nil) }
}

/// All that is needed to launch one instance.
package struct LaunchOrder: Hashable, Sendable {
    package var id: InstanceID
    package var release: Release
    /// Run once instead of the image's own command, in the same surroundings; its end is not a failure of the instance.
    package var task: [String]?

    package init(id: InstanceID, release: Release, task: [String]? = nil) {
        self.id = id
        self.release = release
        self.task = task
    }
}
