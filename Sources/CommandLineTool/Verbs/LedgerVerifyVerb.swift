internal import ArgumentParser
internal import Foundation
internal import Model
internal import Notary
internal import Ports
internal import Trust

extension LedgerVerb {
    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Compare all of the log with itself, and with what others know of it.",
            discussion: """
                Every entry is hashed again, and every tile, the head and the index are made again. That finds
                what was changed in the database; what was cut off or written anew as a whole is found by a
                checkpoint that lies elsewhere. Ends with 0 where all is as it was logged, and with 1 where
                something is not, with the first entry that differs.

                Examples:
                  kiln ledger verify
                  kiln ledger verify --checkpoint /mnt/elsewhere/checkpoint
                  kiln ledger verify --checkpoint c --key host.example/ledger+1b0f7a4c+AT…
                """)

        @Option(
            name: .customLong("checkpoint"),
            help: ArgumentHelp("A checkpoint that lies elsewhere. Repeatable.", valueName: "file"),
            completion: .file())
        var files: [String] = []
        @Option(
            name: .customLong("key"),
            help: ArgumentHelp(
                "The ledger's key, as `kiln ledger checkpoint` shows it (default: those in the folder of keys).",
                valueName: "vkey"))
        var verifiers: [String] = []
        @OptionGroup var ledger: LedgerOptions
        @OptionGroup var output: OutputOptions

        struct Answer: Encodable {
            struct Compared: Encodable {
                var place: String; var size: Int; var signedBy: [String]
                /// Why nobody who signed it is to be believed now.
                var doubt: String?
            }
            var isWhole: Bool; var size: Int; var root: String; var entry: Int?; var problem: String?
            var checkpoints: [Compared]
        }

        func run() async throws {
            let ledger = try ledger.open()
            var compared: [(place: String, note: SignedNote, checkpoint: Checkpoint)] = []
            let ring = (try? self.ledger.keys.folder(self.ledger.root).ring()) ?? KeyRing()
            let keys = try signers(ledger)
            for stored in try ledger.checkpoints() {
                let place = stored.witness.map { "the checkpoint that \($0) signed" } ?? "the last checkpoint"
                do {
                    compared.append(
                        (place, try SignedNote(parsing: stored.note), try opened(stored.note, keys, ledger)))
                } catch let failure as Failure {
                    Screen.warn("\(failure.at(place))")
                }
            }
            for file in files {
                guard let note = try KeyFolder.read(file, limit: SignedNote.Limit.bytes) else {
                    throw Failure(.fileMissing, "there is no such checkpoint", at: file)
                }
                do {
                    compared.append((file, try SignedNote(parsing: note), try opened(note, keys, ledger)))
                } catch let failure as Failure {
                    throw failure.at(file)
                }
            }
            let checkpoints = compared.map(\.checkpoint)
            let report = try await Interruption.cancelling {
                try ledger.verify(checkpoints) { read, size in
                    Screen.progress("checking \(read * 100 / max(size, 1)) %")
                }
            }
            let known = try compared.map {
                Answer.Compared(
                    place: $0.place, size: $0.checkpoint.size, signedBy: $0.note.signatures.map(\.name),
                    doubt: try doubt($0.note, keys, ring))
            }
            if output.output == .json {
                try Screen.answer(
                    Answer(
                        isWhole: report.problem == nil, size: report.size,
                        root: Base64.encode(report.root.bytes),
                        entry: report.problem?.entry, problem: report.problem?.what, checkpoints: known))
                if report.problem != nil { throw ExitCode(1) }
                return
            }
            if let problem = report.problem {
                throw Failure(
                    .logInconsistent, problem.what, at: self.ledger.root.path + "/kiln.db",
                    suggestion: report.size > 0
                        ? "the \(report.size) before are as they were; bring back the database from a copy"
                        : nil)
            }
            Screen.answer(
                "\(counted(report.size, "entry", "entries")), root \(Base64.encode(report.root.bytes)): all as logged"
            )
            for one in known {
                Screen.answer("begins with the \(one.size) of \(one.place)")
                guard let doubt = one.doubt else { continue }
                Screen.warn(
                    "\(one.place) is signed by \(doubt). It proves nothing: whoever has that key can sign any log"
                )
            }
            if known.isEmpty {
                Screen.note(
                    "no checkpoint was compared: what was cut off at the end cannot be told without one")
            }
        }

        /// The keys that were named, or those of this folder.
        private func signers(_ archive: any LedgerArchive) throws -> [NoteKey] {
            guard verifiers.isEmpty else { return try verifiers.map { try NoteKey(parsing: $0) } }
            guard let origin = try archive.origin() else { return [] }
            do {
                return try ledger.knownKeys().map { try NoteKey(name: origin, publicKey: $0) }
            } catch let failure as Failure where failure.code == .notPermitted {
                Screen.warn("\(failure)")
                return []
            }
        }

        /// Why nobody among the log's own keys that signed a note is to be believed now; nil where one is.
        private func doubt(_ note: SignedNote, _ keys: [NoteKey], _ ring: KeyRing) throws -> String? {
            let doubts = try note.signers(keys).map { key in
                LedgerKey.doubt(key.publicKey, ring, at: Instant.fromClock).map {
                    "the ledger's key \(key.publicKey.id.short)…, which \($0)"
                }
            }
            return doubts.contains(nil) ? nil : doubts.compactMap { $0 }.first
        }

        private func opened(_ note: [UInt8], _ keys: [NoteKey], _ ledger: any LedgerArchive) throws
            -> Checkpoint
        {
            let names = Set(keys.map(\.name))
            guard let name = names.first, names.count == 1 else {
                throw Failure(
                    .badSignature, "no key is known that this checkpoint could be checked with",
                    suggestion: "--key VKEY, as `kiln ledger checkpoint` shows it")
            }
            return try Checkpoint(opening: note, origin: name, keys: keys.map(\.publicKey))
        }
    }
}
