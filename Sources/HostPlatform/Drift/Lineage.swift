internal import Glibc
internal import Synchronization

/// From whom a process descends. Parents change while one looks, so an answer of no is given only after as many looks
/// as `attempts`.
struct Lineage {
    /// The first process of an instance.
    let first: LiveProcess
    let namespaces: Namespaces
    /// What commands carry in their environment that Kiln itself runs in this instance.
    let mark: String?
    /// Who was found to belong to it before: nobody's whole line has to be walked twice.
    var members: Members?

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
            if let again = Lineage.chain(of: now), again.map(\.pid) == chain.map(\.pid) {
                // The numbers of namespaces are given again at once: those of an instance that is over may be the next
                // one's, and who is in them now is nothing of it.
                return first.isAlive ? .foreign : .gone
            }
        }
        return .gone
    }

    /// The quick way to the usual answer: up to the first process, or to one that is known to descend from it, and no
    /// further.
    private func isMember(_ process: ProcessView) -> Bool {
        if members?.has(process, of: first) == true { return true }
        var line = [process]
        var parent = process.parent
        for _ in 0..<Limit.depth where parent > 1 {
            guard let next = ProcessView(parent, withNamespaces: false) else { return false }
            if parent == first.pid {
                guard next.startTime == first.startTime else { return false }
                members?.add(line, of: first)
                return true
            }
            if members?.has(next, of: first) == true {
                members?.add(line, of: first)
                return true
            }
            line.append(next)
            parent = next.parent
        }
        return false
    }

    /// Processes that were found to descend from the first one of an instance. They do so for as long as they live: one
    /// whose parent ends becomes the child of an ancestor, or of the first process.
    final class Members: Sendable {
        private struct Entry {
            var startTime: UInt64
            var first: LiveProcess
        }

        /// Beyond this all are found anew.
        private static let most = 1 << 16
        private let entries = Mutex<[Int32: Entry]>([:])

        var count: Int { entries.withLock { $0.count } }

        func has(_ process: ProcessView, of first: LiveProcess) -> Bool {
            entries.withLock { entries in
                guard let entry = entries[process.pid] else { return false }
                return entry.startTime == process.startTime && entry.first == first
            }
        }

        func add(_ line: [ProcessView], of first: LiveProcess) {
            entries.withLock { entries in
                if entries.count + line.count > Members.most { entries = [:] }
                for process in line {
                    entries[process.pid] = Entry(startTime: process.startTime, first: first)
                }
            }
        }
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
