import Foundation
import Model
import Notary
import Ports
import Storage
import Synchronization
import Testing
import Trust
import TestKit

@Suite(.timeLimit(.minutes(60))) struct NotaryTests {
    @Test func `a log keeps the name that it was given first`() async throws {
        let scene = try await Scene(entries: 1)
        #expect(try await scene.notary().origin == Fixture.origin)
        let second = try await Notary(
            ledger: scene.ledger, name: "other", key: scene.key, client: Scene.client)
        #expect(second.origin == Fixture.origin)
        let other = try await Scene(entries: 1)
        let refusal = await failure {
            _ = try await Notary(ledger: other.ledger, name: "a name", key: other.key, client: Scene.client)
        }
        #expect(refusal?.code == .keyUnusable)
    }

    @Test func `a checkpoint lies in every file that it can be put into`() async throws {
        let scene = try await Scene(entries: 5)
        let files = ["/a", "/b", "/none/c"].map { scene.folder.path + $0 }
        let notary = try await scene.notary(files: files)
        let outcome = try await notary.checkpoint(at: Fixture.now)
        #expect(outcome.warnings.map(\.code) == [.fileMissing] && outcome.warnings[0].place == files[2])
        for file in files.prefix(2) {
            let note = Array(try Data(contentsOf: URL(fileURLWithPath: file)))
            #expect(try Checkpoint(opening: note, with: notary.verifier) == outcome.checkpoint)
        }
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: scene.folder.path).filter {
                $0.contains("new")
            }
            .isEmpty)
    }

    @Test func `a shorter log is refused by what any file elsewhere tells, with how much is missing`()
        async throws
    {
        let scene = try await Scene(entries: 300)
        let file = scene.folder.path + "/elsewhere"
        _ = try await scene.notary(files: [file]).checkpoint(at: Fixture.now)
        #expect(try await scene.notary(files: [file]).requirePast(at: Fixture.now).isEmpty)
        for size in [0, 10, 299] {
            let rest = try await Scene(forking: scene, at: size, entries: size)
            let notary = try await rest.notary(files: [file])
            let refusal = await failure { _ = try await notary.requirePast(at: Fixture.now) }
            #expect(refusal?.code == .logInconsistent)
            #expect(
                refusal?.message.contains("and \(file) tells of 300: the last \(300 - size) ") ?? false,
                "\(String(describing: refusal))")
            // Nor is it signed, or the evidence written over.
            let signing = await failure { _ = try await notary.checkpoint(at: Fixture.now) }
            #expect(signing?.code == .logInconsistent && signing?.message == refusal?.message)
            #expect(try rest.ledger.checkpoints().isEmpty)
            #expect(
                try CheckpointFile(file).read(origin: Fixture.origin, keys: [scene.key.publicKey])?.size
                    == 300)
        }
        let fork = try await Scene(forking: scene, at: 299, entries: 310)
        let refusal = await failure { _ = try await fork.notary(files: [file]).requirePast(at: Fixture.now) }
        #expect(refusal?.code == .logInconsistent && refusal!.message.contains("rewritten"))
        let longer = try await Scene(forking: scene, at: 300, entries: 310)
        #expect(try await longer.notary(files: [file]).requirePast(at: Fixture.now).isEmpty)
    }

    @Test func `whoever changes the log under a daemon that runs gets no signature for it`() async throws {
        for isSigned in [true, false] {
            let scene = try await Scene(entries: 20)
            let fork = try await Scene(forking: scene, at: 19, entries: 30)
            let shorter = try await Scene(forking: scene, at: 19, entries: 19)
            let archive = ChangingArchive(scene.ledger)
            let notary = try await Notary(
                ledger: archive, name: Fixture.origin, key: scene.key, client: Scene.client)
            // As at a daemon's start, which remembers what it found, signed or not.
            _ = try await notary.requirePast(at: Fixture.now)
            if isSigned { _ = try await notary.checkpoint(at: Fixture.now) }
            for other in [fork, shorter] {
                archive.change(to: other.ledger)
                let refusal = await failure { _ = try await notary.checkpoint(at: Fixture.now) }
                #expect(refusal?.code == .logInconsistent)
                #expect(try other.ledger.checkpoints().isEmpty)
            }
            archive.change(to: scene.ledger)
            try await scene.ledger.append(Fixture.entries(20..<22))
            #expect(try await notary.checkpoint(at: Fixture.now).checkpoint.size == 22)
        }
    }

    @Test func `what a witness doubts is not signed again before it doubts no more`() async throws {
        let scene = try await Scene(entries: 10)
        let witness = try await WitnessDouble(of: [scene.key.publicKey])
        let notary = try await scene.notary([witness])
        _ = try await notary.checkpoint(at: Fixture.now)
        witness.behave(.forked)
        try await scene.ledger.append(Fixture.entries(10..<12))
        #expect(try await notary.checkpoint(at: Fixture.now).alarms.count == 1)
        try await scene.ledger.append(Fixture.entries(12..<14))
        let refusal = await failure { _ = try await notary.checkpoint(at: Fixture.now, asking: false) }
        #expect(refusal?.code == .logInconsistent)
        #expect(try await notary.checkpoint(at: Fixture.now).alarms.count == 1)
        #expect(try scene.ledger.checkpoints().first { $0.witness == nil }?.size == 12)
        witness.behave(.good)
        #expect(try await notary.checkpoint(at: Fixture.now).alarms.isEmpty)
        #expect(try await notary.checkpoint(at: Fixture.now, asking: false).checkpoint.size == 14)
    }

    @Test func `a file with something else in it is refused, and left as it is`() async throws {
        let scene = try await Scene(entries: 3)
        let stranger = try SigningKey(generating: .ledger)
        let other = Checkpoint(origin: "other.example", size: 1, root: .empty)
        let forged = Checkpoint(origin: Fixture.origin, size: 1, root: .empty)
        for bytes in [
            [], Array("hello".utf8), try other.signed(with: scene.key).bytes,
            try forged.signed(with: stranger).bytes,
            [UInt8](repeating: 10, count: 2 << 20),
        ] {
            let file = scene.folder.path + "/checkpoint"
            try Data(bytes).write(to: URL(fileURLWithPath: file))
            let notary = try await scene.notary(files: [file])
            let refusal = await failure { _ = try await notary.requirePast(at: Fixture.now) }
            #expect(refusal?.place == file && refusal?.suggestion != nil)
            #expect(try await notary.checkpoint(at: Fixture.now).warnings.count == 1)
            #expect(FileManager.default.contents(atPath: file) == Data(bytes))
        }
    }

    @Test func `checkpoints of a key that was rotated away still count`() async throws {
        let scene = try await Scene(entries: 20)
        let file = scene.folder.path + "/checkpoint"
        _ = try await scene.notary(files: [file]).checkpoint(at: Fixture.now)
        let next = try SigningKey(generating: .ledger)
        let notary = try await Notary(
            ledger: scene.ledger, name: "-", key: next, known: [scene.key.publicKey],
            files: [CheckpointFile(file)], client: Scene.client)
        #expect(try await notary.requirePast(at: Fixture.now).isEmpty)
        #expect(try await notary.checkpoint(at: Fixture.now).warnings.isEmpty)
        #expect(try CheckpointFile(file).read(origin: Fixture.origin, keys: [next.publicKey])?.size == 20)
    }

    @Test
    func
        `a keeper signs with the key that is the ledger's by then, and with the old one where it cannot be had`()
        async throws
    {
        let scene = try await Scene(entries: 3)
        let next = try SigningKey(generating: .ledger)
        let isRotated = Mutex(false)
        let isGone = Mutex(false)
        let told = Mutex<[[Failure]]>([])
        let file = CheckpointFile(scene.folder.path + "/checkpoint")
        let old = scene.key.publicKey
        let keeper = LedgerKeeper(try await scene.notary(files: [file.path]), clock: QuickClock()) { notary in
            if isGone.withLock({ $0 }) { throw Failure(.keyUnusable, "the key has a passphrase") }
            return isRotated.withLock { $0 } ? notary.signing(with: next, known: [old]) : notary
        } tell: { warnings, _ in
            told.withLock { $0.append(warnings) }
        }
        await keeper.finish()
        #expect(try file.read(origin: Fixture.origin, keys: [old])?.size == 3)
        isRotated.withLock { $0 = true }
        try await scene.ledger.append(Fixture.entries(3..<7))
        await keeper.finish()
        #expect(try file.read(origin: Fixture.origin, keys: [next.publicKey])?.size == 7)
        isGone.withLock { $0 = true }
        try await scene.ledger.append(Fixture.entries(7..<8))
        try await withThrowingTaskGroup { group in
            group.addTask { await keeper.run() }
            for _ in 0..<30_000 where told.withLock(\.isEmpty) {
                try await Task.sleep(for: .milliseconds(10))
            }
            group.cancelAll()
        }
        #expect(told.withLock { $0.first?.first?.code } == .keyUnusable)
        #expect(
            try scene.ledger.checkpoints().first?.size == 8, "a log that nobody signs can be changed unseen")
    }

    @Test func `a keeper signs what is logged, and the rest at the end`() async throws {
        let scene = try await Scene()
        let witness = try await WitnessDouble(of: [scene.key.publicKey])
        let notary = try await scene.notary([witness])
        let told = Mutex<[Int]>([])
        let keeper = LedgerKeeper(notary, clock: QuickClock()) { warnings, _ in
            told.withLock { $0.append(warnings.count) }
        }
        func wait(for size: Int) async throws {
            for _ in 0..<30_000 where witness.size != size { try await Task.sleep(for: .milliseconds(10)) }
            #expect(witness.size == size)
        }
        try await withThrowingTaskGroup { group in
            group.addTask { await keeper.run() }
            try await scene.ledger.append(Fixture.entries(0..<3))
            try await wait(for: 3)
            witness.behave(.status(500))
            try await scene.ledger.append(Fixture.entries(3..<9))
            // Without its witness the log goes on being signed.
            for _ in 0..<30_000 where try scene.ledger.checkpoints().first?.size != 9 {
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(try scene.ledger.checkpoints().map(\.size) == [9, 3])
            for _ in 0..<30_000 where told.withLock(\.isEmpty) {
                try await Task.sleep(for: .milliseconds(10))
            }
            witness.behave(.good)
            try await wait(for: 9)
            for _ in 0..<30_000 where told.withLock(\.count) < 2 {
                try await Task.sleep(for: .milliseconds(10))
            }
            group.cancelAll()
        }
        #expect(told.withLock { $0 } == [1, 0])
        try await scene.ledger.append(Fixture.entries(9..<10))
        let asked = witness.asked
        await keeper.finish()
        await keeper.finish()
        #expect(witness.size == 10 && witness.asked == asked + 1)
    }
}

/// Sleeps a thousandth of what it is asked to.
private struct QuickClock: Ports.Clock {
    var now: Model.Instant { Fixture.now }
    func sleep(for span: Span) async throws {
        try await Task.sleep(for: .milliseconds(span.milliseconds / 1000))
    }
}

/// A log in whose place somebody puts another one.
private final class ChangingArchive: LedgerArchive {
    private let now: Mutex<LedgerFile>

    init(_ ledger: LedgerFile) { now = Mutex(ledger) }

    func change(to ledger: LedgerFile) { now.withLock { $0 = ledger } }

    private var ledger: LedgerFile { now.withLock { $0 } }

    func append(_ entries: [LedgerEntry]) async throws -> Int { try await ledger.append(entries) }
    func head() throws -> (size: Int, root: MerkleHash) { try ledger.head() }
    func root(size: Int) throws -> MerkleHash { try ledger.root(size: size) }
    func inclusion(of entry: Int, size: Int) throws -> [MerkleHash] {
        try ledger.inclusion(of: entry, size: size)
    }
    func consistency(from older: Int, to size: Int) throws -> [MerkleHash] {
        try ledger.consistency(from: older, to: size)
    }
    func hashes(_ nodes: [MerkleNode]) throws -> [MerkleHash] { try ledger.hashes(nodes) }
    func entry(_ number: Int) throws -> LoggedEntry { try ledger.entry(number) }
    func entries(_ query: LedgerQuery, order: LedgerOrder, limit: Int) throws -> [LoggedEntry] {
        try ledger.entries(query, order: order, limit: limit)
    }
    func verify(_ checkpoints: [Checkpoint], progress: (_ read: Int, _ size: Int) throws -> Void) throws
        -> LedgerReport
    { try ledger.verify(checkpoints, progress: progress) }
    func requireWholeEnd() throws { try ledger.requireWholeEnd() }
    func origin() throws -> String? { try ledger.origin() }
    func named(_ origin: String) async throws -> String { try await ledger.named(origin) }
    func checkpoints() throws -> [StoredCheckpoint] { try ledger.checkpoints() }
    func store(_ checkpoint: StoredCheckpoint) async throws { try await ledger.store(checkpoint) }
}
