internal import ArgumentParser
internal import Foundation
internal import Model
internal import Notary
internal import Ports
internal import Trust

/// What others check without this program.
extension LedgerVerb {
    struct Prove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print a proof that an entry is in the log, for whoever has the log's key.",
            discussion: """
                The proof is in the form of c2sp.org/tlog-proof: the entry's number, the hashes from it to the
                root, and the signed checkpoint. `--entry` writes the entry's own bytes, which it is about.

                Examples:
                  kiln ledger prove 4711 > proof
                  kiln ledger prove 4711 --entry entry.json > proof
                  kiln ledger prove 4711 --output json
                """)

        @Argument(help: "The entry's number.")
        var number: Int
        @Option(
            name: .customLong("entry"),
            help: ArgumentHelp("Write the entry here, byte for byte.", valueName: "file"), completion: .file()
        )
        var entryFile: String?
        @OptionGroup var ledger: LedgerOptions
        @OptionGroup var output: OutputOptions

        struct Answer: Encodable {
            var number: Int; var size: Int; var leaf: String; var root: String; var proof: [String]
            var entry: String; var checkpoint: String; var key: String?
        }

        func validate() throws {
            guard number >= 0 else { throw ValidationError("The first entry is number 0.") }
        }

        func run() async throws {
            let archive = try ledger.open()
            let entry = try archive.entry(number)
            let (checkpoint, note) = try await ledger.signedHead(of: archive, covering: number + 1)
            // A checkpoint that is not this log's would lead nowhere.
            try archive.requireConsistency(with: checkpoint, from: "its checkpoint")
            let proof = LedgerProof(
                index: number, hashes: try archive.inclusion(of: number, size: checkpoint.size), note: note)
            if let entryFile {
                guard FileManager.default.createFile(atPath: entryFile, contents: Data(entry.bytes)) else {
                    throw Failure(.notPermitted, "the entry cannot be written here", at: entryFile)
                }
            }
            guard output.output == .json else {
                return Screen.draw(String(decoding: proof.bytes, as: UTF8.self))
            }
            let signer = try ledger.knownKeys().map { try NoteKey(name: checkpoint.origin, publicKey: $0) }
            try Screen.answer(
                Answer(
                    number: number, size: checkpoint.size,
                    leaf: Base64.encode(MerkleHash(leaf: entry.bytes).bytes),
                    root: Base64.encode(checkpoint.root.bytes),
                    proof: proof.hashes.map { Base64.encode($0.bytes) },
                    entry: Base64.encode(entry.bytes),
                    checkpoint: String(decoding: note.bytes, as: UTF8.self),
                    key: try note.signers(signer).first.map { "\($0)" }))
        }
    }

    struct CheckpointCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "checkpoint",
            abstract: "Sign the head of the log as it is now, and put it where it outlives this host.",
            discussion: """
                The daemon does this by itself, a few seconds after something was logged. Printed is the
                checkpoint, and after it the key that other programs check it with.

                Examples:
                  sudo kiln ledger checkpoint
                  sudo kiln ledger checkpoint --file /mnt/elsewhere/checkpoint
                  sudo kiln ledger checkpoint --witness https://witness.example --witness-key w.example+5a…+BK…
                """)

        @Option(
            name: .customLong("file"),
            help: ArgumentHelp(
                "Put it here too, best on another machine's disk. Repeatable.", valueName: "path"),
            completion: .file())
        var files: [String] = []
        @OptionGroup var witnesses: WitnessOptions
        @OptionGroup var ledger: LedgerOptions
        @OptionGroup var output: OutputOptions

        struct Answer: Encodable {
            var origin: String; var size: Int; var root: String; var key: String; var checkpoint: String
            var witnesses: [String]; var warnings: [Failure]
        }

        func run() async throws {
            let (outcome, key) = try await ledger.withNotary(
                name: witnesses.ledgerName, files: files, witnesses: try witnesses.witnesses()
            ) {
                (try await $0.checkpoint(at: Instant.fromClock), try $0.verifier)
            }
            if let alarm = outcome.alarms.first { throw alarm }
            let note = String(decoding: outcome.note.bytes, as: UTF8.self)
            switch output.output {
            case .json:
                try Screen.answer(
                    Answer(
                        origin: outcome.checkpoint.origin, size: outcome.checkpoint.size,
                        root: Base64.encode(outcome.checkpoint.root.bytes), key: "\(key)", checkpoint: note,
                        witnesses: outcome.cosignatures.map(\.key.name), warnings: outcome.warnings))
            case .text:
                Screen.draw(note)
                Screen.tell("key: \(key)")
                for warning in outcome.warnings { Screen.warn("\(warning)") }
            }
            // It was asked for by name, and is not there.
            if let worst = outcome.warnings.map(\.exitCode).max() { throw ExitCode(worst) }
        }
    }

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Copy the log into files that any web server can serve and other programs read.",
            discussion: """
                The layout is that of c2sp.org/tlog-tiles: checkpoint, tile/LEVEL/N and tile/entries/N. The same
                command again adds what is new, and goes on where it was interrupted.

                Example:
                  kiln ledger export /srv/ledger
                """)

        @Argument(help: "The folder.", completion: .directory)
        var folder: String
        @OptionGroup var ledger: LedgerOptions
        @OptionGroup var output: OutputOptions

        struct Answer: Encodable { var folder: String; var size: Int; var written: Int }

        func run() async throws {
            let archive = try ledger.open()
            let (checkpoint, note) = try await ledger.signedHead(
                of: archive, covering: try archive.head().size)
            let keys = try ledger.knownKeys()
            let export = LedgerExport(archive, to: folder)
            let written = try await Interruption.cancelling {
                try export.run(checkpoint, note, keys: keys) { Screen.progress("copying \(Int($0 * 100)) %") }
            }
            switch output.output {
            case .json: try Screen.answer(Answer(folder: folder, size: checkpoint.size, written: written))
            case .text:
                let size = counted(checkpoint.size, "entry", "entries")
                Screen.answer("\(folder) has \(size): \(counted(written, "file")) written")
            }
        }
    }
}
