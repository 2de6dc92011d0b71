internal import FoundationEssentials
internal import Glibc
internal import Model

/// The records of sessions in ROOT/sessions: `7.json` says who, why and how it ended, `7.cast` is the recording. Only root
/// can read them: what was typed is in there.
struct SessionFolder: Sendable {
    let path: String

    /// Sessions that are remembered: what is older is removed with its recording. The ledger keeps the digests of all.
    static let kept = 500
    /// Bytes of recordings that are kept; the oldest go first, never one of a session that goes on.
    static let keptBytes = 1 << 30

    init(_ root: HostRoot) { path = root.path + "/sessions" }

    func recording(_ number: Int) -> String { "\(path)/\(number).cast" }
    private func record(_ number: Int) -> String { "\(path)/\(number).json" }

    /// Numbers of all that is remembered, oldest first.
    var numbers: [Int] {
        Files.names(in: path).compactMap { $0.hasSuffix(".json") ? Int($0.dropLast(5)) : nil }.sorted()
    }

    /// The session with the next number, which nobody had before, on disk.
    func add(_ session: Session) throws -> Session {
        try Files.makeFolder(path, mode: 0o700)
        let numbers = numbers
        var session = session
        session.number = (numbers.last ?? 0) + 1
        session.isTold = false
        try write(session)
        trim(numbers)
        return session
    }

    private func trim(_ numbers: [Int]) {
        for old in numbers.dropLast(SessionFolder.kept - 1) { forget(old) }
        var bytes = 0
        for number in numbers.suffix(SessionFolder.kept - 1).reversed() {
            var info = stat()
            guard lstat(recording(number), &info) == 0 else { continue }
            bytes += Int(info.st_size)
            if bytes > SessionFolder.keptBytes, read(number)?.end != nil { forget(number) }
        }
    }

    private func forget(_ number: Int) {
        unlink(recording(number))
        unlink(record(number))
    }

    func write(_ session: Session) throws {
        try Files.replace(
            record(session.number), with: Array(JSONEncoder().encode(session)), durably: true, mode: 0o600)
    }

    func read(_ number: Int) -> Session? {
        Files.read(record(number)).flatMap { try? JSONDecoder().decode(Session.self, from: Data($0)) }
    }
}
