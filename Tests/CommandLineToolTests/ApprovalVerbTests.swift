import Foundation
import Model
import TestKit
import Testing
import Trust

@testable import CommandLineTool

/// What a person does on a machine that is no host: look at a request, and sign it.
@Suite final class ApprovalVerbTests: Sendable {
    private let folder = NSTemporaryDirectory() + "kiln-approval-\(UUID().uuidString)"
    private var keys: String { folder + "/keys" }

    init() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func kiln(_ arguments: String...) async -> Int32 {
        let adapters = Adapters(
            openStore: { throw Failure(.notFound, "no store", at: $0) }, imagesInUse: { _ in [] },
            openLedger: { root, _ in throw Failure(.notFound, "no ledger", at: root) },
            serve: { _ in }, examineHost: { [] })
        return await KilnCommand.run(arguments, with: adapters)
    }

    private func request(_ change: (inout ApprovalRequest) -> Void = { _ in }) throws -> ApprovalRequest {
        var release = Fixtures.release(2)
        release.digest = try release.content.digest()
        let gate = Gate("go-live", .approval(by: Approvers(["alice", "bob"], count: 2)))
        var rollout = Rollout(
            number: 3, kind: .deploy, from: ReleaseNumber(1), to: release.number, startedAt: Fixtures.start,
            stages: [RolloutStage(candidate: .whole, split: .none, wait: .gate(gate))], by: "uid:0")
        rollout.phase = .waiting(since: Fixtures.start)
        rollout.gates = ["go-live": .open(since: Fixtures.start, task: nil)]
        var request = try #require(try ApprovalRequest(rollout, of: release))
        change(&request)
        try JSONEncoder().encode(request).write(to: URL(fileURLWithPath: folder + "/request.json"))
        return request
    }

    @Test func `a request is signed, and the host counts it by the key's public half alone`() async throws {
        let request = try request()
        let file = folder + "/approval.json"
        #expect(
            await kiln("key", "generate", "alice", "--role", "deploy", "--no-passphrase", "--keys", keys) == 0
        )
        #expect(
            await kiln(
                "approval", "sign", folder + "/request.json", "--key", "alice", "--keys", keys, "--message",
                "fine", "--save", file) == 0)
        let entry = try KeyFolder(path: keys).ring().current("alice")
        let host = folder + "/host"
        let half = KeyFolder(path: keys).publicPath(entry)
        #expect(await kiln("key", "trust", "alice", half, "--role", "deploy", "--keys", host) == 0)
        let verified = try Approval.verify(
            try [UInt8](Data(contentsOf: URL(fileURLWithPath: file))), asked: request,
            keys: try KeyFolder(path: host).ring(), now: Instant.fromClock)
        #expect(verified.name == "alice" && verified.approval.message == "fine")
        // The private half stayed where it is.
        let names = try FileManager.default.contentsOfDirectory(atPath: host)
        #expect(!names.contains { $0.hasSuffix(".key") } && names.contains { $0.hasSuffix(".pub") })
    }

    @Test func `what cannot be signed or trusted is refused, and leaves nothing`() async throws {
        _ = try request()
        let path = folder + "/request.json"
        _ = await kiln("key", "generate", "ci", "--role", "build", "--no-passphrase", "--keys", keys)
        _ = await kiln("key", "generate", "alice", "--role", "deploy", "--no-passphrase", "--keys", keys)
        func sign(_ key: String, _ request: String) async -> Int32 {
            await kiln(
                "approval", "sign", request, "--key", key, "--keys", keys, "--save", folder + "/a.json")
        }
        #expect(await sign("ci", path) == 1)
        #expect(await sign("nobody", path) == 2)
        #expect(await sign("alice", folder + "/none.json") == 2)
        try Data("{}".utf8).write(to: URL(fileURLWithPath: folder + "/empty.json"))
        #expect(await sign("alice", folder + "/empty.json") == 1)
        _ = try request { $0.content.run.replicas += 1 }
        #expect(await sign("alice", path) == 1)
        #expect(await kiln("approval", "show", path) == 1)
        #expect(!FileManager.default.fileExists(atPath: folder + "/a.json"))
        // A P-256 key does no ledger's work, and a text is no key.
        let half = KeyFolder(path: keys).publicPath(try KeyFolder(path: keys).ring().current("alice"))
        #expect(await kiln("key", "trust", "x", half, "--role", "ledger", "--keys", keys) == 1)
        #expect(await kiln("key", "trust", "x", path, "--role", "deploy", "--keys", keys) == 1)
        #expect(await kiln("key", "trust", "y", half, "--role", "deploy", "--keys", keys) == 2)
        #expect(try KeyFolder(path: keys).ring().keys.count == 2)
    }

    @Test func `a request says all that matters`() throws {
        var request = try request()
        request.given = [
            GivenApproval(
                gate: "go-live", name: "bob", keyID: "x", evidence: Fixtures.digest(1), at: Fixtures.start,
                message: "")
        ]
        let text = request.text.joined(separator: "\n")
        for part in [
            "hello  rollout 3: r1 → r2", "go-live", "\(request.digest)", "\(request.plan)",
            "\(request.content.image)", "2 of alice and bob", "approved already by", "bob",
        ] { #expect(text.contains(part), "\(part)") }
    }
}
