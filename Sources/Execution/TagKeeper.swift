internal import Logging
package import Model
internal import Planning
internal import Ports

/// Asks the registries from time to time what the names stand for that current releases came by. One that was moved is
/// told, and changes nothing: what runs is named by its digest.
struct TagKeeper: Sendable {
    enum Limit {
        /// Names that are asked for in one round; the others have their turn in the next ones.
        static let names = 64
        static let answer = Duration.seconds(30)
    }

    private let world: World
    private let images: any ImagePuller
    private var book = HostDriftBook()
    /// What each name stood for when it was asked for last.
    private var known: [String: Digest] = [:]
    private var found: [Drift] = []
    /// Those that nobody answered for, so that it is logged once.
    private var silent: Set<String> = []
    private var asked = 0

    init(_ world: World, _ images: any ImagePuller) {
        self.world = world
        self.images = images
    }

    /// One round: what differs now.
    mutating func look(_ tags: [TaggedImage]) async -> [Drift] {
        let names = Set(tags.map(\.name)).sorted()
        known = known.filter { names.contains($0.key) }
        silent.formIntersection(names)
        let first = names.isEmpty ? 0 : asked % names.count
        for name in (names[first...] + names[..<first]).prefix(Limit.names) {
            guard !Task.isCancelled else { return found }
            await ask(name)
        }
        asked += Limit.names
        let now = world.clock.now
        found = Set(tags).sorted { ($0.name, $0.digest.hex) < ($1.name, $1.digest.hex) }.compactMap { tag in
            guard let stands = known[tag.name], stands != tag.digest else { return nil }
            let drift = Drift(
                .tag, tag.name, "\(tag.name) is another image now than the one that runs",
                expected: "\(tag.digest)", found: "\(stands)", source: .poll, at: now)
            return found.first {
                $0.subject == drift.subject && $0.expected == drift.expected
                    && $0.found == drift.found
            } ?? drift
        }
        for action in book.take(found, at: now) { await tell(action) }
        return found
    }

    private mutating func ask(_ name: String) async {
        do {
            known[name] = try await answer(name)
            if silent.remove(name) != nil {
                world.logger.notice("a registry answers again", metadata: ["image": "\(name)"])
            }
        } catch {
            guard !Task.isCancelled, silent.insert(name).inserted else { return }
            world.logger.warning(
                "a registry does not say what a name stands for",
                metadata: ["image": "\(name)", "error": "\(Failure.list(error)[0].message)"])
        }
    }

    private func answer(_ name: String) async throws -> Digest {
        let (images, request) = (images, try Recipe.ImageRequest(parsing: name))
        return try await withThrowingTaskGroup(of: Digest.self) { group in
            group.addTask { try await images.resolve(request, for: .native) }
            group.addTask {
                try await Task.sleep(for: Limit.answer)
                throw Failure(.timedOut, "nobody answered within \(Limit.answer)", at: name)
            }
            defer { group.cancelAll() }
            return try await group.next()!
        }
    }

    private func tell(_ action: HostDriftBook.Action) async {
        switch action {
        case .tell(let drift): await world.record(.drift, drift.message, drift)
        case .over(let drift):
            world.logger.notice("no longer drifts", metadata: ["subject": "\(drift.subject)"])
        // Nobody puts another's registry right.
        case .setRight, .giveUp: break
        }
    }
}

extension Controller {
    /// Asks the registries what the names of current releases stand for, until the task is cancelled.
    ///
    /// - Parameter interval: from one round to the next, give or take a fifth, so that not all hosts ask at once
    package func watchTags(every interval: Span) async {
        guard let images = world.images else { return }
        var keeper = TagKeeper(world, images)
        while !Task.isCancelled {
            var tags: [TaggedImage] = []
            for service in services.values { tags += await service.currentTags }
            movedTags = await keeper.look(tags)
            let jitter = Int.random(in: -interval.milliseconds / 5...interval.milliseconds / 5)
            try? await world.clock.sleep(for: interval + .milliseconds(jitter))
        }
    }
}

extension ServiceController {
    var currentTags: [TaggedImage] { machine.state.currentTags(machine.releases) }
}

extension Drift {
    /// Whether it is about one of these names, as it was when their release was made.
    func isOf(_ tags: [TaggedImage]) -> Bool {
        kind == .tag && tags.contains { $0.name == subject && "\($0.digest)" == expected }
    }
}

extension ServiceSnapshot {
    /// With those among some moved names that its current release came by.
    func showing(_ moved: [Drift]) -> ServiceSnapshot {
        var shown = self
        let tags = state.currentTags(releases)
        shown.movedTags = moved.filter { $0.isOf(tags) }
        return shown
    }
}
