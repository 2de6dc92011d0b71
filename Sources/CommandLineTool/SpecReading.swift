internal import Foundation
internal import Model
internal import SpecFile
internal import Synchronization
internal import Trust

/// A spec, and what it was read from: what is said of its files is said of the bytes that were read, and not of what lies
/// there later.
struct SpecReading {
    struct Text: Hashable {
        /// From the folder of the spec.
        var path: String
        var sha256: Digest
    }

    let spec: Spec
    /// Where `files:` and the texts are.
    let folder: String
    /// The spec itself, and what it includes in the order in which it was read.
    let texts: [Text]

    /// Longest file that is read.
    private static let longest = 1 << 20

    /// The folder that a spec is in.
    static func folder(of file: String) -> String {
        URL(fileURLWithPath: file).standardizedFileURL.deletingLastPathComponent().path
    }

    init(_ file: String) throws {
        guard FileManager.default.fileExists(atPath: file) else {
            throw Failure(
                .fileMissing, "there is no such file", at: file,
                suggestion: "`kiln init` writes a first kiln.yaml, or name one with --file")
        }
        let folder = SpecReading.folder(of: file)
        let text = try SpecReading.text(file)
        let name = URL(fileURLWithPath: file).lastPathComponent
        let read = Mutex([Text(path: name, sha256: Digest.sha256(of: Array(text.utf8)))])
        spec = try SpecFile.parse(text, file: file) { path in
            let text = try SpecReading.text("\(folder)/\(path)")
            read.withLock { $0.append(Text(path: path, sha256: Digest.sha256(of: Array(text.utf8)))) }
            return text
        }
        self.folder = folder
        texts = read.withLock { $0 }
    }

    /// What nobody wrote to a file.
    init(_ spec: Spec, in folder: String) {
        (self.spec, self.folder, texts) = (spec, folder, [])
    }

    private static func text(_ file: String) throws -> String {
        guard let data = FileManager.default.contents(atPath: file) else {
            throw Failure(.fileMissing, "there is no such file", at: file)
        }
        guard data.count <= longest, let text = String(data: data, encoding: .utf8) else {
            throw Failure(.invalidSpec, "this is not UTF-8 text of at most 1 MiB", at: file)
        }
        return text
    }

    /// One lock for each machine type, so that a difference shows where it is: kiln.lock where there is only one.
    static func lockName(_ recipe: Recipe) -> String {
        recipe.architectures.count > 1 ? "kiln.\(recipe.architecture.rawValue).lock" : "kiln.lock"
    }

    /// Everything of the folder, or beside it, that decides about the image.
    var inputs: [String] {
        var files = texts.map(\.path) + spec.image.byArchitecture.map(SpecReading.lockName)
        for rule in spec.image.files + spec.image.builds.flatMap(\.files) {
            guard case .local(let path, let below) = rule.source else { continue }
            files.append(below.isEmpty ? path : below + "/" + path)
        }
        if let dockerfile = spec.image.from?.dockerfile { files.append(dockerfile) }
        return files
    }
}
