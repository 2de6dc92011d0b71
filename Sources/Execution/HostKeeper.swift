internal import Logging
internal import Model
internal import Planning
internal import Ports

/// Looks after what all services share: the host's network and settings, strangers under Kiln's name, the router.
struct HostKeeper: Sendable {
    private let world: World

    init(_ world: World) { self.world = world }

    /// What is remembered from one look to the next.
    private struct Memory {
        var book = HostDriftBook()
        /// As they were last seen: of what could not be looked at, nothing is over.
        var host: [Drift] = []
        var router: [Drift] = []
    }

    /// Runs until the task is cancelled.
    func run() async {
        var memory = Memory()
        while !Task.isCancelled {
            await look(&memory)
            try? await world.clock.sleep(for: Bounds.hostLook)
        }
    }

    private func look(_ memory: inout Memory) async {
        do { memory.host = try await world.platform.hostDrifts() } catch {
            world.logger.warning("host not looked at", metadata: ["error": "\(error)"])
        }
        do { memory.router = try await world.router.observe().drifts } catch {
            world.logger.warning("router not looked at", metadata: ["error": "\(error)"])
        }
        let found = memory.host + memory.router
        for action in memory.book.take(found, at: world.clock.now) {
            switch action {
            case .tell(let drift): await world.record(.drift, "the host drifted: \(drift.message)", drift)
            case .setRight(let drift): await setRight(drift)
            case .giveUp(let drift):
                await world.record(
                    .drift,
                    "\(drift.subject) is changed again and again, and is left as it is: \(drift.message)",
                    drift)
            case .over(let drift):
                world.logger.notice("no longer drifts", metadata: ["subject": "\(drift.subject)"])
            }
        }
    }

    private func setRight(_ drift: Drift) async {
        do {
            var kept: KeptEvidence?
            if drift.kind == .router {
                try await world.router.setRight()
            } else {
                kept = try await world.platform.setRight(drift)
            }
            await world.record(.repair, "\(drift.subject) is as it was again", drift, kept)
        } catch {
            await world.record(
                .repair, "\(drift.subject) could not be put back: \(Failure.list(error)[0].message)", drift)
        }
    }
}
