import Foundation
import Model
import TestKit
import Testing
import Trust

/// Logs as files, judged by the packages that Go's own checksum database is made with.
@Suite struct GoLogTests {
    @Test(.enabled(if: GoChecker.isThere, "skipped: no go"))
    func `Go's tlog and note agree with our roots, tiles, proofs and checkpoints`() throws {
        let go = try GoChecker()
        for size in [1, 5, 256, 257, 1000, 66_000] { try check(size, by: go) }
    }

    private func check(_ size: Int, by go: GoChecker) throws {
        let folder = try TemporaryFolder()
        let log = MemoryLog.numbered(size)
        try log.export(to: folder)
        let key = try SigningKey(generating: .ledger)
        let checkpoint = Checkpoint(origin: "imm.example/ledger", size: size, root: log.root)
        try folder.write("checkpoint", try checkpoint.signed(with: key).bytes)
        var random = SeededGenerator(seed: UInt64(size))
        var lines: [String] = []
        for _ in 0..<50 {
            // Go proves nothing about a log that is not longer, or has no entries.
            let total = Int.random(in: 1...size, using: &random)
            let leaf = Int.random(in: 0..<total, using: &random)
            let old = Int.random(in: 1...total, using: &random)
            func text(_ proof: [MerkleHash]) -> String {
                proof.map { Base64.encode($0.bytes) }.joined(separator: " ")
            }
            let tree = log.tree(total)
            lines.append("inclusion \(total) \(leaf) \(text(try tree.inclusion(of: leaf)))")
            lines.append("consistency \(old) \(total) \(text(try tree.consistency(since: old)))")
        }
        try folder.write("proofs", Array(lines.joined(separator: "\n").utf8))
        let verifier = try NoteKey(name: "imm.example/ledger", publicKey: key.publicKey)
        let said = go.check(folder.path, "\(verifier)")
        #expect(said.status == 0 && said.output.contains("proofs 100"), "\(said.output)")
        let counts = said.output.split { !$0.isNumber }.compactMap { Int($0) }
        // It ends at the first altered proof that Go takes.
        if counts.count == 3 {
            judged(
                by: "Go's tlog and note", "proofs of a log of \(size), altered ones", accepted: counts[1],
                of: 100, refused: counts[2], of: counts[2])
        }

        // And the other way: what Go signed.
        let goKey = try NoteKey(parsing: String(decoding: try folder.read("go-key"), as: UTF8.self))
        let goNote = try folder.read("go-checkpoint")
        let read = try Checkpoint(opening: goNote, with: goKey)
        #expect(read.size == size && read.root == log.root && read.origin == "go.example/log")
        #expect(failure { _ = try Checkpoint(opening: goNote, with: verifier) }?.code == .badSignature)

        // A log that lost an entry is none of Go's.
        try folder.write(
            "checkpoint",
            try Checkpoint(
                origin: "imm.example/ledger", size: size, root: MemoryLog.numbered(size - 1).root
            ).signed(with: key).bytes)
        #expect(go.check(folder.path, "\(verifier)").output.contains("Go's is"))
        let stranger = try NoteKey(
            name: "imm.example/ledger", publicKey: try SigningKey(generating: .ledger).publicKey)
        #expect(go.check(folder.path, "\(stranger)").output.contains("no verifiable signatures"))
    }
}
