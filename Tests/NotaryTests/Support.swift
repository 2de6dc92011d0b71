import Foundation
import Model
import Notary
import Ports
import Storage
import Synchronization
import TestWeb
import Testing
import Trust
import TestKit

extension LedgerFile: LedgerArchive {}

enum Fixture {
    static let now = Instant("2026-03-01T12:00:00Z")!
    static let origin = "host.example/ledger"

    static func entries(_ range: Range<Int>) -> [LedgerEntry] {
        range.map { LedgerEntry(.gate, "entry \($0)", at: now + .seconds($0), by: "kiln") }
    }
}

/// A witness as c2sp.org/tlog-witness has it, in memory, behind a real server; and some that are not so good.
final class WitnessDouble: Sendable {
    enum Behaviour: Sendable {
        case good
        /// Signs with a key that is not its.
        case forging
        /// Signs another checkpoint than the one that was sent.
        case signingOther
        /// Gives the note back without a signature.
        case unsigned
        /// Says that it has seen more than there ever was.
        case ahead(Int)
        /// Says another length each time.
        case fickle
        /// Says that no proof is good.
        case forked
        case slow, huge, half, silent
        case status(Int)
        /// 409 with words instead of a number.
        case wordy
    }

    private struct Memory {
        var size = 0
        var root = MerkleHash.empty
        var behaviour = Behaviour.good
        var asked = 0
    }

    let key: Cosignature.Key
    private let privateKey: PrivateKey
    private let memory = Mutex(Memory())
    private let server: Mutex<WebServer?> = Mutex(nil)
    private let logKeys: [PublicKey]

    init(_ name: String = "witness.example/w1", of logKeys: [PublicKey]) async throws {
        privateKey = try PrivateKey(generating: .ed25519)
        key = try Cosignature.Key(name: name, publicKey: privateKey.publicKey)
        self.logKeys = logKeys
        let server = try await WebServer { [weak self] in self?.answer($0) ?? WebServer.Answer(500) }
        self.server.withLock { $0 = server }
    }

    var witness: Witness { Witness(address: "http://\(server.withLock { $0!.address })/", key: key) }
    var size: Int { memory.withLock(\.size) }
    var asked: Int { memory.withLock(\.asked) }
    func behave(_ behaviour: Behaviour) { memory.withLock { $0.behaviour = behaviour } }

    private func answer(_ asked: WebServer.Asked) -> WebServer.Answer {
        memory.withLock { memory in
            memory.asked += 1
            guard asked.method == "POST", asked.uri == "/add-checkpoint" else { return WebServer.Answer(404) }
            func size(_ text: String) -> WebServer.Answer {
                WebServer.Answer(409, ["content-type": "text/x.tlog.size"], body: Array("\(text)\n".utf8))
            }
            switch memory.behaviour {
            case .ahead(let count): return size("\(count)")
            case .fickle: return size("\(memory.asked % 3 + 1)")
            case .wordy: return size("-1 or so")
            case .forked: return WebServer.Answer(422)
            case .status(let status): return WebServer.Answer(status, body: Array("no\u{7}thing".utf8))
            case .huge: return WebServer.Answer(200, body: [UInt8](repeating: 0x61, count: 8 << 20))
            case .slow:
                var answer = WebServer.Answer(200, body: Array("— x ".utf8))
                answer.stalled = 2
                return answer
            case .half:
                var answer = WebServer.Answer(200, body: [UInt8](repeating: 0x61, count: 100))
                answer.sent = 10
                return answer
            case .silent:
                var answer = WebServer.Answer(200)
                answer.isSilent = true
                return answer
            case .good, .forging, .signingOther, .unsigned: return behaving(asked.body, &memory)
            }
        }
    }

    private func behaving(_ body: [UInt8], _ memory: inout Memory) -> WebServer.Answer {
        let text = String(decoding: body, as: UTF8.self)
        guard let blank = text.range(of: "\n\n") else { return WebServer.Answer(400) }
        let lines = text[..<blank.lowerBound].split(separator: "\n").map(String.init)
        guard lines.first?.hasPrefix("old ") ?? false, let old = Int(lines[0].dropFirst(4)),
            let note = try? SignedNote(parsing: Array(text[blank.upperBound...].utf8)),
            let checkpoint = try? Checkpoint(parsing: note.text)
        else { return WebServer.Answer(400) }
        let proof = lines.dropFirst().compactMap { Base64.decode($0).flatMap { MerkleHash(bytes: $0) } }
        let keys = logKeys.compactMap { try? NoteKey(name: Fixture.origin, publicKey: $0) }
        guard checkpoint.origin == Fixture.origin else { return WebServer.Answer(404) }
        guard let signers = try? note.signers(keys), !signers.isEmpty else { return WebServer.Answer(403) }
        guard old <= checkpoint.size else { return WebServer.Answer(400) }
        guard old == memory.size, old != checkpoint.size || checkpoint.root == memory.root else {
            return WebServer.Answer(
                409, ["content-type": "text/x.tlog.size"], body: Array("\(memory.size)\n".utf8))
        }
        guard
            MerkleProof.isConsistent(
                oldSize: old, oldRoot: memory.root, newSize: checkpoint.size, newRoot: checkpoint.root,
                proof: proof)
        else { return WebServer.Answer(422) }
        var (signed, signer) = (note, privateKey)
        switch memory.behaviour {
        case .forging: signer = try! PrivateKey(generating: .ed25519)
        case .signingOther:
            let other = Checkpoint(origin: Fixture.origin, size: checkpoint.size, root: .empty)
            signed = try! other.signed(with: SigningKey(generating: .ledger))
        case .unsigned: return WebServer.Answer(200)
        default: (memory.size, memory.root) = (checkpoint.size, checkpoint.root)
        }
        let signature = try! Cosignature.signature(of: signed, at: Fixture.now, by: key, signer)
        let line = "— \(signature.name) \(Base64.encode(signature.hash + signature.bytes))\n"
        return WebServer.Answer(200, body: Array(line.utf8))
    }
}

/// A ledger with a key, in a folder of its own.
final class Scene: Sendable {
    let folder: TemporaryFolder
    let ledger: LedgerFile
    let key: SigningKey
    /// One for all tests: it has to be closed before it goes. Patient, since the tests beside these keep all cores busy.
    static let client = WitnessClient(patience: .seconds(30))
    static let impatient = WitnessClient(patience: .milliseconds(500))

    init(entries: Int = 0) async throws {
        folder = try TemporaryFolder()
        ledger = try LedgerFile(folder.path + "/kiln.db")
        key = try SigningKey(generating: .ledger)
        try await ledger.append(Fixture.entries(0..<entries))
    }

    /// Another machine's copy of a part of this log, which goes on differently.
    init(forking scene: Scene, at size: Int, entries: Int) async throws {
        folder = try TemporaryFolder()
        ledger = try LedgerFile(folder.path + "/kiln.db")
        key = scene.key
        try await ledger.append(Fixture.entries(0..<size))
        try await ledger.append(
            (size..<entries).map { LedgerEntry(.gate, "other \($0)", at: Fixture.now, by: "x") })
    }

    func notary(
        _ witnesses: [WitnessDouble] = [], files: [String] = [], client: WitnessClient = client
    ) async throws -> Notary {
        try await Notary(
            ledger: ledger, name: Fixture.origin, key: key, files: files.map { CheckpointFile($0) },
            witnesses: witnesses.map(\.witness), client: client)
    }
}

func failure(_ body: () async throws -> Void) async -> Failure? {
    do {
        try await body()
        return nil
    } catch {
        return Failure.list(error)[0]
    }
}
