internal import ArgumentParser
internal import Baking
internal import Foundation
internal import Model
internal import Ports

struct StoreVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "store", abstract: "Look after the folder that images and packages are kept in.",
        subcommands: [Collect.self, Check.self])

    struct Collect: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "gc", abstract: "Remove images and packages that nobody needs any more.",
            discussion: """
                Kept are the images of every release that runs, stands by or can be rolled back to, those with
                a name, the newest ones of each service, and what is younger than an hour. Packages and what was
                made of them stay for as long as they are used now and then: they make the next bake fast.

                Examples:
                  kiln store gc --dry-run
                  kiln store gc --unused-for 0s    as much room as there can be
                """)

        @Flag(help: "Remove nothing: say what would go.")
        var dryRun = false
        @Option(help: "Keep this many of the newest images of each service.")
        var keepImages = StoreCollection.Policy.usual.imagesPerService
        @Option(help: ArgumentHelp("Keep packages that were used in this time.", valueName: "span"))
        var unusedFor = "\(StoreCollection.Policy.usual.unusedFor)"
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        func validate() throws {
            guard Span(unusedFor) != nil else {
                throw ValidationError("--unused-for takes a time such as 12h or 30d, not \"\(unusedFor)\"")
            }
            guard keepImages >= 0 else { throw ValidationError("--keep-images takes 0 or more") }
        }

        struct Answer: Encodable {
            var isDryRun: Bool; var images: [Digest]; var blobs: Int; var cached: Int; var leftovers: Int
            var toolFiles: Int; var bytes: Int
        }

        func run() async throws {
            let policy = StoreCollection.Policy(
                imagesPerService: keepImages, unusedFor: Span(unusedFor) ?? .zero)
            let adapters = try Adapters.require()
            let garbage = try await StoreCollection(try root.openStore()).run(
                inUse: { try adapters.imagesInUse(root.path) }, policy: policy, isDryRun: dryRun,
                now: { Instant.fromClock })
            if output.output == .json {
                return try Screen.answer(
                    Answer(
                        isDryRun: dryRun, images: garbage.images.map(\.digest), blobs: garbage.blobs.count,
                        cached: garbage.cached.count, leftovers: garbage.leftovers.count,
                        toolFiles: garbage.toolFiles.count, bytes: garbage.size))
            }
            for image in garbage.images { Screen.answer("\(image.digest) \(image.called)") }
            let counts = [
                counted(garbage.images.count, "image"), counted(garbage.blobs.count, "blob"),
                counted(garbage.cached.count, "cached result"),
                counted(garbage.leftovers.count, "leftover file"),
                counted(garbage.toolFiles.count, "file or folder of tools"),
            ].joined(separator: ", ")
            let size = ByteCount(bytes: garbage.size).readable
            Screen.answer("\(dryRun ? "would remove" : "removed") \(counts): \(size)")
        }
    }

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Read the whole store and compare every byte with the digest that it is named by.",
            discussion: """
                Ends with 0 where all is as it was written, and with 1 where something is not.

                Examples:
                  kiln store check
                  kiln store check --repair    remove what is damaged: the next bake or pull makes it anew
                """)

        @Flag(help: "Remove what is damaged.")
        var repair = false
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        struct Answer: Encodable {
            var images: Int; var blobs: Int; var bytes: Int; var leftovers: Int
            var findings: [StoreCheck.Finding]
        }

        func run() async throws {
            let (check, repair) = (StoreCheck(try root.openStore()), repair)
            let report = try await Interruption.cancelling {
                try await check.run(repairing: repair) { Screen.progress("reading \(Int($0 * 100)) %") }
            }
            if output.output == .json {
                try Screen.answer(
                    Answer(
                        images: report.images, blobs: report.blobs, bytes: report.bytes,
                        leftovers: report.leftovers, findings: report.findings))
            } else {
                for finding in report.findings { Screen.answer("\(finding.place): \(finding.what)") }
                let size = ByteCount(bytes: report.bytes).readable
                Screen.answer(
                    "\(counted(report.images, "image")), \(counted(report.blobs, "blob")), \(size), "
                        + (report.findings.isEmpty ? "all as written" : "\(report.findings.count) damaged"))
            }
            if !report.findings.isEmpty { throw ExitCode(1) }
        }
    }
}
