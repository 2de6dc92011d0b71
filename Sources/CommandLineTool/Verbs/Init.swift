internal import ArgumentParser
internal import Foundation
internal import Model
internal import SpecFile

extension SpecStarter: ExpressibleByArgument {}

struct Init: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write a first kiln.yaml to go on from.",
        discussion: """
            Examples:
              kiln init                          a static site behind nginx
              kiln init --kind redis cache       a redis that is called cache
            """)

    @Argument(help: "The service's name (default: the folder's).")
    var service: String?

    @Option(help: "What to begin with.")
    var kind: SpecStarter = .site

    @Option(help: "The folder to write to.", completion: .directory)
    var folder: String = "."

    @OptionGroup var output: OutputOptions

    struct Answer: Encodable { var written: [String] }

    func run() async throws {
        let name = try ServiceName(service ?? Init.name(for: folder))
        var written: [String] = []
        let files = kind.files(for: name)
        for file in files {
            let path = "\(folder)/\(file.path)"
            guard !FileManager.default.fileExists(atPath: path) else {
                throw Failure(
                    .conflict, "this file exists already", at: path,
                    suggestion: "name another folder with --folder, or delete it")
            }
        }
        for file in files {
            let url = URL(fileURLWithPath: "\(folder)/\(file.path)")
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(file.text.utf8).write(to: url, options: .atomic)
            written.append("\(folder)/\(file.path)")
        }
        switch output.output {
        case .json: try Screen.answer(Answer(written: written))
        case .text:
            for path in written { Screen.answer("wrote \(path)") }
            Screen.tell("next: kiln bake, or kiln deploy with a daemon running")
        }
    }

    /// The folder's name, with what a service name may not have left out.
    private static func name(for folder: String) -> String {
        let last = URL(fileURLWithPath: folder).standardizedFileURL.lastPathComponent.lowercased()
        let kept = last.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" }
        let trimmed = String(kept).drop { !$0.isLetter }.prefix(40)
        return String(trimmed.reversed().drop { $0 == "-" }.reversed())
    }
}
