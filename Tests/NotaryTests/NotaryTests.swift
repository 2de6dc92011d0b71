import Foundation
import Model
import Notary
import Ports
import Storage
import Synchronization
import Testing
import Trust

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
            // Nor is the evidence written over.
            let outcome = try await notary.checkpoint(at: Fixture.now)
            #expect(outcome.alarms.map(\.code) == [.logInconsistent])
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
