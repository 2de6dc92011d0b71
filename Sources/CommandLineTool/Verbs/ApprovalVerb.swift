internal import ArgumentParser
internal import Foundation
internal import Model
internal import Trust

/// What a person does with a request for an approval, on a machine that need not be the host.
struct ApprovalVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "approval",
        abstract: "Look at what a gate asks, and sign a yes to it, on any machine.",
        subcommands: [Show.self, Sign.self])

    /// Longest request that is read: a release and its stages.
    private static let longestRequest = 4 << 20

    private static func request(_ path: String) throws -> ApprovalRequest {
        guard let bytes = try KeyFolder.read(path, limit: longestRequest) else {
            throw Failure(
                .fileMissing, "there is no such file", at: path,
                suggestion: "on the host: kiln rollout request SERVICE --save \(path)")
        }
        let request: ApprovalRequest
        do {
            request = try JSONDecoder().decode(ApprovalRequest.self, from: Data(bytes))
        } catch {
            throw Failure(
                .malformedEvidence, "this is no request for an approval", at: path,
                suggestion: "on the host: kiln rollout request SERVICE --save \(path)", cause: error)
        }
        try request.requireHonest()
        return request
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what a request asks, after checking that its digests are of what it shows.",
            discussion: """
                Example:
                  kiln approval show request.json
                """)

        @Argument(help: "A file of `kiln rollout request`.", completion: .file())
        var request: String
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let request = try ApprovalVerb.request(request)
            guard output.output == .text else { return try Screen.answer(request) }
            Screen.answer(request.text.joined(separator: "\n"))
        }
    }

    struct Sign: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Sign a yes to what a request asks.",
            discussion: """
                The approval counts for this rollout, gate, release and plan, and for a day.

                Examples:
                  kiln approval sign request.json --key alice --save approval.json
                  kiln approval sign request.json --key ./alice.key --message "seen in staging" > approval.json
                """)

        @Argument(help: "A file of `kiln rollout request`.", completion: .file())
        var request: String
        @Option(help: ArgumentHelp("A deploy key by name, or a key file.", valueName: "name"))
        var key: String
        @Option(help: ArgumentHelp("Why, for whoever asks later; signed too.", valueName: "why"))
        var message = ""
        @Option(
            help: ArgumentHelp(
                "Write the approval to this file, instead of to the screen.", valueName: "file"),
            completion: .file())
        var save: String?
        @OptionGroup var signing: SigningKeyOptions
        @OptionGroup var root: RootOptions

        func run() async throws {
            let request = try ApprovalVerb.request(request)
            for line in request.text { Screen.tell(line) }
            let signingKey = try signing.signingKey(key, for: .deploy, root)
            let bytes = try request.signed(with: signingKey, message: message)
            guard let save else { return Screen.answer(String(decoding: bytes, as: UTF8.self)) }
            try KeyFolder.write(bytes, to: save, mode: 0o644)
            Screen.tell(
                "\(save): hand it in with `kiln rollout approve \(request.service) --approval \(save)`")
        }
    }
}

extension ApprovalRequest {
    /// A signed yes, as bytes of an envelope.
    func signed(with key: SigningKey, message: String) throws -> [UInt8] {
        let approval = try Approval(
            to: self, with: key.publicKey, at: Instant.fromClock, message: message)
        return try approval.signed(with: key).json.bytes
    }

    /// What is asked, for people.
    var text: [String] {
        let way = [from, release].compactMap(\.self).map(\.description).joined(separator: " → ")
        let said = given.map(\.name).sorted()
        let who =
            approvers.map { "\($0)" } ?? "anybody who may use the daemon, and any deploy key of the host"
        let rows = [
            ["  gate", gate], ["  release", "\(digest)"], ["  image", "\(content.image)"],
            ["  plan", "\(plan), \(counted(stages.count, "stage")), \(content.rollout.strategy.name)"],
            ["  to be approved by", who],
        ]
        let before = said.isEmpty ? [] : [["  approved already by", said.joined(separator: ", ")]]
        return ["\(service)  rollout \(rollout): \(way)", Screen.table(rows + before)]
    }
}
