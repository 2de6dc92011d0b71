internal import FoundationEssentials
internal import Model
internal import Synchronization

/// What was found of each instance. It stays until the instance is removed: what was over in a moment has to lead to a
/// replacement all the same, also when the daemon died in between.
final class DriftBook: Sendable {
    private let root: HostRoot
    private let found = Mutex<[InstanceID: [Drift]]>([:])
    /// Instances in whose folders may be written. Held while a small file is written, so that a removal that has taken
    /// its instance out finds nobody at work in the folder; nobody else waits for it.
    private let open = Mutex<Set<InstanceID>>([])
    private let notify: @Sendable () -> Void

    private enum Limit {
        static let bytes = 256 << 10
    }

    init(_ root: HostRoot, notify: @escaping @Sendable () -> Void) {
        self.root = root
        self.notify = notify
    }

    func drifts(of id: InstanceID) -> [Drift] { found.withLock { $0[id] ?? [] } }

    /// From now on files may be written in the instance's folder.
    func open(_ id: InstanceID) { open.withLock { _ = $0.insert(id) } }

    /// Nothing is written in its folder any more when this returns.
    func close(_ id: InstanceID) { open.withLock { _ = $0.remove(id) } }

    /// Writes into the folder of an instance that is not being removed.
    func write(in id: InstanceID, _ body: (InstanceFolder) throws -> Void) {
        open.withLock { open in
            guard open.contains(id) else { return }
            try? body(root.instance(id))
        }
    }

    /// Takes over what an earlier daemon found.
    func load(_ id: InstanceID) {
        guard let bytes = Files.read(root.instance(id).driftFile, limit: Limit.bytes),
            let drifts = try? JSONDecoder().decode([Drift].self, from: Data(bytes))
        else { return }
        found.withLock { $0[id] = Array(drifts.prefix(Drift.Limit.perInstance * Drift.Kind.allCases.count)) }
    }

    /// Remembers something new and tells of it; false where it is known, or one too many.
    @discardableResult
    func add(_ drift: Drift, of id: InstanceID) -> Bool {
        let isNew = found.withLock { found in
            let known = found[id, default: []]
            guard known.count(where: { $0.kind == drift.kind }) < Drift.Limit.perInstance,
                !known.contains(where: { $0.kind == drift.kind && $0.subject == drift.subject })
            else { return false }
            found[id] = known + [drift]
            return true
        }
        guard isNew else { return false }
        write(id)
        notify()
        return true
    }

    /// Says whose the thing is that a finding is about.
    func fill(_ owner: String, _ kind: Drift.Kind, _ subject: String, of id: InstanceID) {
        let isKnown = found.withLock { found in
            guard let place = found[id]?.firstIndex(where: { $0.kind == kind && $0.subject == subject })
            else {
                return false
            }
            found[id]?[place].owner = String(owner.prefix(Drift.Limit.text))
            return true
        }
        guard isKnown else { return }
        write(id)
        notify()
    }

    func knows(_ kind: Drift.Kind, _ subject: String, of id: InstanceID) -> Bool {
        found.withLock { $0[id]?.contains { $0.kind == kind && $0.subject == subject } ?? false }
    }

    /// Forgets the findings of one kind, which were set right.
    func clear(_ kind: Drift.Kind, of id: InstanceID) {
        found.withLock { $0[id]?.removeAll { $0.kind == kind } }
        write(id)
    }

    func forget(_ id: InstanceID) { found.withLock { $0[id] = nil } }

    private func write(_ id: InstanceID) {
        write(in: id) { folder in
            let bytes = try JSONEncoder().encode(drifts(of: id))
            try Files.replace(folder.driftFile, with: Array(bytes), durably: false, mode: 0o600)
        }
    }
}

extension Drift {
    /// With texts cut to what may be kept.
    static func cut(
        _ kind: Kind, _ subject: String, _ message: String, expected: String? = nil, found: String? = nil,
        owner: String? = nil, source: Source
    ) -> Drift {
        func short(_ text: String) -> String { String(text.prefix(Limit.text)) }
        return Drift(
            kind, short(subject), short(message), expected: expected.map(short), found: found.map(short),
            owner: owner, source: source, at: HostPlatform.now)
    }
}
