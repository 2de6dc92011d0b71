internal import ArgumentParser
internal import Foundation
internal import Model
internal import Trust
internal import WireAPI

struct RolloutApprove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "approve",
        abstract: "Say yes to the gate that waits for a person.",
        discussion: """
            A gate that names who has to say yes takes a signature by one of their deploy keys: of this machine,
            with --key, or made elsewhere by `kiln approval sign`, with --approval.

            Examples:
              kiln rollout approve hello
              kiln rollout approve hello --gate go-live    only if that is the one that waits
              kiln rollout approve hello --key alice --message "seen in staging"
              kiln rollout approve hello --approval approval.json
            """)

    @Option(help: "The gate; without it the one that waits.")
    var gate: String?
    @Option(help: ArgumentHelp("Sign with this deploy key: its name, or a key file.", valueName: "name"))
    var key: String?
    @Option(help: ArgumentHelp("Why, for whoever asks later; signed too, with --key.", valueName: "why"))
    var message = ""
    @Option(
        help: ArgumentHelp("Hand in an approval that was signed elsewhere.", valueName: "file"),
        completion: .file())
    var approval: String?
    @Option(
        help: ArgumentHelp("Keep the signed approval in this file too.", valueName: "file"),
        completion: .file())
    var save: String?
    @OptionGroup var signing: SigningKeyOptions
    @OptionGroup var options: RolloutOptions

    func validate() throws {
        if key != nil, approval != nil {
            throw ValidationError("--key signs here, and --approval was signed elsewhere: give one of them")
        }
        if key == nil, save != nil {
            throw ValidationError("--save is for an approval that is signed here, with --key")
        }
        if approval != nil, !message.isEmpty {
            throw ValidationError("--approval says why by itself: its message was signed with it")
        }
    }

    func run() async throws {
        let signed = try await envelope()
        if let save, let signed { try KeyFolder.write(signed, to: save, mode: 0o644) }
        let service = try options.service.key()
        try await options.say(.approve, gate: gate, approval: signed, saying: signed == nil ? message : nil) {
            rollout in
            guard let gate = rollout.openApproval, let count = rollout.approvalText(of: gate) else {
                return "\(rollout.to) is approved at \(rollout.place)"
            }
            return "gate \(gate.name) has \(count); `kiln rollout status \(service)` shows who may approve"
        }
    }

    /// nil: a plain yes, of whoever may use the daemon.
    private func envelope() async throws -> [UInt8]? {
        if let approval {
            guard let bytes = try KeyFolder.read(approval, limit: Approval.Limit.bytes) else {
                throw Failure(
                    .fileMissing, "there is no such file", at: approval,
                    suggestion: "kiln approval sign request.json --key NAME --save \(approval)")
            }
            return bytes
        }
        guard let key else { return nil }
        let request = try await options.approvalRequest(gate)
        for line in request.text { Screen.tell(line) }
        let signingKey = try signing.signingKey(key, for: .deploy, options.daemon.root)
        return try request.signed(with: signingKey, message: message)
    }
}

struct RolloutRequest: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "request",
        abstract: "Say what the gate that waits asks, for a person to sign on another machine.",
        discussion: """
            It holds the whole release and its plan, so that whoever signs can see for what.

            Examples:
              kiln rollout request hello --save request.json
              kiln approval sign request.json --key alice --save approval.json    on the other machine
              kiln rollout approve hello --approval approval.json
            """)

    @Option(help: "The gate; without it the one that waits.")
    var gate: String?
    @Option(
        help: ArgumentHelp("Write it to this file, instead of to the screen.", valueName: "file"),
        completion: .file())
    var save: String?
    @OptionGroup var options: RolloutOptions

    func run() async throws {
        let request = try await options.approvalRequest(gate)
        guard let save else {
            guard options.output.output == .text else { return try Screen.answer(request) }
            return Screen.answer(request.text.joined(separator: "\n"))
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try KeyFolder.write([UInt8](try encoder.encode(request)), to: save, mode: 0o600)
        guard options.output.output == .text else { return try Screen.answer(request) }
        Screen.answer("\(save): sign it with `kiln approval sign \(save) --key NAME --save approval.json`")
    }
}

extension RolloutOptions {
    /// What the gate that is open asks.
    func approvalRequest(_ gate: String?) async throws -> ApprovalRequest {
        let key = try service.key()
        let status: RolloutStatus = try await daemon.withDaemon { try await $0.get(WirePath.rollout(key)) }
        guard let request = status.approval else {
            throw Failure(
                .conflict, "the rollout of \(status.rollout.to) does not wait for an approval now",
                suggestion: "`kiln rollout status \(key)` shows what it waits for")
        }
        guard gate == nil || gate == request.gate else {
            throw Failure(
                .notFound, "the rollout waits for the gate \(request.gate), not for \(gate!)",
                suggestion: "kiln rollout approve \(key) --gate \(request.gate)")
        }
        return request
    }
}
