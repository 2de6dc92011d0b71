import Foundation
import Model
import Notary
import Ports
import Storage
import Testing
import Trust
import TestKit

@Suite(.timeLimit(.minutes(60))) struct WitnessTests {
    @Test func `a witness signs each longer log, and its signature is kept with the checkpoint`() async throws
    {
        let scene = try await Scene()
        let witness = try await WitnessDouble(of: [scene.key.publicKey])
        let notary = try await scene.notary([witness], files: [scene.folder.path + "/checkpoint"])
        var size = 0
        for more in [1, 254, 3, 700] {
            try await scene.ledger.append(Fixture.entries(size..<size + more))
            size += more
            let outcome = try await notary.checkpoint(at: Fixture.now)
            #expect(outcome.warnings.isEmpty && outcome.alarms.isEmpty)
            #expect(outcome.cosignatures.map(\.key) == [witness.key])
            #expect(witness.size == size)
            let file = try SignedNote(
                parsing: Array(try Data(contentsOf: URL(fileURLWithPath: scene.folder.path + "/checkpoint"))))
            #expect(try Cosignature.all(under: file, by: [witness.key]).map(\.time) == [Fixture.now])
            #expect(try Checkpoint(opening: file.bytes, with: notary.verifier).size == size)
            let stored = try scene.ledger.checkpoints()
            #expect(
                stored.map(\.witness) == [nil, witness.key.name] && stored.allSatisfy { $0.size == size })
        }
        // Once for each: it is known where the witness is.
        #expect(witness.asked == 4)
    }

    @Test func `a witness that is further than was known is met where it is`() async throws {
        let scene = try await Scene(entries: 400)
        let witness = try await WitnessDouble(of: [scene.key.publicKey])
        _ = try await scene.notary([witness]).checkpoint(at: Fixture.now)
        // A copy of the log that does not know what its witness signed.
        let copy = try await Scene(forking: scene, at: 400, entries: 401)
        let outcome = try await copy.notary([witness]).checkpoint(at: Fixture.now)
        #expect(outcome.cosignatures.count == 1 && outcome.alarms.isEmpty && outcome.warnings.isEmpty)
        #expect(witness.asked == 3)
    }

    @Test(arguments: [100, 399, 400]) func `a log that was forked is told by its witness`(at size: Int)
        async throws
    {
        let scene = try await Scene(entries: 400)
        let witness = try await WitnessDouble(of: [scene.key.publicKey])
        _ = try await scene.notary([witness]).checkpoint(at: Fixture.now)
        let fork = try await Scene(forking: scene, at: size, entries: 500)
        let outcome = try await fork.notary([witness]).checkpoint(at: Fixture.now)
        #expect(outcome.alarms.map(\.code) == (size == 400 ? [] : [.logInconsistent]))
        #expect(outcome.cosignatures.count == (size == 400 ? 1 : 0))
        let same = try await Scene(forking: scene, at: 399, entries: 400)
        #expect(try await same.notary([witness]).checkpoint(at: Fixture.now).alarms.count == 1)
    }

    @Test func `a log that was cut off is told by its witness, also where all of it is gone`() async throws {
        let scene = try await Scene(entries: 400)
        let witness = try await WitnessDouble(of: [scene.key.publicKey])
        _ = try await scene.notary([witness]).checkpoint(at: Fixture.now)
        for size in [0, 1, 399] {
            let rest = try await Scene(forking: scene, at: size, entries: size)
            let refusal = await failure { _ = try await rest.notary([witness]).requirePast(at: Fixture.now) }
            #expect(refusal?.code == .logInconsistent)
            #expect(
                refusal?.message.contains("the last \(400 - size) ") ?? false,
                "\(String(describing: refusal))")
        }
    }

    @Test(
        arguments: [
            .forging, .signingOther, .unsigned, .fickle, .huge, .half, .silent, .status(500),
            .status(404),
            .status(403), .status(302), .wordy,
        ] as [WitnessDouble.Behaviour])
    func `a witness that gives no good signature is a warning, and nothing of it is kept`(
        _ behaviour: WitnessDouble.Behaviour
    ) async throws {
        let scene = try await Scene(entries: 10)
        let (bad, good) = (
            try await WitnessDouble("bad.example", of: [scene.key.publicKey]),
            try await WitnessDouble("good.example", of: [scene.key.publicKey])
        )
        bad.behave(behaviour)
        let notary = try await scene.notary([bad, good])
        let outcome = try await notary.checkpoint(at: Fixture.now)
        #expect(outcome.warnings.count == 1 && outcome.alarms.isEmpty, "\(outcome.warnings)")
        #expect(outcome.warnings.first?.message.contains("bad.example") ?? false)
        #expect(outcome.cosignatures.map(\.key) == [good.key])
        #expect(outcome.note.signatures.map(\.name) == [Fixture.origin, "good.example"])
        #expect(try scene.ledger.checkpoints().map(\.witness) == [nil, "good.example"])
        #expect(try await notary.requirePast(at: Fixture.now).count == 1)
    }

    @Test func `a witness that never ends its answer is given up`() async throws {
        let scene = try await Scene(entries: 10)
        let witness = try await WitnessDouble(of: [scene.key.publicKey])
        witness.behave(.slow)
        let notary = try await scene.notary([witness], client: Scene.impatient)
        let outcome = try await notary.checkpoint(at: Fixture.now)
        #expect(outcome.warnings.first?.message.contains("no whole answer within 500ms") ?? false)
        #expect(outcome.alarms.isEmpty && outcome.note.signatures.count == 1)
    }

    @Test(arguments: [.ahead(11), .forked] as [WitnessDouble.Behaviour])
    func `a witness that tells of another log is an alarm, and nothing starts`(
        _ behaviour: WitnessDouble.Behaviour
    ) async throws {
        let scene = try await Scene(entries: 10)
        let witness = try await WitnessDouble(of: [scene.key.publicKey])
        witness.behave(behaviour)
        let notary = try await scene.notary([witness])
        #expect(try await notary.checkpoint(at: Fixture.now).alarms.map(\.code) == [.logInconsistent])
        #expect(await failure { _ = try await notary.requirePast(at: Fixture.now) }?.code == .logInconsistent)
    }

    @Test func `nobody where a witness should be is a warning`() async throws {
        let scene = try await Scene(entries: 10)
        let witness = Witness(
            address: "http://127.0.0.1:9",
            key: try Cosignature.Key(name: "w", publicKey: try PrivateKey(generating: .ed25519).publicKey))
        let notary = try await Notary(
            ledger: scene.ledger, name: Fixture.origin, key: scene.key, witnesses: [witness],
            client: Scene.client)
        #expect(try await notary.checkpoint(at: Fixture.now).warnings.count == 1)
    }

    @Test func `a witness's key is read as it is written, and no other`() throws {
        let key = try Cosignature.Key(
            name: "w.example/1", publicKey: try PrivateKey(generating: .ed25519).publicKey)
        #expect(try Cosignature.Key(parsing: "\(key)") == key)
        let log = try NoteKey(name: "w.example/1", publicKey: key.publicKey)
        for text in ["\(log)", "w.example/1", "\(key)x", "x\(key)", ""] {
            #expect(throws: Failure.self, "\(text)") { try Cosignature.Key(parsing: text) }
        }
    }
}
