internal import ArgumentParser
internal import Baking
internal import Foundation
internal import Model
internal import Ports
internal import Trust

extension Severity: ExpressibleByArgument {
    package init?(argument: String) {
        // What a feed says nothing of cannot be asked for.
        guard let severity = Severity(rawValue: argument), severity != .unknown else { return nil }
        self = severity
    }

    package static var allValueStrings: [String] {
        allCases.filter { $0 != .unknown }.map(\.rawValue)
    }
}

extension VulnerabilityRule.Unrated: ExpressibleByArgument {}

extension ImageVerb {
    struct Vulnerabilities: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the known faults of an image's packages.",
            discussion: """
                The feed is a file with OSV records (one, a list, or a line each), or the JSON of Debian's security
                tracker. Ends with 1 where a fault is as bad as --refuse or worse, or where the feed cannot be believed.

                Examples:
                  kiln image vulnerabilities hello --feed tracker.json
                  kiln image vulnerabilities hello --feed osv.jsonl --refuse critical --unrated pass --output json
                """)

        @Argument(help: "A digest, or enough of its beginning, a name, or a service for its newest image.")
        var image: String
        @Option(help: "The feed.", completion: .file())
        var feed: String
        @Option(help: "The least severity that is refused.")
        var refuse: Severity = .high
        @Option(help: "Faults that the feed does not rate.")
        var unrated: VulnerabilityRule.Unrated = .refuseFixed
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        struct Answer: Encodable {
            var image: Digest
            var refused: [PackageFault]
            var tolerated: [PackageFault]
        }

        func run() async throws {
            let store = try root.openStore()
            let contents = try ImageContents(try ImageName.find(image, in: store).digest, store: store)
            let rule = VulnerabilityRule(feed: feed, atLeast: refuse, unrated: unrated)
            let reading = FeedFiles().reading(
                feed, packages: contents.packages, distribution: contents.distribution)
            let now = Instant.fromClock
            guard case .read(let read) = reading else {
                // What cannot be read is refused in the words that an admission has for it.
                guard
                    case .failure(let refused) = rule.decide(
                        packages: contents.packages, reading: reading, now: now)
                else { throw Failure(.internalError, "a feed that was not read was believed") }
                throw Failures(refused.why.map(\.failure))
            }
            let verdict = rule.verdict(on: contents.packages, faults: read.faults, now: now)
            switch output.output {
            case .json:
                try Screen.answer(
                    Answer(
                        image: contents.image.digest, refused: verdict.refused, tolerated: verdict.tolerated))
            case .text:
                let all = (verdict.refused + verdict.tolerated).sorted()
                if !all.isEmpty { Screen.answer(Screen.table(all.map(\.row))) }
                Screen.answer(
                    "\(counted(all.count, "known fault")) in \(counted(contents.packages.count, "package")), "
                        + "\(verdict.refused.count) refused")
            }
            if !verdict.refused.isEmpty { throw ExitCode(1) }
        }
    }
}

extension PackageFault {
    fileprivate var row: [String] {
        let rating = severity == .unknown ? "not rated" : severity.rawValue
        return [rating, package, version, id, fixedIn.map { "mended in \($0)" } ?? "not mended yet"]
    }
}
