import Foundation
import Model
import Notary
import Storage
import TestKit
import Testing
import Trust

/// The program itself before a witness. Needs root, as the daemon does.
@Suite(.timeLimit(.minutes(60))) struct ProgramTests {
    static let path = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent().appendingPathComponent("kiln").path

    @Test func `a daemon shows its ledger to its witness, and does not start on less than that has seen`()
        async throws
    {
        let folder = try TemporaryFolder()
        let root = folder.path + "/root"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        func kiln(_ arguments: String) -> (status: Int32, output: String) {
            shell("'\(ProgramTests.path)' \(arguments) --root '\(root)'")
        }
        /// Serves until the daemon answers, and then stops; or to the end of one that does not start.
        func serve(_ options: String) -> (status: Int32, output: String) {
            shell(
                """
                '\(ProgramTests.path)' serve --root '\(root)' \(options) 2>&1 & daemon=$!
                for _ in {1..600}; do
                    '\(ProgramTests.path)' status --root '\(root)' >/dev/null 2>&1 && break
                    kill -0 $daemon 2>/dev/null || break
                    sleep 0.1
                done
                kill -TERM $daemon 2>/dev/null
                wait $daemon
                """)
        }
        try await LedgerFile(root + "/kiln.db").append(Fixture.entries(0..<5))
        let signed = kiln("ledger checkpoint --ledger-name \(Fixture.origin)")
        let key = try #require(signed.output.split(separator: "\n").last { $0.hasPrefix("key: ") })
        let verifier = try NoteKey(parsing: String(key.dropFirst(5)))
        let witness = try await WitnessDouble(of: [verifier.publicKey])
        let options = "--witness \(witness.witness.address) --witness-key '\(witness.key)'"

        let shown = kiln("ledger checkpoint \(options)")
        #expect(shown.status == 0 && shown.output.contains("— \(witness.key.name) "), "\(shown.output)")
        #expect(witness.size == 6)
        #expect(shell("cp -a '\(root)' '\(folder.path)/copy'").status == 0)

        try await LedgerFile(root + "/kiln.db").append(Fixture.entries(6..<20))
        let served = serve(options)
        #expect(served.status == 0, "\(served.output)")
        // The daemon logs that it serves, too.
        let size = witness.size
        let kept = try LedgerFile.reading(root + "/kiln.db").head().size
        #expect(size > 20 && size == kept)
        #expect(kiln("ledger verify").output.contains("the checkpoint that \(witness.key.name) signed"))

        #expect(shell("rm -r '\(root)' && mv '\(folder.path)/copy' '\(root)'").status == 0)
        let refused = serve(options)
        #expect(
            refused.status == 1
                && refused.output.contains("has seen \(size): the last \(size - 6) are missing"),
            "\(refused.output)")
        let alarm = kiln("ledger checkpoint \(options)")
        #expect(
            alarm.status == 1 && alarm.output.contains("the last \(size - 6) are missing"), "\(alarm.output)")

        // Without a witness that answers, the daemon starts.
        witness.behave(.silent)
        let alone = serve(options)
        #expect(
            alone.output.contains("did not answer") && alone.output.contains("serving"), "\(alone.output)")
        #expect(kiln("ledger checkpoint \(options)").status == 3)
        #expect(kiln("serve --witness 127.0.0.1 --witness-key '\(witness.key)'").status == 2)
        #expect(kiln("serve --witness http://127.0.0.1 --witness-key nothing").status == 1)
    }
}
