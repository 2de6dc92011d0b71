internal import Glibc

/// From whom a process descends. Parents change while one looks, so an answer of no is given only after as many looks
/// as `attempts`.
struct Lineage {
    /// The first process of an instance.
    let first: LiveProcess
    let namespaces: Namespaces
    /// What commands carry in their environment that Kiln itself runs in this instance.
    let mark: String?

    enum Answer: Hashable {
        /// The instance's first process, or a descendant of it.
        case member
        /// Begun by Kiln: a health check, a session.
        case ours
        case foreign
        /// It ended before it could be asked.
        case gone
    }

    enum Limit {
        /// Generations; a host's processes are rarely ten deep, and a fork bomb's are bounded by `pids`.
        static let depth = 4096
        static let attempts = 3
        static let environment = 64 << 10
    }

    func answer(for process: ProcessView) -> Answer {
        if process.pid == first.pid { return process.startTime == first.startTime ? .member : .gone }
        if isMember(process) { return .member }
        for _ in 0..<Limit.attempts {
            guard let now = ProcessView(process.pid), now.startTime == process.startTime, !now.hasEnded else {
                return .gone
            }
            guard let chain = Lineage.chain(of: now) else { continue }
            if chain.contains(where: { $0.pid == first.pid && $0.startTime == first.startTime }) {
                return .member
            }
            if isOurs([now] + chain) { return .ours }
            // A parent that ended meanwhile gave its children away: the chain of a moment ago is no proof.
            if let again = Lineage.chain(of: now), again.map(\.pid) == chain.map(\.pid) { return .foreign }
        }
        return .gone
    }

    /// The quick way to the usual answer: up to the first process and no further.
    private func isMember(_ process: ProcessView) -> Bool {
        var parent = process.parent
        for _ in 0..<Limit.depth where parent > 1 {
            guard let next = ProcessView(parent, withNamespaces: false) else { return false }
            if parent == first.pid { return next.startTime == first.startTime }
            parent = next.parent
        }
        return false
    }

    /// All ancestors, the parent first; nil where one of them ended while we looked.
    private static func chain(of process: ProcessView) -> [ProcessView]? {
        var chain: [ProcessView] = []
        var parent = process.parent
        while parent > 0, chain.count < Limit.depth {
            guard let next = ProcessView(parent) else { return nil }
            chain.append(next)
            parent = next.parent
        }
        return chain
    }

    /// One of ours carries the mark outside of the instance, where nothing inside can put it; or it lost its parent and
    /// became our own child, as no process does that somebody else began.
    private func isOurs(_ chain: [ProcessView]) -> Bool {
        let outside = chain.drop { isInside($0) }
        if let adopter = outside.first, adopter.pid == getpid(), outside.count < chain.count { return true }
        guard let mark else { return outside.contains { $0.pid == getpid() } }
        let entry = Array((Lineage.variable + "=" + mark).utf8)
        return chain.contains { process in
            guard process.pid != getpid(), process.pid != 1,
                let environment = ProcessFile.read(process.pid, "environ", limit: Limit.environment)
            else { return false }
            return environment.split(separator: 0).contains { $0.elementsEqual(entry) }
        }
    }

    private func isInside(_ process: ProcessView) -> Bool {
        for index in 0..<Namespaces.own
        where process.namespaces.inodes[index] == namespaces.inodes[index] && namespaces.inodes[index] != 0 {
            return true
        }
        return false
    }

    static let variable = "KILN_EXECUTION"
}
