import Foundation
import Model
import Notary
import Ports
import Storage
import TestKit
import Testing
import Trust

@Suite(.timeLimit(.minutes(60))) struct LedgerExportTests {
    private static func files(_ folder: String) throws -> [String: Data] {
        var found: [String: Data] = [:]
        for path in try FileManager.default.subpathsOfDirectory(atPath: folder) {
            var isFolder: ObjCBool = false
            _ = FileManager.default.fileExists(atPath: "\(folder)/\(path)", isDirectory: &isFolder)
            if !isFolder.boolValue { found[path] = FileManager.default.contents(atPath: "\(folder)/\(path)") }
        }
        return found
    }

    private static func export(_ scene: Scene, _ folder: String) async throws -> Int {
        let outcome = try await scene.notary().checkpoint(at: Fixture.now)
        return try LedgerExport(scene.ledger, to: folder).run(
            outcome.checkpoint, outcome.note, keys: [scene.key.publicKey])
    }

    @Test(.enabled(if: GoChecker.isThere, "skipped: no go"))
    func `Go's tlog and note accept an exported ledger and single proofs, and refuse what was altered`()
        async throws
    {
        let go = try GoChecker()
        let scene = try await Scene()
        let folder = scene.folder.path + "/export"
        var (size, accepted, refused) = (0, 0, 0)
        for more in [1, 255, 1, 600, 512] {
            try await scene.ledger.append(Fixture.entries(size..<size + more))
            size += more
            _ = try await Self.export(scene, folder)
            let notary = try await scene.notary()
            let key = "\(try notary.verifier)"
            let said = go.check(folder, key)
            #expect(said.status == 0, "\(said.output)")
            accepted += 1
            // One entry, altered in the export and nowhere else.
            let bundle = "\(folder)/tile/entries/000" + (size < 256 ? ".p/\(size)" : "")
            let good = try Data(contentsOf: URL(fileURLWithPath: bundle))
            var bad = good
            bad[bad.count / 2] ^= 1
            try bad.write(to: URL(fileURLWithPath: bundle))
            #expect(go.check(folder, key).status != 0)
            try good.write(to: URL(fileURLWithPath: bundle))
            refused += 1
            let outcome = try await notary.checkpoint(at: Fixture.now)
            for number in Set([0, size / 3, size - 1]) {
                let entry = try scene.ledger.entry(number).bytes
                let proof = LedgerProof(
                    index: number, hashes: try scene.ledger.inclusion(of: number, size: size),
                    note: outcome.note)
                #expect(try LedgerProof(parsing: proof.bytes) == proof)
                #expect(try proof.proves(entry, signedBy: notary.verifier))
                let (proofFile, entryFile) = (scene.folder.path + "/proof", scene.folder.path + "/entry")
                func check(_ proof: [UInt8], _ entry: [UInt8], _ key: String) throws -> Bool {
                    try Data(proof).write(to: URL(fileURLWithPath: proofFile))
                    try Data(entry).write(to: URL(fileURLWithPath: entryFile))
                    return go.check(proof: proofFile, of: entryFile, key).status == 0
                }
                #expect(try check(proof.bytes, entry, key))
                accepted += 1
                let stranger = try NoteKey(
                    name: Fixture.origin, publicKey: try SigningKey(generating: .ledger).publicKey)
                var other = proof
                other.index = (number + 1) % size
                #expect(try !check(proof.bytes, entry + [32], key))
                #expect(try !check(proof.bytes, entry, "\(stranger)"))
                #expect(try size == 1 || !check(other.bytes, entry, key))
                #expect(try !proof.proves(entry + [32], signedBy: notary.verifier))
                refused += size == 1 ? 2 : 3
            }
        }
        print("Go's tlog, an exported ledger: accepted \(accepted), altered ones refused \(refused)")
    }

    @Test func `an export goes on where it ended or was interrupted, and ends up the same`() async throws {
        let scene = try await Scene(entries: 700)
        let (folder, whole) = (scene.folder.path + "/a", scene.folder.path + "/b")
        #expect(try await Self.export(scene, folder) == 8)
        #expect(try await Self.export(scene, folder) == 1)
        struct Interrupted: Error {}
        try await scene.ledger.append(Fixture.entries(700..<1300))
        let outcome = try await scene.notary().checkpoint(at: Fixture.now)
        let export = LedgerExport(scene.ledger, to: folder)
        #expect(throws: Interrupted.self) {
            try export.run(outcome.checkpoint, outcome.note, keys: [scene.key.publicKey]) { _ in
                throw Interrupted()
            }
        }
        // What is there is still that of before.
        #expect(
            try export.checkpointFile.read(origin: Fixture.origin, keys: [scene.key.publicKey])?.size == 700)
        _ = try await Self.export(scene, folder)
        _ = try await Self.export(scene, whole)
        let (resumed, fresh) = (try Self.files(folder), try Self.files(whole))
        #expect(fresh.allSatisfy { resumed[$0.key] == $0.value })
        #expect(!resumed.keys.contains { $0.hasSuffix(".new") })
        #expect(Set(fresh.keys).contains("tile/1/000.p/5") && Set(fresh.keys).contains("tile/entries/004"))
        #expect(!resumed.keys.contains("tile/0/002.p/188"), "the whole tile has taken its place")
    }

    @Test func `an export of another log is not written over`() async throws {
        let scene = try await Scene(entries: 300)
        let folder = scene.folder.path + "/a"
        _ = try await Self.export(scene, folder)
        let before = try Self.files(folder)
        let fork = try await Scene(forking: scene, at: 100, entries: 400)
        #expect(await failure { _ = try await Self.export(fork, folder) }?.code == .logInconsistent)
        #expect(try Self.files(folder) == before)
        // Nor one whose checkpoint is gone.
        try FileManager.default.removeItem(atPath: folder + "/checkpoint")
        #expect(await failure { _ = try await Self.export(fork, folder) }?.code == .logInconsistent)
        let stranger = try await Scene(entries: 300)
        _ = try await Self.export(scene, folder)
        #expect(await failure { _ = try await Self.export(stranger, folder) }?.code == .badSignature)
    }

    @Test(arguments: ["", "\n\n", "c2sp.org/tlog-proof@v1\nindex -1\n\nx", "c2sp.org/tlog-proof@v1\n\nx"])
    func `what is no proof is refused`(_ text: String) {
        #expect(throws: Failure.self) { try LedgerProof(parsing: Array(text.utf8)) }
    }
}
