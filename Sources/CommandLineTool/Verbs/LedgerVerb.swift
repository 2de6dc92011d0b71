internal import ArgumentParser
internal import Foundation
internal import Model
internal import Notary
internal import Ports

extension LedgerEntry.Kind: ExpressibleByArgument {}

struct LedgerVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ledger",
        abstract: "Read, check and prove what was done: the log that cannot be changed unseen.",
        discussion: """
            These read the database of the root folder; no daemon is needed, and none is disturbed.

            Examples:
              kiln ledger show --service hello --since 7d
              kiln ledger verify --checkpoint /mnt/elsewhere/checkpoint
              kiln ledger who openssl@3.0.11-1~deb12u2
            """,
        subcommands: [
            Show.self, Verify.self, Prove.self, Summary.self, CheckpointCommand.self, Export.self, Who.self,
        ])

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show the newest entries, oldest of them first.",
            discussion: """
                Examples:
                  kiln ledger show
                  kiln ledger show --service hello --kind deploy --limit 1000
                  kiln ledger show --since 2026-01-31 --output json
                """)

        @Option(help: "Of this service; service@environment outside production.")
        var service: String?
        @Option(help: ArgumentHelp("Of this kind.", valueName: "kind"))
        var kind: LedgerEntry.Kind?
        @Option(help: ArgumentHelp("At most so many.", valueName: "count"))
        var limit = 50
        @OptionGroup var since: SinceOption
        @OptionGroup var ledger: LedgerOptions
        @OptionGroup var output: OutputOptions

        /// How many are held at once.
        static let page = 500

        func validate() throws {
            guard limit >= 1 else { throw ValidationError("--limit takes 1 or more") }
        }

        func run() async throws {
            let ledger = try ledger.open()
            var query = LedgerQuery(
                service: try service.map { try ServiceKey(parsing: $0) }, kind: kind,
                since: since.moment(now: Instant.fromClock))
            query.numbers = try first(of: query, in: ledger)..<Int.max
            var isFirst = true
            if output.output == .json { Screen.draw("[") }
            for _ in stride(from: 0, to: limit, by: Show.page) {
                let entries = try ledger.entries(query, order: .oldestFirst, limit: min(limit, Show.page))
                guard let last = entries.last else { break }
                switch output.output {
                case .json:
                    for entry in entries {
                        Screen.draw((isFirst ? "\n" : ",\n") + LedgerRow(entry).json)
                        isFirst = false
                    }
                case .text:
                    Screen.answer(Screen.table(entries.map { LedgerRow($0).row }))
                    isFirst = false
                }
                query.numbers = last.number + 1..<Int.max
            }
            if output.output == .json {
                Screen.draw("\n]\n")
            } else if isFirst {
                Screen.tell("no such entries")
            }
        }

        /// The number of the oldest of the newest `limit`, without holding more than a page of them.
        private func first(of query: LedgerQuery, in ledger: any LedgerArchive) throws -> Int {
            var (query, left) = (query, limit)
            while left > 0 {
                let entries = try ledger.entries(query, order: .newestFirst, limit: min(left, Show.page))
                guard let last = entries.last else { break }
                left -= entries.count
                query.numbers = 0..<last.number
            }
            return left == limit ? 0 : query.numbers.upperBound
        }
    }
}

/// An entry as it is shown. What a later version of this program wrote is shown too.
struct LedgerRow {
    private let number: Int
    private let body: JSONValue

    init(_ entry: LoggedEntry) {
        number = entry.number
        body = (try? JSONValue(parsing: entry.bytes)) ?? .object([:])
    }

    var json: String {
        var members = body.members ?? [:]
        members["number"] = .number(number)
        return String(decoding: JSONValue.object(members).bytes, as: UTF8.self)
    }

    var row: [String] {
        func text(_ name: String) -> String? { body[name]?.text }
        let place = [text("service"), text("release")].compactMap { $0 }.joined(separator: " ")
        var words = text("message") ?? "(cannot be read)"
        if let reason = text("reason") { words += " (\(reason))" }
        let line = words.split(whereSeparator: \.isNewline).joined(separator: " ")
        return [
            "\(number)", text("at") ?? "-", text("kind") ?? "-", text("by") ?? "-",
            place.isEmpty ? "-" : place, LedgerRow.plain(line),
        ]
    }

    /// Nothing that was logged moves the cursor of whoever looks at it.
    private static func plain(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? "·" : $0 }))
    }
}
